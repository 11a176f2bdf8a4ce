"""Runs and networks in integers as sources of figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lavaseg.data.inputs import Trained, choose_inputs
from lavaseg.errors import LavasegError
from lavaseg.models.analog import AnalogModel
from lavaseg.network import Current, Network, Population, Shape
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.levels import refolded
from lavaseg.report.sources.base import Sheets, Source, Wanted, sent
from lavaseg.report.sources.scenes import Scenes, first_test_samples, scenes
from lavaseg.results.levels import LevelView
from lavaseg.results.recording import Recording
from lavaseg.runs import Run

if TYPE_CHECKING:
    from lavaseg.results.evaluation import Evaluation


def spiking_shapes(network: Network) -> dict[str, Shape]:
    """Shapes of all nodes that send spikes or messages: no sums, no read-outs."""
    silent = {p.name for p in network.populations if p.threshold is None}
    silent |= {node.name for node in network.nodes if isinstance(node, Current)}
    return {name: shape for name, shape in network.shapes.items() if name not in silent}


def firing(network: Network) -> list[str]:
    """Names of the populations that fire, in the order of computation."""
    return [
        node.name
        for node in network.ordered
        if isinstance(node, Population) and node.threshold is not None
    ]


def _with_data(run: Run, wanted: Wanted) -> Run:
    """The run, with its data in the folder that the options name, if they do."""
    root = wanted.options.get("root")
    return run if root is None or wanted.inputs else run.with_data_in(str(root))


def _recorded(
    target: Run | IntegerNetwork,
    seen: Scenes,
    wanted: Wanted,
    layers: Sequence[str] | None,
    membranes: bool,
) -> Iterator[Recording]:
    """What `lavaseg.record` gives of each sample."""
    from lavaseg.deploy import recordings

    return recordings(
        target,
        seen.stimuli,
        numbers=seen.numbers,
        seed=wanted.seed,
        steps=wanted.steps,
        layers=layers,
        membranes=membranes,
    )


class RunSource(Source):
    """The float network of a run, spiking or artificial."""

    def __init__(self, run: Run, title: str = "") -> None:
        self.run: Run = run
        self.title = title or str(run.path)
        self.classes, self.steps = run.classes, run.recipe.encoder_object.steps

    @property
    def network(self) -> Network:
        if isinstance(self.run.model, AnalogModel):
            raise LavasegError(
                f"{self.title} is an artificial network, which has no spikes and no membranes: "
                "give a run of a spiking network; `lavaseg plot activations` shows an artificial "
                "one"
            )
        return self.run.model

    @cached_property
    def view(self) -> LevelView:
        return LevelView.of(self.network)

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return spiking_shapes(self.network)

    @property
    def firing(self) -> list[str]:
        return firing(self.network)

    def scenes(self, wanted: Wanted) -> Scenes:
        run = _with_data(self.run, wanted)
        if not wanted.inputs:
            return scenes(first_test_samples(run, wanted.samples), run.recipe.encoder_object, run)
        taker = Trained(run.model, run.recipe.encoder_object, run.classes)
        inputs = choose_inputs(
            taker, wanted.inputs, run.recipe.data, wanted.options, wanted.samples, wanted.seed or 0
        )
        return scenes(inputs, run.recipe.encoder_object, run, wanted.inputs)

    def recordings(
        self, seen: Scenes, wanted: Wanted, layers: Sequence[str] | None, membranes: bool
    ) -> Iterator[Recording]:
        return _recorded(self.run, seen, wanted, layers, membranes)

    def spikes(self, names: Sequence[str], seen: Scenes, wanted: Wanted) -> Iterator[Sheets]:
        _ = self.network
        for found in self.recordings(seen, wanted, names, membranes=False):
            yield {name: sent(found[name])[0] for name in names}

    def logits(self, seen: Scenes, wanted: Wanted) -> np.ndarray:
        from lavaseg.training.evaluating import logits_at

        return logits_at(self.run, seen.stimuli, seen.numbers, wanted.steps, wanted.seed)

    def readouts(self, seen: Scenes, wanted: Wanted, steps: Sequence[int]) -> list[np.ndarray]:
        name, found = self.network.readout, []
        for recording in self.recordings(seen, wanted, [name], membranes=True):
            membranes = recording[name].membranes
            assert membranes is not None
            found.append(membranes)
        over_time = np.concatenate(found)
        return [over_time[:, step - 1] for step in steps]

    def evaluation(self) -> Evaluation | None:
        kept = self.run.files.evaluation
        return kept.load() if kept.current() else None

    def described(self, counts: Mapping[str, object]) -> Network:
        return self.network

    def auxiliaries(self, seen: Scenes, wanted: Wanted) -> dict[str, np.ndarray]:
        model = self.run.model
        if isinstance(model, AnalogModel):
            return super().auxiliaries(seen, wanted)
        names = [name for name in model.auxiliaries if model.shape(name)[0] > 1]  # of classes
        if not names:
            return super().auxiliaries(seen, wanted)
        found: dict[str, list[np.ndarray]] = {}
        for recording in self.recordings(seen, wanted, names, membranes=True):
            for name, layer in recording.layers.items():
                assert layer.membranes is not None
                found.setdefault(name, []).append(layer.membranes[:, -1])
        return {name: np.concatenate(parts) for name, parts in found.items()}


def first_steps(net: IntegerNetwork, steps: int) -> IntegerNetwork:
    """The network that ends after its first steps, whatever its encoder makes of another T."""
    encoder = dataclasses.replace(net.encoder, steps=steps)
    clocks = {name: clock[:steps] for name, clock in net.clocks.items()}
    return dataclasses.replace(net, encoder=encoder, clocks=clocks)


class NetSource(Source):
    """A network in integers, and the run that exported it where it lies in one."""

    def __init__(self, net: IntegerNetwork, title: str = "", run: Run | None = None) -> None:
        self.net, self.title, self.run = net, title, run
        self.classes, self.steps = net.classes, net.steps

    @cached_property
    def view(self) -> LevelView:
        return LevelView.of(self.net.network, self.net.weights)

    @property
    def shapes(self) -> Mapping[str, Shape]:
        shapes = spiking_shapes(self.net.network)
        return {name: shapes[self.view.members(name)[0]] for name in self.view.folded(shapes)}

    @property
    def firing(self) -> list[str]:
        return self.view.folded(firing(self.net.network))

    @property
    def interleaved(self) -> bool:
        return self.net.encoder.interleave > 1

    def scenes(self, wanted: Wanted) -> Scenes:
        run = None if self.run is None else _with_data(self.run, wanted)
        if run is not None and not wanted.inputs:
            return scenes(first_test_samples(run, wanted.samples), self.net.encoder, run)
        beside = None if run is None else run.recipe.data
        inputs = choose_inputs(
            self.net, wanted.inputs, beside, wanted.options, wanted.samples, wanted.seed or 0
        )
        return scenes(inputs, self.net.encoder, run, wanted.inputs)

    def recordings(
        self, seen: Scenes, wanted: Wanted, layers: Sequence[str] | None, membranes: bool
    ) -> Iterator[Recording]:
        for found in _recorded(self.net, seen, wanted, layers, membranes):
            yield replace(found, layers=found.populations)

    def spikes(self, names: Sequence[str], seen: Scenes, wanted: Wanted) -> Iterator[Sheets]:
        from lavaseg.deploy import Simulator

        net = self._net_at(wanted.steps)
        simulator = Simulator(net)
        for stimulus, number in zip(seen.stimuli, seen.numbers, strict=True):
            messages = net.encoder.encode([stimulus], seed=wanted.seed or 0, samples=[number])
            recorded = simulator.run(messages, record=self.view.unfolded(names)).spikes
            found = self.view.spikes(recorded)
            yield {name: found[name][0] for name in names}

    def logits(self, seen: Scenes, wanted: Wanted) -> np.ndarray:
        from lavaseg.deploy import Simulator
        from lavaseg.deploy.evaluation import check_readout

        net = self._net_at(wanted.steps)
        simulator, found = Simulator(net), []
        for stimulus, number in zip(seen.stimuli, seen.numbers, strict=True):
            messages = net.encoder.encode([stimulus], seed=wanted.seed or 0, samples=[number])
            activity = simulator.run(messages)
            if net.steps != self.steps:
                check_readout(net, activity)
            found.append(net.logits(activity.readout))
        return np.concatenate(found)

    def readouts(self, seen: Scenes, wanted: Wanted, steps: Sequence[int]) -> list[np.ndarray]:
        from lavaseg.deploy import Simulator

        net = self.net
        # one at a time, since each of a random code has a draw of its own; the code is that of all
        # T steps, of which each run sees the first
        messages = [
            net.encoder.encode([stimulus], seed=wanted.seed or 0, samples=[number])
            for stimulus, number in zip(seen.stimuli, seen.numbers, strict=True)
        ]
        found = []
        for step in steps:
            short = first_steps(net, step)
            simulator = Simulator(short)
            readouts = [simulator.run(sent[:, :step]).readout for sent in messages]
            found.append(short.logits(np.concatenate(readouts)))
        return found

    def evaluation(self) -> Evaluation | None:
        if self.run is None or not self.run.files.net_evaluation.current():
            return None
        return self.run.files.net_evaluation.load()

    def described(self, counts: Mapping[str, object]) -> Network:
        if self.run is None or isinstance(self.run.model, AnalogModel):
            return refolded(self.net.network, self.net.weights)
        from lavaseg.export.lowering import described

        return described(self.net.network, self.run.model, counts)[0]

    def _net_at(self, steps: int | None) -> IntegerNetwork:
        return self.net if steps is None else self.net.with_steps(steps)
