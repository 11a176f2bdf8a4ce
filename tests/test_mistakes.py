"""A mistake in the call of any command is one sentence that says what was given and meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from terminal_calls import ANSI, COMMANDS, LIGHT, WITH_RUN, call, invoked, printed

from lavaseg.cli.usage import EVERYWHERE


def refused(*words: str) -> str:
    """The one sentence on stderr by which a mistake is refused."""
    environment = {"COLUMNS": "80", "FORCE_COLOR": "", "NO_COLOR": ""}
    result = invoked(words, environment)
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
        (["evaluate", "a.nt"], "did you mean 'a.net'"),
        (["data", "check", "folder", "res/rmp.csv", "--set", "classes=3"], "'results/rmp.csv'"),
        (["recipes", "new"], "`lavaseg recipes new` needs --root: the folder of your data"),
        (
            ["train", "demo", "--set", "training.epochs=0"],
            "it should be greater than or equal to 1",
        ),
        (["train", "demo", "--set", "training.epochs=a"], "it should be a whole number"),
        (["train", "demo", "--set", "trainin.epochs=1"], "did you mean 'training'"),
        (["train", "mine/pictures/0.jpg"], "did you mean 'mine/pictures/0.png'"),
        (["predict", "a.net", "mine/picture/0.png"], "did you mean 'mine/pictures/0.png'"),
        (["data", "check", "foldr"], "did you mean 'folder'"),
        (["data", "check", "folder", "mone", "--set", "classes=3"], "did you mean 'mine'"),
        (["data", "check", "folder", "mine", "--set", "clases=3"], "did you mean 'classes'"),
        (["help", "trainin.epochs"], "did you mean"),
        (["verify", "a.net", "--backend", "lva"], "did you mean 'lava'"),
        (["trian", "demo"], "`lavaseg` has no command 'trian': did you mean 'train'"),
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
