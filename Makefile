# Each target sets up all that it needs: a machine with make and Python 3.10 to 3.13 is enough.
# PYTHON=/path/to/python chooses an interpreter.

BIN := .venv/bin
READY := .venv/.ready
FUZZ_EXAMPLES ?= 2000
FUZZ_SEED ?= 2026
# one worker a core; threads of libraries would only contend
TESTS := OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --dist worksteal

.PHONY: help demo test test-full lint fuzz notebooks clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: $(READY) ## train, export, verify on Lava and report, into runs/demo
	@$(BIN)/lavaseg demo

test: lint ## lint, then the tests; minutes
	$(TESTS) -m "not full"

test-full: $(READY) ## what `make test` leaves out: every recipe and benchmark, trained
	$(TESTS) -m full

lint: $(READY) ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fuzz: $(READY) ## exactness on many random networks (FUZZ_EXAMPLES=2000)
	LAVASEG_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) LAVASEG_FUZZ_MULTIPROCESS=200 $(BIN)/pytest \
	    --hypothesis-seed=$(FUZZ_SEED) tests/test_exactness.py tests/test_exactness_graphs.py \
	    tests/test_levels.py

notebooks: $(READY) ## open notebooks/ in JupyterLab, which is installed the first time
	@[ -x $(BIN)/jupyter-lab ] || \
	    .venv-tools/bin/uv pip install --quiet --python $(BIN)/python --group notebooks
	@$(BIN)/jupyter-lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

clean: ## remove the environment and all caches; runs/ stays
	rm -rf .venv .venv-tools build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find lavaseg tests -name __pycache__ -type d -prune -exec rm -rf {} +

# uv lives in an environment of its own, so that it can be exact about .venv. A candidate must
# run (version managers leave stubs that do not) and have venv and pip in it. uv knows where
# PyTorch's builds for the CPU, and for the GPU at hand, are; PyPI has those for CUDA alone.
# Where Python may not keep what it compiles, installing does: else every process compiles again.
UV := UV_PYTHON_DOWNLOADS=never .venv-tools/bin/uv
ALL := --python .venv/bin/python --exact --editable '.[all]' --group dev --group lava

$(READY): pyproject.toml
	@for candidate in "$$PYTHON" python3 python3.13 python3.12 python3.11 python3.10; do \
	    [ -n "$$candidate" ] || continue; \
	    python=$$($$candidate -c 'import sys, venv, ensurepip; \
	assert (3, 10) <= sys.version_info[:2] <= (3, 13); print(sys.executable)' 2>/dev/null) \
	        && break; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "error: no suitable Python found: lavaseg needs Python 3.10 to 3.13 with its venv" \
	        "module (on Debian the package python3-venv); PYTHON=/path/to/python chooses one" >&2; \
	    exit 2; \
	fi; \
	set -e; \
	echo "setting up .venv with $$python"; \
	[ -x .venv-tools/bin/uv ] || { \
	    "$$python" -m venv --clear .venv-tools; \
	    .venv-tools/bin/python -m pip install --quiet --disable-pip-version-check uv; \
	}; \
	.venv/bin/python -c '' 2>/dev/null || $(UV) venv --quiet --clear --python "$$python" .venv; \
	if [ -z "$$UV_TORCH_BACKEND" ]; then \
	    if UV_HTTP_RETRIES=1 $(UV) pip install --quiet --dry-run --torch-backend auto $(ALL) \
	        2>/dev/null; then \
	        export UV_TORCH_BACKEND=auto; \
	    else \
	        echo "PyTorch's own builds cannot be reached: torch comes from PyPI, on Linux with" \
	            "CUDA (6 GB in all)"; \
	    fi; \
	fi; \
	$(UV) pip install $${PYTHONDONTWRITEBYTECODE:+--compile-bytecode} $(ALL)
	@touch $@
