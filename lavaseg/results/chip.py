"""What a board with Loihi 2 measured, as rows of a table (`lavaseg/deploy/loihi2/profiles.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lavaseg.system.words import counted

FIGURES: tuple[tuple[str, str, str, float, str], ...] = (
    ("idle", "total_power", "power of the idle board", 1.0, "W"),
    ("power", "total_power", "power of the board", 1.0, "W"),
    ("power", "vdd_power", "of it, cores (vdd)", 1.0, "W"),
    ("power", "vddm_power", "of it, memory (vddm)", 1.0, "W"),
    ("power", "vddio_power", "of it, input and output (vddio)", 1.0, "W"),
    ("derived", "dynamic_power", "above the idle board", 1.0, "W"),
    ("time", "execution_time_per_step", "time of a step", 1.0, "µs"),
    ("time", "management_time_per_step", "of it, management", 1.0, "µs"),
    ("time", "host_time_per_step", "of it, host", 1.0, "µs"),
    ("derived", "seconds_per_sample", "time of a sample", 1e3, "ms"),
    ("derived", "energy_per_sample", "energy of a sample, the whole board", 1e3, "mJ"),
    ("derived", "dynamic_energy_per_sample", "of it, above the idle board", 1e3, "mJ"),
    ("activity", "synaptic_operations", "synaptic operations of the run", 1.0, ""),
    ("activity", "neuron_updates", "neuron updates of the run", 1.0, ""),
    ("activity", "cores", "cores", 1.0, ""),
    ("activity", "chips", "chips", 1.0, ""),
    ("memory", "mean", "memory of a core, mean", 100.0, "%"),
    ("memory", "most", "memory of the fullest core", 100.0, "%"),
)
"""Profile, field, words, factor and unit of each figure that is shown."""


def chip_rows(profile: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(figure, value with its unit) of all that was measured, "meaningless" where it is."""
    rows = []
    for kind, name, words, factor, unit in FIGURES:
        if name not in profile.get(kind, {}):
            continue
        value = profile[kind][name]
        text = "meaningless" if value is None else f"{value * factor:,.4g}"
        if isinstance(value, int):
            text = f"{value:,}"
        rows.append((words, text if value is None else f"{text} {unit}".strip()))
    return rows


def chip_conditions(profile: Mapping[str, Any]) -> str:
    """What was run, and where, in words."""
    system = profile["system"]
    place = system["board"] or system["host"] or f"partition {system['partition']}"
    steps = f"{counted(profile['samples'], 'sample')} of {counted(profile['steps'], 'step')}"
    if profile["period"] != profile["steps"]:
        steps += f", filled up to {profile['period']} with silent ones"
    source = "replayed on the chip" if profile["replayed"] else "streamed from the host"
    version = profile["extension"]
    through = f"lava-loihi {version}" if version else "an extension of Lava that names no version"
    return f"{place} ({system['generation']}), {steps}, input {source}, through {through}"


def check_profile(profile: Mapping[str, Any]) -> None:
    """Raise whatever keeps a profile, as plain data of a file, from being shown."""
    chip_rows(profile)
    chip_conditions(profile)
    if not isinstance(profile["derived"].get("remark", ""), str):
        raise TypeError("'remark' is no text")
