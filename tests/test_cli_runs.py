"""The command line on a run: train, interrupt, resume, export, verify, evaluate, report, demo."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from lavaseg import recipes
from lavaseg.cli import app

TINY = (
    "data.options={train: 24, test: 4}",
    "model.options={channels: [4, 4, 4, 4, 4, 4, 4, 4]}",
    "encoder.steps=2",
    "training.epochs=1",
    "training.batch_size=8",
    "finetune.epochs=0",
)
"""Overrides that make the demo a matter of seconds."""


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def tiny(*overrides: str) -> list[str]:
    return [word for item in (*TINY, *overrides) for word in ("--set", item)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run, trained and exported by the command line."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    trained = call("train", "demo", *tiny(), "--out", folder)
    assert trained.exit_code == 0, trained.output
    assert f"lavaseg export {folder}" in trained.stdout
    assert re.search(r"Loihi 2 +\d+ cores? on 1 chip, smallest board Oheo Gulch", trained.stderr)
    exported = call("export", folder)
    assert exported.exit_code == 0, exported.output
    return folder


def test_run_holds_what_training_and_export_wrote(run: Path) -> None:
    for name in ("recipe.yaml", "model.safetensors", "metrics.csv", "net.net"):
        assert (run / name).is_file(), name


def test_run_is_evaluated_in_floats_and_its_net_in_integers_on_the_same_data(run: Path) -> None:
    for target, kept in ((run, "evaluation.json"), (run / "net.net", "evaluation-net.json")):
        result = call("evaluate", target, "--json")
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["samples"] == 4
        assert set(found["iou"]) == {"background", "digit"}
        assert found["energy"]["synaptic_operations"] >= 0
        assert (run / kept).is_file()


def test_noise_is_compared_with_the_clean_evaluation_that_the_run_keeps(run: Path) -> None:
    for target, kept in ((run, "evaluation.json"), (run / "net.net", "evaluation-net.json")):
        (run / kept).unlink(missing_ok=True)
        noisy = ("evaluate", target, "--noise", "salt-pepper:0.5")
        unknown = call(*noisy)
        assert unknown.exit_code == 0, unknown.output
        assert "salt and pepper on 50 % of the pixels" in unknown.stdout
        assert "unknown" in unknown.stdout
        assert json.loads(call(*noisy, "--json").stdout)["drop"] is None
        assert not (run / kept).exists()
        clean = json.loads(call("evaluate", target, "--json").stdout)
        before = (run / kept).read_bytes()
        found = json.loads(call(*noisy, "--json").stdout)
        assert found["noise"] == "salt-pepper:0.5, seed 0"
        assert found["clean_miou"] == clean["miou"]
        assert found["drop"] == pytest.approx((clean["miou"] - found["miou"]) / clean["miou"])
        other = json.loads(call(*noisy, "--noise-seed", 1, "--json").stdout)
        assert other["populations"]["input"] != found["populations"]["input"]
        assert "clean mIoU" in call(*noisy).stdout
        assert json.loads(call(*noisy, "--limit", 2, "--json").stdout)["drop"] is None
        assert (run / kept).read_bytes() == before


def test_another_t_is_evaluated_and_its_rule_said(run: Path) -> None:
    for target in (run, run / "net.net"):
        result = call("evaluate", target, "--steps", 5)
        assert result.exit_code == 0, result.output
        assert "evaluated at 5 steps, trained with 2" in result.stdout
        assert "repeats the last one" in result.stdout
        own = call("evaluate", target, "--steps", 2)
        assert "trained with" not in own.stdout
        assert json.loads(call("evaluate", target, "--steps", 5, "--json").stdout)["steps"] == 5


def test_noise_and_steps_that_make_no_sense_are_one_sentence(run: Path) -> None:
    for target in (run, run / "net.net"):
        refused(call("evaluate", target, "--noise", "fog:1"), "'fog'", "salt-pepper")
        refused(call("evaluate", target, "--noise", "drop-events:0.1"), "recordings", "direct")
        refused(call("evaluate", target, "--steps", 5000), "5000", "4096")
        assert call("evaluate", target, "--steps", 0).exit_code == 2


def test_operations_of_residual_streams_are_counted_as_trained_and_as_exported(
    tmp_path: Path,
) -> None:
    residual = "model={name: spiking_resnet, options: {channels: [4, 6], blocks: 1}}"
    folder = tmp_path / "run"
    trained = call("train", "demo", *tiny(residual), "--out", folder)
    assert trained.exit_code == 0, trained.output
    assert "nan" not in trained.stderr
    assert call("export", folder).exit_code == 0
    found, macs = {}, {}
    for target in (folder, folder / "net.net"):
        result = call("evaluate", target, "--json")
        assert result.exit_code == 0, result.output
        energy = json.loads(result.stdout)["energy"]
        found[target] = energy["synaptic_operations"]
        macs[target] = energy["macs"]
    floats, integers = found.values()
    assert len(set(macs.values())) == 1  # as described, not as unrolled
    alone = shutil.copy(folder / "net.net", tmp_path / "alone.net")
    result = call("evaluate", alone, "--data", "digits-photos", "--limit", 2)
    assert "not beside it" in " ".join(result.stdout.split())
    assert 0.5 < floats / integers < 2  # other networks: one rounds, their rates are alike


def test_where_operations_are_not_counted_another_command_is_named(tmp_path: Path) -> None:
    published = "model.options={channels: [4, 4, 4, 4, 4, 4, 4, 4], preset: published}"
    folder = tmp_path / "run"
    assert call("train", "demo", *tiny(published), "--out", folder).exit_code == 0
    result = call("evaluate", folder)
    assert "pool2 sends sums" in result.stdout
    assert f"`lavaseg record {folder}` counts them" in " ".join(result.stdout.split())
    for formula in ("Kim et al.'s formula", "MFS-Seg's formula", "Artificial network"):
        assert formula in result.stdout
    found = json.loads(call("evaluate", folder, "--json").stdout)["energy"]
    assert found["synaptic_operations"] is None
    assert "pool2 sends sums" in found["uncounted"]
    assert {row["name"] for row in found["energy"]} == {"kim", "mfs-seg", "ann"}
    recorded = call("record", folder, "--samples", 1, "-o", tmp_path / "record.npz", "--json")
    assert recorded.exit_code == 0, recorded.output


@pytest.mark.slow
def test_an_artificial_run_is_converted_and_the_rest_of_the_commands_take_it(
    tmp_path: Path,
) -> None:
    ann, made = tmp_path / "ann", tmp_path / "made"
    fields = ("model.name=ann_deeplab", "encoder={kind: direct, steps: 1, bits: 6}")
    trained = call("train", "demo", *tiny(*fields[1:], fields[0]), "--out", ann)
    assert trained.exit_code == 0, trained.output
    assert f"lavaseg convert {ann} --out {ann}-converted" in trained.stdout
    refused(call("export", ann), f"lavaseg convert {ann}")
    refused(call("convert", ann, "--out", made, "--rule", "magic"), "'magic'", "channel")
    assert not made.exists()
    arguments = ("convert", ann, "--out", made, "--steps", "3", "--calibration", "4")
    result = call(*arguments, "--reset", "hard", "--set", "finetune.epochs=1")
    assert result.exit_code == 0, result.output
    assert f"lavaseg export {made}" in result.stdout
    for command in ("evaluate", "export", "report"):
        result = call(command, made)
        assert result.exit_code == 0, result.output
    result = call("evaluate", made / "net.net", "--json")
    assert json.loads(result.stdout)["energy"]["synaptic_operations"] >= 0  # relays and all
    refused(call(*arguments), str(made), "already holds a run", "--out")
    refused(call("convert", made, "--out", tmp_path / "again"), "spiking network already")
    recipe = made / "recipe.yaml"
    refused(call("train", recipe, "--out", made, "--resume"), "converted network")
    refused(call("train", recipe, "--out", tmp_path / "again"), "lavaseg convert")
    kept = call("convert", ann, "--out", tmp_path / "soft")
    assert kept.exit_code == 0, kept.output
    assert f"lavaseg evaluate {tmp_path / 'soft'}" in kept.stdout
    refused(call("export", tmp_path / "soft"), "soft reset", "--reset hard")


@pytest.mark.parametrize("target", [".", "net.net"])
def test_verify_of_a_run_or_its_network_keeps_the_verdict(run: Path, target: str) -> None:
    (run / "verify.json").unlink(missing_ok=True)
    result = call("verify", run / target, "--backend", "lava-inprocess", "--samples", "2")
    assert result.exit_code == 0, result.output
    assert f"lavaseg predict {run / 'net.net'} " in result.stdout
    verdict = json.loads((run / "verify.json").read_text("utf-8"))
    assert verdict["ok"] is True
    assert verdict["samples"] == 2


@pytest.mark.slow
def test_verify_of_a_run_needs_no_more_than_1024_open_files(run: Path) -> None:
    command = [sys.executable, "-m", "lavaseg", "verify", str(run), "--samples", "1"]
    limited = ["bash", "-c", 'ulimit -n 1024; exec "$0" "$@"', *command]
    result = subprocess.run(limited, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert "every spike and every read-out is equal" in result.stdout


def test_report_of_a_run_is_one_page(run: Path) -> None:
    result = call("report", run, "--out", run / "page.html")
    assert result.exit_code == 0, result.output
    assert "<html" in (run / "page.html").read_text("utf-8")


def test_layers_of_a_run_are_recorded_on_its_test_data(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "record.npz"
    result = call("record", run, "--samples", "2", "--layers", "input,conv1, readout", "-o", path)
    assert result.exit_code == 0, result.output
    for expected in ("float network: 2 samples, 2 steps", "conv1", "4x32x32", str(path)):
        assert expected in " ".join(result.stdout.split())
    assert "conv2" not in result.stdout
    with np.load(path, allow_pickle=False) as file:
        metadata = json.loads(str(file["metadata"]))
        membranes, spikes = file["conv1/membranes"], file["conv1/spikes"]
        assert file["input/spikes"].shape == (2, 2, 3, 32, 32)
        layers = {layer["name"]: layer for layer in metadata["layers"]}
        assert metadata["unit"] == "trained units"
        assert np.array_equal(spikes, membranes > layers["conv1"]["threshold"])
        assert layers["readout"]["operations"] is not None

    result = call("record", run, "-n", "1", "--no-membranes", "-o", path, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["inputs"] == ["digits-photos-0"]
    with np.load(path, allow_pickle=False) as file:
        assert not [key for key in file.files if key.endswith("/membranes")]
        metadata = json.loads(str(file["metadata"]))
        assert {key: printed[key] for key in metadata} == metadata


def test_activations_of_an_artificial_run_are_recorded(tmp_path: Path) -> None:
    small = ("model.name=unet", "model.options={width: 2, depth: 1}")
    trained = call("train", "demo", *tiny(*small), "--out", tmp_path / "run")
    assert trained.exit_code == 0, trained.output
    path = tmp_path / "record.npz"
    result = call("record", tmp_path / "run", "digits-photos:1-3", "digits-photos:0", "-o", path)
    assert result.exit_code == 0, result.output
    assert "artificial network: 3 samples" in " ".join(result.stdout.split())
    with np.load(path, allow_pickle=False) as file:
        assert file["down.0.0/values"].shape == (3, 2, 32, 32)
        assert json.loads(str(file["metadata"]))["numbers"] == [1, 2, 0]


def test_trained_run_is_not_overwritten(run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    result = call("train", "demo", *tiny(), "--out", run)
    assert result.exit_code == 2
    assert "--resume" in result.stderr
    assert (run / "model.safetensors").read_bytes() == before


def test_resuming_with_other_settings_is_refused(run: Path) -> None:
    result = call("train", "demo", *tiny("training.epochs=2"), "--out", run, "--resume")
    assert result.exit_code == 2
    assert "other settings" in result.stderr


def test_interrupted_training_says_how_to_resume_and_resumes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ["train", "demo", *tiny("training.epochs=12"), "--out", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lavaseg", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = folder / "metrics.csv"
    while process.poll() is None and (not metrics.exists() or len(metrics.open().readlines()) < 3):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert f"--out {folder} --resume` goes on from there" in errors
    assert 2 <= len(metrics.open().readlines()) - 1 < 12

    resumed = call(*words, "--resume")
    assert resumed.exit_code == 0, resumed.output
    epochs = [line.split(",")[0] for line in metrics.open().read().splitlines()[1:]]
    assert len(epochs) == len(set(epochs)) == 12


@pytest.mark.slow
def test_demo_goes_through_every_stage_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = recipes.load("demo", TINY)
    load = recipes.load
    chosen = lambda name, *_: small if name == "demo-levels" else load(name)  # noqa: E731
    monkeypatch.setattr(recipes, "load", chosen)
    monkeypatch.setattr("lavaseg.cli.demo.SAMPLES", 2)
    for _ in range(2):
        result = call("demo", "--out", tmp_path / "demo")
        assert result.exit_code == 0, result.output
        for stage in range(1, 6):
            assert f"{stage}/5" in result.stdout
        assert "every spike and every read-out is equal" in result.stdout
        for name in ("report.html", "net.net"):
            assert str(tmp_path / "demo" / name) in result.stdout
            assert (tmp_path / "demo" / name).is_file()


# -- mistakes ------------------------------------------------------------------------------------


def refused(result: Result, *words: str) -> None:
    """Exit code 2 and one sentence on stderr that holds `words`."""
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


COMMANDS = (
    ("export",),
    ("report",),
    ("evaluate",),
    ("verify",),
    ("record",),
    ("convert", "--out", "there"),
)
"""Commands that take a run."""


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_missing_run_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    refused(call(*command, tmp_path / "nowhere"), "nowhere", "lavaseg train")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_folder_that_is_no_run_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    refused(call(*command, tmp_path), f"{tmp_path} is not a run", "recipe.yaml")


def test_damaged_run_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes((run / "recipe.yaml").read_bytes())
    (tmp_path / "network.json").write_text('{"network"')
    refused(call("export", tmp_path), "network.json")
    (tmp_path / "network.json").write_bytes((run / "network.json").read_bytes())
    refused(call("export", tmp_path), "no trained weights", "--resume")
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    refused(call("export", tmp_path), "model.safetensors")
    assert not (tmp_path / "net.net").exists()


def test_output_folder_that_cannot_be_written_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    inside = tmp_path / "file" / "inside"
    for arguments in (
        ("train", "demo", "--out", inside),
        ("demo", "--out", inside),
        ("convert", run, "--out", inside / "made"),
        ("export", run, "--out", inside / "net.net"),
        ("report", run, "--out", inside / "report.html"),
    ):
        refused(call(*arguments), "cannot write into the folder", str(inside))
    assert (tmp_path / "file").read_text() == "no folder"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), ("no recipe 'nothing'", "lavaseg recipes")),
        (("demo", "--set", "training.epoch=3"), ("'training.epoch'", "epochs")),
        (("demo", "--set", "training.epochs=0"), ("'training.epochs'", "got 0")),
        (("demo", "--set", "data.name=mnsit"), ("'mnsit'", "did you mean 'nmnist'")),
        (("demo", "--set", "model.name=vnet"), ("'vnet'", "did you mean 'unet'")),
        (("demo", "--resume"), ("no run to resume",)),
    ],
)
def test_wrong_recipe_is_named_and_leaves_no_run(
    arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path
) -> None:
    refused(call("train", *arguments, "--out", tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


def test_run_takes_no_other_data(run: Path) -> None:
    refused(call("evaluate", run, "--data", "digits-photos"), "--data")


def test_recipes_are_listed_with_what_they_reproduce() -> None:
    result = call("recipes")
    assert result.exit_code == 0
    for name in recipes.names():
        assert name in result.stdout
    found = json.loads(call("recipes", "--json").stdout)
    assert [recipe["name"] for recipe in found] == recipes.names()
