"""Tables and lines at a terminal of any width: no word, name or number is broken."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.cells import cell_len
from terminal_calls import ANSI

from lavaseg.cli.console import print_table
from lavaseg.system.wrapping import flowing

FRAMES = re.compile(r"[─━╭╮╰╯│┃╸╺╌]+")


def words_of(text: str) -> set[str]:
    return {*FRAMES.sub(" ", text).split()}


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


def test_signs_that_take_two_columns_are_counted_as_two() -> None:
    line = "道路 " * 30 + "end"
    lines = flowing(line, 40).split("\n")
    assert max(map(cell_len, lines)) <= 40 < cell_len(line)
    assert " ".join(lines).split() == line.split()


def test_tables_of_names_that_take_two_columns_stay_within_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("FORCE_COLOR", "1")
    rows = [("車道と歩道", "道路の上にある 白い線 " * 5, 10), ("a", "b", 2)]
    print_table("題", ["クラス", "説明", ">数"], rows)
    text = ANSI.sub("", capsys.readouterr().out)
    assert {"車道と歩道", "道路の上にある", "白い線"} <= words_of(text)
    assert all(cell_len(line) <= 60 for line in text.splitlines())
