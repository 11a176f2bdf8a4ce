"""A plain installation: what works without the packages of any extra, and what is said without."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lavaseg import data, recipes
from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
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
import contextlib, io, json, os, sys
from importlib.abc import MetaPathFinder

blocked, task = json.loads(sys.argv[1]), json.loads(sys.argv[2])

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from typer.testing import CliRunner
import lavaseg
from lavaseg.cli import app

def said(name):
    try:
        getattr(lavaseg, name)
    except lavaseg.LavasegError as error:
        return str(error)
    return ""

calls = [CliRunner().invoke(app, words) for words in task["commands"]]
json.dump({
    "commands": [[call.exit_code, call.output] for call in calls],
    "names": {name: said(name) for name in lavaseg.__all__},
    "imported": sorted(set(sys.modules) & set(blocked)),
}, sys.stderr)
"""
"""Runs commands where the packages that `blocked` lists cannot be imported."""


def blocked_modules() -> list[str]:
    return [module for extra in extras.EXTRAS for module in extra.modules]


def light(folder: Path, *commands: list[str], blocked: list[str] | None = None) -> dict[str, Any]:
    """What commands, and the names of the package, give without the packages of all extras."""
    words = (blocked_modules() if blocked is None else blocked, {"commands": commands})
    result = subprocess.run(
        [sys.executable, "-c", CHILD, *map(json.dumps, words)],
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
    rng = np.random.default_rng(0)
    for part in ("pictures", "labels"):
        (folder / "data" / part).mkdir(parents=True)
    for number in range(10):
        for part, shape, most in (("pictures", (SIDE, SIDE, 3), 256), ("labels", (SIDE, SIDE), 2)):
            image = Image.fromarray(rng.integers(0, most, shape, np.uint8))
            image.save(folder / "data" / part / f"{number}.png")
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
        ["evaluate", "run/net.net"],
        ["report", "run"],
        ["recipes"],
        ["models"],
        ["models", "kim-deeplab"],
        ["data", "list"],
        ["data", "check", "folder", "--set", "root=data", "--set", "classes=2"],
    ]
    result = light(exported, *commands)
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
    result = light(exported, *commands)
    for name, words, (code, output) in zip(expected, commands, result["commands"], strict=True):
        assert code == 2, f"{words}: {output}"
        error = output.strip().splitlines()[-1]
        assert re.fullmatch(r"error: [\w-]+ is not installed, which .+ need: pip install .+", error)
        assert f"pip install 'lavaseg[{name}]'" in error, f"{words}: {error}"


def test_public_names_that_need_an_extra_say_so_and_the_others_are_there(exported: Path) -> None:
    names = light(exported)["names"]
    needing = {"convert", "evaluate", "export_net", "record", "train", "verify"}
    assert {name for name, sentence in names.items() if sentence} <= needing
    for name in ("train", "evaluate", "export_net", "convert", "verify"):
        assert "pip install 'lavaseg[train]'" in names[name]


def test_without_lava_itself_the_two_flags_of_pip_are_named(exported: Path) -> None:
    result = light(exported, ["run", "run/net.net", "folder:0"], blocked=["lava"])
    ((code, output),) = result["commands"]
    assert code == 2
    assert "pip install --no-deps --ignore-requires-python lava-nc==0.10.0" in output


@pytest.fixture
def without() -> Iterator[set[str]]:
    """Names of modules that cannot be imported in this process until the test ends."""
    missing: set[str] = set()
    before = {name: sys.modules[name] for name in list(sys.modules)}

    class Missing:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name.partition(".")[0] in missing:
                raise ModuleNotFoundError(name=name)

    sys.meta_path.insert(0, Missing)  # type: ignore[arg-type]
    yield missing
    sys.meta_path.remove(Missing)  # type: ignore[arg-type]
    sys.modules.update(before)


@pytest.mark.parametrize(("name", "content"), [("a.raw", b"% evt 3.0\n"), ("a.aedat4", b"")])
def test_recordings_name_the_extra_that_reads_them(
    name: str, content: bytes, tmp_path: Path, without: set[str]
) -> None:
    from lavaseg.data.event_files import read_recording

    for module in list(sys.modules):
        if module.split(".")[0] in ("faery", "lz4") or module == "lavaseg.data.aedat4":
            del sys.modules[module]
    without |= {"faery", "lz4"}
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LavasegError, match=r"files of event cameras need: .*lavaseg\[events\]"):
        read_recording(tmp_path / name, (8, 8))


def test_a_package_that_no_extra_brings_stays_an_error_of_the_program() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), extras.optional():
        importlib.import_module("no_such_package")


def test_extras_bring_the_packages_that_the_sentences_promise() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    optional = project["project"]["optional-dependencies"]
    brought = {
        name: {re.split(r"[><=\[]", word)[0] for word in words} for name, words in optional.items()
    }
    lava = {word.split("==")[0] for word in extras.LAVA}
    assert set(brought) == {extra.name for extra in extras.EXTRAS} | {"all"}
    owners = metadata.packages_distributions()
    for extra in extras.EXTRAS:
        for module in extra.modules:
            assert set(owners[module]) & (brought[extra.name] | lava), module
    promised = {owner for module in blocked_modules() for owner in owners[module]}
    assert set.union(*brought.values()) - {"lavaseg"} <= promised
    assert sorted(project["dependency-groups"]["lava"]) == sorted(extras.LAVA)
    assert extras.LAVA_COMMAND in (ROOT / "README.md").read_text("utf-8")


def test_a_data_set_names_its_extra_where_it_is_loaded(without: set[str]) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        del sys.modules[module]
    without.add("sklearn")
    with pytest.raises(LavasegError, match=r"pip install 'lavaseg\[data\]'"):
        data.load("digits-photos")
