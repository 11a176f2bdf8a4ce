"""Evaluate an integer network on labelled samples, with the bit-exact simulator."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.nn import functional

from lavaseg.data.base import Samples
from lavaseg.deploy.simulator import simulate
from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results import metrics
from lavaseg.results.evaluation import Evaluation, Meter
from lavaseg.system.progress import bar

BATCH = 64


def evaluate(
    net: IntegerNetwork,
    samples: Samples,
    *,
    seed: int = 0,
    limit: int | None = None,
    ignore_index: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Evaluation:
    """mIoU, confusion matrix and spike counts of an integer network.

    Args:
        samples: labelled pictures or recordings of the size that the network takes.
        seed: of the encoder's draws; sample k is drawn as number k.
        limit: only the first so many samples.
        ignore_index: label that does not count, or None.

    Raises:
        LavasegError: pictures of another size, labels out of range, nothing to evaluate.
    """
    count = len(samples) if limit is None else min(limit, len(samples))
    if count < 1:
        raise LavasegError("there are no samples to evaluate")
    meter = Meter(net.classes, net.steps, ignore_index)
    started = time.monotonic()
    with bar("evaluate", show=progress) as report:
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            stimuli, whole = zip(*(samples[i] for i in numbers), strict=True)
            labels = np.stack([label[net.encoder.window(label.shape)] for label in whole])
            spikes = net.encoder.encode(stimuli, seed=seed, samples=numbers)
            activity = simulate(net, spikes, device=device)
            logits = net.logits(activity.readout)
            loss = _loss(logits, labels, ignore_index)
            predicted = metrics.predict(logits, (labels.shape[1], labels.shape[2]))
            meter.add(predicted, labels, activity.counts, loss)
            report(first + len(numbers), count)
    return meter.result(time.monotonic() - started)


def _loss(logits: np.ndarray, labels: np.ndarray, ignore_index: int | None) -> float:
    """Mean cross-entropy of a batch, as in training."""
    resized = metrics.resize_logits(torch.from_numpy(logits), labels.shape[1:])
    target = torch.from_numpy(labels.astype(np.int64))
    ignored = -100 if ignore_index is None else ignore_index
    return float(functional.cross_entropy(resized, target, ignore_index=ignored))
