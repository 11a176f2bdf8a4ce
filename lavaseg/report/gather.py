"""Gathers the results in a run's folder as report data, and writes the page."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lavaseg import recipes
from lavaseg.chip import Mapping as ChipMapping
from lavaseg.chip import Prediction, map_net
from lavaseg.chip import predict as predict_on_chip
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus, preview
from lavaseg.models.analog import AnalogModel
from lavaseg.netx import parameters_in_words
from lavaseg.report import drawings
from lavaseg.report.animation import recorded
from lavaseg.report.contents import Examples, ReportData
from lavaseg.report.costs import counted_network, described_network
from lavaseg.report.page import render
from lavaseg.report.sources import NetSource, RunSource, Wanted
from lavaseg.report.wording import begun_in_words
from lavaseg.results.membranes import Histogram
from lavaseg.results.metrics import predict
from lavaseg.results.rounding import Calibrated, scales_as_trained
from lavaseg.runs import Run
from lavaseg.system.faults import reading
from lavaseg.system.files import write_atomically
from lavaseg.system.shown import spread
from lavaseg.system.versions import versions

if TYPE_CHECKING:
    from lavaseg.data.base import DataSet
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.results.evaluation import Evaluation
    from lavaseg.results.recording import Recording
    from lavaseg.runs import Artefact

T = TypeVar("T")

EXAMPLES = 8
"""Pictures shown, and samples whose membranes are drawn."""
FEW = 3
"""Pictures whose code is shown."""
OVER_STEPS = 4
"""Pictures whose label maps are shown after each step."""
MAPS = 4
"""Layers whose spikes are laid over the first picture."""
ANIMATED = 6
"""Layers whose spikes are shown step by step."""


def write_report(run: Run, path: str | Path | None = None) -> Path:
    """Write one self-contained HTML page about a run.

    Shows the results in the run's folder at this moment; the page names those that are missing.

    Args:
        path: where to write; the report of the run's folder by default.

    Returns:
        The path written.

    Raises:
        LavasegError: a file of the run is damaged, or the page cannot be written.
    """
    target = run.files.report.path if path is None else Path(path)
    write_atomically(target, render(collect(run)))
    return target


def collect(run: Run) -> ReportData:
    """The contents of the page of `write_report`, as data; see there."""
    notes: list[str] = []
    results = _Results(run, notes)
    data = _data(run, notes)
    net = results.net.load() if results.net is not None else None
    exported = results.net_evaluation
    trained = results.evaluation
    network = run.model if net is None or exported is None else net.network
    chip = None if net is None else map_net(net)
    counted, uncounted = counted_network(run, network, exported or trained)
    encoder = run.recipe.encoder_object
    page = ReportData(
        title=run.recipe.title,
        name=run.recipe.name,
        paper=run.recipe.paper,
        data_source="; ".join((data.source, *data.remarks)) if data is not None else "",
        classes=run.classes,
        colours=run.colours,
        steps=encoder.steps,
        encoder=encoder.to_dict(),
        parameters=run.model.parameter_count(encoder.steps),
        parameters_said=_parameters(run, net),
        network=network,
        trained=trained,
        exported=exported,
        trained_at_labels=results.at_labels,
        exported_at_labels=results.net_at_labels,
        calibration=results.calibration(net),
        verification=results.verdict,
        board=results.board,
        counted=counted,
        uncounted=uncounted,
        described=described_network(run, network, exported),
        examples=_examples(run, net, data, notes) if data and results.weights else None,
        membranes=_membrane_histograms(run, notes) if data and results.weights else {},
        **_activity(run, net, data if results.weights or net is not None else None, notes),
        chip=chip,
        prediction=_prediction(net, chip, exported),
        history=run.history(),
        recipe=recipes.dump(run.recipe),
        begun=_begun(run),
        environment=environment(),
        notes=tuple(notes),
    )
    shown = run.files.evaluation if exported is None else run.files.net_evaluation
    try:  # counted here, so that counts of another network are known by their file
        _ = page.energy, page.work
    except LavasegError as error:
        raise LavasegError(f"{shown.path} does not fit the network: {error}") from None
    return page


def environment() -> dict[str, str]:
    """Versions of the software, the kind of machine, and the time."""
    found = {"written": datetime.now().astimezone().isoformat(" ", "minutes")}
    found |= versions()
    found["system"] = f"{platform.system()} {platform.machine()}"
    return found


class _Results:
    """Results that later stages left in a run's folder, without those that are out of date.

    A result is shown while what it describes is there and current; otherwise a note says so, once.
    """

    def __init__(self, run: Run, notes: list[str]) -> None:
        self.notes, self.files = notes, run.files
        files = run.files
        self.weights = self._current(files.weights)
        self.net = self._current(files.net)
        self.evaluation = self._value(files.evaluation) if self.weights else None
        self.net_evaluation = self._value(files.net_evaluation) if self.net else None
        self.at_labels = self._value(files.labels_evaluation) if self.weights else None
        self.net_at_labels = self._value(files.net_labels_evaluation) if self.net else None
        self.verdict = self._value(files.verdict) if self.net else None
        self.board = self._value(files.chip_profile) if self.net else None

    def _current(self, artefact: Artefact[T]) -> Artefact[T] | None:
        """The artefact; None if it is not there, or, with a note, if it is out of date."""
        if not artefact.exists():
            return None
        newer = artefact.outdated_by()
        if newer is None:
            return artefact
        file, base = artefact.kind.file, newer.kind.file
        self.notes.append(f"{file} is older than {base} and was left out: make it again")
        return None

    def calibration(self, net: IntegerNetwork | None) -> Calibrated | None:
        """The calibration of an exported network; an export elsewhere may have left another."""
        stored = None if net is None else self._value(self.files.calibration)
        found = None if stored is None else Calibrated.from_dict(stored)
        if found is None or net is None or scales_as_trained(net) == found.scales:
            return found
        file, made = self.files.calibration.kind.file, self.files.net.kind.file
        self.notes.append(f"{file} is not that of {made} and was left out: export again")
        return None

    def _value(self, artefact: Artefact[T]) -> T | None:
        found = self._current(artefact)
        return None if found is None else found.load()


def _data(run: Run, notes: list[str]) -> DataSet | None:
    """The run's data set; None, with a note, where its files are not at hand."""
    try:
        return run.data
    except LavasegError as error:
        notes.append(f"no pictures and membranes: {error}")
        return None


