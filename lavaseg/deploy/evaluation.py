"""Evaluate an integer network on labelled samples, with the bit-exact simulator."""

from __future__ import annotations

import time

import numpy as np

from lavaseg.data.base import Samples
from lavaseg.data.labelled import check_labelled
from lavaseg.data.split import Subset
from lavaseg.deploy.simulator import Simulator
from lavaseg.deploy.targets import Target, network_of, run_with_data
from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results import metrics
from lavaseg.results.evaluation import Evaluation, Meter
from lavaseg.runs import Run
from lavaseg.system.progress import bar

BATCH = 64


def evaluate(
    net: Target,
    samples: Samples | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    ignore_index: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Evaluation:
    """mIoU, confusion matrix and spike counts of an integer network.

    Args:
        net: a network in integers; or a run, whose exported network is evaluated. The folder of
            a run keeps the result on its whole test set, with the usual seed.
        samples: labelled pictures or recordings of the size that the network takes; by default
            the run's test data.
        seed: of the encoder's draws; sample k is drawn as number k.
        limit: at most this many samples, the first ones; all by default.
        ignore_index: label that does not count, or None; by default that of the run's own data.
        device: "cpu" or "cuda".
        progress: show a progress bar.

    Raises:
        LavasegError: the run has no current export, a network came without samples, pictures of
            another size, labels out of range, nothing to evaluate.
    """
    integers = network_of(net)
    whole = False
    if samples is None:
        run = run_with_data(net)
        samples = run.data.test
        usual = seed == 0 and ignore_index in (None, run.ignore_index)
        whole = usual and (limit is None or limit >= len(samples))
        ignore_index = run.ignore_index if ignore_index is None else ignore_index
    found = _evaluated(integers, samples, seed, limit, ignore_index, device, progress)
    if isinstance(net, Run) and whole:
        net.files.net_evaluation.save(found)
    return found


def _evaluated(
    net: IntegerNetwork,
    samples: Samples,
    seed: int,
    limit: int | None,
    ignore_index: int | None,
    device: str,
    progress: bool,
) -> Evaluation:
    count = len(samples) if limit is None else min(limit, len(samples))
    if count < 1:
        raise LavasegError("there are no samples to evaluate")
    check_labelled(Subset(samples, np.arange(count)), "evaluated", ignore_index, net.encoder)
    simulator = Simulator(net, device=device)
    meter = Meter(net.classes, net.steps, ignore_index)
    started = time.monotonic()
    with bar("evaluate", show=progress) as report:
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            stimuli, whole = zip(*(samples[i] for i in numbers), strict=True)
            labels = np.stack([label[net.encoder.window(label.shape)] for label in whole])
            spikes = net.encoder.encode(stimuli, seed=seed, samples=numbers)
            activity = simulator.run(spikes)
            size = (labels.shape[1], labels.shape[2])
            logits = metrics.resize(net.logits(activity.readout), size)
            loss = metrics.cross_entropy(logits, labels, ignore_index)
            predicted = metrics.predict(logits, size)
            meter.add(predicted, labels, activity.counts, loss)
            report(first + len(numbers), count)
    return meter.result(time.monotonic() - started)
