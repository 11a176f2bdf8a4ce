"""Bundles: reproducible, whole or refused, run without torch, and judged spike for spike."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.deploy import simulate
from lavaseg.deploy.cloud import entry, spikes
from lavaseg.deploy.cloud.archive import read_archive, write_archive
from lavaseg.deploy.cloud.bundle import EXPECTED, FORMAT, NETWORK, Bundle, make_bundle
from lavaseg.deploy.cloud.collect import collect
from lavaseg.deploy.cloud.results import FOUND, RESULT, read_results, write_results
from lavaseg.encoders import Direct, Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write
from lavaseg.results.activity import Activity
from lavaseg.runs import Run

ROOT = Path(__file__).resolve().parents[1]

WITHOUT_TORCH = """
import runpy, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "torchvision", "safetensors"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Without())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script where no package of the extra `train` is found."""


def tiny(bits: int = 0, seed: int = 1) -> IntegerNetwork:
    network = Network(
        Input("input", (2, 6, 5), bits),
        (Population("hidden", 60), Population("more", 400), Population("out", None)),
        (
            Projection("input", "hidden", Conv(3, (3, 3), padding=(1, 1))),
            Projection("hidden", "more", Conv(2, (3, 3))),
            Projection("more", "out", Conv(2, (1, 1))),
        ),
        "out",
    )
    rng = np.random.default_rng(seed)
    weights = {
        p.name: (2 * rng.integers(-20, 40, network.weight_shape(p))).astype(np.int16)
        for p in network.projections
    }
    encoder = Direct(4, bits=bits) if bits else Poisson(4)
    return IntegerNetwork(network, weights, encoder, ("a", "b"))


def encoded(net: IntegerNetwork, samples: int = 2) -> np.ndarray:
    pictures = np.random.default_rng(0).integers(0, 256, (samples, 2, 6, 5), np.uint8)
    return net.encoder.encode(list(pictures), seed=0)


def make(folder: Path, name: str = "tiny", seed: int = 1, **options: object) -> Bundle:
    net = tiny(seed=seed)
    path = folder / f"{name}.net"
    write(net, path)
    return make_bundle(path, encoded(net), folder / f"{name}.zip", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make(tmp_path_factory.mktemp("bundle"))


def answer(
    bundle: Bundle, folder: Path, found: Activity | None = None, profile: Any = None
) -> Path:
    """A result folder of the bundle, as a run leaves it that gave `found`: by default all right."""
    facts = {"backend": "lava", "seconds": 1.5, "machine": {"node": "host"}, "profile": profile}
    expected = bundle.archive.members[EXPECTED]
    write_results(
        folder, bundle.manifest, expected, found or bundle.expected(), facts, {"checks": []}
    )
    return folder


def lavaseg(*words: object) -> tuple[int, str]:
    """Exit code and output of a command."""
    called = CliRunner().invoke(app, [str(word) for word in words])
    return called.exit_code, called.output


def run_script(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """An unpacked bundle's run.py, in a Python that finds neither this checkout nor torch."""
    surroundings = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-c", WITHOUT_TORCH, str(folder / "run.py"), *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=surroundings
    )


