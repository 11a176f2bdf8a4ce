"""A finished run of an artificial network becomes a run of the spiking network that stands for it.

The folder is one like training's, so that evaluation, export and report need to know nothing of
where it came from. `conversion` does the arithmetic.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import torch

from lavaseg import __version__, recipes
from lavaseg.encoders import Direct, Encoder, EventEncoder, Frames, OnOffPoisson, Poisson
from lavaseg.errors import LavasegError
from lavaseg.export.conversion import Reset, balance
from lavaseg.export.lowering import lower, obstacles
from lavaseg.export.lowering.deployable import RESIZE
from lavaseg.export.rules import find_rule
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.models import CONVERTED
from lavaseg.models.analog import RECTIFIED, AnalogModel
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.models.analog.rectified_torch import Rectified
from lavaseg.network import STATE_LIMIT, STATE_SCALE, Current, Population, Relay
from lavaseg.recipes import Finetune, Recipe
from lavaseg.runs import Run, RunFolder
from lavaseg.system.files import new_folder
from lavaseg.training.batches import messages
from lavaseg.training.models import trained_model
from lavaseg.training.preparing import first, training_parts
from lavaseg.training.slayer.neurons import FLOAT_SCALE
from lavaseg.training.weights import arrays_of

Code = Literal["direct", "poisson"]
STEPS: dict[Reset, int] = {"soft": 64, "hard": 8}
"""Steps of a picture, unless told otherwise: rates need many, fine-tuned spikes few."""
FINETUNE = Finetune(epochs=4, learning_rate=2e-3)
"""The least fine-tuning of a network with hard reset, unless told otherwise: all that it knew of
the artificial network are weights to start from."""
MEMBRANE_LIMIT = STATE_LIMIT / STATE_SCALE / FLOAT_SCALE
"""Where membranes of float networks are clipped."""
MARGIN = 4.0
"""Calibration keeps the read-out's membranes this factor below the clip."""
SECTIONS = ("training", "augment", "finetune")
"""Sections of the recipe that a converted run still depends on, and that may be set anew."""


