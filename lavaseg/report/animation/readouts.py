"""What a network would say after each step: its read-out once only the first steps have passed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lavaseg.network.integers import IntegerNetwork
from lavaseg.report.sources import NetSource, RunSource, Scenes, Source, Wanted
from lavaseg.results.metrics import predict


def first_steps(net: IntegerNetwork, steps: int) -> IntegerNetwork:
    """The network as it is for the first steps of a sample: it ends after them.

    Spikes depend on earlier steps alone, so that its spikes are the first ones of the whole
    network, and its read-out what that has gathered by then. Its encoder only says how many
    steps there are: it is given the messages of the whole one.
    """
    clocks = {name: clock[:steps] for name, clock in net.clocks.items()}
    encoder = dataclasses.replace(net.encoder, steps=steps)
    return dataclasses.replace(net, encoder=encoder, clocks=clocks)


def predictions(source: Source, seen: Scenes, wanted: Wanted, after: Sequence[int]) -> np.ndarray:
    """Class ids of the first sample after each of several numbers of steps, (len(after), H, W).

    One alone, of the whole sample, of a recording.
    """
    size = (int(seen.pictures.shape[2]), int(seen.pictures.shape[3]))
    if isinstance(source, NetSource):
        found = _of_net(source.net, seen, wanted, after)
    elif isinstance(source, RunSource):
        found = _of_run(source, seen, wanted, after)
    else:
        found = source.logits(seen, wanted)[:1]
    return predict(found, size)


def _of_net(net: IntegerNetwork, seen: Scenes, wanted: Wanted, after: Sequence[int]) -> np.ndarray:
    from lavaseg.deploy import Simulator

    numbers = [seen.numbers[0]]
    spikes = net.encoder.encode([seen.stimuli[0]], seed=wanted.seed or 0, samples=numbers)
    found = []
    for steps in after:
        part = first_steps(net, steps)
        found.append(part.logits(Simulator(part).run(spikes[:, :steps]).readout))
    return np.concatenate(found)


def _of_run(source: RunSource, seen: Scenes, wanted: Wanted, after: Sequence[int]) -> np.ndarray:
    """The membranes of the read-out, which never fires, after these steps."""
    name = source.network.readout
    recording = next(iter(source.recordings(seen, wanted, [name], membranes=True)))
    membranes = recording[name].membranes
    assert membranes is not None
    return membranes[0, [steps - 1 for steps in after]].astype(np.float32)
