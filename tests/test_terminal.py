"""What commands print at a terminal of 80 and of 120 columns: no word or number is broken."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import lavaseg
from lavaseg.cli import app
from lavaseg.cli.console import print_table
from lavaseg.encoders import Direct
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.system.wrapping import flowing

ENDLESS = 5000
"""Columns of a terminal that breaks nothing."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FRAMES = re.compile(r"[─━╭╮╰╯│┃╸╺╌]+")


def printed(*words: str, columns: int) -> str:
    """Standard output of a command at a terminal, without colours."""
    environment = {"COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    result = CliRunner().invoke(app, words, env=environment)
    assert result.exit_code in (0, 1), result.stderr
    return ANSI.sub("", result.stdout)


def words_of(text: str) -> set[str]:
    return {*FRAMES.sub(" ", text).split()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network of long names, pictures, and a data set of one's own."""
    folder = tmp_path_factory.mktemp("terminal")
    names = [f"a_population_of_a_long_name_{k}" for k in range(4)]
    network = Network(
        Input("input", (3, 32, 40), message_bits=6),
        (*(Population(name, 40) for name in names), Population("the_readout", None)),
        (
            Projection("input", names[0], Conv(16, 3, padding=1)),
            *(Projection(a, b, Conv(16, 3, padding=1)) for a, b in pairwise(names)),
            Projection(names[-1], "the_readout", Conv(3, 1)),
        ),
        "the_readout",
    )
    rng = np.random.default_rng(1)
    weights = {
        p.name: (2 * rng.integers(-20, 40, network.weight_shape(p))).astype(np.int16)
        for p in network.projections
    }
    classes = ("background", "a class of a long name", "road_marking_of_a_long_name")
    lavaseg.write_net(IntegerNetwork(network, weights, Direct(4, 6), classes), folder / "a.net")
    for kind in ("pictures", "labels"):
        (folder / "mine" / kind).mkdir(parents=True)
    for number in range(4):
        noise = rng.integers(0, 256, (32, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / "mine" / "pictures" / f"{number}.png")
        ids = rng.integers(0, 3, (32, 40)).astype(np.uint8)
        Image.fromarray(ids).save(folder / "mine" / "labels" / f"{number}.png")
    return folder


COMMANDS = [
    "recipes",
    "recipes show demo",
    "help",
    "help mfs_seg",
    "help training",
    "data list",
    "data check folder mine --set classes=3 --out check.png",
    "study list",
    "plot",
    "models --width 4",
    "models --width 4 --energy",
    "models mfs-seg-efs-res18 --width 4",
    "info a.net",
    "map a.net",
    "record a.net mine/pictures --out a.npz",
    "simulate a.net mine/pictures --out out",
]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_word_or_number_is_broken(
    place: Path, monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    monkeypatch.chdir(place)
    whole = words_of(printed(*command.split(), columns=ENDLESS))
    text = printed(*command.split(), columns=columns)
    whole |= {f"{word}:" for word in whole}  # headings of paragraphs
    whole |= words_of("can run no Cannot run on Lava as they are:")  # in place of a column
    changing = re.compile(r"[\d.,]+")  # times that a command took
    assert not {word for word in words_of(text) - whole if not changing.fullmatch(word)}
    longest = max(map(len, whole))
    for line in text.splitlines():
        assert len(line) <= max(columns, longest + columns // 3), line


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 120])
def test_tables_keep_every_cell_at_any_width(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    names = ["name", "what it is", ">a number", ">another number", ">one more"]
    rows: list[Any] = [
        (f"a-rather-long-name-{k}", "some words that explain it, at length", 10**k, k, "1,234.5678")
        for k in range(12)
    ]
    print_table("title", names, rows)
    text = ANSI.sub("", capsys.readouterr().out)
    found = words_of(text)
    for row in rows:
        assert {word for cell in row for word in str(cell).split()} <= found
    assert all(len(line) <= columns for line in text.splitlines())


@pytest.mark.parametrize("columns", [40, 50, 60, 80])
def test_tables_of_numbers_come_in_parts_with_their_labels(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    rows = [(f"layer{k}", *(f"{(k + 1) * 10**n:,}" for n in range(9))) for k in range(3)]
    print_table("title", ["layer", *(f">n{n}" for n in range(9))], rows)
    text = ANSI.sub("", capsys.readouterr().out)
    for row in rows:
        lines = [line for line in text.splitlines() if row[0] in line]
        assert [cell for line in lines for cell in line.split()[1:]] == [*row[1:]]
    assert all(len(line) <= columns for line in text.splitlines())


def test_lines_are_broken_between_words_below_their_values() -> None:
    line = "deployable  no: " + "reasons that are long " * 6
    lines = flowing(line.strip(), 60).split("\n")
    assert all(len(part) <= 60 for part in lines)
    assert all(part.startswith(" " * 12) for part in lines[1:])
    assert " ".join(" ".join(lines).split()) == " ".join(line.split())
    path = "written: " + "a" * 200
    assert flowing(path, 80).split() == path.split()
    assert flowing("short  line", 80) == "short  line"