def _first(data: DataSet) -> list[tuple[Stimulus, np.ndarray]]:
    """The first test pictures or recordings, and labels (H, W)."""
    return [data.test[index] for index in range(min(EXAMPLES, len(data.test)))]


def _begun(run: Run) -> str:
    """The weights that a run began with, in a sentence; "" if all were drawn."""
    account = run.files.begun
    if not account.exists():
        return ""
    with reading(account.path, "is damaged"):
        return begun_in_words(account.load())


def _parameters(run: Run, net: IntegerNetwork | None) -> str:
    """The numbers of parameters as trained and in integers, in words."""
    if net is None or isinstance(run.model, AnalogModel):
        return ""
    return parameters_in_words(run.model, net)


def _recordings(notes: list[str], part: str) -> Callable[..., Iterator[Recording]] | None:
    """`lavaseg.deploy.recordings`; None, with a note, where torch is not installed."""
    try:
        from lavaseg.deploy import recordings
    except LavasegError as error:  # says which command brings it
        notes.append(f"no {part}: {error}")
        return None
    return recordings


def _examples(
    run: Run, net: IntegerNetwork | None, data: DataSet, notes: list[str]
) -> Examples | None:
    """Predictions of the integer network (of the float one before export), as evaluated."""
    stimuli, whole = zip(*_first(data), strict=True)
    encoder = run.recipe.encoder_object
    rows, columns = encoder.window(whole[0].shape)
    labels = np.stack(whole)[:, rows, columns]
    if net is not None:
        from lavaseg.deploy import simulate

        readout = simulate(net, net.encoder.encode(stimuli)).readout
        logits, by = net.logits(readout), "exported integer network, which Lava runs"
    else:
        recordings = _recordings(notes, "pictures of a network that is not exported yet")
        if recordings is None:
            return None
        logits = np.concatenate([r.readout for r in recordings(run, stimuli, layers=())])
        artificial = isinstance(run.model, AnalogModel)
        by = "artificial network" if artificial else "float network; it is not exported yet"
    predicted = predict(logits, (labels.shape[1], labels.shape[2]))
    pictures = np.stack([preview(stimulus)[:, rows, columns] for stimulus in stimuli])
    return Examples(pictures, labels, predicted, by, run.ignore_index)


def _activity(
    run: Run, net: IntegerNetwork | None, data: DataSet | None, notes: list[str]
) -> dict[str, Any]:
    """Spike maps, the rate code and label maps after each step, of the network that is shown.

    Of the integers where there are any, so that neither torch nor a second network is needed.
    """
    if data is None or isinstance(run.model, AnalogModel):
        return {}
    if net is None and _recordings(notes, "spike maps of a network that is not exported") is None:
        return {}
    source = RunSource(run) if net is None else NetSource(net, run=run)
    layers = spread(source.firing, MAPS)
    found: dict[str, Any] = {"maps": drawings.spike_data(source, layers, Wanted(samples=1))}
    found["animation"] = recorded(source, Wanted(samples=1), most=ANIMATED)
    if run.recipe.encoder["kind"] in ("poisson", "onoff_poisson"):
        found["coded"], _ = drawings.coded(source, Wanted(samples=FEW))
    found["over_steps"] = drawings.labels_over_steps(source, Wanted(samples=OVER_STEPS))
    return found


def _membrane_histograms(run: Run, notes: list[str]) -> dict[str, Histogram]:
    """Histogram of each firing population of the float network, on the first test pictures."""
    if isinstance(run.model, AnalogModel):
        return {}
    if _recordings(notes, "membranes") is None:
        return {}
    return drawings.membrane_data(RunSource(run), drawings.Ask(Wanted(samples=EXAMPLES)))


def _prediction(
    net: IntegerNetwork | None, chip: ChipMapping | None, exported: Evaluation | None
) -> Prediction | None:
    """Time and energy on a chip, if the network fits and its spikes are known."""
    if net is None or chip is None or exported is None or not chip.fits:
        return None
    return predict_on_chip(net, chip, exported.counts, exported.samples, exported.steps)
