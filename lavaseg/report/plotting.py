"""`lavaseg.plot`: one figure of runs, networks in integers or recordings, by its kind."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavaseg.errors import LavasegError
from lavaseg.report import drawings, plots
from lavaseg.report.drawings import Ask
from lavaseg.report.sources import Source, Wanted, open_sources
from lavaseg.system.files import write_atomically
from lavaseg.system.words import or_like

if TYPE_CHECKING:
    from lavaseg.report.plots.style import Figure
    from lavaseg.report.sources import Given

FORMATS = (".png", ".svg", ".pdf")
"""Endings of the files that figures are written as."""
DPI = 150


@dataclass(frozen=True)
class PlotKind:
    """One kind of figure.

    Args:
        about: what it shows, in one line.
        draw: makes it.
        several: whether it takes more than one source.
        samples: how many samples it looks at unless asked.
        takes: the options that it has, besides inputs, samples, seed, titles and data options.
    """

    about: str
    draw: Callable[[Sequence[Source], Ask], Figure]
    several: bool = False
    samples: int = 4
    takes: frozenset[str] = field(default_factory=frozenset)


KINDS: Mapping[str, PlotKind] = {
    "spikes": PlotKind(
        "spike counts of layers laid over the picture, over the steps (MFS-Seg, figure 5)",
        drawings.spikes,
        samples=1,
        takes=frozenset({"layers", "steps"}),
    ),
    "rate-code": PlotKind(
        "spikes of the code, added up step by step (Kim et al., figure 5)",
        drawings.rate_code,
        takes=frozenset({"steps"}),
    ),
    "activations": PlotKind(
        "largest activations by channel and by place (Kim et al., figure 4); spikes where the "
        "network is spiking",
        drawings.activations,
        samples=16,
        takes=frozenset({"layers", "steps"}),
    ),
    "rates": PlotKind(
        "spikes per neuron R_s of each layer, several networks in one plot (Kim et al., figure 14)",
        drawings.rates,
        several=True,
        samples=16,
        takes=frozenset({"layers", "steps"}),
    ),
    "energy": PlotKind(
        "energy of each layer by Kim et al.'s formula, several networks in one plot",
        drawings.energy,
        several=True,
        samples=16,
        takes=frozenset({"steps"}),
    ),
    "predictions": PlotKind(
        "pictures, truth and predictions over T, over depth or of several networks (MFS-Seg, "
        "figures 3 and 4)",
        drawings.predictions,
        several=True,
        takes=frozenset({"several steps", "auxiliary"}),
    ),
    "membranes": PlotKind(
        "membranes around the threshold; further networks as lines",
        drawings.membranes,
        several=True,
        samples=8,
        takes=frozenset({"layers", "steps"}),
    ),
    "membrane-epochs": PlotKind(
        "membranes over the epochs of a run trained with training.membrane_histograms=true",
        drawings.membrane_epochs,
        takes=frozenset({"layers"}),
    ),
}
"""Every kind of figure, by its name."""


def plot(
    kind: str,
    sources: Given | Sequence[Given],
    out: str | Path | None = None,
    *,
    layers: Sequence[str] | str | None = None,
    inputs: Sequence[str] | str = (),
    samples: int | None = None,
    steps: Sequence[int] | int | None = None,
    auxiliary: bool = False,
    titles: Sequence[str] | str = (),
    seed: int | None = None,
    data_options: Mapping[str, Any] | None = None,
) -> Figure:
    """A figure of what networks do; written to a file if there is a name for it.

    Args:
        kind: spikes, rate-code, activations, rates, energy, predictions, membranes or
            membrane-epochs (`lavaseg.report.plotting.KINDS` says what they show).
        sources: a run, of which the float network as trained is shown; a network in integers
            (`lavaseg.read_net`); a recording (`lavaseg.record`); the path of a run folder, of a
            .net file or of a recording; or several of these, for kinds that compare.
        out: .png, .svg or .pdf, written whole or not at all.
        layers: names of the layers to show; by default as many as a page holds, or all.
        inputs: pictures, recordings of events, folders or data sets, as of `lavaseg simulate`; by
            default test data of the run, else noise.
        samples: at most this many.
        steps: another T; `predictions` takes several, and by default those up to its own T.
        auxiliary: predictions of the auxiliary read-outs, too.
        titles: how the figure calls the sources; their paths by default.
        seed: of the encoder's draws; by default the recipe's, 0 for integers.
        data_options: options of the data set that `inputs` names.

    Raises:
        LavasegError: no such kind, layer or file; a source that does not have what is asked for.
    """
    chosen = KINDS.get(kind)
    if chosen is None:
        raise LavasegError(
            f"there is no kind of plot {kind!r}{or_like(kind, KINDS, 'the kinds are')}"
        )
    target = None if out is None else check_name(out)
    opened = open_sources(sources, [titles] if isinstance(titles, str) else titles)
    if len(opened) > 1 and not chosen.several:
        raise LavasegError(f"{kind} shows one run, network or recording, got {len(opened)}")
    given = (steps,) if isinstance(steps, int) else tuple(steps or ())
    _check_options(kind, chosen, layers, given, auxiliary)
    wanted = Wanted(
        (inputs,) if isinstance(inputs, str) else tuple(inputs),
        chosen.samples if samples is None else samples,
        data_options or {},
        seed,
        given[0] if given else None,
        samples is not None,
    )
    names = [layers] if isinstance(layers, str) else layers
    with plots.own_style():
        figure = chosen.draw(opened, Ask(wanted, names, given, auxiliary))
        if target is not None:
            save(figure, target)
    return figure


def _check_options(
    kind: str,
    chosen: PlotKind,
    layers: Sequence[str] | str | None,
    steps: tuple[int, ...],
    auxiliary: bool,
) -> None:
    """LavasegError for an option that a kind does not have."""
    if layers is not None and "layers" not in chosen.takes:
        raise LavasegError(f"{kind} has no layers to choose")
    if any(t < 1 for t in steps):
        raise LavasegError(f"steps must be at least 1, got {min(steps)}")
    if steps and not {"steps", "several steps"} & chosen.takes:
        raise LavasegError(f"{kind} has no steps to choose")
    if len(steps) > 1 and "several steps" not in chosen.takes:
        raise LavasegError(f"{kind} takes one number of steps, got {len(steps)}")
    if auxiliary and "auxiliary" not in chosen.takes:
        raise LavasegError(f"{kind} has no auxiliary read-outs: predictions shows them")


def check_name(out: str | Path) -> Path:
    """The path of a figure's file; LavasegError unless its ending is one of `FORMATS`."""
    path = Path(out)
    if path.suffix.lower() not in FORMATS:
        raise LavasegError(f"--out {path} must end in {', '.join(FORMATS)}")
    return path


def save(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all; the same bytes for the same figure."""
    ending = path.suffix.lower()[1:]
    metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(
        ending, {}
    )
    file = io.BytesIO()
    figure.savefig(file, format=ending, dpi=DPI, metadata=metadata)
    write_atomically(path, file.getvalue())
