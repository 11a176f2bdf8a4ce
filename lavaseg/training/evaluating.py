"""Evaluate the float network of a run, at its own or another number of steps."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from lavaseg.data.base import Samples
from lavaseg.data.labelled import check_labelled
from lavaseg.encoders import Encoder, NoiseLike, as_noise
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.kernels.devices_torch import found_device
from lavaseg.models.analog import AnalogModel
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network import STATE_LIMIT, STATE_SCALE, Current, Node
from lavaseg.results import metrics
from lavaseg.results.evaluation import Evaluation, Meter
from lavaseg.results.levels import LevelView
from lavaseg.runs import Run
from lavaseg.system.progress import track
from lavaseg.training.batches import loader, messages
from lavaseg.training.loss import segmentation_loss
from lavaseg.training.models import trained_model
from lavaseg.training.network import Carried, SpikingNetwork, spikes_sent
from lavaseg.training.preparing import first, training_parts
from lavaseg.training.slayer.neurons import FLOAT_SCALE

_FLOAT_BYTES = 4
_INPUT_BYTES = 2**28
"""Memory that a batch's input aims to stay below at more steps than trained."""


def evaluate(
    run: Run,
    *,
    limit: int | None = None,
    split: Literal["test", "validation"] = "test",
    noise: NoiseLike = None,
    steps: int | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Evaluation:
    """Evaluate the float network.

    The result on the whole test set, at the trained T and without noise, stays in the run's folder.

    Args:
        limit: at most this many samples, the first ones; all by default.
        split: which part of the data.
        noise: noise on the input: `lavaseg.encoders.Noise`, the sigma of Gaussian noise, or a word
            such as "salt-pepper:0.05". Its draws follow from its own seed and the sample's number.
        steps: another T than the trained one, by the rule of `lavaseg.network.steps`. More steps
            than trained are taken on the CPU.
        device: "cpu", "cuda", "cuda:1"; "auto": the first GPU where there is one.

    Raises:
        LavasegError: no such device, no weights yet, noise that the input cannot have, a T that it
            cannot have or in which the read-out's membranes leave their range.
    """
    noise, trained_steps = as_noise(noise), run.recipe.encoder_object.steps
    device = found_device(device)
    encoder = encoder_at(run, steps)
    samples = first(_evaluated(run, split), limit)
    check_labelled(samples, split, run.ignore_index, encoder)
    model = trained_model(run)
    if isinstance(model, SpikingNetwork) and encoder.steps != trained_steps:
        model.set_steps(encoder.steps)
    batch_size = run.recipe.training.batch_size
    if encoder.steps > trained_steps:
        device = "cpu"  # piece by piece: what neurons keep lies there
        sample_bytes = _FLOAT_BYTES * encoder.steps * math.prod(encoder.shape(run.picture_shape))
        batch_size = max(1, min(batch_size, _INPUT_BYTES // sample_bytes))
    batches = loader(
        samples,
        encoder,
        batch_size=batch_size,
        seed=run.recipe.seed,
        shuffle=False,
        noise=noise,
    )
    meter = Meter(
        run.classes,
        encoder.steps,
        run.ignore_index,
        None if noise is None else str(noise),
        view=LevelView.of(run.model),
    )
    started = time.monotonic()
    model.to(device)
    with torch.no_grad():
        for arriving, labels in track(batches, "evaluate", show=progress):
            readout, counts = _activity(model, arriving.to(device), trained_steps)
            logits = readout.float().cpu() / encoder.steps
            loss = segmentation_loss(logits, labels, ignore_index=run.ignore_index)
            predicted = metrics.predict(logits.numpy(), (labels.shape[1], labels.shape[2]))
            meter.add(predicted, labels.numpy(), counts, float(loss))
    result = meter.result(time.monotonic() - started)
    usual = noise is None and encoder.steps == trained_steps
    if usual and split == "test" and limit is None:
        run.files.evaluation.save(result)
    return result


def encoder_at(run: Run, steps: int | None) -> Encoder:
    """The run's encoder with `steps` steps; None: its own.

    Raises:
        LavasegError: an artificial network, or steps that the encoder cannot have.
    """
    encoder = run.recipe.encoder_object
    if steps in (None, encoder.steps):
        return encoder
    if isinstance(run.model, AnalogModel):
        raise LavasegError(
            f"{run.path} holds the artificial network {run.model.name!r}, which makes one pass and "
            "has no steps: convert it, and evaluate the spiking network at other steps"
        )
    return encoder.with_steps(steps)


def logits_at(
    run: Run,
    stimuli: Sequence[Stimulus],
    numbers: Sequence[int],
    steps: int | None = None,
    seed: int | None = None,
) -> np.ndarray:
    """Read-outs of the float network over T, as `evaluate` makes them: float32 (N, K, h, w).

    Args:
        stimuli, numbers: pictures or recordings, and the numbers that key their draws.
        steps: another T than the trained one, by the rule of `lavaseg.network.steps`.
        seed: of the draws; the recipe's by default.

    Raises:
        LavasegError: as of `evaluate`.
    """
    encoder, own = encoder_at(run, steps), run.recipe.encoder_object.steps
    seed, model = run.recipe.seed if seed is None else seed, trained_model(run)
    if isinstance(model, SpikingNetwork) and encoder.steps != own:
        model.set_steps(encoder.steps)
    found = []
    with torch.no_grad():
        for stimulus, number in zip(stimuli, numbers, strict=True):
            sample = messages([stimulus], encoder, seed, [number])
            readout, _ = _activity(model, sample, own)
            found.append((readout.float() / encoder.steps).numpy())
    return np.concatenate(found)


def _check_readout(readout: torch.Tensor, steps: int) -> None:
    """Refuse membranes that were clipped: T is too long for them."""
    limit = STATE_LIMIT // (STATE_SCALE * FLOAT_SCALE)
    if float(readout.abs().max()) >= limit:
        raise LavasegError(
            f"the read-out's membranes reach {limit + 1}, where they are clipped, within {steps} "
            "steps, so they say nothing: evaluate it with fewer steps"
        )


def _activity(
    model: SpikingNetwork | AnalogNetwork, messages: torch.Tensor, at_once: int
) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Read-out, and spikes of each neuron (N, C, H, W) for each population; none if artificial.

    Args:
        at_once: the most steps that are computed at a time, those of training, which bounds the
            memory. The membranes of a read-out without leak are summed over the pieces, and so
            reach beyond their clip.
    """
    if isinstance(model, AnalogNetwork):
        return model(messages), {}
    source = model.network.input
    counts = {source.name: spikes_sent(source, messages).cpu().numpy()}

    def count(node: Node, spikes: torch.Tensor, _: torch.Tensor | None) -> None:
        if not isinstance(node, Current):
            fired = spikes_sent(node, spikes).cpu().numpy()
            counts[node.name] = counts[node.name] + fired if node.name in counts else fired

    if messages.shape[-1] <= at_once:
        return model(messages, count), counts
    carried, name = Carried(), model.network.readout
    leaks = model.neuron(name).population.voltage_decay > 0
    total: torch.Tensor | float = 0.0
    for piece in messages.split(at_once, -1):
        readout = model(piece, count, carried=carried)
        _check_readout(readout, messages.shape[-1])
        if leaks:
            total = readout
            continue
        total = total + readout.double()
        kept = carried.neurons[name]
        carried.neurons[name] = replace(kept, membrane=np.zeros_like(kept.membrane))
    assert isinstance(total, torch.Tensor)
    return total, counts


def _evaluated(run: Run, split: Literal["test", "validation"]) -> Samples:
    """The samples of a part.

    Raises:
        LavasegError: the run trained on all samples, and has no validation part.
    """
    if split == "test":
        return run.data.test
    validation = training_parts(run.recipe, run.data)[1]
    if validation is None:
        raise LavasegError(
            f"{run.path} was trained on all samples (training.train_on_all), so it has no "
            "validation part: evaluate it on test"
        )
    return validation
