"""Cost of the simulator and of the Lava graph against batch, size, T, width, depth and rate.

From one base configuration one quantity at a time is changed. Each row runs in a process of its
own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from _networks import RATE, deeplab, fcn, random_input, spike_rates
from _timing import Cell, Report, best, machine, parser, peak_memory, use_threads

from lavaseg import netx
from lavaseg.deploy import run, simulate
from lavaseg.network import Conv
from lavaseg.network.integers import IntegerNetwork

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Case:
    """One configuration: Spiking-DeepLab of this width on size x size pictures.

    Args:
        chunk: samples computed at once; 0 leaves it to the simulator.
        depth: number of its convolutions; 9 is the whole net.
        rate: spikes per neuron and step that the thresholds aim at.
        fcn: `_networks.fcn` instead.
    """

    width: int
    size: int
    steps: int
    batch: int
    chunk: int = 0
    depth: int = 9
    rate: float = RATE
    fcn: bool = False

    @property
    def label(self) -> str:
        parts = [
            f"{'FCN, ' if self.fcn else ''}width {self.width}, {self.size}x{self.size}",
            f"T {self.steps}",
            f"batch {self.batch}",
            f"in chunks of {self.chunk}" if self.chunk else "",
            f"{self.depth} layers" if self.depth < 9 else "",
            f"rate {100 * self.rate:g} %" if self.rate != RATE else "",
        ]
        return ", ".join(part for part in parts if part)

    def net(self) -> IntegerNetwork:
        if self.fcn:
            return fcn(width=self.width, size=self.size, steps=self.steps, rate=self.rate)
        layers = None if self.depth == 9 else self.depth
        return deeplab(
            width=self.width, size=self.size, steps=self.steps, layers=layers, rate=self.rate
        )


@dataclass(frozen=True)
class Measured:
    """One row.

    Args:
        seconds: of the simulator, a sample.
        bytes: above what the process had before.
        convolutions: seconds a sample of the convolutions alone, by torch.
        graph: seconds a step of the Lava graph in process; 0 if it was not run.
        rate: spikes per neuron and step.
    """

    seconds: float
    bytes: int
    convolutions: float
    graph: float
    rate: float


def convolutions(net: IntegerNetwork, batch: int, repeats: int) -> float:
    """Seconds a sample of the layers' torch.conv2d alone, float32, channels last."""
    import torch
    from torch.nn import functional

    jobs = []
    for projection in net.network.projections:
        operator = projection.operator
        if not isinstance(operator, Conv):
            continue
        source = net.network.shape(projection.source)
        x = torch.zeros(batch * net.steps, *source)
        weight = torch.from_numpy(net.weights[projection.name]).float()
        jobs.append(
            (
                x.contiguous(memory_format=torch.channels_last),
                weight.contiguous(memory_format=torch.channels_last),
                operator,
            )
        )

    def once() -> None:
        for x, weight, op in jobs:
            functional.conv2d(x, weight, None, op.stride, op.padding, op.dilation, op.groups)

    with torch.inference_mode():
        return best(once, repeats) / batch


def measure(folder: Path, chunk: int, graph: bool, repeats: int) -> Measured:
    """One row, in this process; memory first, before anything else could have peaked."""
    net, spikes = netx.read(folder / "case.net"), np.load(folder / "spikes.npy")
    toy = deeplab(width=1, size=8, steps=1)
    simulate(toy, random_input(toy, 1))  # loads kernels and libraries
    before = peak_memory()
    counts = simulate(net, spikes, chunk=chunk or None).counts
    grown = peak_memory() - before
    seconds = best(lambda: simulate(net, spikes, chunk=chunk or None), repeats) / len(spikes)
    rates = list(spike_rates(net, counts).values())
    step = 0.0
    if graph:
        some = spikes[:2]
        steps = len(some) * net.steps + net.network.latency
        step = min(run(net, some, backend="lava-inprocess").seconds for _ in range(repeats)) / steps
    return Measured(seconds, grown, convolutions(net, 1, repeats), step, float(np.mean(rates)))


