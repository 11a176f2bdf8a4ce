"""The folder of a run: what holds and what does not, values and files, who keeps results there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lavaseg
from lavaseg import models, recipes
from lavaseg.errors import LavasegError
from lavaseg.network import Input
from lavaseg.runs import Run, RunFolder

RESULTS = ("evaluation", "net", "verdict", "net_evaluation", "report")


@pytest.fixture
def dated(tmp_path: Path) -> RunFolder:
    """A folder with one file of each kind, each a second younger than the one before."""
    files = RunFolder(tmp_path)
    for age, kind in enumerate(RunFolder.kinds()):
        path = tmp_path / kind.file
        if kind.file.endswith("/"):
            path.mkdir()
        else:
            path.write_text("{}")
        os.utime(path, (age, age))
    return files


def current(files: RunFolder) -> set[str]:
    return {name for name in RESULTS if getattr(files, name).current()}


def test_every_file_that_was_written_in_order_holds(dated: RunFolder) -> None:
    assert current(dated) == set(RESULTS)


@pytest.mark.parametrize(
    ("changed", "held"),
    [
        ("weights", set()),
        ("net", {"evaluation", "net"}),
        ("verdict", {"evaluation", "net", "verdict", "net_evaluation"}),
        ("history", set(RESULTS)),
    ],
)
def test_what_was_made_from_a_changed_file_holds_no_more(
    dated: RunFolder, changed: str, held: set[str]
) -> None:
    os.utime(getattr(dated, changed).path, (100, 100))
    assert current(dated) == held


def test_what_is_out_of_date_makes_all_that_follows_so_however_young(dated: RunFolder) -> None:
    os.utime(dated.weights.path, (50, 50))
    os.utime(dated.verdict.path, (100, 100))
    assert not dated.verdict.current()
    assert dated.verdict.outdated_by() == dated.net
    assert dated.net.outdated_by() == dated.weights


def test_an_exported_network_holds_without_the_float_weights(dated: RunFolder) -> None:
    dated.weights.remove()
    assert {"net", "verdict", "net_evaluation"} <= current(dated)
    dated.net.remove()
    assert not dated.net.current()


def test_a_stored_hash_tells_what_times_cannot(dated: RunFolder) -> None:
    dated.tuning.save({"weights": dated.weights.sha256()})
    os.utime(dated.weights.path, (100, 100))  # as in a copy
    assert dated.tuned_weights.current()
    dated.weights.path.write_text("others")
    os.utime(dated.weights.path, (1, 1))
    assert not dated.tuned_weights.current()
    dated.tuning.path.write_text("damaged")
    assert dated.tuned_weights.current()  # times again


VALUES: dict[str, Any] = {
    "history": [{"epoch": 1.0, "loss": 0.1 + 0.2}, {"epoch": 2.0, "loss": 1e-17, "rmp": 3.0}],
    "weights": {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "count": np.array(7, np.int64),
    },
    "tuning": {"weights": "00", "scales": {"a": 1.5}},
    "verdict": {"ok": True, "rows": []},
    "report": "<html>é</html>",
    "recipe": recipes.load("demo"),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_as_they_were_saved(name: str, tmp_path: Path) -> None:
    artefact = getattr(RunFolder(tmp_path), name)
    artefact.save(VALUES[name])
    found = artefact.load()
    if name == "weights":
        assert found.keys() == VALUES[name].keys()
        for key, value in VALUES[name].items():
            np.testing.assert_array_equal(found[key], value, strict=True)
    elif name == "history":
        first, second = found
        assert np.isnan(first.pop("rmp"))
        assert [first, second] == VALUES[name]
    else:
        assert found == VALUES[name]
    assert [path.name for path in tmp_path.iterdir()] == [artefact.kind.file]


@pytest.mark.parametrize("content", [None, b"\xff\x00{", b"a,b\n1\n"])
@pytest.mark.parametrize(
    "name", ["history", "weights", "evaluation", "tuning", "net", "verdict", "recipe"]
)
def test_missing_and_damaged_files_are_named(
    name: str, content: bytes | None, tmp_path: Path
) -> None:
    artefact = getattr(RunFolder(tmp_path), name)
    if content is not None:
        artefact.path.write_bytes(content)
    with pytest.raises(LavasegError, match=artefact.kind.file):
        artefact.load()


def test_json_of_another_shape_is_named(tmp_path: Path) -> None:
    tuning = RunFolder(tmp_path).tuning
    tuning.path.write_text("[1]")
    with pytest.raises(LavasegError, match="expected a JSON object"):
        tuning.load()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["network"]["nodes"][0].update(threshold=True), "threshold is True, expected"),
        (lambda d: d["network"]["nodes"][0].update(colour=1), "has an unknown field 'colour'"),
        (lambda d: d["network"]["projections"][0].update(delay=1.0), "delay is 1.0, expected int"),
        (lambda d: d["network"]["input"].update(shape=[3, 32]), "shape is [3, 32], expected"),
        (lambda d: d.update(classes=["a", 2]), "classes is ['a', 2]"),
        (lambda d: d.update(ignore_index="255"), "ignore_index is '255'"),
        (lambda d: d.update(picture_shape=[3, 32.0, 32]), "picture_shape is [3, 32.0, 32]"),
    ],
)
def test_a_description_is_read_as_strictly_as_that_of_a_net_file(
    change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    recipe = recipes.load("demo")
    sheet = Input("input", (3, 32, 32), 6)
    model = models.build(recipe.model.name, sheet, 2, **recipe.model.options)
    Run(tmp_path, recipe, model, ("a", "b"), None, (3, 32, 32)).save()
    path = RunFolder(tmp_path).description.path
    right = json.loads(path.read_text("utf-8"))
    assert Run.open(tmp_path).network == model
    change(right)
    path.write_text(json.dumps(right), "utf-8")
    with pytest.raises(LavasegError, match=re.escape(said)) as caught:
        Run.open(tmp_path)
    assert str(path) in str(caught.value)


def test_opening_a_run_imports_no_torch() -> None:
    code = "import sys, lavaseg.runs; sys.exit(bool({'torch', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- who keeps results ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with random weights, exported without fine-tuning."""
    from lavaseg.export import export
    from lavaseg.training import SpikingNetwork, preparing
    from lavaseg.training.weights import arrays_of, seed_weights

    recipe = recipes.load(
        "demo",
        [
            "data.options={train: 6, test: 4}",
            "model.options={channels: [2, 2, 2, 2, 2, 2, 2, 2]}",
            "encoder={kind: poisson, steps: 2}",
        ],
    )
    data = lavaseg.load_data("digits-photos", train=6, test=4)
    run = preparing.described(recipe, data, tmp_path_factory.mktemp("runs") / "tiny")
    run.save()
    seed_weights(0)
    run.files.weights.save(arrays_of(SpikingNetwork(run.network)))
    export(run, finetune=False, progress=False)
    return run


