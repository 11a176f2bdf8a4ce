"""The network of training with an integer network's values, as a backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lavaseg.deploy.requests import check_request
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity
from lavaseg.training import SpikingNetwork


def run_slayer(
    net: IntegerNetwork, spikes: np.ndarray, record: Sequence[str] | str = ()
) -> Activity:
    """Run encoded samples through SLAYER's synapses and the fused neuron.

    Args:
        spikes: uint8 (N, T, C, H, W), as `net.encoder.encode` gives them.
        record: names of populations whose spikes are kept, or "all".
    """
    recorded = check_request(net, spikes, record)
    found = SpikingNetwork.from_integers(net).run(spikes, record=bool(recorded))
    return replace(found, spikes={name: found.spikes[name] for name in recorded})
