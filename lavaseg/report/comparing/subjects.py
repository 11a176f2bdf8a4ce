"""What is compared: runs and networks with what each keeps, and the commands for what it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.network.integers import IntegerNetwork
from lavaseg.report.comparing.naming import short_names
from lavaseg.runs import Artefact, Run, RunFolder
from lavaseg.runs.run import stopped_early
from lavaseg.system.faults import check_target
from lavaseg.system.words import call, counted

if TYPE_CHECKING:
    from lavaseg.results.evaluation import Evaluation
    from lavaseg.results.membranes import MembraneHistory
    from lavaseg.runs.formats import Rows

T = TypeVar("T")
Given: TypeAlias = "Run | IntegerNetwork | str | Path"
"""What can be compared."""


@dataclass(frozen=True)
class Missing:
    """A part that a comparison would show.

    Args:
        what: it, in words.
        command: what makes it; "" where the words say it.
    """

    what: str
    command: str = ""


@dataclass(frozen=True)
class Subject:
    """A run or a network alone, with the results that still hold.

    Args:
        title: the shortest name that no other has.
        path: its folder or file; None of a network that was given as an object.
        run: the run; None of a network alone.
        net: the network in integers.
        trained, exported: evaluations of the float network and of the integers.
        trained_at_labels, exported_at_labels: the same at the size of the label files.
        verdict: `Verdict.to_dict()`.
        history: one row an epoch.
        membranes: their histograms by epoch, where the recipe asked for them.
        device: what it was trained on, in words.
        missing: parts that are not there.
        remarks: sentences on its state, and on files that could not be read.
    """

    title: str
    path: Path | None = None
    run: Run | None = None
    net: IntegerNetwork | None = None
    trained: Evaluation | None = None
    exported: Evaluation | None = None
    trained_at_labels: Evaluation | None = None
    exported_at_labels: Evaluation | None = None
    verdict: Mapping[str, Any] | None = None
    history: Rows = field(default_factory=list)
    membranes: MembraneHistory | None = None
    device: str = ""
    missing: tuple[Missing, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def artificial(self) -> bool:
        """Whether its network has no spikes."""
        return self.run is not None and isinstance(self.run.model, AnalogModel)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        if self.run is not None:
            return self.run.classes
        return () if self.net is None else self.net.classes

    @property
    def data(self) -> str:
        """Name of its data set; "" of a network alone, which does not know."""
        return "" if self.run is None else self.run.recipe.data.name

    @property
    def evaluation(self) -> Evaluation | None:
        """That of the integers, else that of the float network."""
        return self.exported or self.trained


def open_subjects(given: Given | Sequence[Given]) -> tuple[list[Subject], list[str]]:
    """What a user gives, each once, and sentences on what was left out.

    Raises:
        LavasegError: nothing was given, a path that does not exist or is no run, or nothing that
            can be read.
    """
    items: list[Given] = (
        [given] if isinstance(given, (Run, IntegerNetwork, str, Path)) else [*given]
    )
    if not items:
        raise LavasegError("there is nothing to compare: give runs or .net files")
    found: dict[object, Subject] = {}
    notes: list[str] = []
    for item in items:
        try:
            key, subject = _opened(item, len(found) + 1)
        except _Damaged as error:
            notes.append(f"left out: {error}")
            continue
        if key in found:
            notes.append(f"{_called(item)} was given more than once and is shown once")
        else:
            found[key] = subject
    if not found:
        raise LavasegError("; ".join(notes))
    return _named([*found.values()]), notes


class _Damaged(LavasegError):
    """A run or a network that is there, and cannot be read."""


def _called(item: Given) -> str:
    if isinstance(item, Run):
        return str(item.path)
    return "a network" if isinstance(item, IntegerNetwork) else str(item)


def _named(subjects: list[Subject]) -> list[Subject]:
    """The subjects with their final names."""
    placed = [subject for subject in subjects if subject.path is not None]
    names = iter(short_names([subject.path for subject in placed if subject.path is not None]))
    return [s if s.path is None else replace(s, title=next(names)) for s in subjects]


def _opened(item: Given, number: int) -> tuple[object, Subject]:
    """A subject, and what tells it from others; a run's own export is that run."""
    if isinstance(item, IntegerNetwork):
        return id(item), Subject(f"network {number}", net=item, missing=(_NOT_KEPT,))
    if isinstance(item, Run):
        return item.path.resolve(), _of_run(item, item.path)
    path = Path(item)
    check_target(path)
    if path.is_dir():
        run = _run_in(path)
        return run.path.resolve(), _of_run(run, path)
    try:
        own = Run.of_net(path)
        if own is not None:
            return own.path.resolve(), _of_run(own, path)
        from lavaseg.netx import read

        net = read(path)
    except LavasegError as error:
        raise _Damaged(str(error)) from None
    measured = Missing(f"{_NOT_KEPT.what}; it is shown by", f"{call('evaluate', path)} --data NAME")
    return path.resolve(), Subject(str(path), path, net=net, missing=(measured,))


