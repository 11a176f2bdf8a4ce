"""`python -m loihi2_double.compare FOLDER`: networks in files, on the chip and in the simulator.

FOLDER holds N.net and N.npy (spikes) for N = 0, 1, ...; prints one line for each that differs.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import numpy as np

from lavaseg import netx
from lavaseg.chip.period import padded
from lavaseg.deploy import simulate
from lavaseg.deploy.lava.session import make_activity, make_recorders
from lavaseg.deploy.loihi2.chip_graph import build_on_chip
from lavaseg.deploy.loihi2.models import check_placement, hardware_config
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.deploy.verification import compare, first_difference
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity
from loihi2_double import lags
from loihi2_double.one_process import run_in_one_process


def on_chip(net: IntegerNetwork, spikes: np.ndarray, timing: Timing, replay: bool) -> Activity:
    """The activity of a network on the double's chip, every population heard."""
    lags.DEFAULTS.update(timing.to_dict())
    names = [net.network.input.name, *(node.name for node in net.network.ordered)]
    period = padded(net.steps)
    recorders = make_recorders(net.network, len(spikes), net.steps, names, period=period)
    graph = build_on_chip(net, spikes, recorders, timing, replay=replay)
    executable = graph.compile(hardware_config(graph.processes, graph.on_host))
    check_placement(executable, graph.on_host)
    run_in_one_process(executable, graph.steps)
    graph.graph.release()
    return make_activity(net.network, spikes, names, recorders, 0.0)


def main(folder: Path) -> None:
    """Compare them all, each with lags of its own."""
    rng = np.random.default_rng(0)
    for number in count():
        path = folder / f"{number}.net"
        if not path.exists():
            print(f"compared {number}")
            return
        net, spikes = netx.read(path), np.load(folder / f"{number}.npy")
        timing = Timing(*(int(lag) for lag in rng.integers(0, 4, 5)))
        found = on_chip(net, spikes, timing, replay=bool(rng.integers(2)))
        expected = simulate(net, spikes, record="all")
        if any(row.differing for row in compare(net, "loihi2", expected, found)):
            print(f"{path}: {first_difference(net, 'loihi2', expected, found)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
