"""The notebooks are kept clean and run, and what they call behaves well in Jupyter."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMIT = 300
"""Seconds that a cell may take on a busy machine."""


def environment() -> dict[str, str]:
    """Variables of a kernel that runs the narrow version against this source tree."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "LAVASEG_QUICK": "1"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_begins_with_title_and_time(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    for cell in notebook.cells:
        assert not cell.metadata, f"{cell.id} keeps {cell.metadata}"
        if cell.cell_type == "code":
            assert not cell.outputs, f"{cell.id} keeps its output"
            assert cell.execution_count is None, f"{cell.id} keeps its number"
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# \S", first.source), "the title is missing"
    assert re.search(r"\bminutes?\b", first.source), "how long it takes is missing"
    assert any("assert " in c.source for c in notebook.cells if c.cell_type == "code")


def test_the_readme_lists_every_notebook() -> None:
    listed = re.findall(r"\(notebooks/(\S+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert listed == [path.name for path in NOTEBOOKS]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[] if path.stem.startswith(("01", "05")) else pytest.mark.full)
        for path in NOTEBOOKS
    ],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": tmp_path}})
    client.execute(env=environment())
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", ()) for output in outputs), "it has no picture"
    check_outputs(outputs)


BAR_AT_THE_END = re.compile(r"\S.* ━+ +(\d+)/\1 \d+:\d\d:\d\d")
"""A bar of a loop that was run to its end, and the time that it took."""


def check_outputs(outputs: list[Any]) -> list[str]:
    """Progress bars that are left, all of them full; fails if anything warns."""
    shown = [str(output) for output in outputs if "ipywidgets" in str(output)]
    shown += [output.text for output in outputs if output.get("name") == "stderr"]
    assert not shown, shown
    drawn = (output.data for output in outputs if output.output_type == "display_data")
    bars = [text for data in drawn if "━" in (text := data.get("text/plain", ""))]
    assert all(BAR_AT_THE_END.fullmatch(text) for text in bars), bars
    return bars


CELLS = (
    "import sys\nsys.modules['ipywidgets'] = None  # as where it is not installed",
    "import lavaseg\ndata = lavaseg.load_data('digits-photos', train=24, test=4)\ndata",
    """
recipe = lavaseg.load_recipe("quick-fcn", [
    "data={name: digits-photos, options: {train: 24, test: 4}}",
    "model.options.width=1",
    "training.epochs=2",
    "finetune.epochs=0",
])
run = lavaseg.train(recipe, "run")
run
""",
    "net = lavaseg.export_net(run)\nnet",
    "verdict = lavaseg.verify(run, limit=1, backends=('torch', 'lava-inprocess'))\nverdict",
    "found = lavaseg.evaluate_net(run)\nfound",
    "recorded = lavaseg.record(net, [data.test[0][0]], progress=True)\nrecorded",
    "lavaseg.simulate(net, net.encoder.encode([data.test[0][0]]))",
    "lavaseg.predict(net, data.test[0][0])",
)
"""A notebook that shows what each function gives."""


