"""What a training runs on, and how long, is the user's to choose, and changes no result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_data import DEMO
from typer.testing import CliRunner

from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.data.base import Samples
from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.export import export
from lavaseg.kernels.devices_torch import Devices, devices_of
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.recipes import Recipe
from lavaseg.recipes.machine import Machine, seconds_of
from lavaseg.runs import Run
from lavaseg.runs.run import stopped_early
from lavaseg.studies.plan import key_of
from lavaseg.system.threads import limited_threads, workers
from lavaseg.training import SpikingNetwork, evaluate, train
from lavaseg.training.batches import loader
from lavaseg.training.callbacks import History
from lavaseg.training.place import Place
from lavaseg.training.plan import Plan
from lavaseg.training.segmenter import Segmenter, segmenter
from lavaseg.training.trainers import on


def small(*fields: str) -> Recipe:
    """The demo at toy size: a few batches in each of three epochs."""
    return recipes.load("demo", [*DEMO, *fields])


def rows_of(run: Run) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history()]


def lavaseg(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "cuda:7"), "there is no device 'cuda:7' to compute on: "),
        (("--device", "gpu"), "'machine.device': expected auto, cpu, cuda, or one GPU such as cud"),
        (("--device", "mps"), "'machine.device': there are no neurons for Apple's GPUs, expected"),
        (
            ("--devices", "0"),
            "'machine.devices': it should be greater than or equal to",
        ),
        (
            ("--threads", "0"),
            "'machine.threads': it should be greater than or equal to",
        ),
        (("--workers", "-1"), "'machine.workers': it should be greater than or equal to 0"),
        (("--precision", "fp8"), "'training.precision': it should be 'float32', 'bfloat16' or"),
        (("--precision", "float16", "--device", "cpu"), "training.precision float16 needs a GPU"),
        (
            ("--accumulate", "0"),
            "'training.accumulate': it should be greater than or equal to",
        ),
        (("--time-limit", "soon"), "'machine.time_limit': expected a time above 0, such as 90s"),
        (("--time-limit", "0s"), "'machine.time_limit': expected a time above 0, such as 90s"),
        (("--early-stop", "-2"), "'training.early_stop': it should be greater than or equal to"),
        (
            ("--early-stop", "2", "--set", "training.train_on_all=true"),
            "training.early_stop is 2, but with training.train_on_all nothing is validated",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    result = lavaseg("train", "demo", *words, "--out", str(tmp_path / "run"))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert said in line
    assert not (tmp_path / "run").exists()


def test_more_gpus_than_there_are_and_several_of_one_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lavaseg.kernels.devices_torch.check_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices_of("auto") == Devices("cuda", (0,))
    assert devices_of("cuda", 2) == Devices("cuda", (0, 1))
    assert devices_of("cuda:1") == Devices("cuda", (1,))
    with pytest.raises(LavasegError, match=r"devices is 3, and torch finds 2 NVIDIA GPUs"):
        devices_of("cuda", 3)
    with pytest.raises(LavasegError, match=r"'cuda:1' is one GPU"):
        devices_of("cuda:1", 2)


def test_one_device_is_taken_unless_more_are_asked_for_and_a_gpu_by_its_number() -> None:
    plan = Plan(recipes.load("demo").training, Direct(1), 0, 1.0)
    assert recipes.load("demo").machine == Machine()
    assert on(Place(Devices("cpu", (0,))), plan)["devices"] == 1
    arguments = on(Place(Devices("cuda", (1,))), plan)
    assert (arguments["accelerator"], arguments["devices"]) == ("gpu", [1])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90s", 90), ("45m", 2700), ("1.5h", 5400), ("1h30m", 5400), ("2h5s", 7205)),
        *(("1:30:00", 5400), ("10:30", 630), ("", 0), ("5", 0), ("h", 0), ("1m1h", 0), ("-5s", 0)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_the_machine_is_no_part_of_what_a_run_is(tmp_path: Path) -> None:
    other = ("machine.device=cpu", "machine.threads=1", "machine.workers=2")
    assert key_of(small(*other)) == key_of(small())
    assert key_of(small("training.precision=bfloat16")) != key_of(small())
    one = train(small("machine.threads=1"), tmp_path / "one", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Segmenter, "training_step", _interrupting(1))
        with pytest.raises(KeyboardInterrupt):
            train(small("machine.threads=1"), tmp_path / "two", progress=False)
    two = train(small(*other), tmp_path / "two", resume=True, progress=False)
    assert rows_of(one) == rows_of(two)  # with processes that read and encode for it
    assert Run.open(two.path).recipe.machine.workers == 2


def _interrupting(epoch: int) -> Any:
    honest = Segmenter.training_step

    def step(self: Segmenter, batch: Any, index: int) -> torch.Tensor:
        if self.trainer.current_epoch == epoch:
            raise KeyboardInterrupt
        return honest(self, batch, index)

    return step


def test_threads_are_limited_for_a_while() -> None:
    before, own = torch.get_num_threads(), workers()
    with limited_threads(1):
        assert (torch.get_num_threads(), workers()) == (1, 1)
    assert (torch.get_num_threads(), workers()) == (before, own)


class Damaged(Samples):
    """Samples of which one cannot be read."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        if index == 2:
            raise LavasegError("picture 2 is damaged")
        return np.zeros((1, 2, 2), np.uint8), np.zeros((2, 2), np.uint8)


