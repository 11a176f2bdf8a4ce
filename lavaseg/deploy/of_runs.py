"""Verify and evaluate what a run exported, and keep the results in its folder.

A run in place of a network stands for the network that it exported, and for its data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lavaseg.data.base import Samples
from lavaseg.deploy import evaluation, verification
from lavaseg.deploy.backends import COMPARED
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.evaluation import Evaluation
from lavaseg.runs import Run


def verify(
    target: Run | IntegerNetwork,
    stimuli: Sequence[Stimulus] | np.ndarray | None = None,
    *,
    limit: int = 16,
    seed: int = 0,
    samples: Sequence[int] | None = None,
    backends: Sequence[str] = COMPARED,
    timeout: float | None = None,
    progress: bool = True,
) -> verification.Verdict:
    """Run the same encoded stimuli, streamed back to back, on every backend and compare.

    Args:
        target: a run, whose exported network is compared and whose folder keeps the verdict; or
            a network in integers, of which nothing is kept.
        stimuli: pictures, uint8 (channels, height, width) each, or recordings of events; by
            default the run's first test samples.
        limit: at most this many of these test samples.
        seed, samples: key the encoder's draws, as in `Encoder.encode`.
        backends: any of "torch" (SLAYER synapses and the fused neuron), "lava-inprocess", "lava".
        timeout: seconds for Lava's multi-process runtime.
        progress: show a progress bar for each backend.

    Raises:
        LavasegError: the run has no current export, a network came without stimuli, stimuli that
            do not fit, a backend of no such name, or a run of Lava that failed.
    """
    net = _network(target)
    if stimuli is None:
        stimuli = _first(target, limit)
    verdict = verification.verify(
        net,
        stimuli,
        seed=seed,
        samples=samples,
        backends=backends,
        timeout=timeout,
        progress=progress,
    )
    if isinstance(target, Run):
        target.files.verdict.save(verdict.to_dict())
    return verdict


def evaluate(
    target: Run | IntegerNetwork,
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
        target: a run, whose exported network is evaluated; or a network in integers. The folder
            of a run keeps what was found on its whole test set, with the usual seed.
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
    net = _network(target)
    own = samples is None
    if samples is None:
        run = _run(target)
        samples = run.data.test
        ignore_index = run.ignore_index if ignore_index is None else ignore_index
    found = evaluation.evaluate(
        net,
        samples,
        seed=seed,
        limit=limit,
        ignore_index=ignore_index,
        device=device,
        progress=progress,
    )
    if isinstance(target, Run) and own and limit is None and seed == 0:
        target.files.net_evaluation.save(found)
    return found


def _network(target: Run | IntegerNetwork) -> IntegerNetwork:
    return target.net() if isinstance(target, Run) else target


def _first(target: Run | IntegerNetwork, limit: int) -> list[Stimulus]:
    """The first test samples of a run."""
    test = _run(target).data.test
    return [test[index][0] for index in range(min(limit, len(test)))]


def _run(target: Run | IntegerNetwork) -> Run:
    """The run, whose data are asked for."""
    if isinstance(target, Run):
        return target
    raise LavasegError("a network in integers has no data of its own: give it some, or a run")
