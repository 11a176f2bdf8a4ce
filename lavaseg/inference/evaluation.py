"""Evaluates a network at the size of the label files, as what `predict` writes is judged."""

from __future__ import annotations

import time

import numpy as np

from lavaseg.data.base import Samples, own_label
from lavaseg.data.labelled import check_labelled
from lavaseg.data.split import Subset
from lavaseg.errors import LavasegError
from lavaseg.inference.engines import Target, engine
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results import metrics
from lavaseg.results.evaluation import Evaluation, Meter
from lavaseg.results.levels import LevelView
from lavaseg.runs import Run
from lavaseg.system.progress import bar

AT = ("network", "labels")
"""Where an evaluation can compare: at the size of the samples, or of the label files."""


def evaluate_at_labels(
    net: Run | IntegerNetwork,
    samples: Samples | None = None,
    *,
    backend: str | None = None,
    limit: int | None = None,
    ignore_index: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Evaluation:
    """Compare label maps, at the size that their files have, with read-outs resized to that.

    The network sees the samples as always. Read-outs are resized as `lavaseg.predict` does with
    `fit="resize"`. The result of a run's float network, or of its exported one, on the whole test
    set stays in the run's folder.

    Args:
        net: a run, or a network in integers.
        samples: by default the run's test data.
        backend: "float", a run's network as trained, or what runs its integers; by default float
            for runs, the simulator for networks.
        limit: at most this many samples, the first ones.
        ignore_index: label that does not count; by default that of the run's data.
        seed: of the encoder's draws; by default the recipe's of a run, else 0.
        device: "cpu" or "cuda".
        progress: show a progress bar.

    Raises:
        LavasegError: a network without samples, nothing to evaluate, labels out of range.
    """
    usual = samples is None and seed is None and ignore_index is None
    if samples is None:
        if not isinstance(net, Run):
            raise LavasegError(
                "a network in integers has no data of its own: give it samples, or take a run"
            )
        samples, ignore_index = net.data.test, net.ignore_index
    target = Target.of(net, backend)
    name, runner = engine(target, backend, seed=seed, device=device)
    count = len(samples) if limit is None else min(limit, len(samples))
    if count < 1:
        raise LavasegError("there are no samples to evaluate")
    encoder = target.taker.encoder
    check_labelled(Subset(samples, np.arange(count)), "evaluated", ignore_index, encoder)
    meter = Meter(
        target.taker.classes, encoder.steps, ignore_index, at="labels", view=_view(target)
    )
    started = time.monotonic()
    with bar("evaluate", show=progress) as report:
        for index in range(count):
            stimulus, label = samples[index][0], own_label(samples, index)
            label = label[encoder.window(label.shape)][None]
            answer = runner.run([stimulus], [index])
            logits = metrics.resize(answer.logits, (label.shape[1], label.shape[2]))
            loss = metrics.cross_entropy(logits, label, ignore_index)
            meter.add(logits.argmax(1).astype(np.uint8), label, answer.counts, loss)
            report(index + 1, count)
    found = meter.result(time.monotonic() - started)
    if isinstance(net, Run) and usual and count == len(samples):
        files = net.files
        kept = files.labels_evaluation if name == "float" else files.net_labels_evaluation
        kept.save(found)
    return found


def _view(target: Target) -> LevelView:
    """Which populations of a target send integers."""
    if target.net is not None:
        return LevelView.of(target.net.network, target.net.weights)
    return LevelView() if target.run is None else LevelView.of(target.run.model)