@pytest.mark.parametrize("count", [0, 1])
def test_what_a_worker_cannot_read_is_told_as_without_workers(count: int) -> None:
    batches = loader(Damaged(), Direct(1), batch_size=2, seed=0, shuffle=False, workers=count)
    with pytest.raises(LavasegError) as told:
        list(batches)
    assert str(told.value) == "picture 2 is damaged"


def test_accumulated_batches_have_the_gradient_of_one_batch() -> None:
    """Of a network without batch norm: cross-entropy with class weights and unknown pixels, RMP."""
    torch.manual_seed(0)
    nodes = (
        Population("a", 0.5, voltage_decay=128, bias=True),
        Population("side", None, voltage_decay=0),
        Population("edge", None, voltage_decay=0),
        Population("out", None, voltage_decay=0),
    )
    edges = (
        Projection("input", "a", Conv(4, (3, 3), padding=(1, 1))),
        Projection("a", "side", Conv(3, (1, 1), (2, 2))),
        Projection("a", "edge", Conv(1, (1, 1), (2, 2))),
        Projection("a", "out", Conv(3, (1, 1))),
    )
    network = Network(Input("input", (2, 8, 8)), nodes, edges, "out", ("side", "edge"))
    chosen = recipes.load(
        "demo",
        ["training.class_weights=[1, 2, 4]", "rmp.weight=0.3", "rmp.schedule=constant"],
    )
    steps = 3
    messages = (torch.rand(7, 2, 8, 8, steps) < 0.5).float()
    labels = torch.randint(0, 3, (7, 8, 8))
    for k in range(7):
        labels[k, : k % 6] = 255  # batches differ in what counts
    gradients = []
    for sizes in ([7], [3, 3, 1]):
        model = SpikingNetwork(network, steps=steps)
        torch.manual_seed(1)
        for value in model.parameters():
            torch.nn.init.normal_(value, std=0.3)
        training = chosen.training.model_copy(update={"accumulate": len(sizes)})
        weights = (1.0, 2.0, 4.0)
        plan = Plan(training, Direct(steps), 0, 3.0, chosen.rmp, 255, class_weights=weights)
        module = segmenter(model, plan, 3)
        module.log = lambda *_, **__: None  # type: ignore[method-assign]
        module.trainer = _Halfway()  # type: ignore[assignment]
        group = list(labels.split(sizes))
        for part, own in zip(messages.split(sizes), group, strict=True):
            (module.training_step((part, own, group), 0) / len(sizes)).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    one, several = gradients
    for name, gradient in one.items():
        if gradient is None:
            assert several[name] is None, name
            continue
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(several[name], gradient, rtol=1e-4, atol=1e-7, msg=name)


class _Halfway:
    global_step, estimated_stepping_batches = 1, 2


def test_accumulated_batches_train_what_one_batch_trains(tmp_path: Path) -> None:
    model = "model.options={channels: [4, 4, 4, 4, 4, 4, 4, 4], norm: none}"
    common = (model, "training.optimiser=sgd", "training.learning_rate=0.01")
    sizes = {"one": ("training.batch_size=10",)}
    sizes["two"] = ("training.batch_size=5", "training.accumulate=2")
    runs = {
        name: train(small(*common, *fields), tmp_path / name, progress=False)
        for name, fields in sizes.items()
    }
    one, two = (load_file(runs[name].weights) for name in sizes)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-5, msg=name)
    for row, other in zip(*(rows_of(runs[name]) for name in sizes), strict=True):
        assert other["loss"] == pytest.approx(row["loss"], rel=1e-4)
        assert other["learning_rate"] == row["learning_rate"]


def test_lower_precision_trains_and_is_exported_as_float32(tmp_path: Path) -> None:
    recipe = small("training.precision=bfloat16", "finetune.epochs=1", "training.epochs=1")
    dtypes = set()
    honest = Segmenter.logits

    def spy(self: Segmenter, readout: torch.Tensor) -> torch.Tensor:
        dtypes.add((self.plan.optimisation.precision, torch.is_autocast_enabled("cpu")))
        return honest(self, readout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Segmenter, "logits", spy)
        run = train(recipe, tmp_path / "run", progress=False)
        net = export(run, progress=False)
    assert {("bfloat16", True), ("float32", False)} <= dtypes
    assert ("float32", True) not in dtypes
    assert {value.dtype for value in load_file(run.weights).values()} <= {
        *(torch.float32, torch.int64)
    }
    assert net.steps == 2
    assert np.isfinite(evaluate(run, progress=False).loss)


