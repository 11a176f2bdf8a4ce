"""Every command at a terminal: nothing is broken at 80 and 120 columns, and errors are alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from typer import rich_utils
from typer.main import get_command
from typer.testing import CliRunner, Result

import lavaseg
from lavaseg.cli import app
from lavaseg.cli.usage import EVERYWHERE
from lavaseg.encoders import Direct
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx.header import HEADER_SIZE
from lavaseg.system import styles

WIDTHS = NARROW, WIDE = 80, 120
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FRAMES = re.compile(r"[─━╭╮╰╯│┃╸╺╌]+")
LEFT_OUT = {"name", "-"}
"""What a row of a table has that is shown as a paragraph has not: first heading, empty cells."""
FRESH = count()
CHANGING = re.compile(r"[\d.,]+")
"""Words that may differ from one call to the next: times."""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The words of each command, and the command; groups are commands, too."""
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


TREE = get_command(app)
COMMANDS = dict(commands(TREE))


@pytest.fixture(autouse=True)
def _built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree of commands, which the runner would build for each call."""
    monkeypatch.setattr("typer.testing._get_command", lambda _: TREE)


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


def call(*words: str, columns: int = WIDE) -> Result:
    """A command at a terminal."""
    environment = {"COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    return CliRunner().invoke(app, words, env=environment)


def printed(result: Result) -> str:
    """What a command that ended well printed, without colours."""
    assert result.exit_code in (0, 1), result.stderr or result.exception
    return ANSI.sub("", result.stdout + result.stderr)


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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network of long names, photos of one's own, and results of a study."""
    folder = tmp_path_factory.mktemp("terminal")
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
    return folder


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


def refused(*words: str) -> str:
    """The one sentence on stderr by which a mistake is refused."""
    environment = {"COLUMNS": "80", "FORCE_COLOR": "", "NO_COLOR": ""}
    result = CliRunner().invoke(app, words, env=environment)
    assert result.exit_code == 2, (words, result.output)
    assert not result.stdout, words
    lines = result.stderr.splitlines()
    assert len(lines) == 1, (words, lines)
    sentence = lines[0]
    assert sentence.startswith("error: "), sentence
    assert not ANSI.search(sentence)
    assert not sentence.endswith("."), sentence
    return sentence


def test_a_mistake_of_any_command_is_one_sentence_that_says_what_was_meant() -> None:
    for name, command in COMMANDS.items():
        words = name.split()
        assert "did you mean '--help'" in refused(*words, "--hepl"), name
        for parameter in command.params:
            longest = max(parameter.opts, key=len)
            if not longest.startswith("--"):
                continue
            said = refused(*words, f"{longest}x")
            assert f"`lavaseg {name}` has no option {longest}x: did you mean " in said
            assert repr(longest) in said
        if any(parameter.required for parameter in command.params):
            assert f"`lavaseg {name}` needs " in refused(*words)
        *group, last = words
        wrong = f"{last}x" if last != "study" else "studdy"
        assert f"did you mean {last!r}" in refused(*group, wrong), name


INPUTS = {"a.net", "run", "ann", "rmp.csv", "stock.net"}
"""Files and folders that uses read."""