@pytest.mark.slow
def test_without_widgets_nothing_warns_bars_are_kept_and_results_are_tables_and_pictures(
    tmp_path: Path,
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    client = NotebookClient(notebook, timeout=LIMIT, resources={"metadata": {"path": tmp_path}})
    client.execute(env=environment())
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    bars = check_outputs(outputs)
    titles = {text.partition(" ━")[0] for text in bars}
    assert titles >= {"calibrate", "verify lava-inprocess", "evaluate", "record"}
    epochs = [o.text for o in outputs if o.get("name") == "stdout" and " epoch " in o.text]
    assert "\n".join(epochs).count("val mIoU") == 2  # a line each, and no bar that is left of them
    results = [o.data for o in outputs if o.output_type == "execute_result"]
    assert len(results) == len(CELLS) - 1
    for data in results:
        assert len(data["text/plain"]) < 300, data["text/plain"]
    pages = "".join(data.get("text/html", "") for data in results)
    assert pages.count("<table>") >= 6
    assert "data:image/png" in pages


def traces(processes: list[psutil.Process]) -> set[Path]:
    """Processes as folders of /proc, their shared memory, and folders that they were started on."""
    found = set()
    for process in processes:
        found.add(Path(f"/proc/{process.pid}"))
        found |= {Path(m.path) for m in process.memory_maps() if m.path.startswith("/dev/shm/")}
        found |= {Path(word) for word in process.cmdline() if Path(word).is_dir()}
    return found


class Kernel:
    """A running kernel, and what its cells write.

    Args:
        manager, client: of a kernel that is ready.
    """

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def start(self, code: str) -> str:
        """Begin to execute a cell; the identity of the request."""
        return self.client.execute(code, store_history=False)

    def messages(self, request: str) -> Iterator[dict[str, Any]]:
        """Everything that a request shows, until the kernel is idle again."""
        while True:
            message = self.client.get_iopub_msg(timeout=LIMIT)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            yield message

    def run(self, code: str) -> list[dict[str, Any]]:
        """What a cell shows; fails if it raises."""
        found = list(self.messages(self.start(code)))
        errors = [m["content"] for m in found if m["msg_type"] == "error"]
        assert not errors, errors
        return found

    def value(self, code: str) -> str:
        """What a cell prints."""
        texts = (m["content"]["text"] for m in self.run(code) if m["msg_type"] == "stream")
        return "".join(texts).strip()

    def interrupted(self, code: str, sign: str) -> tuple[list[str], set[Path]]:
        """Run a cell and interrupt the kernel each time that it prints `sign`.

        Returns:
            Names of the errors that the cell ends with, and traces of the processes below the
            kernel when it was first interrupted.
        """
        request, errors = self.start(code), []
        left: set[Path] = set()
        for message in self.messages(request):
            if message["msg_type"] == "error":
                errors.append(message["content"]["ename"])
            elif sign in message["content"].get("text", ""):
                left = left or traces(self.process.children(recursive=True))
                self.manager.interrupt_kernel()
        return errors, left

    @property
    def process(self) -> psutil.Process:
        assert self.manager.provisioner is not None
        return psutil.Process(self.manager.provisioner.pid)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    manager, client = start_new_kernel(
        env=environment(), cwd=str(tmp_path_factory.mktemp("kernel"))
    )
    yield Kernel(manager, client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


BAR = """
import time
from lavaseg.system.progress import line, track

for _ in track(range(100), "counting"):
    time.sleep(0.01)
line("counted")
"""


@pytest.mark.slow
def test_a_progress_bar_is_one_output_that_is_redrawn_and_kept(kernel: Kernel) -> None:
    shown = kernel.run(BAR)
    bars = [m for m in shown if m["msg_type"] in ("display_data", "update_display_data")]
    assert [m["msg_type"] for m in bars].count("display_data") == 1
    assert len({m["content"]["transient"]["display_id"] for m in bars}) == 1
    assert 3 <= len(bars) <= 20
    assert "counting" in bars[1]["content"]["data"]["text/plain"]
    (last,) = bars[-1]["content"]["data"].values()
    assert BAR_AT_THE_END.fullmatch(last)
    assert last.startswith("counting ━")
    assert "100/100" in last
    streams = [m["content"] for m in shown if m["msg_type"] == "stream"]
    assert streams == [{"name": "stdout", "text": "counted\n"}]


FIGURE = """
import sys
import matplotlib.pyplot as plt

before = plt.get_backend(), len(plt.get_fignums())
import lavaseg.deploy.lava, lavaseg.training, lavaseg.report.plots

figure = lavaseg.report.plots.spike_rates({"input": 0.5})
print(before == (plt.get_backend(), len(plt.get_fignums())), "inline" in before[0])
figure
"""


@pytest.mark.slow
def test_figures_are_shown_and_leave_the_backend_alone(kernel: Kernel) -> None:
    shown = kernel.run(FIGURE)
    assert [m["content"]["text"] for m in shown if m["msg_type"] == "stream"] == ["True True\n"]
    (result,) = (m for m in shown if m["msg_type"] == "execute_result")
    assert "image/png" in result["content"]["data"]


TRAINING = """
import time
import lavaseg

recipe = lavaseg.load_recipe(
    "quick-fcn",
    [
        "data={name: digits-photos, options: {train: 24, test: 8}}",
        "model.options.width=1",
        "training.epochs=1000000",
    ],
)
try:
    lavaseg.train(recipe, "run")
except KeyboardInterrupt:
    print("epoch stopped")
    time.sleep(600)
"""


@pytest.mark.slow
def test_interrupting_the_kernel_stops_training_and_what_follows(kernel: Kernel) -> None:
    errors, _ = kernel.interrupted(TRAINING, "epoch ")
    assert errors == ["KeyboardInterrupt"]
    assert kernel.value("print(len(lavaseg.Run.open('run').history()) >= 1)") == "True"


LAVA = """
import numpy as np
from lavaseg.encoders import Poisson
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork

network = Network(
    Input("input", (1, 8, 8)),
    (Population("hidden", 3), Population("readout", None)),
    (
        Projection("input", "hidden", Conv(4, (3, 3), padding=(1, 1))),
        Projection("hidden", "readout", Conv(2, (1, 1))),
    ),
    "readout",
)
weights = {
    "input_to_hidden": np.full((4, 1, 3, 3), 2, np.int16),
    "hidden_to_readout": np.full((2, 4, 1, 1), 2, np.int16),
}
net = IntegerNetwork(network, weights, Poisson(64), ("background", "object"))
pictures = np.full((SAMPLES, 1, 8, 8), 128, np.uint8)
spikes = net.encoder.encode(pictures)
"""
RUN = """
started = []
def progress(done, total):
    if not started:
        started.append(print("running", flush=True))
lavaseg.run(net, spikes, progress=progress)
"""


@pytest.mark.slow
def test_lavas_processes_run_from_a_kernel_and_end_with_its_interrupt(kernel: Kernel) -> None:
    kernel.run("import lavaseg" + LAVA.replace("SAMPLES", "2"))
    assert kernel.value("print(lavaseg.verify(net, pictures).ok)") == "True"
    kernel.run(LAVA.replace("SAMPLES", "2000"))
    errors, left = kernel.interrupted(RUN, "running")
    assert errors == ["KeyboardInterrupt"]
    kinds = Counter(path.parent.name for path in left)
    assert kinds["proc"] > 3, kinds  # Lava's processes were there,
    assert kinds["shm"] > 3, kinds  # with shared memory
    assert sum(path.name.startswith("lavaseg-") for path in left) == 1  # and a folder,
    assert not [path for path in left if path.exists()]  # and all are gone
    assert kernel.value("print(1 + 1)") == "2"
