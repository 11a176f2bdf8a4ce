"""Whether Lava works on this machine: `python -m lavaseg.deploy.lava.trial` runs a tiny network.

It goes through Lava's own multi-process runtime, with Lava's own arithmetic, and its spikes and
read-out are known beforehand.
"""

from __future__ import annotations

import multiprocessing
import sys

import numpy as np

from lavaseg.deploy.lava.multiprocess import run_multiprocess
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Input, Network, OneToOne, Population, Projection
from lavaseg.network.base import STATE_SCALE
from lavaseg.network.integers import IntegerNetwork

STEPS, WEIGHT, SIDE = 3, 8, 2


def trial() -> None:
    """Run the network: each neuron spikes whenever its input does, at every step.

    Raises:
        LavasegError: the run failed, or gave other spikes or another read-out.
    """
    network = Network(
        Input("input", (1, SIDE, SIDE)),
        (Population("hidden", WEIGHT - 1), Population("readout", None)),
        (
            Projection("input", "hidden", OneToOne()),
            Projection("hidden", "readout", OneToOne()),
        ),
        "readout",
    )
    weights = {p.name: np.full((1,), WEIGHT, np.int16) for p in network.projections}
    net = IntegerNetwork(network, weights, Poisson(STEPS), ("thing",))
    spikes = np.ones((1, STEPS, 1, SIDE, SIDE), np.uint8)
    method = multiprocessing.get_start_method(allow_none=True)
    activity = run_multiprocess(net, spikes, fast=False)
    expected = STEPS * WEIGHT * STATE_SCALE
    if not (activity.counts["hidden"] == STEPS).all() or not (activity.readout == expected).all():
        raise LavasegError("a network whose spikes are known gave others")
    if multiprocessing.get_start_method(allow_none=True) != method:
        raise LavasegError("Lava changed the start method of processes of its caller")


if __name__ == "__main__":
    try:
        trial()
    except LavasegError as error:
        sys.exit(str(error))
