"""Real commands in tmux, at 80 and 120 columns: nothing wraps, and bars stand on one line."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120
"""Seconds that a command may take on a busy machine."""
BAR = """
import time
from pathlib import Path
from lavaseg.system.progress import line, track

for number in track(range(40), "道路と歩道 are counted, at some length"):
    if number == 20:
        line("halfway")
        while not Path("go").exists():
            time.sleep(0.05)
print("ended")
"""


class Pane:
    """A shell in a tmux of its own.

    Args:
        columns: of the terminal.
        folder: where its commands run.
    """

    def __init__(self, columns: int, folder: Path) -> None:
        self.columns = columns
        self.socket = ["tmux", "-u", "-f", os.devnull, "-S", str(folder / f"tmux-{columns}")]
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "PS1": "$ "}
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TMUX"):
            variables.pop(name, None)
        size = ["-x", str(columns), "-y", "200"]
        shell = ["new-session", "-d", *size, "-c", str(folder), "bash", "--norc", "--noprofile"]
        subprocess.run([*self.socket, *shell], env=variables, check=True)

    def tmux(self, *words: str) -> str:
        return subprocess.run(
            [*self.socket, *words], capture_output=True, text=True, check=True
        ).stdout

    def start(self, *words: str) -> None:
        """Begin a command on an empty screen; "$ended" follows it."""
        command = f"clear; {shlex.join(words)}; echo '$'ended"
        self.tmux("send-keys", "-l", command)
        self.tmux("send-keys", "Enter")

    def screen(self) -> list[str]:
        """Lines as they were printed: those that the terminal wrapped are joined again."""
        return self.tmux("capture-pane", "-p", "-J").rstrip().splitlines()

    def wait(self, sign: str) -> list[str]:
        """The screen, as soon as it shows a text."""
        end = time.monotonic() + PATIENCE
        while sign not in "\n".join(lines := self.screen()):
            assert time.monotonic() < end, lines
            time.sleep(0.02)
        return lines

    def printed(self, *words: str) -> list[str]:
        """What a command left on the screen."""
        self.start(*words)
        lines = self.wait("\n$ended")
        return lines[: lines.index("$ended")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of one's own, whose classes have wide names."""
    folder = tmp_path_factory.mktemp("tmux")
    rng = np.random.default_rng(1)
    for kind, shape, most in (("pictures", (32, 40, 3), 256), ("labels", (32, 40), 3)):
        (folder / "mine" / kind).mkdir(parents=True)
        for number in range(4):
            image = Image.fromarray(rng.integers(0, most, shape, np.uint8))
            image.save(folder / "mine" / kind / f"{number}.png")
    (folder / "mine" / "classes.txt").write_text("背景\n車道と歩道と自転車道\nroad\n", "utf-8")
    (folder / "bar.py").write_text(BAR, "utf-8")
    return folder


@pytest.fixture(params=[80, 120])
def pane(request: pytest.FixtureRequest, folder: Path) -> Iterator[Pane]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux (Debian's package tmux)")
    found = Pane(request.param, folder)
    yield found
    found.tmux("kill-server")


@pytest.mark.slow
def test_no_line_of_a_command_is_wrapped_by_the_terminal(pane: Pane, folder: Path) -> None:
    lavaseg = [sys.executable, "-m", "lavaseg"]
    recipe = f"mine-{pane.columns}.yaml"
    for words in (
        ["recipes", "new", "--root", "mine", "-o", recipe],
        ["data", "check", "folder", "mine", "--set", "classes=[背景, 車道と歩道と自転車道, road]"],
        ["models", "mfs-seg-efs-res18", "--width", "4"],
        ["predict", "a-network-that-does-not-exist.net", "pictures-that-do-not-exist-either.png"],
    ):
        lines = pane.printed(*lavaseg, *words)
        assert lines, words
        assert max(map(cell_len, lines)) <= pane.columns, (words, lines)
        assert not any("Traceback" in line for line in lines)


@pytest.mark.slow
def test_a_progress_bar_is_one_line_below_all_others_that_is_gone_at_the_end(
    pane: Pane, folder: Path
) -> None:
    (folder / "go").unlink(missing_ok=True)
    pane.start(sys.executable, "bar.py")
    shown = pane.wait(" 20/40 ")
    assert shown[0] == "halfway"
    bars = [line for line in shown if "道路と歩道" in line and "/40 " in line]
    assert len(bars) == 1
    assert re.fullmatch(r"道路と歩道 are counted, at some length [━╸╺]+ \d+/40 [\d:-]+ *", bars[0])
    assert cell_len(bars[0].rstrip()) <= pane.columns
    (folder / "go").touch()
    lines = pane.wait("\n$ended")
    assert lines[: lines.index("$ended")] == ["halfway", "ended"]
