"""A plain installation: what works without the packages of any extra, and what is said without."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import write_noise

import lavaseg
from lavaseg import recipes
from lavaseg.encoders import Direct
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write
from lavaseg.runs import Run
from lavaseg.system import extras

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
SIDE = 8

CHILD = """
import json, sys

task = json.loads(sys.argv[1])
blocked = task["blocked"]

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in blocked:
            return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from typer.testing import CliRunner
import lavaseg
from lavaseg.cli import app

def said(expression):
    try:
        eval(expression)
    except lavaseg.LavasegError as error:
        return str(error)
    return ""

calls = [CliRunner().invoke(app, words) for words in task["commands"]]
json.dump({
    "commands": [[call.exit_code, call.output] for call in calls],
    "said": {expression: said(expression) for expression in task["expressions"]},
    "imported": sorted(set(sys.modules) & set(blocked)),
}, sys.stderr)
"""
"""Runs commands where no module that `blocked` lists is found."""


def blocked_modules() -> list[str]:
    return [module for extra in extras.EXTRAS for module in extra.modules]


def light(
    folder: Path,
    commands: Sequence[list[str]] = (),
    expressions: Sequence[str] = (),
    blocked: list[str] | None = None,
) -> dict[str, Any]:
    """What commands print, and which LavasegError Python raises, without all extras' packages.

    Returns:
        "commands": (exit code, output) of each; "said": sentence, or "", of each expression;
        "imported": what was imported all the same.
    """
    task = {"commands": commands, "expressions": expressions}
    task["blocked"] = blocked_modules() if blocked is None else blocked
    result = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "COLUMNS": "160"},
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stderr.splitlines()[-1]))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `run`, a run of random integers on a few pictures, and `data`, these."""
    folder = tmp_path_factory.mktemp("light")
    write_noise(folder / "data", 10, (SIDE, SIDE))
    rng = np.random.default_rng(0)
    network = Network(
        Input("input", (3, SIDE, SIDE), 4),
        (Population("hidden", 300), Population("readout", None)),
        (
            Projection("input", "hidden", Conv(4, (3, 3), padding=(1, 1))),
            Projection("hidden", "readout", Conv(2, (1, 1))),
        ),
        "readout",
    )
    weights = {
        p.name: 2 * rng.integers(-40, 41, network.weight_shape(p), np.int16)
        for p in network.projections
    }
    encoder, classes = Direct(2, bits=4), ("background", "thing")
    recipe = recipes.load(
        "demo",
        [
            "data.name=folder",
            f"data.options={{root: {folder / 'data'}, classes: {list(classes)}}}",
            "encoder={kind: direct, steps: 2, bits: 4}",
        ],
    )
    run = Run(folder / "run", recipe, network, classes, None, (3, SIDE, SIDE))
    run.save()
    write(IntegerNetwork(network, weights, encoder, classes), run.path / "net.net")
    return folder


def test_exported_networks_are_read_run_evaluated_and_reported_without_any_extra(
    exported: Path,
) -> None:
    commands = [
        ["info", "run/net.net"],
        ["info", "--schema", "run/net.net"],
        ["simulate", "run/net.net", "data/pictures/0.png"],
        ["simulate", "run/net.net", "--json", "folder:0"],
        ["predict", "run/net.net", "data/pictures", "--fit", "windows"],
        ["evaluate", "run/net.net", "--at", "labels"],
        ["evaluate", "run/net.net"],
        ["report", "run"],
        ["show", "run/net.net"],
        ["show", "run", "--picture", "0"],
        ["recipes"],
        ["models"],
        ["models", "spiking_unet"],
        ["data", "list"],
        ["data", "check", "folder", "--set", "root=data", "--set", "classes=2"],
        ["doctor", "--for", "simulate"],
    ]
    result = light(exported, commands)
    for words, (code, output) in zip(commands, result["commands"], strict=True):
        assert code == 0, f"{words}: {output}"
    assert not result["imported"]
    assert (exported / "run" / "evaluation-net.json").is_file()
    assert "mIoU" in (exported / "run" / "report.html").read_text("utf-8")


