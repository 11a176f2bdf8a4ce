"""`python -m loihi2_double.census FOLDER`: what each network puts on the chip, as JSON.

FOLDER holds N.net for N = 0, 1, ...; of each, input from the host and from the chip's buffer: the
number of neurons of each sheet, of each buffer, and how many synapse processes there are of a form.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg import netx
from lavaseg.deploy.lava.errors import LavaError
from lavaseg.deploy.loihi2.chip_graph import build_on_chip
from lavaseg.deploy.loihi2.models import hardware_config
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.network.integers import IntegerNetwork

FORMS = {"Conv": "conv", "Dense": "dense", "Sparse": "sparse"}
ON_HOST = {"RingBuffer", "PyToNxAdapter", "PyToN3ConvAdapter"}


def census(net: IntegerNetwork, replay: bool) -> dict[str, Any]:
    """Of one network."""
    spikes = np.zeros((1, net.steps, *net.network.input.shape), np.uint8)
    graph = build_on_chip(net, spikes, {}, Timing(1, 1, 0, 1, 0), replay=replay)
    hardware_config(graph.processes, graph.on_host)  # a process without a model for the chip raises
    neurons: list[int] = []
    buffers: list[int] = []
    synapses: Counter[str] = Counter()
    for process in graph.processes:
        kind = type(process).__name__
        if kind in ("LIFReset", "GradedVec"):
            neurons.append(int(np.prod(process.s_out.shape)))
        elif kind == "CyclicBuffer":
            buffers.append(int(np.prod(process.s_out.shape)))
        elif kind in FORMS:
            empty = kind == "Sparse" and not process.weights.get().nnz
            synapses[FORMS[kind]] += not empty
        elif kind not in ON_HOST:
            raise LavaError(f"a process of another kind: {kind}")
    graph.graph.release()
    return {"neurons": sorted(neurons), "buffers": sorted(buffers), "synapses": +synapses}


def main(folder: Path) -> None:
    """Print a list, a pair (host, buffer) of each network."""
    found = []
    for number in count():
        path = folder / f"{number}.net"
        if not path.exists():
            break
        net = netx.read(path)
        found.append([census(net, replay) for replay in (False, True)])
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
