"""What `predict`, `simulate` and `run` say of what they did: JSON, tables, times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lavaseg.cli.console import print_table, say
from lavaseg.system.words import counted, percent

if TYPE_CHECKING:
    from lavaseg.cli.labelling import Job, Tally
    from lavaseg.inference.predictor import Predictor, Timings
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.results.energy import EnergyAccount


def describe(job: Job, predictor: Predictor, tally: Tally) -> dict[str, Any]:
    """Everything as plain data."""
    timings = predictor.timings
    found: dict[str, Any] = {
        "target": job.target,
        "backend": predictor.backend,
        "seed": getattr(predictor.engine, "seed", None),
        "steps": predictor.target.steps,
        "fit": predictor.fit.how,
        "fit_in_words": _fit(predictor),
        "classes": predictor.classes,
        "colours": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in predictor.colours.tolist()],
        "samples": tally.views,
        "pictures": tally.rows,
        "remarks": tally.remarks,
        "failed": tally.failed,
        "startup_seconds": timings.startup,
        "seconds": tally.seconds,
        "samples_per_second": tally.views / tally.seconds if tally.seconds else None,
        "latency_seconds": timings.percentiles(),
        "latency_streamed": predictor.batch > 1,
    }
    net = predictor.target.net
    if net is not None and tally.views:
        account = _account(net, tally)
        found["spikes"] = {name: int(count.sum()) for name, count in tally.counts.items()}
        found["synaptic_operations"] = round(account.synaptic_operations * tally.views)
        found["milliseconds_per_step"] = 1000 * tally.seconds / (tally.views * net.steps)
    return found


def show(job: Job, predictor: Predictor, tally: Tally) -> None:
    """Print where the outputs are, how pictures came to the network, and how long it took."""
    for remark in tally.remarks:
        say(remark)
    if not tally.written:
        say("nothing arrived, and nothing was written")
        return
    _show_classes(predictor, tally)
    sizes = sorted(tally.sizes, key=lambda size: size[0] * size[1])
    range_ = " to ".join(f"{height} x {width}" for height, width in sizes)
    say(f"written      {tally.folder}: {', '.join(job.write)} of {_inputs(tally)}, {range_} pixels")
    say(f"network      {predictor.backend}; {_fit(predictor)}")
    _show_times(predictor.timings, streamed=predictor.batch > 1)


def _inputs(tally: Tally) -> str:
    text = counted(tally.written, "input")
    return text if tally.views == tally.written else f"{text} in {counted(tally.views, 'window')}"


def _fit(predictor: Predictor) -> str:
    from lavaseg.inference.engines import is_of_events

    if is_of_events(predictor.taker.encoder):
        return "label maps have the size that it sees of the sensor"
    return "pictures are " + predictor.fit.in_words((predictor.shape[1], predictor.shape[2]))


def _show_classes(predictor: Predictor, tally: Tally) -> None:
    whole = max(1, sum(tally.pixels.values()))
    shown = [
        (name, "#{:02x}{:02x}{:02x}".format(*colour), _share(tally.pixels[name] / whole))
        for name, colour in zip(predictor.classes, predictor.colours.tolist(), strict=True)
        if tally.pixels[name]
    ]
    missing = len(predictor.classes) - len(shown)
    print_table(
        f"Predicted in {_inputs(tally)}"
        + (f"; {missing} of {len(predictor.classes)} classes nowhere" if missing else ""),
        ["class", "colour", ">share of the pixels"],
        shown,
        whole=("colour",),
    )


def _share(fraction: float) -> str:
    """The share of a class that is there, which no rounding makes nothing."""
    return percent(fraction) if fraction >= 0.00005 else "<0.01%"


def _show_times(timings: Timings, *, streamed: bool) -> None:
    say(f"start-up     {timings.startup:.2f} s, not in the times below")
    names = {
        "network": "network" + (" (streamed: a run's time by its samples)" if streamed else ""),
        "whole": "from file to files",
    }
    for name, values in timings.percentiles().items():
        figures = ", ".join(f"{key} {_milliseconds(value)}" for key, value in values.items())
        say(f"latency      {figures} an input, {names[name]}")


def _milliseconds(seconds: float) -> str:
    return f"{_digits(1000 * seconds)} ms" if seconds < 1 else f"{_digits(seconds)} s"


def _digits(value: float) -> str:
    """Three digits, or all before the point: 0.123, 12.3, 1,234."""
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def show_activity(net: IntegerNetwork, tally: Tally) -> None:
    """Print spikes, synaptic operations and speed of integers."""
    if not tally.views:
        return
    from lavaseg.results.levels import LevelView

    view = LevelView.of(net.network, net.weights)
    spikes = view.spikes(tally.counts)
    print_table(
        f"Spikes of {counted(tally.views, 'sample')}, {counted(net.steps, 'step')} each",
        ["population", "shape", ">spikes", ">per neuron and step"],
        (
            (
                name,
                "x".join(map(str, count.shape)),
                f"{int(count.sum()):,}",
                f"{count.sum() / (count.size * net.steps * tally.views):.4f}",
            )
            for name, count in spikes.items()
        ),
    )
    if integers := view.in_words:
        say(f"integers             {integers}")
    say(f"synaptic operations  {_account(net, tally).synaptic_operations:,.0f} a sample")
    rate = _digits(tally.views / tally.seconds) if tally.seconds else "-"
    step = 1000 * tally.seconds / (tally.views * net.steps)
    say(f"speed (no start-up)  {rate} samples/s, {_digits(step)} ms a step")


def _account(net: IntegerNetwork, tally: Tally) -> EnergyAccount:
    from lavaseg.results.energy import account

    return account(net.network, tally.counts, tally.views, net.steps)