def convert_run(
    run: Run,
    out: str | Path,
    *,
    rule: str = "channel",
    steps: int | None = None,
    reset: Reset = "soft",
    calibration: int = 32,
    encoder: Code | None = None,
    overrides: Iterable[str] = (),
) -> Run:
    """Convert a trained artificial network into a spiking one, in a run folder of its own.

    Args:
        run: a run of ann_deeplab or ann_fcn.
        out: the folder to make, whole or not at all.
        rule: how thresholds are balanced, a name of `lavaseg.export.rules.RULES`.
        steps: T. By default `STEPS`; of a code that has one step for each frame or slice, its own.
        reset: "soft" is what the rules are made for, and runs in floats; "hard" is what Loihi has,
            and needs the fine-tuning of `export`. With "hard" a current's bias, which synapses
            carry to neurons unevenly at borders, becomes the mean of what each channel gets.
        calibration: number of training samples, the first ones, that balance thresholds.
        encoder: "direct" or "poisson", instead of the artificial network's.
        overrides: "field=value" of the recipe's sections training, augment and finetune. With
            hard reset, finetune starts from the recipe's or `FINETUNE`, whichever is more.

    Returns:
        The run in `out`, with recipe, description, weights and the account of the conversion.

    Raises:
        LavasegError: the run is spiking, has no weights or cannot be converted; `out` holds
            something; a rule, a number, a field or an encoder that does not fit.
    """
    out = Path(out)
    analog = _convertible(run)
    find_rule(rule)
    if reset not in get_args(Reset):
        raise LavasegError(f"reset must be soft or hard, got {reset!r}")
    if calibration < 1:
        raise LavasegError(f"calibration must be 1 or more training samples, got {calibration}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        what = "already holds a run" if RunFolder(out).recipe.exists() else "already exists"
        raise LavasegError(f"{out} {what}: give another --out")
    code = _code(run.recipe.encoder_object, steps, encoder, STEPS[reset])
    model = cast(AnalogNetwork, trained_model(run))
    if reset == "hard":
        _check_hardware(run, model)
    samples = first(training_parts(run.recipe, run.data)[0], calibration)
    recipe = _recipe(run.recipe, analog, code, rule, reset, len(samples), overrides)
    pictures = [samples[index][0] for index in range(len(samples))]
    encoded = messages(pictures, code, run.recipe.seed, range(len(samples)))
    with torch.no_grad():
        largest = float(model(encoded).abs().max())  # T times a logit: a membrane where all is well
    unit = max(1.0, MARGIN * largest / MEMBRANE_LIMIT)
    weighted, scales = balance(
        model, encoded, rule, reset=reset, logit_unit=unit, message_bits=code.message_bits
    )
    weighted, unit = _within_limits(weighted, unit, encoded)
    if reset == "hard":
        weighted = _with_even_biases(weighted)
        lower(weighted)  # what export would refuse is refused now
    spiking = weighted.to_model(recipe.training.surrogate)
    record = {
        "source": str(run.path),
        "model": analog.to_dict(),
        "weights": run.files.weights.sha256(),
        "rule": rule,
        "steps": code.steps,
        "reset": reset,
        "encoder": code.to_dict(),
        "calibration": len(samples),
        "logit_unit": unit,
        "scales": {name: np.round(scale, 6).tolist() for name, scale in scales.items()},
        "lavaseg": __version__,
    }
    with new_folder(out) as folder:
        made = dataclasses.replace(run, path=folder, recipe=recipe, model=spiking.network)
        made.save()
        made.files.weights.save(arrays_of(spiking))
        made.files.conversion.save(record)
    return Run.open(out)


def _convertible(run: Run) -> AnalogModel:
    """The run's artificial network, if it has a description with ReLUs."""
    able = " or ".join(RECTIFIED)
    if not isinstance(run.model, AnalogModel):
        raise LavasegError(
            f"{run.path} holds a spiking network already: expected a run of the artificial {able}"
        )
    if run.model.name not in RECTIFIED:
        raise LavasegError(
            f"{run.path} holds a {run.model.name}, which cannot be converted: expected a run of "
            f"the artificial {able}"
        )
    return run.model


def _check_hardware(run: Run, model: AnalogNetwork) -> None:
    """LavasegError if the network has an operator that Loihi has not, whatever its weights."""
    assert isinstance(model.body, Rectified)
    if RESIZE in obstacles(model.body.network):
        raise LavasegError(
            f"{run.path} resizes bilinearly between layers, which hardware cannot: train "
            f"{run.recipe.model.name} with --set model.options.resize=crop, or convert with "
            "--reset soft"
        )


def _code(encoder: Encoder, steps: int | None, kind: Code | None, default: int) -> Encoder:
    """The code of the spiking network: the artificial network's in T steps, or another."""
    if isinstance(encoder, (Frames, EventEncoder)):
        if steps not in (None, encoder.steps) or kind is not None:
            raise LavasegError(
                f"the {encoder.kind} encoder has one step for each part of a sample: leave out "
                "--steps and --encoder"
            )
        return encoder
    steps = default if steps is None else steps
    if kind is None or kind == encoder.kind:
        return dataclasses.replace(encoder, steps=steps)
    if kind not in get_args(Code):
        raise LavasegError(f"encoder must be direct or poisson, got {kind!r}")
    if isinstance(encoder, OnOffPoisson) or (isinstance(encoder, Poisson) and encoder.inverted):
        raise LavasegError(
            f"the artificial network was trained on another picture than the {kind} encoder gives: "
            f"leave out --encoder to keep its {encoder.kind} code"
        )
    return Direct(steps) if kind == "direct" else Poisson(steps)


def _recipe(
    recipe: Recipe,
    analog: AnalogModel,
    code: Encoder,
    rule: str,
    reset: Reset,
    calibration: int,
    overrides: Iterable[str],
) -> Recipe:
    """The artificial network's recipe, but for what conversion decides; no model to build."""
    fields = recipe.model_dump()
    fields |= {
        "name": f"{recipe.name}-converted",
        "title": f"{recipe.title}, converted to spikes",
        "paper": "",
        "encoder": code.to_dict(),
        "model": {
            "name": CONVERTED,
            "options": {
                "artificial": analog.name,
                **analog.options,
                "rule": rule,
                "reset": reset,
                "calibration": calibration,
            },
        },
    }
    if reset == "hard":
        own, least = recipe.finetune.model_dump(), FINETUNE.model_dump()
        fields["finetune"] = {field: max(value, least[field]) for field, value in own.items()}
    for item in overrides:
        if item.partition("=")[0].partition(".")[0] not in SECTIONS:
            raise LavasegError(
                f"--set {item!r}: of a converted run the sections {', '.join(SECTIONS)} can be set"
            )
        recipes.override(fields, item)
    changed = recipes.parse(fields, "of the converted run")
    for field in ("validation_fraction", "train_on_all"):
        if getattr(changed.training, field) != getattr(recipe.training, field):
            raise LavasegError(
                f"training.{field} decides what the artificial network was trained on, and "
                "cannot be set anew"
            )
    return changed


def _within_limits(
    weighted: WeightedNetwork, unit: float, encoded: torch.Tensor
) -> tuple[WeightedNetwork, float]:
    """The network with a read-out that keeps `MARGIN` from the clip, and its logits' unit.

    Args:
        unit: how many logits one unit of its membranes is now.
        encoded: calibration samples as messages.

    Returns:
        A unit of 1 where that is enough: the loss of its logits is then that of the artificial
        network's.
    """
    while (peak := _peak(weighted, encoded)) > 0.9 * MEMBRANE_LIMIT:
        weighted, unit = _with_unit(weighted, 16.0), 16 * unit
    wanted = max(1.0, MARGIN * peak * unit / MEMBRANE_LIMIT)
    return _with_unit(weighted, wanted / unit), wanted


def _with_even_biases(weighted: WeightedNetwork) -> WeightedNetwork:
    """The network whose currents have no biases: what they bring is the bias of what they feed.

    Exact where it is the same for all neurons of a channel; else its mean over them.
    """
    net, biases = weighted.network, dict(weighted.biases)
    for node in net.ordered:
        if not isinstance(node, Current) or node.name not in biases:
            continue
        bias = np.atleast_2d(biases.pop(node.name))
        for out in net.outgoing(node.name):
            sheets = net.geometry(out).constant(weighted.weights[out.name], bias)
            passed = sheets.mean((0, 2, 3))
            biases[out.target] = biases.get(out.target, 0.0) + passed
    flags = {node.name: {"bias": node.name in biases} for node in net.nodes}
    return weighted.replace(network=net.replace_nodes(flags), biases=biases)


def _with_unit(weighted: WeightedNetwork, factor: float) -> WeightedNetwork:
    """The network whose read-out's membranes are in units `factor` times as large."""
    net = weighted.network
    into = {p.name: weighted.weights[p.name] / factor for p in net.incoming(net.readout)}
    biases = {
        name: weighted.biases[name] / factor for name in weighted.biases if name == net.readout
    }
    return weighted.replace(
        weights={**weighted.weights, **into}, biases={**weighted.biases, **biases}
    )


@torch.no_grad()
def _peak(weighted: WeightedNetwork, encoded: torch.Tensor) -> float:
    """The largest membrane of the read-out at any step, as floats."""
    model = weighted.to_model()
    peaks = [0.0]

    def observe(node: Population | Relay, _: torch.Tensor, membrane: torch.Tensor | None) -> None:
        if node.name == model.network.readout and membrane is not None:
            peaks.append(float(membrane.abs().max()))

    for sample in encoded.split(1):
        model(sample, observe, membranes="all")
    return max(peaks)
