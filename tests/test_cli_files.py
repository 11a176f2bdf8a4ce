"""What simulate and run take for inputs, what they write, and what they say of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lavaseg.cli import app
from lavaseg.data.pictures import is_own_output
from lavaseg.encoders import Direct
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write
from lavaseg.system.progress import line


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def save_net(path: Path, threshold: int = 30) -> Path:
    """A network for pictures of 3 x 8 x 8; a high threshold lets it never fire."""
    rng = np.random.default_rng(0)
    network = Network(
        Input("input", (3, 8, 8), 4),
        (Population("hidden", threshold), Population("readout", None)),
        (
            Projection("input", "hidden", Conv(4, (3, 3), (1, 1), (1, 1))),
            Projection("hidden", "readout", Conv(2, (1, 1))),
        ),
        "readout",
    )
    weights = {
        p.name: 2 * rng.integers(-4, 10, network.weight_shape(p)).astype(np.int16)
        for p in network.projections
    }
    write(IntegerNetwork(network, weights, Direct(2, bits=4), ("sky", "road")), path)
    return path


def draw(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return save_net(tmp_path / "small.net")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        draw(tmp_path / "pictures" / f"p{number}.png", number)
    return tmp_path / "pictures"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_label_maps_of_an_earlier_run_are_no_inputs_of_the_next(net: Path, folder: Path) -> None:
    for _ in range(2):
        result = call("simulate", net, folder, "-o", folder)
        assert result.exit_code == 0, result.output
        assert "Spikes of 3 samples, 2 steps each" in result.stdout
    assert "left out: 3 pictures that lavaseg wrote" in result.stdout
    assert sorted(contents(folder)) == sorted(
        name for i in range(3) for name in (f"p{i}.png", f"p{i}-labels.png")
    )
    assert is_own_output(folder / "p0-labels.png")
    assert not is_own_output(folder / "p0.png")
    for number in range(3):
        (folder / f"p{number}.png").unlink()
    result = call("simulate", net, folder)
    assert result.exit_code == 2
    assert "no pictures but label maps and overlays that lavaseg wrote" in result.stderr


def test_an_input_is_never_overwritten(net: Path, folder: Path) -> None:
    (folder / "link.png").symlink_to("p1.png")
    before = contents(folder)
    for command in ("simulate", "run"):
        for out in (folder / "p1.png", folder / "link.png"):
            result = call(command, net, folder / "p1.png", "-o", out)
            assert result.exit_code == 2, result.output
            assert f"--out {out} would overwrite the input" in result.stderr
    assert contents(folder) == before


def test_a_network_is_not_imported_over_its_own_file(net: Path) -> None:
    before = net.read_bytes()
    result = call("import", net, "-o", net)
    assert result.exit_code == 2
    assert "would overwrite the input" in result.stderr
    assert net.read_bytes() == before


def test_two_inputs_of_one_output_are_refused_before_any_work(net: Path, folder: Path) -> None:
    draw(folder / "p1.jpg", 5)
    result = call("simulate", net, folder, "-o", "out")
    assert result.exit_code == 2
    assert "p1.jpg and pictures/p1.png would both write out/p1-labels.png" in result.stderr.replace(
        f"{folder.parent}/", ""
    )
    assert not Path("out").exists()


def test_a_bad_file_of_a_folder_is_named_and_the_others_are_done(net: Path, folder: Path) -> None:
    (folder / "p1.png").write_bytes(b"no picture")
    result = call("simulate", net, folder, "-o", "out")
    assert result.exit_code == 2
    assert "p1.png is no picture that can be read" in result.stderr
    assert "error: 1 input of 3 could not be read; the others are done" in result.stderr
    assert sorted(contents(Path("out"))) == ["p0-labels.png", "p2-labels.png"]
    alone = call("simulate", net, folder / "p2.png", "-o", "alone.png")
    assert alone.exit_code == 0
    assert Path("alone.png").read_bytes() == Path("out/p2-labels.png").read_bytes()
    listed = json.loads(call("simulate", net, folder, "-o", "out", "--json").stdout)
    assert len(listed["failed"]) == 1
    assert listed["samples"] == 2
    for file in folder.iterdir():
        file.write_bytes(b"")
    result = call("simulate", net, folder, "-o", "out")
    assert result.exit_code == 2
    assert "error: no input can be read: " in result.stderr
    assert result.stderr.count("is no picture that can be read") == 3


@pytest.mark.parametrize(
    ("command", "source", "words"),
    [
        ("simulate", ["pictures/p0.png"], "--set colour=...: pictures/p0.png takes no options"),
        ("simulate", ["pictures"], "--set colour=...: pictures takes no options"),
        ("simulate", ["digits-photos:0"], "data set 'digits-photos' has no option 'colour'"),
        ("record", ["pictures/p0.png"], "pictures/p0.png takes no options"),
        ("verify", [], "--set colour=...: noise takes no options"),
    ],
)
def test_an_option_that_the_input_does_not_have_is_refused(
    net: Path, folder: Path, command: str, source: list[str], words: str
) -> None:
    result = call(command, net, *source, "--set", "colour=3")
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict"])
@pytest.mark.parametrize("name", ["a b \U0001f600.png", os.fsdecode(b"\xff.png")])
def test_names_that_the_terminal_cannot_show_are_no_fault(
    net: Path, tmp_path: Path, name: str, encoding: str
) -> None:
    draw(tmp_path / "a.png").rename(tmp_path / name)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for flag in ([], ["--json"]):
        command = [sys.executable, "-m", "lavaseg", "simulate", str(net), name, *flag]
        ended = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
        if flag:
            assert len(json.loads(ended.stdout)["pictures"]) == 1
    assert (tmp_path / f"{Path(name).stem}-labels.png").is_file()


@pytest.mark.parametrize("name", ["a[bold].png", "[/b]", ":smile:", "café [1/2]"])
def test_what_is_said_of_a_file_shows_its_name_as_it_is(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line(f"{name} was left out")
    assert capsys.readouterr().err == f"{name} was left out\n"


def test_an_empty_input_is_not_the_working_directory(net: Path, folder: Path) -> None:
    assert "INPUT is empty" in call("simulate", net, "").stderr


def test_a_network_without_spikes_is_warned_of(tmp_path: Path, folder: Path) -> None:
    silent = save_net(tmp_path / "silent.net", threshold=131_000)
    result = call("simulate", silent, folder / "p0.png")
    assert result.exit_code == 0
    assert "warning: no population sent a single spike" in result.stderr
    assert "warning" not in call("simulate", save_net(tmp_path / "n.net"), folder).stderr
    verified = call("verify", silent, "-n", "1", "--backend", "torch")
    assert verified.exit_code == 0
    assert "no population sent a single spike, so little was compared" in verified.stderr


def test_one_of_a_thing_is_said_in_the_singular(net: Path, folder: Path) -> None:
    for words in (
        ["simulate", net, folder / "p0.png"],
        ["verify", net, "-n", "1", "--backend", "torch"],
        ["record", net, folder / "p0.png"],
    ):
        result = call(*words)
        assert result.exit_code == 0, result.output
        assert "1 sample, 2 steps" in result.stdout
        assert not re.search(r"\b1 samples\b(?!/s)", result.output)


def test_a_device_that_is_not_there_is_named_with_what_is_missing(net: Path, folder: Path) -> None:
    import torch

    cases = {"foo": "no device 'foo': expected cpu or cuda", "meta": "torch cannot use it"}
    if not torch.cuda.is_available():
        cases |= {"cuda": "torch finds no NVIDIA GPU" if torch.version.cuda else "has no CUDA"}
    for device, words in cases.items():
        result = call("simulate", net, folder, "--device", device)
        assert result.exit_code == 2, result.output
        assert words in result.stderr
        assert len(result.stderr) < 300


def test_a_contact_sheet_is_not_written_among_the_samples(tmp_path: Path) -> None:
    for number in range(4):
        draw(tmp_path / "d" / "pictures" / f"{number}.jpg", number)
        (tmp_path / "d" / "labels").mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / f"d/labels/{number}.png")
    options = ("--set", "classes=2", "--set", "ignore=255")
    before = contents(tmp_path / "d" / "pictures")
    for out in (tmp_path / "d/pictures/9.png", tmp_path / "d/labels/0.png"):
        for command in (("check", "folder", "d"), ("show", "folder", "0", "--set", "root=d")):
            result = call("data", *command, *options, "-o", out)
            assert result.exit_code == 2
            assert "lies among the files of the data set" in result.stderr
    assert contents(tmp_path / "d" / "pictures") == before
    # and a part in which nothing counts is no sound one
    result = call("data", "check", "folder", "d", *options)
    assert result.exit_code == 2
    assert "no pixel of the train part has a class" in result.stderr
    many = call("data", "check", "folder", "d", "--set", "classes=2")
    assert "give --set ignore=255" in many.stderr
    assert len(many.stderr.splitlines()) == 4
