"""What runs the networks of predictions: the simulator, torch, Lava, or a run's float network."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lavaseg.deploy.backends import BACKENDS, REFERENCE, Progress, check_backend
from lavaseg.encoders import Encoder, EventEncoder
from lavaseg.errors import LavasegError
from lavaseg.events import Events, Stimulus
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import read
from lavaseg.runs import Run, RunFolder
from lavaseg.system.extras import optional
from lavaseg.system.faults import check_target

if TYPE_CHECKING:
    from lavaseg.data.inputs import Taker
    from lavaseg.deploy.loihi2 import System
    from lavaseg.deploy.simulator import Simulator
    from lavaseg.recipes import Choice
    from lavaseg.results.activity import Activity

FLOAT = "float"
"""The backend that is a run's network as trained."""
NAMES = (FLOAT, *BACKENDS)
"""Everything that a prediction can be made by."""
STREAMED = 64
"""Samples that Lava gets at a time, since its graph is compiled for each run."""


@dataclass(frozen=True)
class Answer:
    """What a network says of some samples.

    Args:
        logits: float32 (N, K, h, w), in trained units, over T.
        counts: spikes of each neuron over T, (N, C, H, W) for each population.
        seconds: of the network itself.
        startup: of what is done once, or for each run: compilation, loading.
    """

    logits: np.ndarray
    counts: Mapping[str, np.ndarray]
    seconds: float
    startup: float = 0.0


class Engine(Protocol):
    """A network that is ready to run."""

    @property
    def batch(self) -> int:
        """Samples that are best run at a time."""
        ...

    def run(self, stimuli: Sequence[Stimulus], numbers: Sequence[int]) -> Answer:
        """Run samples, whose random draws are keyed by `numbers`."""
        ...


@dataclass(frozen=True)
class Target:
    """A network to predict with, and the data set that its run names.

    Args:
        taker: what its input and classes are.
        net: the integers; None where a run's float network is asked for.
        run: the run, where there is one.
        data: the run's data set, or None.
    """

    taker: Taker
    net: IntegerNetwork | None
    run: Run | None = None
    data: Choice | None = None

    @classmethod
    def of(cls, target: Run | IntegerNetwork | str | Path, backend: str | None) -> Target:
        """What a run, a network, a run's folder or a .net file names, for a backend.

        Raises:
            LavasegError: there is nothing such, or a run that has no current export for a
                backend that runs integers.
        """
        from lavaseg.data.inputs import Trained

        if backend is not None:
            check_backend(backend, NAMES)
        if isinstance(target, (str, Path)):
            return cls._opened(Path(target), backend)
        if isinstance(target, IntegerNetwork):
            if backend == FLOAT:
                raise LavasegError(
                    "a network in integers has no floats: take its run for the backend float"
                )
            return cls(target, target)
        run, data = target, target.recipe.data
        if backend in (None, FLOAT):
            return cls(Trained(run.model, run.recipe.encoder_object, run.classes), None, run, data)
        net = run.net()
        return cls(net, net, run, data)

    @classmethod
    def _opened(cls, path: Path, backend: str | None) -> Target:
        if path.is_dir():
            return cls.of(Run.open(path), backend)
        check_target(path)
        net = read(path)
        cls.of(net, backend)
        recipe = RunFolder(path.resolve().parent).recipe
        return cls(net, net, None, recipe.load().data if recipe.exists() else None)

    @property
    def steps(self) -> int:
        return self.taker.encoder.steps


@dataclass
class Integers:
    """An integer network on one of the backends.

    Args:
        net: the network.
        backend: its name.
        seed: of the encoder's draws.
        device: of the simulator.
        timeout, system: of Lava, see `lavaseg.deploy.run`.
        progress: called with (steps done, steps in all) of each run on Lava.
        kept: encoded samples are added here, if it is a list.
    """

    net: IntegerNetwork
    backend: str = REFERENCE
    seed: int = 0
    device: str = "cpu"
    timeout: float | None = None
    system: System | None = None
    progress: Progress | None = None
    kept: list[np.ndarray] | None = None
    _simulator: Simulator | None = field(default=None, init=False, repr=False)

    @property
    def batch(self) -> int:
        """1 where nothing is gained by more, so that latencies are those of single samples."""
        return STREAMED if BACKENDS[self.backend].on_lava else 1

    def run(self, stimuli: Sequence[Stimulus], numbers: Sequence[int]) -> Answer:
        """See `Engine`."""
        spikes = self.net.encoder.encode(stimuli, seed=self.seed, samples=numbers)
        if self.kept is not None:
            self.kept.append(spikes)
        started = time.perf_counter()
        activity = self._activity(spikes)
        spent = time.perf_counter() - started
        logits = self.net.logits(activity.readout)
        return Answer(logits, activity.counts, activity.seconds, max(0.0, spent - activity.seconds))

    def _activity(self, spikes: np.ndarray) -> Activity:
        if self.backend == REFERENCE:
            from lavaseg.deploy.simulator import Simulator

            if self._simulator is None:
                self._simulator = Simulator(self.net, device=self.device)
            return self._simulator.run(spikes)
        from lavaseg.deploy.requests import check_request
        from lavaseg.network.ranges import check_ranges

        check_request(self.net, spikes, ())
        check_ranges(self.net)
        backend = BACKENDS[self.backend]
        return backend.run(self.net, spikes, (), self.timeout, self.progress, self.system)


def engine(
    target: Target,
    backend: str | None,
    *,
    seed: int | None = None,
    device: str = "cpu",
    timeout: float | None = None,
    system: System | None = None,
) -> tuple[str, Engine]:
    """The name of the backend, and the engine.

    Args:
        seed: of the encoder's draws; None: the recipe's of a float network, else 0.
        device: of the simulator and the float network.
        timeout, system: of Lava.

    Raises:
        LavasegError: something is not installed or not there.
    """
    if target.net is None:
        assert target.run is not None
        with optional():
            from lavaseg.inference.floats import Floats
        return FLOAT, Floats(target.run, target.run.recipe.seed if seed is None else seed, device)
    name = backend or REFERENCE
    if device not in ("auto", "cpu") and name != REFERENCE:
        raise LavasegError(f"--device {device} is for the simulator and float networks, not {name}")
    return name, Integers(target.net, name, seed or 0, device, timeout, system)


def blank(taker: Taker) -> Stimulus:
    """A stimulus without content: a black picture, or one slice's time without events."""
    from lavaseg.data.inputs import stimulus_shape

    shape = stimulus_shape(taker)
    if isinstance(taker.encoder, EventEncoder):
        return Events([], [], [], [], shape[1:], (0, 1_000))  # type: ignore[arg-type]
    return np.zeros(shape, np.uint8)


def is_of_events(encoder: Encoder) -> bool:
    """Whether a network takes recordings."""
    return isinstance(encoder, EventEncoder)