@pytest.fixture(scope="module")
def unpacked(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "bundle"
    with zipfile.ZipFile(bundle.path) as file:
        file.extractall(folder)
    return folder


def test_the_same_network_and_samples_give_the_same_bytes_whatever_the_file_is_called(
    bundle: Bundle, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / "tiny.net"
    copy.parent.mkdir()
    copy.write_bytes(bundle.archive.members[NETWORK])
    other = make_bundle(copy, encoded(tiny()), tmp_path / "other.zip")
    assert other.path.read_bytes() == bundle.path.read_bytes()
    assert make(tmp_path, seed=2).identity != bundle.identity


def test_a_bundle_holds_no_path_of_the_machine_that_made_it(bundle: Bundle) -> None:
    private = [str(ROOT), str(bundle.path.parent), str(Path.home()) + "/", sys.prefix]
    for name, content in bundle.archive.members.items():
        assert not [path for path in private if path.encode() in content], name


def test_a_bundle_runs_without_torch_from_its_own_sources_and_is_equal(
    bundle: Bundle, unpacked: Path, tmp_path: Path
) -> None:
    ran = run_script(unpacked, "--backend", "lava", "--out", tmp_path / "results")
    assert ran.returncode == 0, ran.stderr
    assert "equal: every spike" in ran.stdout
    judgement = collect(tmp_path / "results", bundle.path)
    assert judgement.ok
    assert not judgement.unread
    assert [row.population for row in judgement.rows] == ["hidden", "more", "out", "out"]
    assert judgement.rows[0].found == simulate(tiny(), encoded(tiny())).counts["hidden"].sum() > 0
    assert judgement.facts["backend"] == "lava"
    examined = read_results(tmp_path / "results").doctor
    assert examined["able"]["lava"], "what lacks torch alone can run networks on Lava"
    assert "doctor:" not in ran.stdout


def test_a_run_that_gives_other_spikes_exits_with_1_and_names_the_layer(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bundle of one network with the expectation of another: its run must differ."""
    other = make(tmp_path, "other", seed=3)
    members = {**bundle.archive.members, EXPECTED: other.archive.members[EXPECTED]}
    facts = {key: value for key, value in bundle.manifest.items() if key != "members"}
    write_archive(tmp_path / "mixed.zip", members, facts)
    mixed = Bundle.open(tmp_path / "mixed.zip")
    mixed.archive.unpack(tmp_path / "mixed")
    words = ["--backend", "simulator", "--out", str(tmp_path / "results")]
    assert entry.main(tmp_path / "mixed", words) == 1
    mine, others = bundle.expected().spikes["hidden"], other.expected().spikes["hidden"]
    differing = int((mine != others).sum())
    assert differing
    assert f"hidden: {differing:,} of {mine.size:,} spikes differ" in capsys.readouterr().out
    code, output = lavaseg("collect", tmp_path / "results", "--bundle", tmp_path / "mixed.zip")
    assert code == 1
    assert "different" in output


def test_one_wrong_spike_is_found_counted_and_named(bundle: Bundle, tmp_path: Path) -> None:
    found = bundle.expected()
    found.spikes["more"][1, 2, 0, 3, 1] ^= 1
    results = answer(bundle, tmp_path / "results", found)
    code, output = lavaseg("collect", results, "--json")
    assert code == 1
    verdict = json.loads(output)
    rows = {(row["population"], row["kind"]): row["differing"] for row in verdict["rows"]}
    assert rows == {
        ("hidden", "spikes"): 0, ("more", "spikes"): 1, ("out", "spikes"): 0, ("out", "membrane"): 0
    }  # fmt: skip
    first = verdict["first_difference"]
    assert (first["sample"], first["step"], first["population"]) == (1, 2, "more")
    assert first["neuron"] == [0, 3, 1]


def test_populations_that_a_run_did_not_give_back_are_named_and_not_called_equal(
    bundle: Bundle, tmp_path: Path
) -> None:
    whole = bundle.expected()
    found = Activity(whole.readout, {}, {"hidden": whole.spikes["hidden"]})
    code, output = lavaseg("collect", answer(bundle, tmp_path / "results", found))
    assert code == 0
    assert "not read back, so not compared: more, out" in output


def test_what_a_board_took_is_said_and_kept_in_the_folder_of_its_run(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The profile as `lavaseg.deploy.loihi2.profile` gives it, of a made-up board."""
    derived = {
        "seconds_per_sample": 2.448e-3, "dynamic_power": 0.447, "remark": "",
        "energy_per_sample": 1.66e-3, "dynamic_energy_per_sample": 1.09e-3,
    }  # fmt: skip
    system = {"board": "og-1", "partition": None, "host": None, "generation": "N3B3"}
    profile = {"power": {"total_power": 0.679}, "derived": derived, "system": system}
    profile |= {"samples": 2, "steps": 4, "period": 4, "replayed": True, "extension": "0.7.0"}
    results = answer(bundle, tmp_path / "good", profile=profile)
    _, output = lavaseg("collect", results)
    assert "time of a sample: 2.448 ms" in output
    assert "power of the board: 0.679 W" in output
    assert "energy of a sample, the whole board: 1.66 mJ" in output
    assert json.loads(lavaseg("collect", results, "--json")[1])["profile"] == profile
    derived |= {"dynamic_power": None, "remark": "-6 mW is meaningless"}
    _, output = lavaseg("collect", answer(bundle, tmp_path / "noise", profile=profile))
    assert "above the idle board: meaningless" in output
    assert "-6 mW is meaningless" in output
    run = Run(tmp_path / "run", recipes.load("demo"), tiny().network, ("a", "b"), None, (2, 6, 5))
    run.save()
    run.files.net.path.write_bytes(bundle.archive.members[NETWORK])
    assert lavaseg("collect", results, "--net", run.path)[0] == 0
    assert run.files.chip_profile.load() == json.loads((results / RESULT).read_text())["profile"]
    failed = answer(bundle, tmp_path / "failed", profile={"error": "no such board"})
    assert "not profiled: no such board" in lavaseg("collect", failed)[1]


def test_without_recorded_spikes_the_count_of_each_neuron_is_compared(tmp_path: Path) -> None:
    bundle = make(tmp_path, record=["more"])
    expected = bundle.expected()
    assert set(expected.spikes) == {"more"}
    assert set(expected.counts) == {"input", "hidden", "more", "out"}
    expected.counts["hidden"][0, 1, 2, 3] += 1
    judgement = collect(answer(bundle, tmp_path / "results", expected))
    assert {row.population: row.differing for row in judgement.rows[:-1]} == {
        "hidden": 1, "more": 0, "out": 0
    }  # fmt: skip
    with pytest.raises(LavasegError, match="'none': expected all or one of hidden, more, out"):
        make(tmp_path, record=["none"])


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_spikes_come_back_from_a_file_as_they_were(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 5))
    most = data.draw(st.sampled_from([1, 2, 255]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    sheets = rng.integers(0, most + 1, shape, np.uint8)
    assert np.array_equal(spikes.spikes_from_bytes(spikes.spikes_to_bytes(sheets), "f"), sheets)
    graded = rng.integers(-(2**20), 2**20, shape, np.int32)
    counts = rng.integers(0, 9, (shape[0], *shape[2:])).astype(np.uint16)
    readout = rng.integers(-(2**40), 2**40, (shape[0], 2, 3, 3))
    activity = Activity(readout, {"other": counts}, {"binary": sheets, "relay of x": graded})
    found = spikes.activity_from_bytes(spikes.activity_to_bytes(activity), "f")
    assert np.array_equal(found.readout, readout)
    assert np.array_equal(found.counts["other"], counts)
    assert np.array_equal(found.counts["binary"], np.count_nonzero(sheets, axis=1))
    for name, spiked in activity.spikes.items():
        assert np.array_equal(found.spikes[name], spiked)


def rewritten(bundle: Bundle, path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """The archive with other members under the same manifest."""
    with zipfile.ZipFile(bundle.path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


CHANGES: Mapping[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "slip": (lambda m: m.update({"../evil.py": b""}), "points outside of its folder"),
    "absolute": (lambda m: m.update({"/tmp/evil.py": b""}), "points outside of its folder"),
    "foreign": (lambda m: m.update({"numpy.py": b""}), "does not belong to it: 'numpy.py'"),
    "missing": (lambda m: m.pop("run.py"), "lacks 'run.py'"),
    "changed": (lambda m: m.update({"run.py": m["run.py"][:-1] + b"#"}), "another checksum"),
    "longer": (lambda m: m.update({"run.py": m["run.py"] + b"#"}), "another length"),
    "no manifest": (lambda m: m.pop("manifest.json"), "is no bundle"),
    "other kind": (lambda m: m.update({"manifest.json": b"{}"}), "is no 'lavaseg bundle 1'"),
    "reformatted": (
        lambda m: m.update({"manifest.json": m["manifest.json"] + b" "}), "written differently"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_bundle_is_refused_in_one_sentence_and_nothing_is_unpacked(
    bundle: Bundle, tmp_path: Path, name: str
) -> None:
    change, words = CHANGES[name]
    path = rewritten(bundle, tmp_path / "changed.zip", change)
    with pytest.raises(LavasegError, match=re.escape(words)) as caught:
        Bundle.open(path)
    assert str(path) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["evil", "a/../../evil", "/evil", "C:evil", "a\\b", "a//b", "."])
def test_a_manifest_cannot_list_members_outside_of_the_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / "made.zip"
    write_archive(path, {name: b"content"}, {"format": FORMAT})
    if name == "evil":
        assert read_archive(path, FORMAT).members == {name: b"content"}
        return
    with pytest.raises(LavasegError, match="points outside of its folder"):
        read_archive(path, FORMAT)


def test_the_sheets_of_these_tests_spike_and_rest() -> None:
    counts = simulate(tiny(), encoded(tiny())).counts
    for name in ("hidden", "more"):
        assert 0.1 < counts[name].mean() / 4 < 0.9, name


def test_files_that_are_no_bundle_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.zip"
    text.write_text("no archive")
    places = ((text, "damaged"), (tmp_path, "is a folder"), (tmp_path / "x", "no bundle"))
    for path, words in places:
        with pytest.raises(LavasegError, match=words):
            Bundle.open(path)


def test_run_py_refuses_a_changed_file_a_missing_one_and_an_old_folder_of_results(
    bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    bundle.archive.unpack(folder)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "old").touch()

    def said(*words: object) -> str:
        ran = run_script(folder, *words)
        assert ran.returncode == 2, ran.stdout
        return ran.stderr.strip()

    exists = said("--out", tmp_path / "results")
    assert exists == f"error: --out {tmp_path / 'results'} exists already: choose a new folder"
    both = said("--partition", "kp", "--board", "board-1", "--out", tmp_path / "new")
    assert both.startswith("error: board 'board-1' and partition 'kp' were both given")
    assert "needs --backend loihi2" in said("--profile", "all", "--out", tmp_path / "new")
    assert "no backend 'tpu'" in said("--backend", "tpu", "--out", tmp_path / "new")
    source = folder / "lavaseg" / "errors.py"
    source.write_text(source.read_text() + "\n")
    assert "errors.py was changed after the bundle was made" in said("--out", tmp_path / "new")
    source.unlink()
    assert "errors.py is missing" in said("--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_results_are_read_from_a_folder_or_an_archive_of_it(bundle: Bundle, tmp_path: Path) -> None:
    answer(bundle, tmp_path / "job" / "results")
    shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path / "job")
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "job" / "results", "results")
    for place in ("job", "job/results", "zipped.zip", "packed.tar.gz"):
        code, output = lavaseg("collect", tmp_path / place, "--bundle", bundle.path)
        assert code == 0, output
        assert "equal: every spike and read-outs of 2 samples, 4 steps each" in output


def test_results_of_another_bundle_or_network_and_damaged_ones_are_refused(
    bundle: Bundle, tmp_path: Path
) -> None:
    results = answer(bundle, tmp_path / "results")
    network = make(tmp_path, "network", seed=2)
    samples = make_bundle(
        bundle.path.with_suffix(".net"), encoded(tiny(), 1), tmp_path / "samples.zip"
    )

    def said(place: Path, *words: object) -> str:
        code, output = lavaseg("collect", place, *words)
        assert code == 2, output
        return output.strip().removeprefix("error: ")

    assert "results of another network" in said(results, "--bundle", network.path)
    assert "results of another bundle" in said(results, "--bundle", samples.path)
    assert "is another network" in said(results, "--net", tmp_path / "network.net")
    assert lavaseg("collect", results, "--net", bundle.path.with_suffix(".net"))[0] == 0
    for name, words in (
        (FOUND, "damaged"), ("manifest.json", "damaged"), (EXPECTED, "damaged"),
    ):  # fmt: skip
        path = results / name
        sound = path.read_bytes()
        path.write_bytes(sound[:-1])
        assert words in said(results)
        path.unlink()
        assert f"incomplete: it lacks {name}" in said(results)
        path.write_bytes(sound)
    (results / RESULT).unlink()
    assert f"it lacks {RESULT}, which a run writes when it has ended" in said(results)
    (results / "log.txt").write_text("error: no board\n")
    assert said(results).endswith("when it has ended; its log ends: error: no board")
    assert "there is no folder" in said(tmp_path / "nowhere")
    (tmp_path / "text").write_text("text")
    assert "neither a result folder nor" in said(tmp_path / "text")


@pytest.mark.parametrize(
    "change",
    [
        {"backend": 3}, {"seconds": None}, {"machine": []}, {"machine": {}}, {"members": {}},
        {"profile": [1]}, {"profile": {"derived": {}}}, {"profile": {"system": 1, "derived": {}}},
    ],
    ids=str,
)  # fmt: skip
def test_facts_that_no_run_wrote_are_refused_in_one_sentence(
    bundle: Bundle, tmp_path: Path, change: Mapping[str, object]
) -> None:
    results = answer(bundle, tmp_path / "results")
    path = results / RESULT
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    code, output = lavaseg("collect", results)
    assert code == 2, output
    assert output.startswith(f"error: {results}")
    assert output.count("\n") == 1
