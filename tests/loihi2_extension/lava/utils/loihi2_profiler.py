"""Profilers: callbacks of a run, whose figures can be read when it is over."""

from __future__ import annotations

from multiprocessing import SimpleQueue
from typing import Any

import numpy as np
from lava.magma.core.callback_fx import NxSdkCallbackFx


class _Profiler(NxSdkCallbackFx):
    """Measures the first run of a board alone; its figures come back from another process."""

    def __init__(self) -> None:
        self._sent: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._found: dict[str, Any] | None = None
        self._begun = self._over = False

    def pre_run_callback(self, board: Any = None, var_id_to_var_model_map: Any = None) -> None:
        """Attach to a board."""
        board.check_connected()
        if self._over or board.steps:
            raise RuntimeError("only the first run of a process can be profiled")
        self._begun = True

    def post_run_callback(self, board: Any = None, var_id_to_var_model_map: Any = None) -> None:
        """Fetch the figures."""
        board.check_connected()
        if not self._begun or self._over:
            raise RuntimeError("post_run_callback comes once, after pre_run_callback")
        self._over = True
        self._sent.put(self._measure(board))

    def _measure(self, board: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _figure(self, name: str) -> Any:
        if self._found is None:
            if self._sent.empty():
                raise RuntimeError(f"{name} is known after a run that was profiled")
            self._found = self._sent.get()
        return self._found[name]


def _figures(*names: str) -> Any:
    """Decorate a profiler with properties that read its figures."""

    def decorate(cls: type) -> type:
        for name in names:
            setattr(cls, name, property(lambda self, name=name: self._figure(name)))
        return cls

    return decorate


@_figures(
    "total_power", "vdd_power", "vddm_power", "vddio_power",
    "static_total_power", "static_vdd_power", "static_vddm_power", "static_vddio_power",
)  # fmt: skip
class Loihi2Power(_Profiler):
    """Power, W: samples over time, and before the run."""

    def __init__(self, num_steps: int) -> None:
        super().__init__()
        if num_steps < 1:
            raise ValueError(f"num_steps {num_steps} is not 1 or more")

    def _measure(self, board: Any) -> dict[str, Any]:
        busy = 0.0 if board.chip is None else 0.01 * len(board.chip.neurons)
        rails = {"vdd": (0.5, 1.0), "vddm": (0.4, 0.5), "vddio": (0.1, 0.0)}
        found: dict[str, Any] = {f"static_{rail}_power": base for rail, (base, _) in rails.items()}
        found |= {
            f"{rail}_power": np.full(20, base + share * busy)
            for rail, (base, share) in rails.items()
        }
        found["static_total_power"] = sum(base for base, _ in rails.values())
        found["total_power"] = sum(found[f"{rail}_power"] for rail in rails)
        return found


@_figures(
    "execution_time_per_step", "management_time_per_step", "host_time_per_step",
    "avg_time_per_step",
)  # fmt: skip
class Loihi2ExecutionTime(_Profiler):
    """Time of each step, us."""

    def __init__(
        self,
        t_start: int | None = None,
        t_end: int | None = None,
        buffer_size: int = 1024,
        bin_size: int = 1,
    ) -> None:
        super().__init__()

    def _measure(self, board: Any) -> dict[str, Any]:
        steps = np.full(board.steps, 25.0)
        return {
            "execution_time_per_step": steps,
            "management_time_per_step": steps / 10,
            "host_time_per_step": steps / 5,
            "avg_time_per_step": 25.0,
        }


def _by_core(board: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Neurons of each core, and where the cores are."""
    neurons = np.array(board.chip.neurons)
    cores = np.arange(len(neurons))
    return neurons, {"core_idx": cores % 120, "chip_idx": cores // 120}


@_figures("core_idx", "chip_idx", "syn_ops", "dendrite_updates", "spikes_in", "axon_out")
class Loihi2Activity(_Profiler):
    """Counts of each core over the run."""

    def _measure(self, board: Any) -> dict[str, Any]:
        neurons, places = _by_core(board)
        return {
            **places,
            "syn_ops": neurons * board.steps * 9,
            "dendrite_updates": neurons * board.steps,
            "spikes_in": neurons * board.steps // 4,
            "axon_out": neurons * board.steps // 4,
        }


@_figures("core_idx", "chip_idx", "total_mpds")
class Loihi2Memory(_Profiler):
    """Share of each core's memory that is used."""

    def _measure(self, board: Any) -> dict[str, Any]:
        neurons, places = _by_core(board)
        return {**places, "total_mpds": np.minimum(neurons / 4096, 1.0)}
