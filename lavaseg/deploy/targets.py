"""Targets of verification and evaluation: a network in integers, or a run that exported one."""

from __future__ import annotations

from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.network.integers import IntegerNetwork
from lavaseg.runs import Run

Target = Run | IntegerNetwork


def network_of(target: Target) -> IntegerNetwork:
    """The network itself, or the current export of a run.

    Raises:
        LavasegError: the run has no current export.
    """
    if isinstance(target, Run):
        return target.net()
    if isinstance(target, IntegerNetwork):
        return target
    raise LavasegError(
        f"expected a run (lavaseg.Run.open) or a network in integers (lavaseg.read_net), got "
        f"{target!r}"
    )


def run_with_data(target: Target) -> Run:
    """The run, where its own data are asked for.

    Raises:
        LavasegError: a network in integers, which has none.
    """
    if isinstance(target, Run):
        return target
    raise LavasegError(
        "a network in integers has no data of its own: give it stimuli or samples, or take a run"
    )


def first_stimuli(target: Target, count: int) -> list[Stimulus]:
    """The first test samples of a run, at most `count`."""
    test = run_with_data(target).data.test
    return [test[index][0] for index in range(min(count, len(test)))]