def in_child(case: Case, graph: bool, repeats: int, threads: int | None) -> Measured:
    """`measure` in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        net = case.net()
        netx.write(net, Path(folder) / "case.net")
        np.save(Path(folder) / "spikes.npy", random_input(net, case.batch))
        command = [sys.executable, __file__, "--one", folder]
        command += ["--chunk", str(case.chunk), "--repeats", str(repeats)]
        command += ["--graph"] if graph else []
        if threads is not None:
            command += ["--threads", str(threads)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        raise RuntimeError(f"{case.label}: {child.stderr[-2000:]}")
    return Measured(**json.loads(child.stdout.splitlines()[-1]))


def cases(base: Case, quick: bool) -> dict[str, list[Case]]:
    """Quantity to configurations, the base among them."""
    if quick:
        return {"batch": [base, replace(base, batch=2 * base.batch)]}
    return {
        "batch": [replace(base, batch=n) for n in (1, 4, 16, 64)],
        "chunk": [replace(base, batch=64, chunk=n) for n in (1, 4, 16, 64)],
        "size": [replace(base, size=n) for n in (32, 64, 128)],
        "steps": [replace(base, steps=n) for n in (4, 8, 16, 32)],
        "width": [replace(base, width=n) for n in (4, 8, 16, 32)],
        "depth": [replace(base, depth=n) for n in (2, 4, 6, 9)],
        "rate": [replace(base, width=32, rate=n) for n in (0.02, 0.05, 0.1, 0.25, 0.5)],
        "published": [Case(64, 64, 20, 8), Case(64, 64, 20, 8, fcn=True)],
    }


WITHOUT_GRAPH = ("batch", "chunk", "published")
"""Series in which the Lava graph is not run: it takes one sample after the other."""


def growth(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent p of cost ~ size^p, fitted by least squares on logarithms."""
    slope, _ = np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-9)), 1)
    return float(slope)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--one", type=Path, help="measure the case in this folder, here")
    options.add_argument("--chunk", type=int, default=0, help="chunk of that case")
    options.add_argument("--graph", action="store_true", help="run the Lava graph, too")
    options.add_argument("--series", nargs="*", help="series to run; all by default")
    chosen = options.parse_args(arguments)
    use_threads(chosen.threads)
    if chosen.one is not None:
        row = measure(chosen.one, chosen.chunk, chosen.graph, chosen.repeats)
        print(json.dumps(asdict(row)))
        return
    if chosen.quick:
        chosen.repeats = 1
    before = machine()
    base = Case(1, 8, 2, 1) if chosen.quick else Case(8, 64, 8, 16)
    series = cases(base, chosen.quick)
    if chosen.series:
        series = {name: series[name] for name in chosen.series}
    found: dict[Case, Measured] = {}
    for name, case in [("", base), *((n, case) for n, group in series.items() for case in group)]:
        if case not in found:
            graph = name not in WITHOUT_GRAPH
            found[case] = in_child(case, graph, chosen.repeats, chosen.threads)

    report = Report(
        "The simulator and the Lava graph in process, on Spiking-DeepLab (nine layers)",
        f"the base configuration ({base.label}); the last column against torch.conv2d of the "
        "same layers alone",
        (
            "varied",
            "configuration",
            "samples/s",
            "ms a sample-step",
            "time/base",
            "peak MiB",
            "graph, ms a step",
            "rate %",
            "time/conv2d alone",
        ),
        before=before,
    )
    for quantity, group in series.items():
        report.rows += [_row(quantity, case, found[case], found[base]) for case in group]
        if quantity == "published":
            continue
        sizes = [float(getattr(case, quantity)) for case in group]
        note = f"Fitted growth with {quantity}: time a sample ~ {quantity}^" + format(
            growth(sizes, [found[case].seconds for case in group]), ".2f"
        )
        if all(found[case].graph for case in group):
            steps = [found[case].graph for case in group]
            note += f", a step of the Lava graph ~ {quantity}^{growth(sizes, steps):.2f}"
        memory = [float(found[case].bytes) for case in group]
        report.notes.append(f"{note}, peak memory ~ {quantity}^{growth(sizes, memory):.2f}.")
    report.notes.append(
        f"Time is the best of {chosen.repeats}; peak memory is resident memory above what the "
        "process had with libraries, net and input loaded. The simulator runs on all cores, the "
        "graph on one thread, torch.conv2d on torch's threads. Rate is spikes per neuron and step, "
        "the mean over populations."
    )
    report.show(chosen.json)


def _row(quantity: str, case: Case, found: Measured, base: Measured) -> list[Cell]:
    return [
        quantity,
        case.label,
        1 / found.seconds,
        1e3 * found.seconds / case.steps,
        found.seconds / base.seconds,
        found.bytes / MEBIBYTE,
        1e3 * found.graph if found.graph else "",
        100 * found.rate,
        found.seconds / found.convolutions,
    ]


if __name__ == "__main__":
    main()
