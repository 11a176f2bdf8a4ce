"""Intel's profilers of a run on a chip: which calls make them, and which figures they leave.

Calls and names are those of public code: lava-dl's notebooks `netx/yolo_kp` and
`netx/pilotnet_snn/benchmark.ipynb`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

IDLE_STEPS = 100_000
"""Steps of an idle board, as in lava-dl's benchmark of YOLO-KP."""
_TIME_BUFFER = 1_024
"""Steps whose times public code keeps at least (`buffer_size`, lava-optimization's benchmarker)."""
_RAILS = ("total_power", "vdd_power", "vddm_power", "vddio_power")
_STATIC = tuple(f"static_{rail}" for rail in _RAILS)


@dataclass(frozen=True)
class Profiler:
    """A profiler that a run gets, and how its figures are read afterwards.

    Args:
        callback: what Lava's run configuration takes.
        read: figures after the run, plain data.
    """

    callback: Any
    read: Callable[[Any], dict[str, Any]]

    def figures(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return self.read(self.callback)


def _power(steps: int) -> Profiler:
    from lava.utils import loihi2_profiler

    return Profiler(loihi2_profiler.Loihi2Power(num_steps=steps), _read_power)


def _read_power(logger: Any) -> dict[str, Any]:
    """Mean and standard deviation of each rail over the run, and before it, W."""
    found: dict[str, Any] = {}
    for rail in _RAILS:
        samples = np.asarray(getattr(logger, rail), np.float64)
        found[rail] = float(samples.mean())
        found[f"{rail}_deviation"] = float(samples.std())
    found["samples"] = int(np.asarray(logger.total_power).size)
    return found | {name: float(np.mean(getattr(logger, name))) for name in _STATIC}


def _time(steps: int) -> Profiler:
    from lava.utils import loihi2_profiler

    buffer = max(steps, _TIME_BUFFER)  # a buffer that fills up loses steps
    return Profiler(loihi2_profiler.Loihi2ExecutionTime(buffer_size=buffer), _read_time)


def _read_time(logger: Any) -> dict[str, Any]:
    """Mean time of a step, us, and of its parts."""
    parts = ("execution_time_per_step", "management_time_per_step", "host_time_per_step")
    return {part: float(np.mean(getattr(logger, part))) for part in parts}


def _activity(steps: int) -> Profiler:
    from lava.utils import loihi2_profiler

    return Profiler(loihi2_profiler.Loihi2Activity(), _read_activity)


def _read_activity(logger: Any) -> dict[str, Any]:
    """Counts over the run, and how many cores and chips counted."""
    cores = set(zip(_list(logger.chip_idx), _list(logger.core_idx), strict=True))
    return {
        "synaptic_operations": int(np.sum(logger.syn_ops)),
        "neuron_updates": int(np.sum(logger.dendrite_updates)),
        "busiest_core_synaptic_operations": int(np.max(logger.syn_ops)),
        "busiest_core_neuron_updates": int(np.max(logger.dendrite_updates)),
        "cores": len(cores),
        "chips": len({chip for chip, _ in cores}),
    }


def _memory(steps: int) -> Profiler:
    from lava.utils import loihi2_profiler

    return Profiler(loihi2_profiler.Loihi2Memory(), _read_memory)


def _read_memory(logger: Any) -> dict[str, Any]:
    """Share of a core's memory, 0 to 1: mean and the fullest core."""
    shares = np.asarray(logger.total_mpds, np.float64)
    return {"mean": float(shares.mean()), "most": float(shares.max())}


def _list(numbers: Any) -> list[int]:
    return [int(number) for number in np.asarray(numbers).reshape(-1)]


PROFILERS: Mapping[str, Callable[[int], Profiler]] = {
    "power": _power,
    "time": _time,
    "activity": _activity,
    "memory": _memory,
}
"""By name, functions of the run's steps."""


def idle_power() -> dict[str, Any]:
    """Power of the board without a network, W, as `_read_power` has it."""
    from lava.utils import loihi2_profiler
    from nxcore.arch.n3b.n3board import N3Board

    logger = loihi2_profiler.Loihi2Power(num_steps=IDLE_STEPS)
    board = N3Board(1, 0)
    logger.pre_run_callback(board, {})
    board.run(IDLE_STEPS)
    logger.post_run_callback(board, {})
    board.disconnect()
    return _read_power(logger)