def test_a_path_where_nothing_is_is_one_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    calls = {
        name: ["b.net" if word in INPUTS else word for word in line.replace("FRESH", "x").split()]
        for name, line in (LIGHT | WITH_RUN).items()
        if INPUTS & {*line.split()}
    }
    assert len(calls) >= 13
    for name, (_, *words) in calls.items():
        said = refused(name.split()[0], *words)
        assert "b.net" in said
        assert "did you mean 'a.net'?" in said, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "/no/where/a.net"], "there is no file /no/where/a.net"),
        (["train", "dmeo"], "did you mean 'demo'"),
        (["train", "demo", "--set", "trainin.epochs=1"], "did you mean 'training'"),
        (["train", "mine/pictures/0.jpg"], "did you mean 'mine/pictures/0.png'"),
        (["predict", "a.net", "mine/picture/0.png"], "did you mean 'mine/pictures/0.png'"),
        (["data", "check", "foldr"], "did you mean 'folder'"),
        (["data", "check", "folder", "mone", "--set", "classes=3"], "did you mean 'mine'"),
        (["data", "check", "folder", "mine", "--set", "clases=3"], "did you mean 'classes'"),
        (["help", "trainin.epochs"], "did you mean"),
        (["verify", "a.net", "--backend", "lva"], "did you mean 'lava'"),
        (["evaluate", "a.net", "--data", "camvd"], "did you mean 'camvid'"),
        (["plot", "spiks"], "did you mean 'spikes'"),
        (["models", "mfs_seg_efs"], "did you mean"),
        (["map", "mfs-seg-efs-res19"], "did you mean 'mfs-seg-efs-res18'"),
        (["study", "show", "rmpp"], "did you mean 'rmp'"),
        (["doctor", "--for", "lavaa"], "did you mean 'lava'"),
        (["evaluate", "a.net", "--limit", "0"], "--limit '0': it should be greater"),
        (["evaluate", "a.net", "--limit", "many"], "--limit 'many': it should be a whole number"),
        (["evaluate", "a.net", "--limit"], "--limit needs a value"),
        (["completion", "bsh"], "SHELL 'bsh': did you mean 'bash'"),
        (["info", "a.net", "b.net"], "`lavaseg info` has no place for 'b.net'"),
        (["--quiet", "-v", "plot"], "--quiet and --verbose exclude each other"),
    ],
    ids=" ".join,
)
def test_mistakes_name_what_was_given_and_what_is_close(
    place: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(place)
    assert said in refused(*words)


def test_flags_of_all_commands_stand_anywhere_and_no_command_takes_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for name, command in COMMANDS.items():
        assert not {word for p in command.params for word in p.opts} & {*EVERYWHERE}, name
    for words in (["-q", "info", "a.net"], ["info", "-q", "a.net"], ["info", "a.net", "--quiet"]):
        assert printed(call(*words)) == printed(call("info", "a.net"))
    assert "--quiet" in refused("info", "--", "--quiet")


# Light and dark grounds, and what is no terminal at all.

SGR = re.compile(r"\x1b\[([0-9;]*)m")
LIGHTEST, DARKEST = 1.0, 0.0


def luminance(number: int) -> float:
    """Relative luminance of a colour of the 256, as WCAG 2 defines it."""
    if number >= 232:
        channels = [8 + 10 * (number - 232)] * 3
    else:
        steps = (0, 95, 135, 175, 215, 255)
        cube = number - 16
        channels = [steps[cube // 36], steps[cube // 6 % 6], steps[cube % 6]]
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def contrast(number: int, ground: float) -> float:
    low, high = sorted((luminance(number), ground))
    return (high + 0.05) / (low + 0.05)


def test_every_colour_is_legible_on_light_and_on_dark_grounds(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(rich_utils, "FORCE_TERMINAL", True)
    texts = [call(*name.split(), "--help", columns=80).output for name in COMMANDS]
    texts += [call(*LIGHT[name].split()).output for name in ("help", "info", "map", "data check")]
    found = {code for text in texts for code in SGR.findall(text)}
    used = {int(c) for code in found for c in re.findall(r"38;5;(\d+)", code)}
    for code in found:
        rest = {*re.sub(r"38;5;\d+", "", code).split(";")} - {""}
        assert rest <= {"0", "1", "2"}, f"{code}: a colour that each terminal makes of its own"
    assert used, "no colour was found"
    for style in (styles.ACCENT, styles.GOOD, styles.BAD):
        used.add(int(style.removeprefix("color(").removesuffix(")")))
    for number in used:
        assert min(contrast(number, LIGHTEST), contrast(number, DARKEST)) >= 4, number


@pytest.mark.parametrize(
    "environment",
    [
        {"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        {"TERM": "dumb", "FORCE_COLOR": "1"},
        {"TERM": "xterm-256color"},
    ],
    ids=["NO_COLOR", "TERM=dumb", "pipe"],
)
def test_there_are_no_escape_codes_where_they_are_not_wanted(
    environment: dict[str, str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(rich_utils, "FORCE_TERMINAL", None)  # read once, when it is imported
    for words in (["info", "a.net"], ["help", "training"], ["info", "--help"], ["info", "b.net"]):
        result = CliRunner().invoke(app, words, env=environment)
        assert "\x1b" not in result.output, words
    assert "\x1b" in call("info", "a.net").output
