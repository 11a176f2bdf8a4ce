"""The layout: what may import what, that everything is documented, that imports are quick."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lavaseg.runs import RunFolder

PACKAGE = Path(__file__).resolve().parents[1] / "lavaseg"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

STAGES = ("training", "export", "deploy")
FINISHERS = ("report", "studies", "inference", "guide", "cli")
"""Parts that stand at the end of the pipeline and may import everything; nothing imports them."""

ALLOWED = {
    "training": {"training"},
    "export": {"training", "export"},
    "deploy": {"deploy"},
    "report": {*STAGES, "report"},
    "studies": {*STAGES, "report", "studies"},
    "inference": {"training", "deploy", "inference"},
    "guide": {"studies", "guide"},
    "cli": {*STAGES, *FINISHERS},
}
"""The stages that each part may import; shared modules import none."""

EXCEPTIONS = {
    # verify compares the torch forward with everything that is deployed
    (Path("deploy/torch_backend.py"), "training"),
    # record looks into float and integer networks alike
    *(
        (path, part)
        for part in ("training", "export")
        for path in MODULES
        if path.parts[:2] == ("deploy", "observation")
    ),
    # the lazy facade, and `python -m lavaseg`
    *((Path("__init__.py"), part) for part in (*STAGES, *FINISHERS)),
    (Path("__main__.py"), "cli"),
}


def _imports(path: Path) -> set[str]:
    """Dotted names of all modules and names that a file imports, at the top or inside."""
    found = set()
    package = ["lavaseg", *path.parent.parts]
    for node in ast.walk(ast.parse((PACKAGE / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_follow_the_pipeline(path: Path) -> None:
    part = path.parts[0]
    allowed = ALLOWED.get(part, set())
    parts = {name.split(".")[1] for name in _imports(path) if name.startswith("lavaseg.")}
    wrong = {
        other
        for other in parts & {*STAGES, *FINISHERS}
        if other not in allowed and (path, other) not in EXCEPTIONS
    }
    assert not wrong, f"lavaseg/{path} must not import lavaseg.{', lavaseg.'.join(sorted(wrong))}"


NOUNS = (
    "errors", "system", "lazy", "compat", "network", "chip", "events", "kernels", "encoders",
    "results", "recipes", "models", "netx", "data", "runs",
)  # fmt: skip
"""The shared rooms, each above those that it may import (docs/architecture.md draws them)."""


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nouns_import_only_what_stands_below_them(path: Path) -> None:
    room = path.parts[0].removesuffix(".py")
    if room not in NOUNS:
        return
    for_types = {
        name
        for block in ast.walk(ast.parse((PACKAGE / path).read_text("utf-8")))
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for name in (f"{node.module}.{alias.name}" for alias in node.names)
    }
    needed = {name.split(".")[1] for name in _imports(path) - for_types if "lavaseg." in name}
    above = (needed & {*NOUNS}) - {*NOUNS[: NOUNS.index(room) + 1]}
    assert not above, f"lavaseg/{path} must not import lavaseg.{', lavaseg.'.join(sorted(above))}"


REPORT = (
    "wording", "templates", "diagram", "plots", "embedding", "costs", "comparing", "sources",
    "drawings", "animation",
)  # fmt: skip
"""What is shared in `report`, each above those that it may import; what makes a run's page, and the
kinds of single figures, stand above them."""


@pytest.mark.parametrize("path", [p for p in MODULES if p.parts[0] == "report"], ids=str)
def test_rooms_of_the_report_import_only_what_stands_below_them(path: Path) -> None:
    room = path.parts[1].removesuffix(".py")
    if room not in REPORT:
        return
    needed = {name.split(".")[2] for name in _imports(path) if name.startswith("lavaseg.report.")}
    above = needed - {*REPORT[: REPORT.index(room) + 1]}
    assert not above, f"lavaseg/{path} must not import report.{', report.'.join(sorted(above))}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_only_the_run_folder_spells_the_names_of_its_files(path: Path) -> None:
    # the page's template is called report.html, too; an extra brings the package tensorboard
    if path.parts[0] == "runs" or path in (Path("report/page.py"), Path("system/extras.py")):
        return
    names = {kind.file.rstrip("/") for kind in RunFolder.kinds()}
    tree = ast.parse((PACKAGE / path).read_text("utf-8"))
    spelt = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} & names
    assert not spelt, f"lavaseg/{path} spells {spelt}: use lavaseg.runs.RunFolder"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / path).read_text("utf-8")))
    assert docstring, f"lavaseg/{path} has no docstring"


def test_every_public_name_of_the_package_is_documented_and_found() -> None:
    import lavaseg

    for name in lavaseg.__all__:
        assert getattr(lavaseg, name).__doc__, name
        assert name in dir(lavaseg)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = lavaseg.nonsense


def test_facade_declares_the_same_names_to_type_checkers_as_at_run_time() -> None:
    import lavaseg

    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == set(lavaseg.__all__) == set(lavaseg._SOURCES)


HEAVY = {
    *("torch", "lightning", "lava", "matplotlib", "sklearn", "scipy", "h5py", "numba"),
    "pydantic",
}


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("import lavaseg", set()),
        ("from lavaseg.cli import app; app(['--help'], standalone_mode=False)", set()),
        ("from lavaseg.cli import app; app(['recipes'], standalone_mode=False)", {"pydantic"}),
        (
            "from lavaseg.cli import app; app(['study', 'list'], standalone_mode=False)",
            {"pydantic"},
        ),
        (
            "from lavaseg.cli import app; app(['data', 'list'], standalone_mode=False)",
            {"h5py", "pydantic"},
        ),
        (
            "from lavaseg.cli import app; "
            "app(['show', 'mfs_seg', '--text'], standalone_mode=False)",
            {"pydantic"},
        ),
        (
            "from lavaseg.cli import app; app(['models', '--width', '4'], standalone_mode=False)",
            {"scipy", "numba", "pydantic"},
        ),
    ],
)
def test_quick_commands_import_nothing_heavy(command: str, needed: set[str]) -> None:
    heavy = sorted(HEAVY - needed)
    script = (
        f"{command}; import sys; sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    assert result.returncode == 0, result.stderr


def test_an_integer_network_runs_and_is_evaluated_without_torch_and_lava() -> None:
    """With a population that feeds back to itself, and labels larger than the read-out."""
    script = """
