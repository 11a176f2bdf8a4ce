"""Gradient norms through the residual blocks of MFS-Seg, measured: do they keep their size?

Su et al. 2024 argue that a residual block on membranes is nearly an isometry if the norm that ends
its branch starts small: gradients then neither vanish nor explode with depth. Here random
cotangents of the read-out are sent back through Res72 (24 blocks in a row, and the two where scales
meet), and the squared gradient norm behind each block is printed, relative to that behind the last.
The reference is the same blocks without the identity, as a plain network has them.
A run of an MFS-Seg adds one variant: its network as trained, on its own pictures.

    lavaseg train quick-mfs-res72
    python benchmarks/isometry.py --run runs/quick-mfs-res72 --figure isometry.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from lavaseg import models, recipes
from lavaseg.data import load
from lavaseg.errors import LavasegError
from lavaseg.network import Input, Network
from lavaseg.runs import Run
from lavaseg.training import SpikingNetwork
from lavaseg.training.batches import messages
from lavaseg.training.experiment import trained

REFERENCE = "without identity"


def plain(network: Network) -> Network:
    """The network whose blocks have no identity: each stream is the last branch alone."""
    branches = {node.name for node in network.nodes if node.name.endswith("_branch")}
    ends = {p.target for p in network.projections if p.source in branches}
    kept = tuple(p for p in network.projections if p.target not in ends or p.source in branches)
    return Network(network.input, network.nodes, kept, network.readout)


def branches_of(network: Network) -> list[str]:
    """The currents that end the residual branches, from input to output."""
    return [node.name for node in network.ordered if node.name.endswith("_branch")]


def gradient_norms(
    model: SpikingNetwork, spikes: torch.Tensor, probes: int, seed: int
) -> dict[str, float]:
    """Mean squared norm of the gradient behind each block, over random read-out cotangents.

    A branch and the stream that it is added to have the same gradient, that of the sum.

    Args:
        spikes: encoded input (N, C, H, W, T).
    """
    names = branches_of(model.network)
    outputs: dict[str, torch.Tensor] = {}
    hooks = [
        model.norms[name].register_forward_hook(
            lambda _, __, output, name=name: outputs.__setitem__(name, output)
        )
        for name in names
    ]
    readout = model(spikes)
    for hook in hooks:
        hook.remove()
    generator = torch.Generator().manual_seed(seed)
    total = dict.fromkeys(names, 0.0)
    for _ in range(probes):
        cotangent = torch.randn(readout.shape, generator=generator)
        found = torch.autograd.grad(readout, list(outputs.values()), cotangent, retain_graph=True)
        for name, gradient in zip(outputs, found, strict=True):
            total[name] += float(gradient.square().sum()) / probes
    return total


def train_a_little(
    model: SpikingNetwork, spikes: torch.Tensor, labels: torch.Tensor, steps: int
) -> None:
    """Adam on one batch: enough to leave the starting point."""
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        logits = model(spikes) / spikes.shape[-1]
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimiser.step()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Norms of each variant, block by block."""
    run = Run.open(options.run) if options.run else None
    if run and run.recipe.model.name != "mfs_seg":
        raise LavasegError(f"{run.path} holds a {run.recipe.model.name}, expected an mfs_seg")
    recipe = run.recipe if run else recipes.load("quick-mfs-efs")
    data = run.data if run else load("digits-photos", train=options.batch, test=4)
    size = run.recipe.model.options if run else {"base": options.base, "n": options.n}
    pictures = np.stack([data.train[i][0] for i in range(options.batch)])
    labels = torch.from_numpy(np.stack([data.train[i][1] for i in range(options.batch)])).long()
    encoder, surrogate = recipe.encoder_object, recipe.training.surrogate
    spikes = messages(pictures, encoder, 0, range(options.batch))
    sheet = Input("input", data.picture_shape, encoder.message_bits)
    network = models.build("mfs_seg", sheet, len(data.classes), **size | {"multi_scale": False})
    assert isinstance(network, Network)
    norms: dict[str, dict[str, float]] = {}
    for variant, description, scale, steps in (
        ("scale 0, as it starts", network, 0.0, 0),
        ("scale 0.1", network, 0.1, 0),
        ("scale 0.5, the threshold", network, 0.5, 0),
        (f"scale 0, after {options.steps} training steps", network, 0.0, options.steps),
        (REFERENCE, plain(network), 0.5, 0),
    ):
        torch.manual_seed(options.seed)
        model = SpikingNetwork(description, surrogate)
        for name in branches_of(description):
            torch.nn.init.constant_(model.norms[name].weight, scale)
        train_a_little(model, spikes, labels, steps)
        norms[variant] = gradient_norms(model, spikes, options.probes, options.seed)
    if run:
        model = trained(run).train()  # norms as in training, like the others
        variant = f"as trained, best of {len(run.history())} epochs"
        norms[variant] = gradient_norms(model, spikes, options.probes, options.seed)
    return {"reference": REFERENCE, "blocks": branches_of(network), "norms": norms}


def rows_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a variant: change of the norm over all blocks, and from block to block of a stage."""
    rows = []
    for variant, norms in report["norms"].items():
        stages = [name.split("_")[0] for name in norms]
        values = list(norms.values())
        steps = [
            first / second
            for (first, second), (left, right) in zip(
                pairwise(values), pairwise(stages), strict=True
            )
            if left == right
        ]
        rows.append(
            {
                "variant": variant,
                "first / last block": values[0] / values[-1],
                "least block / next in its stage": min(steps, default=1.0),
                "most block / next in its stage": max(steps, default=1.0),
            }
        )
    return rows


def figure(report: dict[str, Any]) -> Figure:
    """Norms by depth, relative to the last block's."""
    drawing = Figure(figsize=(7, 3.6), layout="constrained")
    axes = drawing.subplots()
    for variant, norms in report["norms"].items():
        values = np.array(list(norms.values()))
        axes.semilogy(np.arange(1, len(values) + 1), values / values[-1], label=variant, marker=".")
    axes.set_xlabel("residual block, from input to read-out")
    axes.set_ylabel("squared gradient norm / last block's")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=int, default=8, help="channels at full resolution")
    parser.add_argument("--n", type=int, default=4, help="blocks of a stage: 4 is Res72")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--probes", type=int, default=4, help="random cotangents")
    parser.add_argument("--steps", type=int, default=30, help="training steps of one variant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="trained MFS-Seg, whose size and data count then")
    parser.add_argument("--figure", type=Path, help="also draw it")
    parser.add_argument("--quick", action="store_true", help="toy size")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.base, options.n, options.batch, options.probes, options.steps = 4, 2, 2, 1, 1
    report = measure(options)
    report["rows"] = rows_of(report)
    if options.figure:
        figure(report).savefig(options.figure, dpi=120)
    if options.json:
        print(json.dumps(report, indent=1))
        return
    for row in report["rows"]:
        print("  ".join(f"{v:.3g}" if isinstance(v, float) else f"{v:40}" for v in row.values()))


if __name__ == "__main__":
    main()
