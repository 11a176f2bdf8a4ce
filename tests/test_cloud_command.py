"""`lavaseg bundle` at the terminal: what it makes, and one sentence for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_cloud import lavaseg, tiny

from lavaseg.deploy.cloud.bundle import NETWORK, Bundle
from lavaseg.netx import write


def test_a_bundle_is_made_by_the_command_and_says_what_it_compares(tmp_path: Path) -> None:
    write(tiny(), tmp_path / "tiny.net")
    archive = tmp_path / "b.zip"
    code, output = lavaseg("bundle", tmp_path / "tiny.net", "-n", 1, "-o", archive, "--json")
    assert code == 0, output
    made = json.loads(output[output.index("{") :])
    assert made["bundle"] == Bundle.open(archive).identity
    assert made["samples"] == 1
    assert made["recorded"] == ["hidden", "more", "out"]
    members = Bundle.open(archive).archive.members
    assert members[NETWORK] == (tmp_path / "tiny.net").read_bytes()
    code, output = lavaseg("bundle", tmp_path / "nothing.net")
    assert code == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-n", "0"), "greater than or equal to 1"),
        (("--data", "nowhere"), "'nowhere' is neither a file, a folder nor a data set"),
        (("-o", "folder"), "--out folder is no file: expected an archive to write"),
        (("-o", "/dev/null"), "--out /dev/null is no file"),
        (("-o", "tiny.net"), "--out tiny.net would overwrite the input tiny.net"),
        (("--data", "sheet.npy", "-o", "sheet.npy"), "would overwrite the input sheet.npy"),
        (("-o", "/proc/b.zip"), "cannot write into the folder /proc"),
        (("--record", "zzz"), "zzz"),
        (("--backend", "loihi3"), "no backend 'loihi3'"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    words: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    net = tiny()
    write(net, tmp_path / "tiny.net")
    np.save(tmp_path / "sheet.npy", np.zeros(net.network.input.shape, np.uint8))
    (tmp_path / "folder").mkdir()
    before = {path: path.is_dir() or path.read_bytes() for path in tmp_path.iterdir()}
    code, output = lavaseg("bundle", "tiny.net", *words)
    assert code == 2
    assert sentence in output
    assert {path: path.is_dir() or path.read_bytes() for path in tmp_path.iterdir()} == before
