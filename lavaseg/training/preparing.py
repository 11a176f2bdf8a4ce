"""What a recipe comes to on its data set: the run that it describes, its samples, its plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lavaseg import models
from lavaseg.data.base import DataSet, Samples
from lavaseg.data.labelled import check_labelled
from lavaseg.data.split import Joined, Subset, hold_out
from lavaseg.errors import LavasegError
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.models.delays import learning_delays
from lavaseg.network import Input, Network
from lavaseg.recipes import Recipe
from lavaseg.runs import Run
from lavaseg.system.limits import check_memory
from lavaseg.training.loss import class_weights
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.plan import Plan
from lavaseg.training.transfer import frozen_layers

_FLOAT_BYTES = 4


def described(recipe: Recipe, data_set: DataSet, folder: Path) -> Run:
    """The run that a recipe describes on a data set, not yet on disk."""
    encoder = recipe.encoder_object
    sheet = Input("input", encoder.shape(data_set.picture_shape), encoder.message_bits)
    model = models.build(recipe.model.name, sheet, len(data_set.classes), **recipe.model.options)
    longest = recipe.training.max_delay
    if isinstance(model, Network):
        model = learning_delays(model, longest)
    elif longest:
        raise LavasegError(
            f"training.max_delay is {longest}, but {recipe.model.name!r} sends no spikes to delay: "
            "expected 0, or a spiking model"
        )
    return Run(
        folder,
        recipe,
        model,
        tuple(data_set.classes),
        data_set.ignore_index,
        data_set.picture_shape,
    )


def check_memory_of(run: Run) -> None:
    """Refuse a network that no training step on this machine can hold.

    Raises:
        LavasegError: says what it would take, at least: each number as weight, gradient and two
            moments of the optimiser, and the spikes of a batch.
    """
    recipe, steps = run.recipe, run.recipe.encoder_object.steps
    needed = _FLOAT_BYTES * 4 * run.model.parameter_count(steps)
    if isinstance(run.model, Network):
        neurons = sum(run.model.neurons(name) for name in run.model.shapes)
        needed += _FLOAT_BYTES * neurons * steps * recipe.training.batch_size
    remedy = "take a narrower model (model.options), smaller pictures or a smaller batch_size"
    check_memory(needed, f"training {recipe.name!r}", remedy)


def training_parts(recipe: Recipe, data_set: DataSet) -> tuple[Samples, Samples | None]:
    """Training and validation samples; the official validation part, or one held out.

    With `training.train_on_all` everything trains, and there are no validation samples.

    Raises:
        LavasegError: no pixel of one of them has a class.
    """
    parts: tuple[Samples, Samples | None]
    if recipe.training.train_on_all:
        held = data_set.validation
        parts = data_set.train if held is None else Joined((data_set.train, held)), None
    elif data_set.validation is not None:
        parts = data_set.train, data_set.validation
    else:
        parts = hold_out(data_set.train, recipe.training.validation_fraction, recipe.seed)
    for part, name in zip(parts, ("training", "validation"), strict=True):
        if part is not None:
            check_labelled(part, name, data_set.ignore_index, recipe.encoder_object)
    return parts


def first(samples: Samples, limit: int | None) -> Samples:
    """The first `limit` samples, or all."""
    count = len(samples) if limit is None else min(limit, len(samples))
    return Subset(samples, np.arange(count))


def plan_of(
    recipe: Recipe, data_set: DataSet, training: Samples, model: SpikingNetwork | AnalogNetwork
) -> Plan:
    """Everything that the training of a recipe depends on besides model and data."""
    encoder = recipe.encoder_object
    return Plan(
        recipe.training,
        encoder,
        recipe.seed,
        float(encoder.steps),
        recipe.rmp,
        data_set.ignore_index,
        recipe.augment,
        weights_of_classes(recipe, data_set, training),
        frozen_layers(model, recipe.init.frozen) if recipe.init.frozen else (),
    )


def weights_of_classes(
    recipe: Recipe, data_set: DataSet, training: Samples
) -> tuple[float, ...] | None:
    """The weight of each class in the loss, as the recipe asks for, or None."""
    return class_weights(
        recipe.training.class_weights, training, len(data_set.classes), data_set.ignore_index
    )
