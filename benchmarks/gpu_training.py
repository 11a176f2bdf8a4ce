"""Training on a GPU: a step with time inside the neuron's kernels, against a kernel for each step.

The reference is the same network on the same GPU with torch operations for each time step, which is
what runs where Triton is missing. Batches are drawn at random, of the recipe's size and encoder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from _timing import Report, best, machine, parser

from lavaseg import models, recipes
from lavaseg.network import Input, Network
from lavaseg.recipes import Recipe
from lavaseg.training.loss import segmentation_loss
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.slayer import neurons

PICTURE, CLASSES = (3, 32, 32), 2
"""Those of MNIST-CIFAR10."""
RECIPES = ("kim-deeplab-mnist-cifar10", "quick-deeplab", "quick-mfs-efs")


def network_of(recipe: Recipe) -> Network:
    """The network that a recipe describes, on pictures of MNIST-CIFAR10."""
    encoder = recipe.encoder_object
    sheet = Input("input", encoder.shape(PICTURE), encoder.message_bits)
    network = models.build(recipe.model.name, sheet, CLASSES, **recipe.model.options)
    assert isinstance(network, Network)
    return network


def step_of(recipe: Recipe, device: str) -> Callable[[], None]:
    """Forward, loss, backward and Adam on one batch; whoever times it waits for the GPU."""
    torch.manual_seed(0)
    encoder, batch = recipe.encoder_object, recipe.training.batch_size
    model = SpikingNetwork(network_of(recipe), recipe.training.surrogate, steps=encoder.steps)
    model.to(device).train()
    spikes = (torch.rand(batch, *encoder.shape(PICTURE), encoder.steps) < 0.3).float().to(device)
    labels = torch.randint(0, CLASSES, (batch, *PICTURE[1:])).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=recipe.training.learning_rate)

    def once() -> None:
        optimiser.zero_grad()
        segmentation_loss(model(spikes) / encoder.steps, labels).backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return once


def stepwise(work: Callable[[], float]) -> float:
    """`work` with torch operations for each time step in place of Triton's kernels."""
    ours, neurons.triton_kernels = neurons.triton_kernels, lambda: None
    try:
        return work()
    finally:
        neurons.triton_kernels = ours


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--recipes", nargs="+", default=list(RECIPES))
    options.add_argument("--cpu", action="store_true", help="also a step on the CPU, one repeat")
    chosen = options.parse_args(arguments)
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs an NVIDIA GPU that torch can use")
    report = Report(
        "A training step on a GPU",
        "the same step with torch operations for each time step",
        ("recipe", "T", "batch", "stepwise ms", "ms", "times faster", "CPU ms"),
        before={**machine(), "GPU": torch.cuda.get_device_name()},
    )
    for name in chosen.recipes:
        recipe = recipes.load(name)
        work = step_of(recipe, "cuda")
        ours = 1e3 * best(work, 10 * chosen.repeats)
        theirs = stepwise(lambda work=work: 1e3 * best(work, 3 * chosen.repeats))  # type: ignore[misc]
        cpu = f"{1e3 * best(step_of(recipe, 'cpu'), 1):,.0f}" if chosen.cpu else "-"
        report.rows.append(
            (
                Path(name).stem,
                float(recipe.encoder_object.steps),
                float(recipe.training.batch_size),
                theirs,
                ours,
                theirs / ours,
                cpu,
            )
        )
    report.show(chosen.json)


if __name__ == "__main__":
    main()