@pytest.fixture
def run(exported: Run, tmp_path: Path) -> Run:
    shutil.copytree(exported.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def verified(target: Any, stimuli: Any = None, **arguments: Any) -> Any:
    return lavaseg.verify(target, stimuli, backends=["torch"], progress=False, **arguments)


def evaluated(target: Any, samples: Any = None, **arguments: Any) -> Any:
    return lavaseg.evaluate_net(target, samples, progress=False, **arguments)


def test_what_is_given_a_run_keeps_its_result(run: Run) -> None:
    verdict = verified(run, limit=2)
    assert verdict.samples == 2
    assert run.files.verdict.current()
    assert run.files.verdict.load() == verdict.to_dict()
    found = evaluated(run)
    assert run.files.net_evaluation.current()
    assert run.files.net_evaluation.load().to_dict() == found.to_dict()
    lavaseg.evaluate(run, progress=False)
    assert run.files.evaluation.current()


def test_the_exported_network_is_read_once_and_again_when_it_has_changed(run: Run) -> None:
    net = run.net()
    assert run.net() is net
    os.utime(run.files.net.path)
    assert run.net() is not net


def test_a_run_stands_for_its_exported_network_and_its_test_data(run: Run) -> None:
    net, test = run.net(), run.data.test
    alone = evaluated(net, test, ignore_index=run.ignore_index)
    np.testing.assert_array_equal(evaluated(run).confusion, alone.confusion)
    stimuli = [test[index][0] for index in range(3)]
    assert verified(run, limit=3).rows == verified(net, stimuli).rows
    assert verified(run, stimuli[1:]).rows == verified(net, stimuli[1:]).rows


@pytest.mark.parametrize(
    "call",
    [
        lambda run: verified(run.net(), [run.data.test[0][0]]),
        lambda run: evaluated(run.net(), run.data.test),
        lambda run: evaluated(run, limit=2),
        lambda run: evaluated(run, seed=1),
        lambda run: evaluated(run, run.data.train),
        lambda run: lavaseg.evaluate(run, limit=2, progress=False),
        lambda run: lavaseg.record(run, samples=1),
        lambda run: lavaseg.evaluate(run, noise=0.1, progress=False),
        lambda run: evaluated(run, noise="salt-pepper:0"),
        lambda run: lavaseg.evaluate(run, steps=3, progress=False),
        lambda run: evaluated(run, steps=1),
    ],
    ids=[
        "verify net", "evaluate net", "limit", "seed", "other data", "floats, limit", "record",
        "floats, noise", "noise", "floats, steps", "steps",
    ],
)  # fmt: skip
def test_other_results_are_only_returned(run: Run, call: Callable[[Run], object]) -> None:
    before = sorted(run.path.iterdir())
    call(run)
    assert sorted(run.path.iterdir()) == before


def floats(run: Run, **arguments: Any) -> Any:
    return lavaseg.evaluate(run, progress=False, **arguments)


@pytest.mark.parametrize("call", [floats, evaluated])
def test_an_evaluation_says_its_noise_and_none_of_it_changes_nothing(
    run: Run, call: Callable[..., Any]
) -> None:
    clean, none, noisy = (call(run, noise=noise) for noise in (None, 0.0, "salt-pepper:0.9"))
    assert (clean.noise, none.noise) == (None, "gaussian:0, seed 0")
    np.testing.assert_array_equal(clean.confusion, none.confusion)
    for name, count in clean.counts.items():
        np.testing.assert_array_equal(count, none.counts[name])
    assert (clean.counts["input"] != noisy.counts["input"]).any()
    assert none.drop_from(clean) == 0
    assert noisy.drop_from(clean) == pytest.approx((clean.miou - noisy.miou) / clean.miou)


def test_floats_and_integers_see_the_same_noise(run: Run) -> None:
    # the demo's seed of the code is that of evaluate_net, so the spikes are the same, too
    assert run.recipe.seed == 0
    ours, theirs = (call(run, noise=0.3) for call in (floats, evaluated))
    np.testing.assert_array_equal(ours.counts["input"], theirs.counts["input"])


@pytest.mark.parametrize("call", [floats, evaluated])
@pytest.mark.parametrize("steps", [1, 2, 200])
def test_an_evaluation_at_another_t_counts_its_steps(
    run: Run, call: Callable[..., Any], steps: int
) -> None:
    found = call(run, steps=steps, limit=2)
    assert (found.steps, found.samples) == (steps, 2)
    assert found.counts["input"].max() <= 2 * steps
    assert found.counts["input"].max() > 2 * (steps - 1) * 0.9  # bright pixels spike nearly always
    own = call(run, limit=2)
    if steps == own.steps:
        assert found.to_dict() | {"seconds": 0} == own.to_dict() | {"seconds": 0}


def test_a_float_read_out_that_is_clipped_within_the_trained_steps_is_refused_at_more(
    run: Run,
) -> None:
    into = next(p.name for p in run.network.incoming(run.network.readout))
    arrays = run.files.weights.load()
    changed = [name for name in arrays if f".{into}." in name]
    assert changed
    louder = {name: 3e6 * v if name in changed else v for name, v in arrays.items()}
    run.files.weights.save(louder)
    with pytest.raises(LavasegError, match="within 200 steps"):
        floats(run, steps=200)


def test_an_integer_read_out_that_would_fire_at_another_t_is_refused() -> None:
    from lavaseg.encoders import Direct
    from lavaseg.network import Network, OneToOne, Population, Projection

    network = Network(
        Input("input", (2, 4, 4), 8),
        (Population("readout", None, 4096, 0),),
        (Projection("input", "readout", OneToOne()),),
        "readout",
    )
    net = lavaseg.IntegerNetwork(
        network, {"input_to_readout": np.array([254, 2], np.int16)}, Direct(1), ("a", "b")
    )
    samples = [(np.full((2, 4, 4), 255, np.uint8), np.zeros((4, 4), np.uint8))]
    assert evaluated(net, samples, steps=2).miou == 1
    with pytest.raises(LavasegError, match=r"'readout'.*within 3 steps"):
        evaluated(net, samples, steps=3)


@pytest.mark.parametrize("call", [verified, evaluated, Run.net])
def test_a_run_without_a_current_export_is_refused(run: Run, call: Callable[[Run], object]) -> None:
    os.utime(run.files.net.path, (1, 1))
    with pytest.raises(LavasegError, match=r"older than the trained weights.*lavaseg export"):
        call(run)
    run.files.net.remove()
    with pytest.raises(LavasegError, match=r"no exported network.*lavaseg export"):
        call(run)


def test_commands_that_are_named_take_a_run_whose_path_has_spaces(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    shutil.copytree(run.path, folder)
    for name in ("net", "weights"):
        getattr(Run.open(folder).files, name).remove()
    for ask, words in (
        (Run.net, ["export", str(folder)]),
        (lambda run: run.weights, ["train", str(folder / "recipe.yaml"), "--out", str(folder)]),
    ):
        with pytest.raises(LavasegError) as refused:
            ask(Run.open(folder))
        named = re.findall(r"`lavaseg (.*?)`", str(refused.value))
        assert [shlex.split(text)[: len(words)] for text in named] == [words]


@pytest.mark.parametrize("call", [verified, evaluated])
def test_a_network_alone_needs_data(run: Run, call: Callable[[object], object]) -> None:
    with pytest.raises(LavasegError, match="no data of its own"):
        call(run.net())


def test_training_leaves_warnings_and_logging_as_they_were(tmp_path: Path) -> None:
    import logging

    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    filters = list(warnings.filters)
    recipe = recipes.load(
        "demo",
        [
            "data.options={train: 6, test: 2}",
            "model.options={channels: [2, 2, 2, 2, 2, 2, 2, 2]}",
            "encoder.steps=1",
            "training.epochs=1",
        ],
    )
    lavaseg.train(recipe, tmp_path / "run", progress=False)
    assert {name: logging.getLogger(name).level for name in names} == levels
    assert list(warnings.filters) == filters
