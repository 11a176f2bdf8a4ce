"""Completion with Tab, in the shells themselves: bash, zsh and fish, where they are installed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lavaseg.cli import app
from lavaseg.cli.complete import complete_fields, complete_recipes, complete_words
from lavaseg.cli.shells import SCRIPTS

pexpect = pytest.importorskip("pexpect")
ROOT = Path(__file__).resolve().parents[1]
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], 'eval "$(lavaseg completion bash)"'),
    "zsh": (
        ["-f", "-i"],
        'autoload -Uz compinit; compinit -u -D; eval "$(lavaseg completion zsh)"',
    ),
    "fish": (["--no-config", "--interactive"], "lavaseg completion fish | source"),
}
"""Options of each shell, and what a user's file says."""
STUB = """\
#!/bin/sh
# completes and prints scripts as the command does; else says what it was given, in brackets
if [ -n "$_LAVASEG_COMPLETE" ] || [ "$1" = completion ]; then
    PYTHONPATH={root} exec {python} -m lavaseg "$@"
fi
printf 'given: '
for word in "$@"; do printf '[%s]' "$word"; done
echo
"""


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A shell at a terminal of its own, which has read what completes."""
    name = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    stub = tmp_path / "bin" / "lavaseg"
    stub.parent.mkdir()
    stub.write_text(STUB.format(root=ROOT, python=sys.executable))
    stub.chmod(0o755)
    (tmp_path / "mine.yaml").touch()
    environment = {
        **os.environ,
        "PATH": f"{stub.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "vt100",
        "LC_ALL": "C.UTF-8",
    }
    options, setup = SHELLS[name]
    child = pexpect.spawn(
        name, options, env=environment, cwd=tmp_path, dimensions=(40, 200), timeout=60
    )
    child.sendline(f"{setup}; echo re''ady")
    child.expect("ready")
    yield child
    child.close(force=True)


def completed(shell: Any, typed: str) -> str:
    """The words that the command is given when a line is typed, with Tab at its end."""
    shell.send(typed + "\t")
    shell.expect_exact(typed.split()[-1])
    shell.send("\r")
    shell.expect(r"given: ((?:\[[^\]\r\n]*\])+)\r")
    return str(shell.match[1].decode())


@pytest.mark.slow
def test_tab_completes_what_was_begun(shell: Any) -> None:
    assert completed(shell, "lavaseg recip") == "[recipes]"
    assert completed(shell, "lavaseg recipes sch") == "[recipes][schema]"
    assert completed(shell, "lavaseg train --res") == "[train][--resume]"
    assert completed(shell, "lavaseg train quick-une") == "[train][quick-unet]"
    assert completed(shell, "lavaseg recipes new --data event-f") == (
        "[recipes][new][--data][event-folder]"
    )
    assert completed(shell, "lavaseg help label_smoo") == "[help][label_smoothing]"
    assert completed(shell, "lavaseg info min") == "[info][mine.yaml]"


@pytest.mark.slow
def test_tab_leaves_no_blank_between_a_field_and_its_value(shell: Any) -> None:
    line = "lavaseg train demo --set training.label_smo"
    shell.send(line + "\t")
    shell.expect_exact("label_smo")
    shell.send("0.5\r")
    shell.expect(r"given: ((?:\[[^\]\r\n]*\])+)\r")
    assert shell.match[1].decode() == "[train][demo][--set][training.label_smoothing=0.5]"
    value = "lavaseg train demo --set training.schedule=cos"
    assert completed(shell, value) == "[train][demo][--set][training.schedule=cosine]"


def test_fields_and_values_are_offered() -> None:
    offered = dict(complete_fields("training."))
    assert offered["training.epochs="] == "a whole number, 1 or more"
    assert all(word.startswith("training.") and word.endswith("=") for word in offered)
    values = [word for word, _ in complete_fields("augment.flip=")]
    assert values == ["augment.flip=true", "augment.flip=false"]
    assert complete_fields("training.epochs=") == []
    assert "demo" in dict(complete_recipes("d"))
    assert complete_recipes("zzz") == []
    assert [word for word, _ in complete_words("training.ep")] == ["training.epochs"]


def test_a_completion_that_fails_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr("lavaseg.recipes.names", fail)
    assert complete_recipes("d") == []


def test_each_shell_has_its_script(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in SCRIPTS.items():
        assert CliRunner().invoke(app, ["completion", name]).stdout == script
        monkeypatch.setenv("SHELL", f"/bin/{name}")
        assert CliRunner().invoke(app, ["completion"]).stdout == script
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    result = CliRunner().invoke(app, ["completion"])
    assert result.exit_code == 2
    assert "'tcsh'" in result.stderr
