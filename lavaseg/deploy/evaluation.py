"""Evaluate an integer network on labelled samples, with the bit-exact simulator."""

from __future__ import annotations

import math
import time

import numpy as np

from lavaseg.data.base import Samples
from lavaseg.data.labelled import check_labelled
from lavaseg.data.split import Subset
from lavaseg.deploy.simulator import Simulator
from lavaseg.deploy.targets import Target, network_of, run_with_data
from lavaseg.encoders import Noise, NoiseLike, as_noise
from lavaseg.errors import LavasegError
from lavaseg.network import STATE_LIMIT
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results import metrics
from lavaseg.results.activity import Activity
from lavaseg.results.evaluation import Evaluation, Meter
from lavaseg.results.levels import LevelView
from lavaseg.runs import Run
from lavaseg.system.progress import bar

BATCH = 64
_BATCH_BYTES = 2**28
"""Memory that the encoded input of a batch aims to stay below."""


def evaluate(
    net: Target,
    samples: Samples | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    ignore_index: int | None = None,
    noise: NoiseLike = None,
    steps: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Evaluation:
    """mIoU, confusion matrix and spike counts of an integer network.

    Args:
        net: a network in integers; or a run, whose exported network is evaluated. The folder of
            a run keeps the result on its whole test set, with the usual seed, T and no noise.
        samples: labelled pictures or recordings of the size that the network takes; by default
            the run's test data.
        seed: of the encoder's draws; sample k is drawn as number k.
        limit: at most this many samples, the first ones; all by default.
        ignore_index: label that does not count, or None; by default that of the run's own data.
        noise: noise on the input: `lavaseg.encoders.Noise`, the sigma of Gaussian noise, or a word
            such as "salt-pepper:0.05". Its draws follow from its own seed and the sample's number.
        steps: another T than the network's own, by the rule of `lavaseg.network.steps`.
        device: "cpu" or "cuda".
        progress: show a progress bar.

    Raises:
        LavasegError: the run has no current export, a network came without samples, pictures of
            another size, labels out of range, nothing to evaluate; noise that the input cannot
            have, a T that it cannot have or in which the read-out's membranes leave their range.
    """
    trained, noise = network_of(net), as_noise(noise)
    integers = trained if steps is None else trained.with_steps(steps)
    whole = False
    if samples is None:
        run = run_with_data(net)
        samples = run.data.test
        usual = seed == 0 and noise is None and integers is trained
        usual = usual and ignore_index in (None, run.ignore_index)
        whole = usual and (limit is None or limit >= len(samples))
        ignore_index = run.ignore_index if ignore_index is None else ignore_index
    found = _evaluated(
        integers, samples, seed, limit, ignore_index, noise, trained.steps, device, progress
    )
    if isinstance(net, Run) and whole:
        net.files.net_evaluation.save(found)
    return found


def _evaluated(
    net: IntegerNetwork,
    samples: Samples,
    seed: int,
    limit: int | None,
    ignore_index: int | None,
    noise: Noise | None,
    trained_steps: int,
    device: str,
    progress: bool,
) -> Evaluation:
    count = len(samples) if limit is None else min(limit, len(samples))
    if count < 1:
        raise LavasegError("there are no samples to evaluate")
    check_labelled(Subset(samples, np.arange(count)), "evaluated", ignore_index, net.encoder)
    simulator = Simulator(net, device=device)
    meter = Meter(
        net.classes,
        net.steps,
        ignore_index,
        None if noise is None else str(noise),
        view=LevelView.of(net.network, net.weights),
    )
    batch = max(1, min(BATCH, _BATCH_BYTES // (net.steps * math.prod(net.network.input.shape))))
    started = time.monotonic()
    with bar("evaluate", show=progress) as report:
        for first in range(0, count, batch):
            numbers = range(first, min(first + batch, count))
            stimuli, whole = zip(*(samples[i] for i in numbers), strict=True)
            labels = np.stack([label[net.encoder.window(label.shape)] for label in whole])
            spikes = net.encoder.encode(stimuli, seed=seed, samples=numbers, noise=noise)
            activity = simulator.run(spikes)
            if net.steps != trained_steps:
                check_readout(net, activity)
            size = (labels.shape[1], labels.shape[2])
            logits = metrics.resize(net.logits(activity.readout), size)
            loss = metrics.cross_entropy(logits, labels, ignore_index)
            predicted = metrics.predict(logits, size)
            meter.add(predicted, labels, activity.counts, loss)
            report(first + len(numbers), count)
    return meter.result(time.monotonic() - started)


def check_readout(net: IntegerNetwork, activity: Activity) -> None:
    """Refuse a read-out that fired, which clears it, or was clipped: T is too long for it."""
    fired = activity.counts[net.network.readout].any()
    if fired or np.abs(activity.readout).max(initial=0) >= STATE_LIMIT:
        raise LavasegError(
            f"read-out {net.network.readout!r}: its membranes leave the 24 bits that they have "
            f"within {net.steps} steps, so they say nothing: evaluate it with fewer steps"
        )
