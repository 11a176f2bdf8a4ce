"""Export: a trained run becomes an integer network and a NetX file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from lavaseg.data.base import Samples
from lavaseg.errors import LavasegError
from lavaseg.export.calibration import calibrate, fitted
from lavaseg.export.finetune import quantised_model, tuned_values
from lavaseg.export.lowering import (
    CHOICES,
    Choice,
    Quantisation,
    choose_quantisation,
    levels_unrolled,
    lower,
    quantise,
    rounded,
)
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.kernels.devices_torch import devices_of
from lavaseg.network.integers import IntegerNetwork, RoundedNetwork
from lavaseg.network.interleave import factors, interleave
from lavaseg.network.ranges import check_loops, check_ranges
from lavaseg.netx import write
from lavaseg.results import metrics
from lavaseg.results.evaluation import Meter
from lavaseg.results.rounding import Calibrated, Fit
from lavaseg.runs import Run
from lavaseg.system.lock import locked
from lavaseg.system.progress import line, track
from lavaseg.training import SpikingNetwork
from lavaseg.training.batches import loader, messages
from lavaseg.training.fit import fit
from lavaseg.training.models import trained
from lavaseg.training.place import Place
from lavaseg.training.plan import Plan
from lavaseg.training.preparing import training_parts, weights_of_classes
from lavaseg.training.weights import arrays_of, restore

CALIBRATION = 16
"""Training pictures that scales are measured on, unless told otherwise."""


def export(
    run: Run,
    path: str | Path | None = None,
    *,
    finetune: bool = True,
    calibration: int = CALIBRATION,
    widest: int | None = None,
    levels: Choice = "auto",
    device: str = "auto",
    progress: bool = True,
) -> IntegerNetwork:
    """Fold, calibrate, quantise, fine-tune, check the ranges and write the NetX file.

    Of the rounded network and the fine-tuned ones, the one is taken that is best on the validation
    data; of a run that was trained on all samples, and so has none, the last fine-tuned one.
    Calibration and fine-tuning happen once: scales and weights stay in the run's folder and
    are used again as long as the trained weights, the number of pictures and the recipe are the
    same.

    Args:
        path: where to write; `net.net` in the run's folder by default.
        finetune: False rounds the trained weights as they are.
        calibration: number of training pictures, spread over all, that scales are measured on
            (`lavaseg/export/calibration.py`). 0: the largest scales with which every number fits.
        widest: columns that a sheet may have which a convolution reads; wider ones are
            interleaved (`lavaseg/network/interleave.py`), which changes no spike. None: any.
        levels: how integer neurons send their integers: as "binary" spikes, as one "graded" spike,
            or what is cheaper for each population, "auto" (`lavaseg/export/lowering/levels.py`).
            It changes no integer.
        device: what fine-tuning runs on: "cpu", "cuda", "cuda:1"; "auto": the first GPU where there
            is one.

    Raises:
        LavasegError: no such device, the model cannot be deployed, a sheet cannot be interleaved, a
            range is exceeded, or a file cannot be written.
    """
    with locked(run.path):
        target = run.files.net.path if path is None else path
        place = Place(devices_of(device))
        return _exported(run, target, finetune, calibration, widest, levels, place, progress)


def _exported(
    run: Run,
    path: str | Path,
    finetune: bool,
    calibration: int,
    widest: int | None,
    levels: Choice,
    place: Place,
    progress: bool,
) -> IntegerNetwork:
    if calibration < 0:
        raise LavasegError(f"calibration must be 0 or more training pictures, got {calibration}")
    if levels not in CHOICES:
        raise LavasegError(f"levels must be one of {', '.join(CHOICES)}, got {levels!r}")
    weighted = lower(WeightedNetwork.from_model(trained(run)))
    if widest is not None:
        factors(
            levels_unrolled(weighted.network, levels).network, widest
        )  # before anything is trained
    tunes = finetune and run.recipe.finetune.epochs > 0
    quantisation, fits = _quantisation(run, weighted, calibration, tunes, progress)
    weighted = fitted(weighted, quantisation.scales, fits)
    encoder = run.recipe.encoder_object
    if tunes:
        if progress and run.recipe.init.frozen:
            line(_tuned_though_frozen(run))
        start = rounded(weighted, quantisation, encoder, run.classes)
        weighted = _finetune(run, start, weighted, quantisation, fits, place, progress)
    net = quantise(weighted, quantisation, encoder, run.classes, levels)
    if widest is not None:
        net, _ = interleave(net, widest)
    check_ranges(net)
    check_loops(net)
    write(net, path)
    return net


def _tuned_though_frozen(run: Run) -> str:
    layers = ", ".join(run.recipe.init.frozen)
    return (
        f"fine-tuning changes all layers, also those that training left as they are ({layers}): "
        f"with finetune.epochs 0 in {run.files.recipe.path} they are only rounded"
    )


def _quantisation(
    run: Run, weighted: WeightedNetwork, samples: int, tunes: bool, progress: bool
) -> tuple[Quantisation, tuple[Fit, ...]]:
    """The scales, and the populations that are rounded otherwise than by the ranges alone.

    Args:
        tunes: whether fine-tuning follows, which needs the training data, too.
    """
    stored = run.files.calibration
    if not samples:
        stored.remove()
        return choose_quantisation(weighted, run.recipe.encoder_object.steps), ()
    weights, names = run.files.weights.sha256(), {node.name for node in weighted.network.nodes}
    found = _stored(run)
    if (
        found is None
        or (found.weights, found.samples, set(found.scales)) != (weights, samples, names)
        or not all(_belongs(fit, weighted) for fit in found.fits)
    ):
        scales, fits = calibrate(weighted, _pictures(run, samples, tunes), progress=progress)
        found = Calibrated(weights, samples, dict(scales.scales), fits)
        stored.save(found.to_dict())
    return Quantisation(found.scales), found.fits


def _stored(run: Run) -> Calibrated | None:
    """The calibration in the run's folder, or None if there is none that can be read."""
    try:
        return Calibrated.from_dict(run.files.calibration.load())
    except LavasegError:
        return None


