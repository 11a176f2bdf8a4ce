"""Several processes that train together: as one process would, and gone when it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import distributed, nn

from lavaseg import recipes
from lavaseg.data.base import Samples
from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.export import export
from lavaseg.network import Node
from lavaseg.recipes import Recipe
from lavaseg.training import company as company_module
from lavaseg.training import train
from lavaseg.training.batches import loader
from lavaseg.training.callbacks import History
from lavaseg.training.health import Health
from lavaseg.training.norm import BatchNormOverTime, StepNorm
from lavaseg.training.ranks import Rank, norms_together
from lavaseg.training.segmenter import Segmenter

IGNORED = 255
TWO = ("machine.device=cpu", "machine.devices=2")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Pictures whose labels cover a different part of each."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 11), ("validation", 7), ("test", 1)):
        for kind in ("pictures", "labels"):
            (tmp_path / "data" / part / kind).mkdir(parents=True)
        for i in range(count):
            label = rng.integers(0, 3, (16, 16)).astype(np.uint8)
            label[: 3 * (i % 5)] = IGNORED
            picture = np.stack([80 * (label % 3)] * 3, -1) + rng.integers(0, 80, (16, 16, 3))
            Image.fromarray(picture.astype(np.uint8)).save(
                tmp_path / "data" / part / "pictures" / f"{i}.png"
            )
            Image.fromarray(label).save(tmp_path / "data" / part / "labels" / f"{i}.png")
    return tmp_path / "data"


def small(root: Path, *fields: str) -> Recipe:
    """Batches of 5, so that shares differ, and a last batch of 2 validation samples in 7."""
    return recipes.load(
        "demo",
        [
            "data.name=folder",
            f"data.options={{root: {root}, classes: 3, ignore: {IGNORED}}}",
            "encoder={kind: direct, steps: 2, bits: 6}",
            "training={epochs: 2, batch_size: 5, optimiser: sgd, learning_rate: 0.01}",
            "training.class_weights=[1, 2, 3]",
            "machine.threads=1",
            *fields,
        ],
    )


SPIKING = (
    "model.options={channels: [4, 4, 4, 4, 4, 4, 4, 4], norm: none}",
    "rmp.weight=0.1",
    "rmp.schedule=constant",
)
ANALOG = (
    "model={name: unet, options: {width: 2, depth: 2}}",
    "encoder={kind: direct, steps: 1, bits: 8}",
    "training.accumulate=2",
)


@pytest.mark.slow
@pytest.mark.parametrize("model", [SPIKING, ANALOG], ids=["spiking", "analog"])
def test_two_processes_train_what_one_trains(
    model: tuple[str, ...], pictures: Path, tmp_path: Path
) -> None:
    one = train(small(pictures, *model), tmp_path / "one", progress=False)
    two = train(small(pictures, *model, *TWO), tmp_path / "two", progress=False)
    assert not distributed.is_initialized()
    rows, others = one.history(), two.history()
    assert len(rows) == len(others) == 2
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() - {"seconds"}:
            assert other[name] == pytest.approx(row[name], rel=2e-3), name
    weights, found = (load_file(run.weights) for run in (one, two))
    assert weights.keys() == found.keys()
    for name, value in weights.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=2e-5, msg=name)
    assert any(value.dtype.is_floating_point and value.any() for value in weights.values())
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert {path.name for path in (tmp_path / "two").iterdir()} == names
    events = [*(tmp_path / "two" / "tensorboard").rglob("events*")]
    assert len(events) == len([*(tmp_path / "one" / "tensorboard").rglob("events*")])


@pytest.mark.full
def test_two_processes_begin_with_the_same_weights_and_keep_frozen_layers(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Norms are frozen, too; what the integers of a `.net` file lack is measured by the first."""
    fields = (
        "model.options={channels: [4, 4, 4, 4, 4, 4, 4, 4]}",
        "training.optimiser=adam",
        "training.weight_decay=0.1",
        "training.epochs=1",
    )
    base = train(small(pictures, *fields, "seed=3"), tmp_path / "base", progress=False)
    export(base, finetune=False, calibration=0, progress=False)
    frozen = (*fields, "init.frozen=conv[1-3]")
    found = {}
    for name, init, more in (
        ("one", base.path, ()),
        ("two", base.path, TWO),
        ("one of integers", base.files.net.path, ()),
        ("two of integers", base.files.net.path, TWO),
    ):
        found[name] = train(small(pictures, *frozen, *more), tmp_path / name, init=init)
        said = capsys.readouterr().err
        assert said.count("frozen: conv1, conv2, conv3") == 1
        assert said.count("\nparameters ") + said.startswith("parameters ") == 1
    before = load_file(base.weights)
    for kind in ("", " of integers"):
        one, two = (load_file(found[f"{count}{kind}"].weights) for count in ("one", "two"))
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-4, msg=name)
        held = [n for n in before if re.search(r"conv[123]\.|_to_conv[123]\.", n)]
        assert any("norms." in name for name in held)
        for name in held if not kind else ():
            assert torch.equal(two[name], before[name]), name
        assert not torch.equal(two["norms.conv4.running_mean"], before["norms.conv4.running_mean"])
        accounts = [found[f"{count}{kind}"].files.begun.load() for count in ("one", "two")]
        assert accounts[0] == accounts[1]