@pytest.mark.parametrize(
    ("scores", "patience", "ended"),
    [
        ([0.1, 0.2, 0.2, 0.1], 2, True),
        ([0.1, 0.2, 0.2], 2, False),
        ([0.1, 0.2, 0.1, 0.3], 2, False),
        ([float("nan")] * 3, 2, True),
        ([0.3, 0.1], 0, False),
        ([], 1, False),
    ],
)
def test_early_stop_counts_epochs_without_gain(
    scores: list[float], patience: int, ended: bool
) -> None:
    assert stopped_early([{"val_miou": score} for score in scores], patience) == ended


def test_training_stops_where_nothing_is_gained_and_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    still = ("training.learning_rate=1e-12", "training.early_stop=2", "training.epochs=9")
    run = train(small(*still), tmp_path / "run")
    assert len(run.history()) < 9
    assert run.finished
    assert "training.early_stop: no better validation mIoU" in capsys.readouterr().err
    epochs = len(run.history())
    again = train(small(*still), tmp_path / "run", resume=True, progress=False)
    assert len(again.history()) == epochs
    patient = (*still, "training.early_stop=0", f"training.epochs={epochs + 1}")
    constant = ("training.schedule=constant",)
    with pytest.raises(LavasegError, match="other settings"):
        train(small(*patient, *constant), tmp_path / "run", resume=True, progress=False)


def test_a_time_limit_between_epochs_leaves_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(small(), tmp_path / "whole", progress=False)
    clock = _Clock(monkeypatch, seconds_per_epoch=100)
    result = lavaseg_train(tmp_path / "run", "--time-limit", "250s")
    assert "no time for epoch 3 of 3, so training ends with epoch 2" in result.stderr
    assert "To go on: `lavaseg train" in result.stdout
    assert "--time-limit 250s" in result.stdout
    assert "Next: `lavaseg export" in result.stdout
    run = Run.open(tmp_path / "run")
    assert len(run.history()) == 2
    assert not run.finished
    export(run, finetune=False, progress=False)
    clock.stop()
    resumed = train(small(), tmp_path / "run", resume=True, progress=False)
    assert rows_of(resumed) == rows_of(whole)
    assert resumed.finished


def test_a_time_limit_within_the_first_epoch_keeps_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(small(), tmp_path / "whole", progress=False)
    clock = _Clock(monkeypatch, seconds_per_epoch=0, seconds_per_batch=60)
    result = lavaseg_train(tmp_path / "run", "--time-limit", "30s")
    assert "the weights after 1 of 3 batches of epoch 1 are kept" in result.stderr
    run = Run.open(tmp_path / "run")
    assert run.history() == []
    export(run, finetune=False, progress=False)
    clock.stop()
    assert rows_of(train(small(), run.path, resume=True, progress=False)) == rows_of(whole)


def test_a_time_limit_within_a_later_epoch_gives_up_what_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock(monkeypatch, seconds_per_epoch=0, seconds_per_batch=60)
    result = lavaseg_train(tmp_path / "run", "--time-limit", "400s")
    assert "1 of 3 batches of epoch 2 are given up" in result.stderr
    clock.stop()
    assert len(Run.open(tmp_path / "run").history()) == 1


def lavaseg_train(folder: Path, *words: str) -> Any:
    recipe = folder.with_suffix(".yaml")
    recipe.write_text(recipes.dump(small()))
    result = lavaseg("train", str(recipe), "--out", str(folder), *words)
    assert result.exit_code == 0, result.stderr
    return result


class _Clock:
    """Time in which an epoch's end takes as long as is said, and a batch in later epochs longer."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        seconds_per_epoch: float,
        seconds_per_batch: float = 0,
    ) -> None:
        self.passed, self.runs, honest = 0.0, True, time.monotonic
        step = Segmenter.training_step

        def on_train_epoch_end(this: Any, *given: Any) -> None:
            self.passed += seconds_per_epoch * self.runs
            ended(this, *given)

        def training_step(this: Any, *given: Any) -> torch.Tensor:
            self.passed += seconds_per_batch * self.runs * (1 + 3 * this.current_epoch)
            return step(this, *given)

        ended = History.on_train_epoch_end
        monkeypatch.setattr(History, "on_train_epoch_end", on_train_epoch_end)
        monkeypatch.setattr(Segmenter, "training_step", training_step)
        monkeypatch.setattr(time, "monotonic", lambda: honest() / 1e6 + self.passed)

    def stop(self) -> None:
        self.runs = False
