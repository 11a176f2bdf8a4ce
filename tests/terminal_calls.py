"""Commands in this process, at a terminal of any width, and a folder of small files for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner, Result

import lavaseg
from lavaseg.cli import app
from lavaseg.encoders import Direct
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx.header import HEADER_SIZE

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The words of each command, and the command; groups are commands, too."""
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


TREE = get_command(app)
COMMANDS = dict(commands(TREE))
"""All commands, by their words."""


LIGHT = {
    "recipes": "recipes",
    "recipes new": "recipes new --root mine -o FRESH.yaml",
    "recipes schema": "recipes schema -o schema.json",
    "help": "help training",
    "data list": "data list",
    "data check": "data check folder mine --set classes=3 --out check.png",
    "data show": "data show folder 0 --set root=mine --set classes=3",
    "models": "models mfs-seg-efs-res18 --width 4",
    "info": "info a.net",
    "map": "map a.net --check",
    "predict": "predict a.net mine/pictures --out FRESH",
    "show": "show a.net -o FRESH.svg",
    "simulate": "simulate a.net mine/pictures --out FRESH",
    "bundle": "bundle a.net --samples 1 -o FRESH.zip",
    "plot": "plot",
    "study list": "study list",
    "study show": "study show rmp.csv",
    "study page": "study page page.md",
}
"""A use of each command that needs no run; FRESH is a name that is not taken yet."""
WITH_RUN = {
    "train": "train mine.yaml --out FRESH",
    "convert": "convert ann --steps 2 --out FRESH",
    "export": "export run --calibration 2",
    "import": "import stock.net -o FRESH.net --steps 2 --encoder direct --set bits=6",
    "verify": "verify run --samples 1 --backend lava-inprocess",
    "evaluate": "evaluate run",
    "compare": "compare run a.net -o FRESH.html",
    "record": "record run --samples 1 --out FRESH.npz",
    "run": "run a.net mine/pictures/0.png --backend lava-inprocess --out FRESH.png",
}
"""A use of each command that trains, runs Lava or takes a run."""
VERBATIM = {
    "completion": "completion bash",
    "recipes show": "recipes show demo --all",
}
"""Uses that print what a program reads, as it is at any width."""
UNUSED = {
    "demo": "trains for minutes; its parts are here, and tests/test_cli_runs.py runs it",
    "doctor": "asks the whole machine; tests/test_doctor.py",
    "submit": "needs Slurm; tests/test_cloud_slurm.py",
    "collect": "needs what submit brings; tests/test_cloud_command.py",
    "report": "prints a line; tests/test_report.py",
    "recipes list": "prints what `recipes` prints",
    "data": "needs a command",
    "study": "needs a command",
    "study run": "trains for minutes; tests/test_study_runs.py",
    "study task": "is for `study run`",
}
"""Commands that are only asked for help and given mistakes, and why."""


def call(*words: str, columns: int = 120) -> Result:
    """A command at a terminal."""
    return invoked(words, {"COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm-256color"})


def invoked(words: Sequence[str], environment: Mapping[str, str]) -> Result:
    """A command with variables of the environment."""
    with mock.patch("typer.testing._get_command", return_value=TREE):  # built once
        return CliRunner().invoke(app, words, env=environment)


def printed(result: Result) -> str:
    """What a command that ended well printed, without colours."""
    assert result.exit_code in (0, 1), result.stderr or result.exception
    return ANSI.sub("", result.stdout + result.stderr)


def furnish(folder: Path) -> None:
    """Write a network of long names, photos of one's own, and results of a study into a folder."""
    names = [f"a_population_of_a_long_name_{k}" for k in range(4)]
    network = Network(
        Input("input", (3, 32, 40), message_bits=6),
        (*(Population(name, 40) for name in names), Population("the_readout", None)),
        (
            Projection("input", names[0], Conv(8, 3, padding=1)),
            *(Projection(a, b, Conv(8, 3, padding=1)) for a, b in pairwise(names)),
            Projection(names[-1], "the_readout", Conv(3, 1)),
        ),
        "the_readout",
    )
    rng = np.random.default_rng(1)
    weights = {
        p.name: (2 * rng.integers(-20, 40, network.weight_shape(p))).astype(np.int16)
        for p in network.projections
    }
    classes = ("background", "a class of a long name", "道路標示")
    lavaseg.write_net(IntegerNetwork(network, weights, Direct(2, 6), classes), folder / "a.net")
    (folder / "stock.net").write_bytes((folder / "a.net").read_bytes()[HEADER_SIZE:])
    with h5py.File(folder / "stock.net", "r+") as file:
        del file["lavaseg"]  # what is left is as stock NetX has it
    for kind in ("pictures", "labels"):
        (folder / "mine" / kind).mkdir(parents=True)
    for number in range(4):
        noise = rng.integers(0, 256, (32, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / "mine" / "pictures" / f"{number}.png")
        ids = rng.integers(0, 3, (32, 40)).astype(np.uint8)
        Image.fromarray(ids).save(folder / "mine" / "labels" / f"{number}.png")
    results = Path(__file__).resolve().parents[1] / "docs" / "results" / "rmp.csv"
    (folder / "rmp.csv").write_bytes(results.read_bytes())
    (folder / "results").mkdir()
    (folder / "results" / "rmp.csv").write_bytes(results.read_bytes())
    (folder / "page.md").write_text("<!-- study: rmp -->\n<!-- end -->\n")
