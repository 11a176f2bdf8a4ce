"""Loaders: samples/s of each recipe's data against the training steps that wait for them.

The first pass reads files, later ones what is kept in memory; both include augmentation and
encoding, as in training.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from _timing import Report, best, machine, parser, use_threads
from torch.utils.data import DataLoader

from lavaseg import data, models, recipes
from lavaseg.data.base import DataSet
from lavaseg.errors import LavasegError
from lavaseg.network import Input
from lavaseg.recipes import Recipe
from lavaseg.training.batches import loader
from lavaseg.training.loss import segmentation_loss
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.preparing import first

TINY = (
    "data.options={train: 16, test: 2}",
    "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 4]",
    "encoder.steps=2",
    "training.batch_size=4",
)


def pass_rate(batches: DataLoader) -> float:
    """Samples a second of one pass."""
    started = time.perf_counter()
    count = sum(len(labels) for _, labels in batches)
    return count / (time.perf_counter() - started)


def step_rate(recipe: Recipe, found: DataSet, batches: DataLoader, repeats: int) -> float:
    """Samples a second of forward, loss, backward and Adam on one batch."""
    encoder = recipe.encoder_object
    sheet = Input("input", encoder.shape(found.picture_shape), encoder.message_bits)
    network = models.build(recipe.model.name, sheet, len(found.classes), **recipe.model.options)
    model = SpikingNetwork(network, recipe.training.surrogate)
    optimiser = torch.optim.Adam(model.parameters())
    messages, labels = next(iter(batches))

    def once() -> None:
        optimiser.zero_grad()
        logits = model(messages).float() / encoder.steps
        segmentation_loss(logits, labels, ignore_index=found.ignore_index).backward()
        optimiser.step()

    return len(labels) / best(once, repeats)


def row(recipe: Recipe, limit: int, repeats: int) -> tuple[str | float, ...]:
    """The cells of one recipe; LavasegError if its files are not there."""
    found = data.load(recipe.data.name, **recipe.data.options)
    batches = loader(
        first(found.train, limit),
        recipe.encoder_object,
        batch_size=recipe.training.batch_size,
        seed=0,
        shuffle=True,
        augment=recipe.augment,
        ignore_index=found.ignore_index,
    )
    cold = pass_rate(batches)
    warm = max(pass_rate(batches) for _ in range(repeats))
    step = step_rate(recipe, found, batches, repeats)
    return recipe.name, cold, warm, step, cold / step, warm / step


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--recipes", nargs="+", default=recipes.names(), help="names of recipes")
    options.add_argument("--samples", type=int, default=256, help="training samples")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.recipes, chosen.samples, chosen.repeats = ["demo"], 8, 1
    use_threads(chosen.threads)
    report = Report(
        f"Loaders, {chosen.samples} samples",
        "a training step of the same recipe's network (the last two columns: times faster)",
        (
            "recipe",
            "first pass, samples/s",
            "later passes, samples/s",
            "training, samples/s",
            "first / training",
            "later / training",
        ),
        before=machine(),
    )
    for name in chosen.recipes:
        recipe = recipes.load(name, TINY if chosen.quick else ())
        try:
            report.rows.append(row(recipe, chosen.samples, chosen.repeats))
        except LavasegError as error:
            report.notes.append(f"Not measured: {name}, {error}.")
    report.notes.append(
        "Loading and training take turns in one process: a loader that is N times faster adds "
        "1 / N to the time of training."
    )
    report.show(chosen.json)


if __name__ == "__main__":
    main()
