"""Profiles a network on a board: power, time, activity and memory, each in a run of its own.

Only the first run of a process can be profiled, and energy is not measured together with time. The
board's power without a network comes first, on the same board. Nobody listens to the spikes, and
the input comes from the chip's buffer where it fits, so that the host does not set the pace.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lavaseg.chip.measured import NOISE, Power
from lavaseg.chip.period import padded
from lavaseg.deploy.lava.checks import check_lava
from lavaseg.deploy.lava.session import Progress
from lavaseg.deploy.loihi2.job import IDLE, PROFILES, ChipTask, check_power, check_profiles
from lavaseg.deploy.loihi2.limits import check_limits
from lavaseg.deploy.loihi2.run import do, measure_lags
from lavaseg.deploy.loihi2.sources import fits_buffer
from lavaseg.deploy.loihi2.system import System, check_extension, check_place, placed
from lavaseg.deploy.loihi2.timing import Timing
from lavaseg.deploy.requests import check_request
from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork
from lavaseg.system.session import temporary_folder
from lavaseg.system.versions import version_of


def profile(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    kinds: Sequence[str] = PROFILES,
    system: System | None = None,
    timing: Timing | None = None,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Profile a network on a board with Loihi 2.

    Args:
        net: the network.
        spikes: uint8 (N, T, C, H, W), as the network's encoder gives them.
        kinds: any of `PROFILES`.
        system: where to run; as the environment says by default. Power needs one board, which is
            measured idle first.
        timing: steps that the board's adapters take, if they are known.
        timeout: seconds after which each run is given up.
        progress: called with runs (done, in all).

    Returns:
        Plain data: what was run and where, the figures of each kind (W, us, counts, shares) and
        what follows from them (`derived`).

    Raises:
        LavasegError: no extension, no such board, no such profile, or a run that failed.
    """
    place = check_profiling(kinds, system)
    check_request(net, spikes, ())
    check_lava(net)
    check_limits(net)
    check_place(place)
    sources = sum(p.source == net.network.input.name for p in net.network.projections)
    replay = fits_buffer(spikes, sources)
    if timing is None:
        timing = measure_lags(net, spikes, place, timeout)
    tasks = [*([IDLE] if "power" in kinds else []), *kinds]
    found: dict[str, Any] = {
        "system": place.to_dict(),
        "samples": len(spikes),
        "steps": net.steps,
        "period": padded(net.steps),
        "replayed": replay,
        "lags": timing.to_dict(),
        "extension": version_of("lava-loihi"),  # None of one that is no such package
    }
    for number, kind in enumerate(tasks):
        with temporary_folder() as folder:
            task = ChipTask(kind, place, timing, replay)
            found[kind] = do(net, spikes, (), task, folder, timeout, None).data
        if progress is not None:
            progress(number + 1, len(tasks))
    return found | {"derived": derived(found)}


def check_profiling(kinds: Sequence[str], system: System | None) -> System:
    """Where profiles are to run, by the options and the environment.

    Raises:
        LavasegError: no extension, no such profile, no place, or power of whichever board of a
            partition is free.
    """
    check_extension()
    _check_kinds(kinds)
    place = placed(system)
    check_power(kinds, place.partition)
    return place


def _check_kinds(kinds: Sequence[str]) -> None:
    if not kinds:
        raise LavasegError(f"no profile: expected one or more of {', '.join(PROFILES)}")
    check_profiles(kinds)


def derived(found: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from profiles: W, s and J a sample; None, with the reason, where nothing does.

    A sample takes a period of steps: the silent ones that fill it up to a power of two count.
    """
    result: dict[str, Any] = {}
    if "time" in found:
        step = found["time"]["execution_time_per_step"] * 1e-6
        result["seconds_per_sample"] = step * found["period"]
    if "power" in found:
        result["dynamic_power"], result["remark"] = dynamic_power(found["power"], found[IDLE])
    if "time" in found and "power" in found:
        seconds = result["seconds_per_sample"]
        result["energy_per_sample"] = found["power"]["total_power"] * seconds
        dynamic = result["dynamic_power"]
        result["dynamic_energy_per_sample"] = None if dynamic is None else dynamic * seconds
    return result


def dynamic_power(busy: Mapping[str, float], idle: Mapping[str, float]) -> tuple[float | None, str]:
    """Power of a run above that of the same board when it idles, W; or None, and why.

    A difference is meaningless that is negative, or no larger than the standard deviation of the
    samples that it was made of, or than what a public measurement was wrong by (`NOISE`).
    """
    scatter = math.hypot(busy["total_power_deviation"], idle["total_power_deviation"])
    power = Power(busy["total_power"], idle["total_power"], max(NOISE, scatter))
    if power.meaningful:
        return power.dynamic, ""
    return None, (
        f"dynamic power of {1000 * (power.total - power.static):.3g} mW is meaningless: it may be "
        f"wrong by {1000 * power.noise:.3g} mW; a board with fewer chips, or a network that uses "
        "more cores, shows more"
    )
