"""Lava graph and simulator against stock NetX: time of one step on the same net.

The net is the start of Spiking-DeepLab (hardware preset): its first convolutions, a plain
sequence that stock NetX can load. All must give the same membranes, or the benchmark fails.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import _stock
import numpy as np
from _networks import RATE, deeplab, random_input, rates_sentence
from _timing import Cell, Report, best, machine, parser, use_threads

from lavaseg import netx
from lavaseg.deploy import run, simulate
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity

STOCK = "stock NetX, stock runtime"


@dataclass(frozen=True)
class Cost:
    """Seconds a sample-step; processor seconds of all cores, None where they are not known."""

    wall: float
    cpu: float | None = None


def stock(net: IntegerNetwork, spikes: np.ndarray, limit: float) -> Cost:
    """Stock NetX on the file that export writes; its membranes are compared."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        netx.write(net, folder / "stack.net")
        np.save(folder / "spikes.npy", spikes)
        seconds, cpu, membrane = _stock.run(
            folder / "stack.net", folder / "spikes.npy", folder / "out.npz", limit
        )
    expect(simulate(net, spikes).readout[-1], membrane, STOCK)
    return Cost(seconds, cpu)


def expect(wanted: np.ndarray, found: np.ndarray, who: str) -> None:
    """Figures of programs that compute different things would mean nothing."""
    if not np.array_equal(wanted, found):
        raise RuntimeError(f"{who} gave {np.count_nonzero(wanted != found)} other membranes")


def graph(net: IntegerNetwork, spikes: np.ndarray, backend: str, repeats: int) -> Cost:
    """A physical step of our graph, start-up not included."""
    wanted = simulate(net, spikes).readout
    steps = spikes.shape[0] * spikes.shape[1] + net.network.latency

    def once() -> Activity:
        activity = run(net, spikes, backend=backend)
        expect(wanted, activity.readout, backend)
        return activity

    return Cost(min(once().seconds for _ in range(repeats)) / steps)


def graph_inprocess(net: IntegerNetwork, spikes: np.ndarray, repeats: int) -> Cost:
    """As `graph`, in this process; a longer run takes more processor time for its steps alone."""
    cost = graph(net, spikes, "lava-inprocess", repeats)
    short, long = (
        least_cpu(lambda part=part: run(net, part, backend="lava-inprocess"), repeats)
        for part in (spikes[:1], spikes)
    )
    return Cost(cost.wall, max(0.0, long - short) / ((len(spikes) - 1) * net.steps))


def least_cpu(work: Callable[[], object], repeats: int) -> float:
    """Least processor time of `repeats` calls in this process, seconds."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def simulator(net: IntegerNetwork, batch: int, repeats: int) -> Cost:
    """A step of one sample in the simulator."""
    spikes = random_input(net, batch)

    def once() -> Activity:
        return simulate(net, spikes, chunk=batch)

    steps = batch * net.steps
    return Cost(best(once, repeats) / steps, least_cpu(once, repeats) / steps)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--width", type=int, default=64, help="channels of the first layer")
    options.add_argument("--size", type=int, default=64, help="height and width of the input")
    options.add_argument("--layers", type=int, default=4, help="number of convolutions")
    options.add_argument("--steps", type=int, default=8, help="time steps T")
    options.add_argument("--rate", type=float, default=RATE, help="spikes per neuron and step")
    options.add_argument("--samples", type=int, default=8, help="samples through our graph")
    options.add_argument("--stock-samples", type=int, default=1, help="samples through stock NetX")
    options.add_argument("--limit", type=float, default=600, help="seconds that stock NetX may run")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.width, chosen.size, chosen.layers, chosen.steps = 2, 8, 2, 2
        chosen.samples, chosen.repeats = 2, 1
    use_threads(chosen.threads)
    before = machine()
    net = deeplab(
        width=chosen.width,
        size=chosen.size,
        steps=chosen.steps,
        layers=chosen.layers,
        rate=chosen.rate,
    )
    spikes = random_input(net, chosen.samples)
    rates = rates_sentence(net, simulate(net, spikes).counts)

    costs = {STOCK: stock(net, spikes[: chosen.stock_samples], chosen.limit)}
    costs["Lava graph, in process"] = graph_inprocess(net, spikes, chosen.repeats)
    costs["Lava graph, Lava's multi-process runtime"] = graph(net, spikes, "lava", chosen.repeats)
    for batch in (1, 16):
        costs[f"simulator, batch {batch}"] = simulator(net, batch, chosen.repeats)

    shapes = " -> ".join("x".join(map(str, shape)) for shape in net.network.shapes.values())
    report = Report(
        f"One time step of Spiking-DeepLab's first {chosen.layers} convolutions: {shapes}, "
        f"{net.network.macs() / 1e6:.1f} M multiply-accumulates",
        STOCK,
        ("what", "ms a sample-step", "times faster than stock", "CPU ms", "times less than stock"),
        before=before,
    )
    for what, cost in costs.items():
        row: list[Cell] = [what, 1e3 * cost.wall, costs[STOCK].wall / cost.wall, "", ""]
        if cost.cpu:
            row[3:] = [1e3 * cost.cpu, (costs[STOCK].cpu or 0.0) / cost.cpu]
        report.rows.append(row)
    report.notes += [
        rates,
        "Start-up and compilation are not included. All gave the same membranes.",
        "CPU is processor time, of all cores together: other programs disturb it less.",
        "Threads: stock and our multi-process runtime run one process a Lava process, on all "
        "cores; the in-process graph computes on one thread, the simulator on all cores.",
        f"Best of {chosen.repeats}; stock ran once, for "
        f"{chosen.stock_samples * chosen.steps + chosen.layers - 1} steps.",
    ]
    report.show(chosen.json)


if __name__ == "__main__":
    main()
