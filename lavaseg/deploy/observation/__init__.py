"""Record every layer of a network: spikes, membranes, operations, or activations.

A recorder observes a network and changes nothing in it: models need no code for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from lavaseg.deploy.observation.artificial import ArtificialRecorder
from lavaseg.deploy.observation.source import Source
from lavaseg.deploy.observation.spiking import SpikingRecorder
from lavaseg.deploy.targets import first_stimuli
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.models.analog import AnalogModel
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.ranges import check_ranges
from lavaseg.results.levels import LevelView
from lavaseg.results.recording import Recording, joined
from lavaseg.runs import Run
from lavaseg.system.progress import track
from lavaseg.system.words import or_like
from lavaseg.training import SpikingNetwork
from lavaseg.training.evaluating import encoder_at
from lavaseg.training.models import trained, trained_model

P = ParamSpec("P")
R = TypeVar("R")


def _with_arguments_of(
    other: Callable[P, Any],
) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """A decorator: a function that hands all on to `other` shows the same arguments, typed."""

    def dress(function: Callable[..., R]) -> Callable[P, R]:
        result = inspect.signature(function).return_annotation
        signature = inspect.signature(other).replace(return_annotation=result)
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return dress


def recordings(
    target: Run | IntegerNetwork,
    stimuli: Sequence[Stimulus] | np.ndarray | None = None,
    *,
    samples: int = 4,
    seed: int | None = None,
    numbers: Sequence[int] | None = None,
    membranes: bool = True,
    layers: Iterable[str] | None = None,
    steps: int | None = None,
    progress: bool = False,
) -> Iterator[Recording]:
    """`record`, one recording a sample, each made when it is asked for."""
    if stimuli is None:
        stimuli = first_stimuli(target, samples)
    if not len(stimuli):
        raise LavasegError("there are no samples to record")
    numbers = range(len(stimuli)) if numbers is None else [int(number) for number in numbers]
    if len(numbers) != len(stimuli):
        raise LavasegError(f"there are {len(numbers)} numbers for {len(stimuli)} stimuli")
    recorder = _recorder(target, None if seed is None else int(seed), membranes, layers, steps)
    pairs = list(zip(stimuli, numbers, strict=True))
    return (recorder.sample(*pair) for pair in track(pairs, "record", show=progress))


@_with_arguments_of(recordings)
def record(*arguments: Any, **options: Any) -> Recording:
    """Spikes, membranes, rates and synaptic operations of each layer of a network.

    Everything that is asked for is kept in memory: of a large network, choose `layers`, leave
    membranes out, or take one sample at a time (`recordings`).

    Args:
        target: a run, of which the float network is recorded as trained, spiking or artificial;
            or a network in integers (`lavaseg.read_net`).
        stimuli: pictures, uint8 (channels, height, width) each, or recordings of events; by
            default the run's first test samples.
        samples: number of these test samples.
        seed, numbers: keys of the encoder's draws, as in `Encoder.encode`; by default those of an
            evaluation: the recipe's seed (0 for integers), and 0, 1, 2 and so on.
        membranes: whether to keep them; shares near the threshold are counted in any case.
        layers: names of those that are kept; all by default.
        steps: another T than the network's own, by the rule of `lavaseg.network.steps`.
        progress: whether to show a progress bar.

    Raises:
        LavasegError: no layer of such a name, no stimuli or none that fit, no trained weights, or
            a T that the network cannot have.
    """
    return joined(list(recordings(*arguments, **options)))


def _recorder(
    target: Run | IntegerNetwork,
    seed: int | None,
    membranes: bool,
    layers: Iterable[str] | None,
    steps: int | None,
) -> SpikingRecorder | ArtificialRecorder:
    """The recorder of a network, ready to take one sample after the other."""
    if isinstance(target, IntegerNetwork):
        target = target if steps is None else target.with_steps(steps)
        check_ranges(target)
        source = Source(target.encoder, target.network.input, seed or 0, target.classes)
        view = LevelView.of(target.network, target.weights)
        kept = _chosen(layers, target.network.shapes, view)
        model = SpikingNetwork.from_integers(target)
        return SpikingRecorder(source, model, kept, membranes, target.scales, view)
    seed = target.recipe.seed if seed is None else seed
    source = Source(encoder_at(target, steps), target.model.input, seed, target.classes)
    if isinstance(target.model, AnalogModel):
        kept = _chosen(layers, target.model.sheets)
        network = trained_model(target)
        assert isinstance(network, AnalogNetwork)
        return ArtificialRecorder(source, target.model, network, kept)
    kept = _chosen(layers, target.network.shapes)
    model = trained(target)
    if source.encoder.steps != target.recipe.encoder_object.steps:
        model.set_steps(source.encoder.steps)
    return SpikingRecorder(source, model, kept, membranes, {}, LevelView.of(model.network))


def _chosen(
    layers: Iterable[str] | None, known: Iterable[str], view: LevelView | None = None
) -> frozenset[str]:
    """The names that are kept; a population of integer neurons stands for all of its nodes.

    Raises:
        LavasegError: one of them is none of `known`.
    """
    if layers is None:
        return frozenset(known)
    names = [layers] if isinstance(layers, str) else layers
    found = frozenset(names if view is None else view.unfolded(names))
    for name in sorted(found - frozenset(known)):
        there = known if view is None else view.folded(known)
        raise LavasegError(f"there is no layer {name!r} to record{or_like(name, there)}")
    return found