@pytest.mark.full
def test_a_time_limit_and_what_one_process_alone_sees_are_those_of_both(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Here only the first process finds a layer silent and is late, and it alone knows of it."""
    honest, begins, clock = Health._look, History.on_train_epoch_start, time.monotonic

    def deaf(self: Health, node: Node, spikes: torch.Tensor) -> None:
        honest(self, node, spikes * (node.name != "conv3"))

    def late(self: History, trainer: Any, module: Any) -> None:
        begins(self, trainer, module)
        if trainer.current_epoch == 1:
            monkeypatch.setattr(time, "monotonic", lambda: clock() + 1e6)

    monkeypatch.setattr(Health, "_look", deaf)
    monkeypatch.setattr(History, "on_train_epoch_start", late)
    recipe = small(pictures, *SPIKING, *TWO, "machine.time_limit=1h")
    run = train(recipe, tmp_path / "run")
    said = capsys.readouterr().err
    assert "time limit 1h: 1 of 2 batches of epoch 2 are given up" in said
    assert "conv3 sent no spike" not in said
    assert len(run.history()) == 1


class Numbered(Samples):
    """Samples that can be told apart."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return np.full((1, 1, 1), index, np.uint8), np.full((1, 1), index, np.uint8)


@pytest.mark.parametrize(("count", "size", "accumulate"), [(23, 5, 1), (23, 4, 3), (7, 4, 3)])
def test_each_sample_is_taken_once_however_many_share_the_batches(
    count: int, size: int, accumulate: int
) -> None:
    def taken(shuffle: bool, ranks: int) -> list[list[list[int]]]:
        """Samples of each batch, for each process."""
        found = []
        for number in range(ranks):
            batches = loader(
                Numbered(count),
                Direct(1, bits=8),
                batch_size=size,
                seed=0,
                shuffle=shuffle,
                accumulate=accumulate if shuffle else None,
                rank=Rank(number, ranks),
            )
            found.append([batch[1].flatten().tolist() for batch in batches])
            assert len(found[-1]) == len(batches)
        return found

    for ranks in (1, 2, 3):
        (alone,), shares = taken(True, 1), taken(True, ranks)
        assert {len(share) for share in shares} == {len(shares[0])}
        together = [sorted(chain(*parts)) for parts in zip(*shares, strict=True)]
        if count > size * accumulate:
            assert together == [sorted(batch) for batch in alone]
        assert len({sample for batch in together for sample in batch}) == sum(map(len, together))
        assert all(share for shared in shares for share in shared)
        validated = [sample for share in taken(False, ranks) for batch in share for sample in batch]
        assert sorted(validated) == list(range(count))


def _norms(store: str, folder: str, number: int) -> None:
    """What norms give and learn in one of two processes, of 3 and 2 samples."""
    shared = distributed.FileStore(store, 2)
    distributed.init_process_group("gloo", store=shared, rank=number, world_size=2)
    found = _passed(slice(3) if number == 0 else slice(3, None))
    for name, value in found.items():
        if name.endswith("grad"):  # each process has a part of these sums
            distributed.all_reduce(value)
    torch.save(found, Path(folder) / f"{number}.pt")
    distributed.destroy_process_group()


def _passed(samples: slice) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.randn(5, 3, 4, 4, 2) * 2 + 1
    weight = torch.randn(5, 3, 4, 4, 2)
    norms: dict[str, nn.Module] = {
        "tdbn": BatchNormOverTime(3, 0.7),
        "bntt": StepNorm(3, 2, shared=False),
        "bntt_shift": StepNorm(3, 2, shared=True),
        "plain": nn.BatchNorm2d(3, momentum=None),
    }
    found = {}
    for name, norm in norms.items():
        own, cotangent = x[samples].clone(), weight[samples]
        if name == "plain":
            own, cotangent = own[..., 0], cotangent[..., 0]
        own.requires_grad_()
        with norms_together(norm):
            y = norm(own)
        (y * cotangent).sum().backward()
        assert own.grad is not None
        found |= {f"{name}.y": y.detach(), f"{name}.x": own.grad}
        found |= {
            f"{name}.{k}.grad": p.grad for k, p in norm.named_parameters() if p.grad is not None
        }
        found |= {f"{name}.{k}": v.clone() for k, v in norm.named_buffers()}
    return found


@pytest.mark.full
def test_norms_take_the_statistics_of_all_processes(tmp_path: Path) -> None:
    words = [sys.executable, __file__, str(tmp_path / "store"), str(tmp_path)]
    others = [subprocess.Popen([*words, str(number)]) for number in range(2)]
    whole = _passed(slice(None))
    for other in others:
        assert other.wait() == 0
    first, second = (torch.load(tmp_path / f"{k}.pt") for k in range(2))
    for name, value in whole.items():
        apart = name.endswith((".y", ".x"))
        found = torch.cat([first[name], second[name]]) if apart else first[name]
        torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Processes that were started to train together."""
    handles: list[subprocess.Popen[bytes]] = []
    start = company_module._start

    def spy(*given: Any) -> Any:
        other = start(*given)
        handles.append(other.handle)
        return other

    monkeypatch.setattr(company_module, "_start", spy)
    return handles


@pytest.mark.full
def test_a_process_that_dies_is_named_and_the_run_goes_on_without_it(
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[subprocess.Popen[bytes]],
) -> None:
    whole = train(small(pictures, *SPIKING), tmp_path / "whole", progress=False)
    honest = Segmenter.training_step

    def stopping(how: Any) -> Any:
        def step(self: Segmenter, batch: Any, index: int) -> torch.Tensor:
            if self.trainer.current_epoch == 1 and index == 1:
                how()
            return honest(self, batch, index)

        return step

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "training_step", stopping(lambda: started[0].kill()))
        with pytest.raises(LavasegError, match=r"one of 2 processes .*: killed by signal 9"):
            train(small(pictures, *SPIKING, *TWO), tmp_path / "run", progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "training_step", stopping(interrupt))
        with pytest.raises(KeyboardInterrupt):
            train(small(pictures, *SPIKING, *TWO), tmp_path / "run", resume=True, progress=False)
    assert [handle.returncode is None for handle in started] == [False, False]
    assert not distributed.is_initialized()
    assert not [*(tmp_path / "run").rglob("*.part")]
    run = train(small(pictures, *SPIKING), tmp_path / "run", resume=True, progress=False)
    for row, other in zip(whole.history(), run.history(), strict=True):
        assert other["loss"] == pytest.approx(row["loss"], rel=2e-3)


@pytest.mark.slow
def test_a_failure_of_another_process_is_told_in_its_words(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = company_module._start

    def moved(number: int, job: dict[str, Any]) -> Any:
        elsewhere = {"root": str(tmp_path / "nowhere"), "classes": 3}
        data = {"name": "folder", "options": elsewhere}
        return start(number, {**job, "recipe": {**job["recipe"], "data": data}})

    monkeypatch.setattr(company_module, "_start", moved)
    with pytest.raises(LavasegError, match=r"one of 2 processes .*nowhere"):
        train(small(pictures, *SPIKING, *TWO), tmp_path / "run", progress=False)


@pytest.mark.full
def test_no_process_is_left_when_the_first_one_is_killed(pictures: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipes.dump(small(pictures, *SPIKING, *TWO, "training.epochs=1000")))
    command = [sys.executable, "-m", "lavaseg", "train", str(recipe), "--workers", "1"]
    first = subprocess.Popen([*command, "--out", str(tmp_path / "run")], stderr=subprocess.DEVNULL)
    table = tmp_path / "run" / "metrics.csv"
    while not table.exists():
        assert first.poll() is None
        time.sleep(0.1)
    left = _descendants(first.pid)
    assert len(left) >= 1
    first.send_signal(signal.SIGKILL)
    first.wait()
    until = time.monotonic() + 60
    while any(map(_runs, left)) and time.monotonic() < until:
        time.sleep(0.1)
    assert [number for number in left if _runs(number)] == []


def _descendants(number: int) -> list[int]:
    children = Path(f"/proc/{number}/task/{number}/children")
    own = [int(word) for word in children.read_text().split()] if children.exists() else []
    return own + [below for child in own for below in _descendants(child)]


def _runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_batches_that_cannot_be_shared_are_refused_before_anything_is_written(
    pictures: Path, tmp_path: Path
) -> None:
    recipe = small(pictures, *SPIKING, *TWO, "training.batch_size=1")
    with pytest.raises(LavasegError, match=r"machine\.devices is 2, .*training\.batch_size is 1"):
        train(recipe, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    assert os.environ.get("GLOO_SOCKET_IFNAME") is None


if __name__ == "__main__":
    _norms(*sys.argv[1:3], int(sys.argv[3]))
