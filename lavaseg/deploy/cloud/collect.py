"""Judges the results of a bundle that ran elsewhere: equal spike for spike or not, and its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg.deploy.cloud.bundle import Bundle
from lavaseg.deploy.cloud.results import Results, read_results
from lavaseg.deploy.verification import Difference, earliest_difference
from lavaseg.errors import LavasegError
from lavaseg.results.activity import Activity
from lavaseg.results.chip import chip_conditions, chip_rows
from lavaseg.system.words import counted


@dataclass(frozen=True)
class Row:
    """One population of a run against what the simulator said of it.

    Args:
        population: its name.
        kind: "spikes", each at its step; "counts" of each neuron; or "membrane", of the read-out.
        compared: number of values.
        differing: number of these that are not equal; None where the run did not give them back.
        expected, found: spikes in all; 0 for membranes.
    """

    population: str
    kind: str
    compared: int
    differing: int | None
    expected: int
    found: int

    @property
    def read(self) -> bool:
        """Whether the run gave it back."""
        return self.differing is not None


@dataclass(frozen=True)
class Judgement:
    """Whether a run gave what it must, and what it took.

    Args:
        rows: one for each population, one for the read-out.
        first_difference: the earliest spike that differs where both sides hold all spikes, else
            the first read-out; None if there is none.
        facts: those of the results: backend, machine, seconds, profile.
        samples, steps: numbers of those that ran.
    """

    rows: tuple[Row, ...]
    first_difference: Difference | None
    facts: Mapping[str, Any]
    samples: int
    steps: int

    @property
    def ok(self) -> bool:
        """Whether all that came back is equal. What did not come back is no part of it."""
        return all(not row.differing for row in self.rows)

    @property
    def unread(self) -> tuple[str, ...]:
        """Populations of which nothing came back."""
        return tuple(row.population for row in self.rows if not row.read)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "ok": self.ok,
            "samples": self.samples,
            "steps": self.steps,
            "rows": [vars(row) for row in self.rows],
            "first_difference": self.first_difference and vars(self.first_difference),
            "not_read_back": list(self.unread),
            **{key: self.facts[key] for key in self.facts if key not in ("format", "members")},
        }


def collect(place: str | Path, bundle: str | Path | None = None) -> Judgement:
    """Read the results of a bundle's run and compare them with what the simulator gave.

    Args:
        place: the folder that `run.py` or `lavaseg submit` made, or a zip or tar archive of it.
        bundle: the bundle that the results must be of; by default they say themselves which.

    Raises:
        LavasegError: no results, damaged or incomplete ones, or those of another bundle.
    """
    return judge(read_results(place, None if bundle is None else Bundle.open(bundle)))


def judge(results: Results) -> Judgement:
    """Compare what a run gave with what its bundle expects.

    Raises:
        LavasegError: arrays of another shape than the bundle's.
    """
    expected, found, manifest = results.expected, results.found, results.manifest
    rows = [_row(results.place, name, expected, found) for name in manifest["populations"]]
    _check_shape(results.place, manifest["readout"], expected.readout, found.readout)
    differing = int((expected.readout != found.readout).sum())
    size = expected.readout.size
    rows.append(Row(manifest["readout"], "membrane", size, differing, 0, 0))
    readout, steps = manifest["readout"], manifest["steps"]
    first = earliest_difference(
        results.facts["backend"], manifest["populations"], readout, steps, expected, found
    )
    return Judgement(tuple(rows), first, results.facts, expected.samples, steps)


def _row(place: Path, name: str, expected: Activity, found: Activity) -> Row:
    kind = "spikes" if name in expected.spikes else "counts"
    wanted, got = getattr(expected, kind), getattr(found, kind)
    total = int(expected.counts[name].sum(dtype=np.int64))
    if name not in got:
        return Row(name, kind, wanted[name].size, None, total, 0)
    _check_shape(place, name, wanted[name], got[name])
    differing = int((wanted[name] != got[name]).sum())
    came = int(found.counts[name].sum(dtype=np.int64))
    return Row(name, kind, wanted[name].size, differing, total, came)


def _check_shape(place: Path, name: str, expected: np.ndarray, found: np.ndarray) -> None:
    if expected.shape != found.shape:
        raise LavasegError(
            f"{place}: {name!r} has the shape {found.shape}, its bundle has {expected.shape}"
        )


def say_judgement(judgement: Judgement, say: Callable[[str], None]) -> None:
    """Say in a few lines whether a run is equal, where not, and what it took."""
    for row in judgement.rows:
        if row.differing:
            total = f"; {row.found:,} spikes for {row.expected:,}" if row.kind != "membrane" else ""
            say(f"{row.population}: {row.differing:,} of {row.compared:,} {row.kind} differ{total}")
    if judgement.unread:
        say(f"not read back, so not compared: {', '.join(judgement.unread)}")
    first = judgement.first_difference
    what = f"{counted(judgement.samples, 'sample')}, {counted(judgement.steps, 'step')} each"
    if judgement.ok:
        kinds = {row.kind for row in judgement.rows if row.read}
        names = {"spikes": "every spike", "counts": "every neuron's count", "membrane": "read-outs"}
        say(f"equal: {' and '.join(names[k] for k in names if k in kinds)} of {what}")
    else:
        say(f"different: {what}" + (f"; first in {first}" if first else ""))
    facts = judgement.facts
    where = facts.get("board") or facts.get("partition") or facts["machine"]["node"]
    say(f"time: {facts['seconds']:.3g} s on {facts['backend']}, {where}")
    profile = facts.get("profile") or {}
    if "error" in profile:
        say(f"not profiled: {profile['error']}")
    elif profile:
        say(f"measured on Loihi 2: {chip_conditions(profile)}")
        for figure, value in chip_rows(profile):
            say(f"{figure}: {value}")
        if remark := profile["derived"].get("remark"):
            say(remark)