import sys
import numpy as np
import lavaseg.deploy
from lavaseg.deploy import Simulator, evaluate, simulate
from lavaseg.encoders import Poisson
from lavaseg.network import Conv, Input, Network, OneToOne, Population, Projection
from lavaseg.network.integers import IntegerNetwork
network = Network(
    Input("input", (1, 4, 4)),
    (Population("p", 10), Population("out", None)),
    (
        Projection("input", "p", Conv(2, 3, 1, 1)),
        Projection("p", "p", OneToOne(), 1),
        Projection("p", "out", Conv(2, 2, 2)),
    ),
    "out",
)
weights = {p.name: np.full(network.synapse_shape(p), 8, np.int16) for p in network.projections}
net = IntegerNetwork(network, weights, Poisson(5), ("no", "yes"))
samples = [(np.full((1, 4, 4), 200, np.uint8), np.ones((4, 4), np.uint8)) for _ in range(3)]
assert evaluate(net, samples, progress=False).counts["p"].any()
taken = ("torch", "lava", "lavaseg.export", "lavaseg.training")
assert not set(taken) & set(sys.modules), [name for name in taken if name in sys.modules]
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_importing_lava_leaves_out_what_only_its_own_convolution_uses() -> None:
    script = """
import sys
import lavaseg.deploy.lava.child
assert not {"scipy.signal", "torch", "matplotlib"} & set(sys.modules), "imported"
import numpy as np
from lava.proc.conv import utils
ones = np.ones((3, 3, 1))
assert utils.conv(ones, ones[None], (3, 3), (1, 1), (0, 0), (1, 1), 1).item() == 9
assert "scipy.signal" in sys.modules
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
