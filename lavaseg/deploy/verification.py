"""Verify: torch against the simulator against both Lava runtimes, population by population."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lavaseg.deploy.backends import BACKENDS, COMPARABLE, COMPARED, REFERENCE, check_backend
from lavaseg.deploy.targets import Target, first_stimuli, network_of
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity
from lavaseg.results.levels import LevelView
from lavaseg.runs import Run
from lavaseg.system.files import write_atomically
from lavaseg.system.progress import bar
from lavaseg.system.shown import html_table
from lavaseg.system.words import counted

if TYPE_CHECKING:
    from lavaseg.deploy.loihi2 import System


@dataclass(frozen=True)
class Comparison:
    """One population, or node of it, on one backend against the simulator.

    Args:
        compared: neurons times steps times samples (membranes, for the read-out).
        differing: number of these that are not equal.
        spikes: spikes that the simulator saw.
    """

    backend: str
    population: str
    compared: int
    differing: int
    spikes: int


@dataclass(frozen=True)
class Difference:
    """The earliest disagreement of a backend, in the order step, then depth in the network.

    Args:
        sample, step: when; the step is logical, the read-out's membrane counts as the last.
        neuron: (channel, row, column).
        expected, found: the simulator's value and the backend's.
    """

    backend: str
    sample: int
    step: int
    population: str
    neuron: tuple[int, int, int]
    expected: int
    found: int

    def __str__(self) -> str:
        return (
            f"{self.backend}: sample {self.sample}, step {self.step}, population "
            f"{self.population!r}, neuron {self.neuron}: expected {self.expected}, "
            f"found {self.found}"
        )


@dataclass(frozen=True)
class Verdict:
    """The result of `verify`.

    Args:
        samples, steps: numbers of those that were compared.
        rows: one for each backend and node, slots and relays of integer neurons included, and one
            for each backend's read-out.
        first_difference: None if everything is equal.
        seconds: wall time of each backend, the reference included.
        view: which nodes are one population of integer neurons.
    """

    samples: int
    steps: int
    rows: tuple[Comparison, ...]
    first_difference: Difference | None
    seconds: dict[str, float]
    view: LevelView = field(default_factory=LevelView)

    def __repr__(self) -> str:
        backends = ", ".join(dict.fromkeys(row.backend for row in self.rows))
        verdict = "equal" if self.ok else f"different: {self.first_difference}"
        steps = counted(self.steps, "step")
        compared = f"{counted(self.samples, 'sample')} of {steps} on {backends}"
        return f"Verdict({verdict}, {compared})"

    def _repr_html_(self) -> str:
        columns = ["backend", "population", ">spikes", ">compared", ">differing"]
        rows = (
            (r.backend, r.population, f"{r.spikes:,}", f"{r.compared:,}", f"{r.differing:,}")
            for r in self.rows
        )
        return html_table(repr(self), columns, rows)

    @property
    def ok(self) -> bool:
        """Whether all spikes and read-outs are equal, on every backend."""
        return all(row.differing == 0 for row in self.rows)

    @property
    def populations(self) -> tuple[Comparison, ...]:
        """`rows` by population: of integer neurons what their nodes compared, added up.

        Their spikes are those of the slots, as many as the integers say.
        """
        found: dict[tuple[str, str], Comparison] = {}
        for row in self.rows:
            name = self.view.population(row.population)
            sheet = self.view.sheets.get(name)
            counts = sheet is None or row.population in sheet.slots
            before = found.get((row.backend, name), Comparison(row.backend, name, 0, 0, 0))
            found[row.backend, name] = Comparison(
                row.backend,
                name,
                before.compared + row.compared,
                before.differing + row.differing,
                before.spikes + (row.spikes if counts else 0),
            )
        return tuple(found.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        difference = self.first_difference
        return {
            "ok": self.ok,
            "samples": self.samples,
            "steps": self.steps,
            "reference": REFERENCE,
            "rows": [vars(row) for row in self.rows],
            "populations": [vars(row) for row in self.populations],
            "levels": self.view.to_dict(),
            "first_difference": None
            if difference is None
            else {**vars(difference), "neuron": list(difference.neuron)},
            "seconds": dict(self.seconds),
        }

    def save(self, path: str | Path) -> None:
        """Write `to_dict` as JSON; in a run's folder, `verify.json` is what its report shows.

        Raises:
            LavasegError: the file cannot be written.
        """
        write_atomically(path, json.dumps(self.to_dict(), indent=1))


def verify(
    net: Target,
    stimuli: Sequence[Stimulus] | np.ndarray | None = None,
    *,
    limit: int = 16,
    seed: int = 0,
    samples: Sequence[int] | None = None,
    backends: Sequence[str] = COMPARED,
    timeout: float | None = None,
    system: System | None = None,
    progress: bool = True,
) -> Verdict:
    """Run the same encoded stimuli, streamed back to back, on every backend and compare.

    Args:
        net: a network in integers, of which nothing is kept; or a run, whose exported network is
            compared and whose folder keeps the verdict.
        stimuli: pictures, uint8 (channels, height, width) each, or recordings of events; by
            default the run's first test samples.
        limit: at most this many of these test samples.
        seed, samples: key the encoder's draws, as in `Encoder.encode`.
        backends: any of `lavaseg.deploy.backends.COMPARABLE`: "torch" (SLAYER synapses and the
            fused neuron), "lava-inprocess", "lava"; "loihi2" only if it is named.
        timeout: seconds for Lava's multi-process runtime, or a board.
        system: the board for "loihi2"; as the environment says by default.
        progress: show a progress bar for each backend.

    Raises:
        LavasegError: the run has no current export, a network came without stimuli, stimuli that
            do not fit, a backend of no such name, a machine that lacks what one needs, or a run of
            Lava that failed.
    """
    integers = network_of(net)
    if stimuli is None:
        stimuli = first_stimuli(net, limit)
    spikes = integers.encoder.encode(stimuli, seed=seed, samples=samples)
    verdict = verify_spikes(
        integers, spikes, backends=backends, timeout=timeout, system=system, progress=progress
    )
    if isinstance(net, Run):
        net.files.verdict.save(verdict.to_dict())
    return verdict


def verify_spikes(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    backends: Sequence[str] = COMPARED,
    timeout: float | None = None,
    system: System | None = None,
    progress: bool = True,
) -> Verdict:
    """`verify` for input that is encoded already, uint8 (N, T, C, H, W)."""
    if not backends:
        raise LavasegError(
            f"no backend to compare: expected one or more of {', '.join(COMPARABLE)}"
        )
    for backend in backends:
        check_backend(backend, COMPARABLE)
    for backend in backends:  # before any takes its time: torch is not installed
        BACKENDS[backend].load()
    for backend in backends:  # as early: a limit of the chip, or Lava lacks memory
        BACKENDS[backend].check(net, spikes, "all")
    reference = BACKENDS[REFERENCE].run(net, spikes, "all", None, None)
    seconds = {REFERENCE: reference.seconds}
    rows: list[Comparison] = []
    differences: list[Difference] = []
    for backend in backends:
        with bar(f"verify {backend}", show=progress) as report:
            found = BACKENDS[backend].run(net, spikes, "all", timeout, report, system)
        seconds[backend] = found.seconds
        rows += compare(net, backend, reference, found)
        difference = first_difference(net, backend, reference, found)
        if difference is not None:
            differences.append(difference)
    return Verdict(
        len(spikes),
        net.steps,
        tuple(rows),
        differences[0] if differences else None,
        seconds,
        LevelView.of(net.network, net.weights),
    )


def compare(
    net: IntegerNetwork, backend: str, reference: Activity, found: Activity
) -> list[Comparison]:
    """A row for each population's or relay's spikes and one for the read-out's membranes."""
    rows = []
    for node in net.network.senders:
        expected, got = reference.spikes[node.name], found.spikes[node.name]
        differing = int((expected != got).sum())
        spikes = int(np.count_nonzero(expected))
        rows.append(Comparison(backend, node.name, expected.size, differing, spikes))
    membranes = reference.readout
    differing = int((membranes != found.readout).sum())
    name = f"{net.network.readout} membrane"
    rows.append(Comparison(backend, name, membranes.size, differing, 0))
    return rows