def _belongs(fit: Fit, weighted: WeightedNetwork) -> bool:
    """Whether the values that a calibration keeps are as many as the network has."""
    sizes = {name: weighted.weights[name].size for name in fit.weights if name in weighted.weights}
    bias = weighted.biases.get(fit.population)
    right_bias = fit.bias is None or (bias is not None and len(fit.bias) == len(bias))
    return right_bias and sizes == {name: len(values) for name, values in fit.weights.items()}


def _pictures(run: Run, samples: int, tunes: bool) -> torch.Tensor:
    """Messages of training samples, spread evenly over all, (N, C, H, W, T)."""
    try:
        training = training_parts(run.recipe, run.data)[0]
    except LavasegError as error:
        if tunes:
            raise
        raise LavasegError(
            f"{error}; export measures scales on training pictures: --calibration 0 does without"
        ) from None
    numbers = np.unique(np.linspace(0, len(training) - 1, samples).astype(int)).tolist()
    stimuli = [training[number][0] for number in numbers]
    return messages(stimuli, run.recipe.encoder_object, run.recipe.seed, numbers)


def _finetune(
    run: Run,
    net: RoundedNetwork,
    weighted: WeightedNetwork,
    quantisation: Quantisation,
    fits: tuple[Fit, ...],
    place: Place,
    progress: bool,
) -> WeightedNetwork:
    model = quantised_model(net, weighted, quantisation, run.recipe.training.surrogate)
    origin: dict[str, object] = {
        "weights": run.files.weights.sha256(),
        "finetune": run.recipe.finetune.model_dump(),
        "scales": dict(quantisation.scales),
    }
    if diffused := [fit.population for fit in fits if fit.diffused]:
        origin["diffused"] = diffused
    if compensated := [[fit.weights, fit.bias] for fit in fits if fit.compensated]:
        origin["compensated"] = hashlib.sha256(json.dumps(compensated).encode()).hexdigest()
    if not _is_tuned(run, origin):
        run.files.tuning.remove()
        training, validation = training_parts(run.recipe, run.data)
        start = {name: array.copy() for name, array in arrays_of(model).items()}
        rounded = None if validation is None else _validated(run, model, validation, progress)
        encoder = run.recipe.encoder_object
        optimisation = run.recipe.training.model_copy(
            update={
                "epochs": run.recipe.finetune.epochs,
                "learning_rate": run.recipe.finetune.learning_rate,
                "schedule": "cosine",
                "weight_decay": 0.0,
                "early_stop": 0,
                "precision": "float32",  # of others, integer weights would be rounded again
            }
        )
        scale = encoder.steps * quantisation.scales[net.network.readout]
        fit(
            model,
            Plan(
                optimisation,
                encoder,
                run.recipe.seed + 1,
                scale,
                ignore_index=run.ignore_index,
                augment=run.recipe.augment,
                class_weights=weights_of_classes(run.recipe, run.data, training),
            ),
            training,
            validation,
            classes=run.classes,
            colours=run.colours,
            folder=run.files,
            table=run.files.tuning_history,
            weights=run.files.tuned_weights,
            title="finetune",
            progress=progress,
            place=place,
        )
        if validation is not None and rounded is not None:
            tuned = _validated(run, restore(model, run.files.tuned_weights), validation, progress)
            if tuned < rounded:
                run.files.tuned_weights.save(start)
                if progress:
                    line(
                        f"fine-tuning is not taken: validation mIoU {100 * tuned:.2f} %, rounded "
                        f"without it {100 * rounded:.2f} %"
                    )
        run.files.tuning.save(origin)
    restore(model, run.files.tuned_weights)
    return tuned_values(model, weighted, quantisation)


@torch.no_grad()
def _validated(run: Run, model: SpikingNetwork, validation: Samples, progress: bool) -> float:
    """mIoU of a quantised model on the validation data."""
    encoder = run.recipe.encoder_object
    meter = Meter(run.classes, encoder.steps, run.ignore_index)
    training = model.training
    model.eval()
    batch, seed = run.recipe.training.batch_size, run.recipe.seed + 1
    batches = loader(validation, encoder, batch_size=batch, seed=seed, shuffle=False)
    for inputs, labels in track(batches, "validate", show=progress):
        size = labels.shape[1], labels.shape[2]
        meter.add(metrics.predict(model(inputs).numpy(), size), labels.numpy(), {})
    model.train(training)
    return meter.result(0.0).miou


def _is_tuned(run: Run, origin: Mapping[str, object]) -> bool:
    """Whether fine-tuned weights exist that came from these trained weights and settings."""
    try:
        return run.files.tuned_weights.current() and run.files.tuning.load() == origin
    except LavasegError:
        return False
