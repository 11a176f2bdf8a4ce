"""What a training begins with: its header, and a dry run that measures and leaves no trace."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from small_data import DEMO
from typer.testing import CliRunner, Result

from lavaseg import data, recipes
from lavaseg.cli import app
from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.runs import Run
from lavaseg.system import progress
from lavaseg.system.words import duration
from lavaseg.training import callbacks, dry_run, place, train
from lavaseg.training.footprint import working_memory
from lavaseg.training.header import header, learned_delays
from lavaseg.training.models import untrained
from lavaseg.training.preparing import described, training_parts
from lavaseg.training.trial import TIMED

TINY = (*DEMO, "training.epochs=2")
MODELS = {
    "binary": (),
    "integer": ("model.options.levels=3", "encoder.steps=1"),
    "residual": ("model={name: spiking_resnet, options: {channels: [4, 6], blocks: 1}}",),
    "delays": (
        "model={name: spiking_fcn, options: {width: 4}}",
        "training.max_delay=1",
        "encoder={kind: poisson, steps: 2}",
    ),
    "norms of steps": ("model={name: spiking_fcn, options: {width: 4, norm: bntt_shift}}",),
    "artificial": ("model={name: ann_fcn, options: {width: 4}}", "training.optimiser=amsgrad"),
}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def tiny(*more: str) -> list[str]:
    return [word for field in (*TINY, *more) for word in ("--set", field)]


def planned(fields: tuple[str, ...], batch: int = 8) -> Run:
    chosen = (*TINY[:1], *(TINY[1:2] if "model=" not in "".join(fields) else ()), *TINY[2:])
    recipe = recipes.load("demo", [*chosen, *fields, f"training.batch_size={batch}"])
    return described(recipe, data.load(recipe.data.name, **recipe.data.options), Path("run"))


@pytest.mark.parametrize("fields", MODELS.values(), ids=MODELS)
def test_parameters_are_those_of_the_report_and_of_the_torch_module(
    fields: tuple[str, ...],
) -> None:
    run = planned(fields)
    told = header(run, run.data, *training_parts(run.recipe, run.data))
    (line,) = [text for text in told if text.startswith("parameters")]
    reported = run.model.parameter_count(run.recipe.encoder_object.steps)
    assert line.split()[1].rstrip(",") == f"{reported:,}"
    delays = 0 if isinstance(run.model, AnalogModel) else learned_delays(run.model)
    assert ("delays of channels" in line) == (delays > 0) == ("max_delay" in "".join(fields))
    learned = (p.numel() for p in untrained(run).parameters() if p.requires_grad)
    assert sum(learned) == reported + delays


@pytest.mark.parametrize("fields", MODELS.values(), ids=MODELS)
def test_expected_memory_covers_what_a_backward_pass_keeps_and_is_not_far_above(
    fields: tuple[str, ...],
) -> None:
    """Storages that autograd keeps, each once, beside weights, gradients and moments."""
    run, batch = planned(fields), 16
    several = planned(fields, batch)
    model = untrained(run)
    kept: dict[int, int] = {}

    def note(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return x

    encoder = run.recipe.encoder_object
    shape = run.model.input.shape
    messages = torch.rand(batch, *shape, 1).expand(-1, -1, -1, -1, encoder.steps)
    if encoder.kind != "direct":
        messages = messages.contiguous()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        readout = model(messages)
        loss = torch.nn.functional.cross_entropy(
            readout, torch.zeros(batch, *readout.shape[2:], dtype=torch.long)
        )
    loss.backward()
    parameters = sum(p.numel() for p in model.parameters())
    moments = {"adam": 2, "amsgrad": 3}[run.recipe.training.optimiser]
    needed = sum(kept.values()) + 4 * parameters * (1 + moments)  # weights are among what is kept
    expected = working_memory(several)
    assert needed <= expected <= 2.2 * needed


def test_the_header_tells_data_classes_batches_and_how_many_epochs_are_done() -> None:
    run = planned((), batch=10)
    lines = header(run, run.data, *training_parts(run.recipe, run.data), finished=1)
    told = {line.split()[0]: line for line in lines}
    assert [*told] == [
        *("network", "parameters", "data", "classes", "training", "device", "memory"),
    ]
    assert "8 spiking layers" in told["network"]
    assert "T=2" in told["network"]
    part, validation = training_parts(run.recipe, run.data)
    assert validation is not None
    sizes = f"train {len(part)}, validation {len(validation)}, test 4 pictures of 3x32x32"
    assert sizes in told["data"]
    assert "2: background, digit" in told["classes"]
    assert "2 epochs, 1 of them done of 2 batches of 10 samples" in told["training"]
    assert f"{torch.get_num_threads()} thread" in told["device"]
    assert "estimated from the graph" in told["memory"]


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All below a folder: times of modification and contents."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *sorted(folder.rglob("*")))
    }


def test_a_dry_run_leaves_no_trace_and_what_it_prints_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = state(tmp_path)
    tried = call("train", "demo", *tiny(), "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert state(tmp_path) == before
    for begins in ("network ", "parameters ", "data ", "classes ", "Loihi 2 ", "labels ", "time "):
        assert re.search(f"(?m)^{begins}", tried.stdout), begins
    assert f"{TIMED} batches" in tried.stdout
    assert "an epoch, validation included" in tried.stdout
    assert re.search(r"(?m)^memory +[\d.,]+ GB at peak \(resident\)", tried.stdout)
    assert re.search(
        r"labels +background \d\d\.\d%, digit \d+\.\d% \(of 56 samples\)", tried.stdout
    )

    (command,) = re.findall(r"(?m)^  lavaseg (train .*)$", tried.stdout)
    trained = call(*shlex.split(command))
    assert trained.exit_code == 0, trained.output
    folder = tmp_path / "runs" / "demo"
    assert len(Run.open(folder).history()) == 2
    assert [line for line in trained.stderr.splitlines() if line.startswith("memory")][-1].endswith(
        "at peak so far (resident)"
    )

    before = state(tmp_path)
    again = call("train", "demo", *tiny(), "--dry-run")
    assert again.exit_code == 0, again.output
    assert re.search(r"(?m)^folder +runs/demo already holds a run", again.stdout)
    assert again.stdout.endswith("--out runs/demo-2\n")
    more = [*tiny("training.schedule=constant"), "--dry-run", "--resume"]
    assert call("train", "demo", *more).exit_code == 2, "another recipe cannot be resumed"
    assert state(tmp_path) == before


def test_a_dry_run_of_a_resumed_run_counts_the_epochs_that_are_left(tmp_path: Path) -> None:
    recipe = recipes.load("demo", [*TINY, "training.schedule=constant"])
    train(recipe, tmp_path / "run", progress=False)
    longer = recipes.load("demo", [*TINY, "training.schedule=constant", "training.epochs=7"])
    before = state(tmp_path)
    found = dry_run(longer, tmp_path / "run", resume=True)
    assert found.epochs == 5
    assert found.whole == pytest.approx(5 * found.epoch)
    assert found.epoch == pytest.approx(
        found.batches[0] * found.batch + found.batches[1] * found.validation
    )
    assert state(tmp_path) == before
    with pytest.raises(LavasegError, match="holds no run to resume"):
        dry_run(longer, tmp_path / "none", resume=True)


def test_a_dry_run_refuses_what_training_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = ("machine.device=cpu", "machine.devices=2")
    with pytest.raises(LavasegError, match=r"machine\.devices is 2, .*training\.batch_size is 1"):
        dry_run(recipes.load("demo", [*TINY, *machine, "training.batch_size=1"]), tmp_path / "run")

    def small(needed: int, what: str) -> None:
        raise LavasegError(f"{what} needs {needed} bytes of shared memory")

    monkeypatch.setattr(place, "check_shared_memory", small)
    assert dry_run(recipes.load("demo", TINY), tmp_path / "run").timed
    with pytest.raises(LavasegError, match=r"machine\.workers 2 needs \d+ bytes"):
        dry_run(recipes.load("demo", [*TINY, "machine.workers=2"]), tmp_path / "run")


def test_the_bar_shows_the_loss_and_later_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []

    @contextmanager
    def noting(title: str, **_: Any) -> Any:
        yield lambda done, total, note="": notes.append(f"{title} {done}/{total} {note}")

    monkeypatch.setattr(callbacks, "bar", noting)
    monkeypatch.setattr(callbacks, "_PERIOD", 0.0)
    train(recipes.load("demo", TINY), tmp_path / "run")
    losses = [re.fullmatch(r"train epoch ./2 ./3 loss \d\.\d{4}  (.*) to go", n) for n in notes]
    assert sum(match is not None for match in losses) >= 6 - 1
    assert any(note.endswith("3/3 validation") for note in notes)


def test_a_bar_with_a_note_fits_80_columns() -> None:
    console = Console(width=80, force_terminal=True, color_system=None)
    title = "train epoch 100/100"
    view = progress._progress(console, title, True)
    note = "loss 10.1234  59 min 59 s to go"
    view.add_task(title, completed=1234, total=5678, note=note)
    with console.capture() as captured:
        console.print(view)
    (line,) = captured.get().rstrip().splitlines()
    assert line.rstrip().endswith(f"1234/5678 {note}")
    assert len(line.rstrip()) <= 80


def test_lines_of_the_header_are_broken_between_words_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    fact = ", ".join(f"class-{k}" for k in range(30))
    progress.line(f"{'classes':<12}{fact}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 3
    assert all(len(text) <= 80 for text in lines)
    assert all(text.startswith(" " * 12) for text in lines[1:])
    assert " ".join(text.strip() for text in lines) == f"{'classes':<12}{fact}"


def test_the_clock_tells_what_is_left_by_the_last_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now)
    clock = callbacks.Clock()
    clock.begin(4)
    assert clock.left(0.01) is None, "the first batches are slow"
    now = 10.0
    assert clock.left(0.5) == pytest.approx(10 / 0.5 * 4.5)
    now = 30.0
    assert clock.end() == pytest.approx(4 * 30)
    clock.begin(3)
    now = 40.0
    assert clock.left(0.1) == pytest.approx(20 + 3 * 30)
    now = 90.0
    assert clock.left(0.9) == pytest.approx(3 * 30), "an epoch that is late leaves nothing"


def test_durations_have_two_units_at_most() -> None:
    found = [duration(s) for s in (0, 0.0312, 3.24, 9.96, 47.4, 99.6, 130, 3599, 3905, 86400 * 2.2)]
    expected = ["0 s", "0.031 s", "3.2 s", "10 s", "47 s", "1 min 40 s", "2 min 10 s"]
    assert found == [*expected, "1 h", "1 h 5 min", "2 d 5 h"]
