"""RMP regularisation: peak memory of a training step on all steps, on the last one, and without.

Each variant runs in a process of its own. The reference is the step without RMP.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import torch
from _timing import Report, parser, peak_memory

from lavaseg import models
from lavaseg.network import Input
from lavaseg.recipes import Rmp
from lavaseg.training.loss import rmp_loss
from lavaseg.training.network import SpikingNetwork

VARIANTS = ("none", "last", "all")


def step(variant: str, width: int, size: int, steps: int, batch: int) -> int:
    """Bytes that the forward and backward pass of one step need at most, above those before."""
    torch.manual_seed(0)
    network = models.build("spiking_deeplab", Input("input", (3, size, size)), 2, width=width)
    model = SpikingNetwork(network)
    messages = (torch.rand(batch, 3, size, size, steps) < 0.3).float()
    penalties: list[torch.Tensor] = []

    def observe(node, spikes, membrane):  # type: ignore[no-untyped-def]
        if membrane is not None and node.threshold is not None:
            rmp = Rmp(weight=0.1, time=variant)  # type: ignore[arg-type]
            penalties.append(rmp_loss(rmp, node, spikes, membrane))

    before = peak_memory()
    loss = model(messages, observe, membranes=variant).square().mean()  # type: ignore[arg-type]
    if penalties:
        loss = loss + 0.1 * torch.stack(penalties).mean()
    loss.backward()
    return peak_memory() - before


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a variant."""
    options = parser(__doc__)
    options.add_argument("--one", metavar="VARIANT", help="measure in this process")
    chosen = options.parse_args(arguments)
    width, size, steps, batch = (4, 32, 4, 2) if chosen.quick else (32, 64, 20, 4)
    torch.set_num_threads(chosen.threads or 1)
    if chosen.one:
        print(step(chosen.one, width, size, steps, batch))
        return
    report = Report(
        f"Training step, Spiking-DeepLab width {width}, {size}x{size}, T {steps}, batch {batch}",
        "the step without RMP",
        ["RMP on steps", "peak MiB", "times"],
    )
    found = {}
    for variant in VARIANTS:
        command = [sys.executable, __file__, "--one", variant, *["--quick"] * chosen.quick]
        child = subprocess.run(command, check=True, capture_output=True, text=True)
        found[variant] = json.loads(child.stdout.splitlines()[-1])
        report.rows.append([variant, found[variant] / 2**20, found[variant] / found[VARIANTS[0]]])
    report.show(chosen.json)


if __name__ == "__main__":
    main()