_NOT_KEPT = Missing("mIoU and spikes, which are kept of the net.net of a run's folder alone")


def _run_in(path: Path) -> Run:
    """The run in a folder; what is no run at all is the caller's mistake."""
    files = RunFolder(path)
    if not files.recipe.exists() and not files.description.exists():
        return Run.open(path)  # which says so
    try:
        return Run.open(path)
    except LavasegError as error:
        raise _Damaged(str(error)) from None


class _Shelf:
    """A run's folder, read as far as it can be: what is not there is noted."""

    def __init__(self) -> None:
        self.missing: list[Missing] = []
        self.remarks: list[str] = []

    def value(self, artefact: Artefact[T], what: str, command: str) -> T | None:
        """A part that belongs to a comparison."""
        if not artefact.exists():
            self.missing.append(Missing(what, command))
            return None
        newer = artefact.outdated_by()
        if newer is not None:
            file, base = artefact.kind.file, newer.kind.file
            self.missing.append(Missing(f"{what}: {file} is older than {base}", command))
            return None
        found = self.read(artefact)
        if found is None:
            self.missing.append(Missing(what, command))
        return found

    def further(self, artefact: Artefact[T]) -> T | None:
        """A part that few runs have: nobody misses it."""
        return self.read(artefact) if artefact.current() else None

    def read(self, artefact: Artefact[T]) -> T | None:
        try:
            return artefact.load()
        except LavasegError as error:
            self.remarks.append(str(error))
            return None


def _of_run(run: Run, given: Path) -> Subject:
    """A run with all that its folder keeps."""
    shelf, files = _Shelf(), run.files
    history = (shelf.read(files.history) or []) if files.history.exists() else []
    resume = call("train", files.recipe.path, "--out", run.path, "--resume")
    _note_progress(run, history, shelf, resume)
    surroundings = shelf.further(files.surroundings) or {}
    found: dict[str, Any] = {}
    if not files.weights.exists():
        remedy = "convert again, into another folder" if run.converted else ""
        what = f"weights: {remedy}" if remedy else "weights: no epoch has finished"
        shelf.missing.append(Missing(what, "" if remedy else resume))
    else:
        evaluate = call("evaluate", run.path)
        found["trained"] = shelf.value(files.evaluation, "mIoU of the float network", evaluate)
        found["trained_at_labels"] = shelf.further(files.labels_evaluation)
    if not isinstance(run.model, AnalogModel):
        found |= _exported(run, shelf)
    return Subject(
        str(given),
        given,
        run,
        history=history,
        membranes=shelf.further(files.membranes),
        device=_device(surroundings),
        missing=tuple(shelf.missing),
        remarks=tuple(shelf.remarks),
        **found,
    )


def _exported(run: Run, shelf: _Shelf) -> dict[str, Any]:
    """What a run keeps of its network in integers."""
    files = run.files
    if not files.net.exists() and (reason := _trains_only(run)):
        shelf.remarks.append(f"it has no integers: {reason}")
        return {}
    if not files.net.exists() and not files.weights.exists():
        return {}
    net = shelf.value(files.net, "network in integers", call("export", run.path))
    if net is None:
        return {}
    evaluate = call("evaluate", files.net.path)
    verify = call("verify", run.path)
    return {
        "net": net,
        "exported": shelf.value(files.net_evaluation, "mIoU of the integers", evaluate),
        "exported_at_labels": shelf.further(files.net_labels_evaluation),
        "verdict": shelf.value(files.verdict, "comparison with Lava, spike for spike", verify),
    }


def _trains_only(run: Run) -> str:
    """Why a run's network cannot be exported, or ""."""
    from lavaseg.export.lowering import deployed

    try:
        deployed(run.network)
    except LavasegError as error:
        return str(error)
    return ""


def _note_progress(run: Run, history: Rows, shelf: _Shelf, resume: str) -> None:
    """Say that a training has not come to its end."""
    done = int(history[-1]["epoch"]) if history else 0
    plan = run.recipe.training
    planned = plan.epochs
    if not run.converted and done < planned and not stopped_early(history, plan.early_stop):
        shelf.remarks.append(
            f"{done} of {planned} epochs are trained, so all figures are those so far: it is "
            f"still in training, or was interrupted, and `{resume}` goes on"
        )


def _device(found: Mapping[str, Any]) -> str:
    """What a run was trained on: 'cpu, 2 threads'."""
    device, threads = found.get("device"), found.get("threads")
    if not isinstance(device, str):
        return ""
    if device != "cpu" or not isinstance(threads, int):
        return device
    return f"cpu, {counted(threads, 'thread')}"