def test_what_needs_an_extra_ends_with_one_sentence_that_says_how_to_install_it(
    exported: Path,
) -> None:
    needs = {
        "train": [
            ["train", "demo", "--out", "new"],
            ["evaluate", "run"],
            ["predict", "run", "data/pictures"],
            ["export", "run"],
            ["convert", "run", "--out", "new"],
            ["verify", "run/net.net"],
            ["record", "run"],
            ["simulate", "run/net.net", "folder:0", "--device", "cuda"],
            ["demo", "--out", "new"],
        ],
        "lava": [
            ["run", "run/net.net", "folder:0"],
            ["run", "run/net.net", "folder:0", "--backend", "lava-inprocess"],
        ],
        "data": [["data", "check", "digits-photos"]],
    }
    commands = [words for group in needs.values() for words in group]
    expected = [name for name, group in needs.items() for _ in group]
    result = light(exported, commands)
    for name, words, (code, output) in zip(expected, commands, result["commands"], strict=True):
        assert code == 2, f"{words}: {output}"
        error = output.strip().splitlines()[-1]
        sentence = r"error: [\w-]+ is not installed(, which .+ need)?: pip install .+"
        assert re.fullmatch(sentence, error), f"{words}: {error}"
        assert f"pip install 'lavaseg[{name}]'" in error, f"{words}: {error}"


def test_the_doctor_names_the_extras_that_the_demo_lacks(exported: Path) -> None:
    result = light(exported, [["doctor", "--json"]])
    ((code, output),) = result["commands"]
    assert code == 1
    remedies = {check["remedy"] for check in json.loads(output)["checks"]}
    assert {extra.command for extra in extras.EXTRAS} | {extras.LAVA_COMMAND} <= remedies


def test_public_names_that_need_an_extra_say_so_and_the_others_are_there(exported: Path) -> None:
    said = light(exported, expressions=[f"lavaseg.{name}" for name in lavaseg.__all__])["said"]
    needing = {"convert", "evaluate", "export_net", "record", "train", "try_rates"}
    assert {name for name, sentence in said.items() if sentence} == {
        f"lavaseg.{name}" for name in needing
    }
    for name in needing:
        assert "pip install 'lavaseg[train]'" in said[f"lavaseg.{name}"]


def test_functions_that_need_an_extra_for_some_of_their_work_say_so_then(exported: Path) -> None:
    (exported / "a.raw").write_bytes(b"% evt 3.0\n")
    (exported / "a.aedat4").write_bytes(b"")
    net = "lavaseg.read_net('run/net.net')"
    zeros = f"__import__('numpy').zeros((1, 2, 3, {SIDE}, {SIDE}), 'uint8')"
    read = "__import__('lavaseg.data.event_files').data.event_files.read_recording"
    needs = {
        f"lavaseg.verify({net}, {zeros}[0, :1])": "train",
        f"lavaseg.simulate({net}, {zeros}, device='cuda')": "train",
        f"lavaseg.run({net}, {zeros})": "lava",
        f"{read}('a.raw', (8, 8))": "events",
        f"{read}('a.aedat4')": "events",
        "lavaseg.load_data('digits-photos')": "data",
    }
    said = light(exported, expressions=list(needs))["said"]
    for expression, name in needs.items():
        assert f"pip install 'lavaseg[{name}]'" in said[expression], expression


def test_without_lava_itself_the_two_flags_of_pip_are_named(exported: Path) -> None:
    result = light(exported, [["run", "run/net.net", "folder:0"]], blocked=["lava"])
    ((code, output),) = result["commands"]
    assert code == 2
    assert "pip install --no-deps --ignore-requires-python lava-nc==0.10.0" in output


def test_a_package_that_no_extra_brings_stays_an_error_of_the_program() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), extras.optional():
        importlib.import_module("no_such_package")


def owners_of_modules() -> dict[str, set[str]]:
    """Packages by the top-level modules that they install; Python 3.10's own list lacks some."""
    found: dict[str, set[str]] = {}
    for package in metadata.distributions():
        for file in package.files or ():
            top = file.parts[0].removesuffix(".py")
            if file.suffix == ".py":
                found.setdefault(top, set()).add(package.metadata["Name"])
    return found


def test_extras_bring_the_packages_that_the_sentences_promise() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    optional = project["project"]["optional-dependencies"]
    brought = {
        name: {re.split(r"[><=\[]", word)[0] for word in words} for name, words in optional.items()
    }
    lava = {word.split("==")[0] for word in extras.LAVA}
    assert set(brought) == {extra.name for extra in extras.EXTRAS} | {"all"}
    owners = owners_of_modules()
    for extra in extras.EXTRAS:
        for module in extra.modules:
            assert set(owners[module]) & (brought[extra.name] | lava), module
    promised = {owner for module in blocked_modules() for owner in owners[module]}
    assert set.union(*brought.values()) - {"lavaseg"} <= promised
    assert sorted(project["dependency-groups"]["lava"]) == sorted(extras.LAVA)
    assert extras.LAVA_COMMAND in (ROOT / "README.md").read_text("utf-8")
