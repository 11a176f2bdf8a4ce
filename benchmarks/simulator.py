"""The simulator's speed and peak memory against batch, chunk, image size, T and width.

From one base configuration one quantity at a time is changed. Each row runs in a process of its
own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from _networks import deeplab, random_input
from _timing import Cell, Report, best, machine, parser, peak_memory, use_threads
from torch.nn import functional

from lavaseg import export
from lavaseg.deploy import simulate
from lavaseg.integers import IntegerNetwork
from lavaseg.network import Conv

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Case:
    """One configuration: Spiking-DeepLab of this width on size x size pictures.

    Args:
        chunk: samples computed at once; the whole batch by default.
    """

    width: int
    size: int
    steps: int
    batch: int
    chunk: int = 0

    @property
    def label(self) -> str:
        chunk = f" in chunks of {self.chunk}" if self.chunk else ""
        return f"width {self.width}, {self.size}x{self.size}, T {self.steps}, batch " + (
            f"{self.batch}{chunk}"
        )


@dataclass(frozen=True)
class Measured:
    """Seconds a sample; bytes above what the process had before; the convolutions alone."""

    seconds: float
    bytes: int
    convolutions: float


def convolutions(net: IntegerNetwork, batch: int, repeats: int) -> float:
    """Seconds a sample of the layers' torch.conv2d alone, float32, channels last."""
    jobs = []
    for projection in net.network.projections:
        operator = projection.operator
        assert isinstance(operator, Conv)
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


def measure(folder: Path, chunk: int, repeats: int) -> Measured:
    """One row, in this process; memory first, before anything else could have peaked."""
    net, spikes = export.read(folder / "case.net"), np.load(folder / "spikes.npy")
    toy = deeplab(width=1, size=8, steps=1)
    simulate(toy, random_input(toy, 1))  # loads kernels and libraries
    before = peak_memory()
    simulate(net, spikes, chunk=chunk)
    grown = peak_memory() - before
    seconds = best(lambda: simulate(net, spikes, chunk=chunk), repeats) / len(spikes)
    return Measured(seconds, grown, convolutions(net, min(chunk, 4), repeats))


def in_child(case: Case, repeats: int, threads: int | None) -> Measured:
    """`measure` in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        net = deeplab(width=case.width, size=case.size, steps=case.steps)
        export.write(net, Path(folder) / "case.net")
        np.save(Path(folder) / "spikes.npy", random_input(net, case.batch))
        command = [sys.executable, __file__, "--one", folder]
        command += ["--chunk", str(case.chunk or case.batch), "--repeats", str(repeats)]
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
        "steps": [replace(base, steps=n) for n in (4, 8, 16)],
        "width": [replace(base, width=n) for n in (4, 8, 16, 32)],
    }


def growth(quantity: str, first: Case, last: Case, ratio: float) -> str:
    """How a cost grew between two cases, as a power of the quantity."""
    factor = getattr(last, quantity) / getattr(first, quantity)
    return f"{quantity}^{math.log(max(ratio, 1e-9)) / math.log(factor):.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--one", type=Path, help="measure the case in this folder, here")
    options.add_argument("--chunk", type=int, default=1, help="of that case")
    chosen = options.parse_args(arguments)
    use_threads(chosen.threads)
    if chosen.one is not None:
        print(json.dumps(asdict(measure(chosen.one, chosen.chunk, chosen.repeats))))
        return
    if chosen.quick:
        chosen.repeats = 1
    before = machine()
    base = Case(1, 8, 2, 1) if chosen.quick else Case(8, 64, 8, 16)
    series = cases(base, chosen.quick)
    found: dict[Case, Measured] = {}
    for case in [base, *(case for group in series.values() for case in group)]:
        if case not in found:
            found[case] = in_child(case, chosen.repeats, chosen.threads)

    report = Report(
        "The simulator on Spiking-DeepLab (nine layers): speed and peak memory",
        f"the base configuration ({base.label}); the last column against torch.conv2d of the "
        "same layers alone",
        (
            "varied",
            "configuration",
            "samples/s",
            "ms a sample-step",
            "time/base",
            "peak MiB",
            "memory/base",
            "time/conv2d alone",
        ),
        before=before,
    )
    for quantity, group in series.items():
        report.rows += [_row(quantity, case, found[case], found[base]) for case in group]
        first, last = group[0], group[-1]
        time = found[last].seconds / found[first].seconds
        memory = found[last].bytes / max(found[first].bytes, 1)
        report.notes.append(
            f"Growth, first to last {quantity}: time a sample ~ "
            f"{growth(quantity, first, last, time)}, peak memory ~ "
            f"{growth(quantity, first, last, memory)}."
        )
    report.notes.append(
        "Time is the best of "
        f"{chosen.repeats}; peak memory is resident memory above what the process had with "
        "libraries, net and input loaded. Convolutions run on torch's threads, neurons on all "
        "cores."
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
        found.bytes / max(base.bytes, 1),
        found.seconds / found.convolutions,
    ]


if __name__ == "__main__":
    main()
