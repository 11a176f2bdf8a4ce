"""Every command at a terminal of 80 and of 120 columns: no word, name or number is broken."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

import pytest
from rich.cells import cell_len
from terminal_calls import COMMANDS, LIGHT, UNUSED, VERBATIM, WITH_RUN, call, printed

WIDTHS = NARROW, WIDE = 80, 120
FRAMES = re.compile(r"[─━╭╮╰╯│┃╸╺╌]+")
LEFT_OUT = {"name", "-"}
"""What a row of a table has that is shown as a paragraph has not: first heading, empty cells."""
FRESH = count()
CHANGING = re.compile(r"[\d.,]+")
"""Words that may differ from one call to the next: times."""


def words_of(text: str) -> set[str]:
    """Words, as they are in a table and as headings of a paragraph."""
    return {word.rstrip(":") for word in FRAMES.sub(" ", text).split()}


def check_whole(texts: dict[int, str]) -> None:
    """No line is longer than the terminal, and both widths show the same words.

    A word that is broken leaves pieces, which the other width, broken elsewhere, does not show.
    """
    for columns, text in texts.items():
        wide = [line for line in text.splitlines() if cell_len(line) > columns]
        assert not wide, (columns, wide)
        assert "Traceback" not in text
    pieces = words_of(texts[NARROW]) ^ words_of(texts[WIDE])
    assert not {word for word in pieces - LEFT_OUT if not CHANGING.fullmatch(word)}


def use(words: str) -> None:
    """A command, at both widths."""
    texts = {}
    for columns in WIDTHS:
        fresh = f"fresh{next(FRESH)}"
        text = printed(call(*words.replace("FRESH", fresh).split(), columns=columns))
        texts[columns] = text.replace(fresh, "fresh")
    check_whole(texts)


RECIPE = """\
like: quick-fcn
name: mine
data: {name: folder, options: {root: mine, classes: 3}}
model: {name: MODEL, options: {width: 1}}
training: {epochs: 1}
finetune: {epochs: 0}
"""


@pytest.fixture(scope="module")
def trained(place: Path) -> Path:
    """The same folder with a run, an artificial one, and a file of stock SLAYER."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for folder, model in (("run", "spiking_fcn"), ("ann", "ann_fcn")):
            Path("mine.yaml").write_text(RECIPE.replace("MODEL", model))
            call("train", "mine.yaml", "--out", folder)
        Path("mine.yaml").write_text(RECIPE.replace("MODEL", "spiking_fcn"))
    return place


def test_every_command_is_used_here_or_says_why_not() -> None:
    tables = (LIGHT, WITH_RUN, VERBATIM, UNUSED)
    assert sorted(name for table in tables for name in table) == sorted(COMMANDS)


def test_no_word_or_number_of_a_help_page_is_broken() -> None:
    for name in COMMANDS:
        help_ = [*name.split(), "--help"]
        check_whole({c: printed(call(*help_, columns=c)) for c in WIDTHS})


@pytest.mark.parametrize("command", LIGHT)
def test_no_word_or_number_is_broken(
    place: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(place)
    use(LIGHT[command])


@pytest.mark.slow
@pytest.mark.parametrize("command", WITH_RUN)
def test_no_word_or_number_of_what_takes_a_run_is_broken(
    trained: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(trained)
    use(WITH_RUN[command])


@pytest.mark.slow
def test_quiet_commands_say_results_alone(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    for words in (["train", "mine.yaml", "--out", "quiet"], ["export", "quiet"]):
        result = call(*words, "--quiet")
        assert result.exit_code == 0
        assert not result.stderr
        assert "Next: `lavaseg " in result.stdout


@pytest.mark.parametrize("command", VERBATIM)
def test_files_are_printed_as_they_are(command: str) -> None:
    narrow, wide = (printed(call(*VERBATIM[command].split(), columns=c)) for c in WIDTHS)
    assert narrow == wide


def test_help_shows_a_kind_of_value_behind_options_that_take_one_alone() -> None:
    for name in COMMANDS:
        shown = printed(call(*name.split(), "--help", columns=WIDE))
        assert "<bool>" not in shown, name
    assert "<path>" in printed(call("train", "--help", columns=WIDE))
