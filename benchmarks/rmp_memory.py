"""RMP regularisation: peak memory and time of a training step on all steps, on the last, without.

The time is the median of further steps, without the first, which compiles. Each variant runs in a
process of its own. The reference is the step without RMP.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import torch
from _timing import Report, parser, peak_memory

from lavaseg import models
from lavaseg.network import Input
from lavaseg.recipes import Rmp
from lavaseg.training.loss import rmp_loss
from lavaseg.training.network import SpikingNetwork

VARIANTS = ("none", "last", "all")


def measured(
    variant: str, width: int, size: int, steps: int, batch: int, repeats: int
) -> tuple[int, float]:
    """Bytes that the forward and backward pass of a step need at most, above those before it, and
    the seconds of a step."""
    torch.manual_seed(0)
    network = models.build("spiking_deeplab", Input("input", (3, size, size)), 2, width=width)
    model = SpikingNetwork(network)
    messages = (torch.rand(batch, 3, size, size, steps) < 0.3).float()
    penalties: list[torch.Tensor] = []

    def observe(node, spikes, membrane):  # type: ignore[no-untyped-def]
        if membrane is not None and node.threshold is not None:
            rmp = Rmp(weight=0.1, time=variant)  # type: ignore[arg-type]
            penalties.append(rmp_loss(rmp, node, spikes, membrane))

    def step() -> float:
        penalties.clear()
        started = time.perf_counter()
        loss = model(messages, observe, membranes=variant).square().mean()  # type: ignore[arg-type]
        if penalties:
            loss = loss + 0.1 * torch.stack(penalties).mean()
        loss.backward()
        return time.perf_counter() - started

    before = peak_memory()
    step()
    memory = peak_memory() - before
    return memory, statistics.median(step() for _ in range(repeats))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a variant."""
    options = parser(__doc__)
    options.add_argument("--one", metavar="VARIANT", help="measure in this process")
    chosen = options.parse_args(arguments)
    shape = (4, 32, 4, 2, 3) if chosen.quick else (32, 64, 20, 4, 5)
    width, size, steps, batch, _ = shape
    torch.set_num_threads(chosen.threads or 1)
    if chosen.one:
        print(json.dumps(measured(chosen.one, *shape)))
        return
    report = Report(
        f"Training step, Spiking-DeepLab width {width}, {size}x{size}, T {steps}, batch {batch}",
        "the step without RMP",
        ["RMP on steps", "peak MiB", "times", "seconds", "times as long"],
    )
    found = {}
    for variant in VARIANTS:
        command = [sys.executable, __file__, "--one", variant, *["--quick"] * chosen.quick]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
        found[variant] = json.loads(child.stdout.splitlines()[-1])
        (memory, seconds), (least, shortest) = found[variant], found[VARIANTS[0]]
        report.rows.append([variant, memory / 2**20, memory / least, seconds, seconds / shortest])
    report.show(chosen.json)


if __name__ == "__main__":
    main()
