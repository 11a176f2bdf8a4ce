"""Time and energy that `lavaseg map` predicts for a network whose spikes are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lavaseg.cli.console import say
from lavaseg.cli.inputs import open_run, run_of
from lavaseg.errors import LavasegError

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.chip import Mapping as ChipMapping
    from lavaseg.chip import Prediction
    from lavaseg.network import Network
    from lavaseg.network.integers import IntegerNetwork


@dataclass(frozen=True)
class Spikes:
    """Spikes of each neuron, and how they are known.

    Args:
        counts: summed over samples and steps, (C, H, W) for each population.
        samples, steps: that were summed.
        origin: where they come from, in words.
    """

    counts: Mapping[str, np.ndarray]
    samples: int
    steps: int
    origin: str


def spikes_of(
    target: str, net: IntegerNetwork | Network, steps: int, rate: float | None
) -> Spikes | None:
    """The spikes that a prediction is made from; None if they are not known.

    Args:
        target: of the command: those of a run's evaluated network are in its folder.
        rate: spikes of every neuron at each step, to be assumed instead.

    Raises:
        LavasegError: a rate that is none.
    """
    import numpy as np

    from lavaseg.network.integers import IntegerNetwork

    network = net.network if isinstance(net, IntegerNetwork) else net
    if rate is not None:
        if not 0 <= rate <= 1:
            raise LavasegError(f"--rate {rate:g}: expected spikes a neuron and step, 0 to 1")
        counts = {name: np.full(shape, rate * steps) for name, shape in network.shapes.items()}
        return Spikes(counts, 1, steps, f"an assumed rate of {rate:g} spikes a neuron and step")
    path = Path(target)
    run = open_run(path) if path.is_dir() else run_of(path) if path.exists() else None
    if run is None or not run.files.net_evaluation.current():
        return None
    found = run.files.net_evaluation.load()
    origin = f"spikes of {found.samples:,} test samples, {found.steps} steps each"
    return Spikes(found.counts, found.samples, found.steps, origin)


def predicted(
    net: IntegerNetwork | Network, mapping: ChipMapping, spikes: Spikes | None
) -> Prediction | None:
    """The prediction, where spikes are known and the network fits."""
    from lavaseg.chip import predict

    if spikes is None or mapping.misfit is not None:
        return None
    return predict(net, mapping, spikes.counts, spikes.samples, spikes.steps)


def show(prediction: Prediction | None, spikes: Spikes | None) -> None:
    """Print time and energy as ranges, or what would let them be predicted."""
    if prediction is None or spikes is None:
        say("time         not predicted without its spikes: `lavaseg evaluate` it (again, if")
        say("             it was exported since), or give --rate")
        return
    step, whole = prediction.step, prediction.seconds
    say(f"time         {step.seconds.in_words('s')} a step, most in {step.limiting}")
    say(f"             {whole.in_words('s')} from first input to last output")
    say(
        f"             {prediction.samples_per_second.in_words()} samples a second, "
        f"one every {prediction.period} steps"
    )
    if prediction.period != spikes.steps:
        say(f"             (T = {spikes.steps}, padded to a power of two)")
    say(f"energy       {prediction.joules.in_words('J')} a sample:")
    static, dynamic = prediction.static_joules, prediction.dynamic_joules
    say(f"             {static.in_words('J')} static, {dynamic.in_words('J')} dynamic")
    say(f"             by {spikes.origin}")