def first_difference(
    net: IntegerNetwork, backend: str, reference: Activity, found: Activity
) -> Difference | None:
    """The earliest differing (sample, step), and there the population nearest to the input."""
    names = [node.name for node in net.network.ordered]
    return earliest_difference(backend, names, net.network.readout, net.steps, reference, found)


def earliest_difference(
    backend: str,
    names: Sequence[str],
    readout: str,
    steps: int,
    reference: Activity,
    found: Activity,
) -> Difference | None:
    """`first_difference` of a network of which only names are known.

    Args:
        names: populations, in topological order; those that either side did not record are left
            out.
        readout: name of the read-out.
        steps: logical steps of a sample.
    """
    earliest: tuple[tuple[int, int], Difference] | None = None
    for name in names:
        if name not in reference.spikes or name not in found.spikes:
            continue
        expected, got = reference.spikes[name], found.spikes[name]
        places = np.argwhere(expected != got)
        if len(places) and (earliest is None or tuple(places[0][:2]) < earliest[0]):
            sample, step, *neuron = (int(i) for i in places[0])
            value, other = int(expected[tuple(places[0])]), int(got[tuple(places[0])])
            place = (neuron[0], neuron[1], neuron[2])
            difference = Difference(backend, sample, step, name, place, value, other)
            earliest = (sample, step), difference
    if earliest is not None:
        return earliest[1]
    places = np.argwhere(reference.readout != found.readout)
    if not len(places):
        return None
    sample, channel, row, column = (int(i) for i in places[0])
    at = tuple(places[0])
    return Difference(
        backend,
        sample,
        steps - 1,
        readout,
        (channel, row, column),
        int(reference.readout[at]),
        int(found.readout[at]),
    )
