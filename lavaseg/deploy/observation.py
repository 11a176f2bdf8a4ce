"""Record what every layer does: spikes, membranes, operations; activations of artificial networks.

A recording looks at a network, it changes nothing in it: models need no code for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from lavaseg.encoders import Encoder
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.export.lowering import unrolled
from lavaseg.kernels.neuron import STATE_SCALE
from lavaseg.models.analog import AnalogModel
from lavaseg.models.analog.module import AnalogNetwork, watching
from lavaseg.network import Current, Input, Network, Node, Population
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.ranges import check_ranges
from lavaseg.results.energy import account
from lavaseg.results.recording import NEAR, Kind, LayerRecording, Recording, joined
from lavaseg.runs import Run
from lavaseg.system.progress import track
from lavaseg.training import SpikingNetwork
from lavaseg.training.batches import messages
from lavaseg.training.experiment import trained, trained_model


def record(
    target: Run | IntegerNetwork,
    stimuli: Sequence[Stimulus] | np.ndarray | None = None,
    *,
    samples: int = 4,
    seed: int | None = None,
    numbers: Sequence[int] | None = None,
    membranes: bool = True,
    layers: Iterable[str] | None = None,
    progress: bool = False,
) -> Recording:
    """Spikes, membranes, rates and synaptic operations of each layer of a network.

    Everything that is asked for is kept in memory: of a large network, choose `layers`, leave
    membranes out, or take one sample at a time (`recordings`).

    Args:
        target: a run, of which the float network is recorded as trained, spiking or artificial;
            or a network in integers (`lavaseg.read_net`).
        stimuli: pictures, uint8 (channels, height, width) each, or recordings of events; by
            default the run's first test samples.
        samples: how many of these test samples.
        seed, numbers: key the encoder's draws, as in `Encoder.encode`; by default those of an
            evaluation: the recipe's seed (0 for integers), and 0, 1, 2 and so on.
        membranes: keep them; shares near the threshold are counted in any case.
        layers: names of those that are kept; all by default.
        progress: show a progress bar.

    Raises:
        LavasegError: no layer of such a name, no stimuli or none that fit, no trained weights.
    """
    return joined(
        list(
            recordings(
                target,
                stimuli,
                samples=samples,
                seed=seed,
                numbers=numbers,
                membranes=membranes,
                layers=layers,
                progress=progress,
            )
        )
    )


def recordings(
    target: Run | IntegerNetwork,
    stimuli: Sequence[Stimulus] | np.ndarray | None = None,
    *,
    samples: int = 4,
    seed: int | None = None,
    numbers: Sequence[int] | None = None,
    membranes: bool = True,
    layers: Iterable[str] | None = None,
    progress: bool = False,
) -> Iterator[Recording]:
    """`record`, one recording a sample, each made when it is asked for."""
    if stimuli is None:
        if isinstance(target, IntegerNetwork):
            raise LavasegError("a network in integers has no data of its own: give it stimuli")
        test = target.data.test
        stimuli = [test[i][0] for i in range(min(samples, len(test)))]
    if not len(stimuli):
        raise LavasegError("there are no samples to record")
    numbers = range(len(stimuli)) if numbers is None else [int(number) for number in numbers]
    if len(numbers) != len(stimuli):
        raise LavasegError(f"there are {len(numbers)} numbers for {len(stimuli)} stimuli")
    recorder = _recorder(target, None if seed is None else int(seed), membranes, layers)
    pairs = list(zip(stimuli, numbers, strict=True))
    return (recorder.sample(*pair) for pair in track(pairs, "record", show=progress))


def _recorder(
    target: Run | IntegerNetwork, seed: int | None, membranes: bool, layers: Iterable[str] | None
) -> _Spiking | _Artificial:
    """What records one sample after the other."""
    if isinstance(target, IntegerNetwork):
        check_ranges(target)
        source = _Source(target.encoder, target.network.input, seed or 0)
        kept = _chosen(layers, target.network.shapes)
        model = SpikingNetwork.from_integers(target)
        return _Spiking(source, model, kept, membranes, target.scales)
    seed = target.recipe.seed if seed is None else seed
    source = _Source(target.recipe.encoder_object, target.model.input, seed)
    if isinstance(target.model, AnalogModel):
        kept = _chosen(layers, target.model.sheets)
        return _Artificial(source, target.model, trained_model(target), kept)
    kept = _chosen(layers, target.network.shapes)
    return _Spiking(source, trained(target), kept, membranes, {})


def _chosen(layers: Iterable[str] | None, known: Iterable[str]) -> frozenset[str]:
    """The names that are kept.

    Raises:
        LavasegError: one of them is none of `known`.
    """
    if layers is None:
        return frozenset(known)
    found = frozenset([layers] if isinstance(layers, str) else layers)
    for name in sorted(found - frozenset(known)):
        raise LavasegError(f"there is no layer {name!r} to record; there are {', '.join(known)}")
    return found


@dataclass(frozen=True)
class _Source:
    """What turns stimuli into messages, drawn as in an evaluation."""

    encoder: Encoder
    input: Input
    seed: int

    def messages(self, stimulus: Stimulus, number: int) -> torch.Tensor:
        """(1, C, H, W, T)."""
        found = messages([stimulus], self.encoder, self.seed, [number])
        if tuple(found.shape[1:4]) != self.input.shape:
            raise LavasegError(
                f"a stimulus of shape {tuple(stimulus.shape)} becomes spikes of shape "
                f"{tuple(found.shape[1:4])}, the network takes {self.input.shape}"
            )
        return found

    def recording(
        self,
        kind: Kind,
        number: int,
        layers: dict[str, LayerRecording],
        readout: np.ndarray,
        remarks: tuple[str, ...] = (),
    ) -> Recording:
        """Of one sample."""
        return Recording(kind, self.encoder.steps, self.seed, (number,), layers, readout, remarks)


def _steps_first(x: torch.Tensor) -> torch.Tensor:
    """(1, C, H, W, T) as (1, T, C, H, W)."""
    return x.permute(0, 4, 1, 2, 3)


def _one(value: float) -> np.ndarray:
    """A figure of one sample."""
    return np.array([value], np.float64)


class _Spiking:
    """Records a spiking network, float or integer.

    Args:
        model: in eval mode. In integers its spikes and membranes are those of the simulator.
        scales: weight units in a trained unit, for each population of an integer network.
    """

    def __init__(
        self,
        source: _Source,
        model: SpikingNetwork,
        kept: frozenset[str],
        membranes: bool,
        scales: Mapping[str, float],
    ) -> None:
        self.source, self.model = source, model
        self.kept, self.membranes, self.scales = kept, membranes, scales
        self.counted, self.remarks = countable(model.network)

    @torch.no_grad()
    def sample(self, stimulus: Stimulus, number: int) -> Recording:
        network, integer = self.model.network, self.model.integer
        arriving = self.source.messages(stimulus, number)
        counts: dict[str, np.ndarray] = {}
        found: dict[str, LayerRecording] = {}

        def observe(node: Input | Node, x: torch.Tensor, v: torch.Tensor | None) -> None:
            counts[node.name] = (x[0] != 0).sum(-1).numpy()
            if node.name in self.kept:
                share = counts[node.name].mean() / x.shape[-1]
                found[node.name] = self._layer(node, float(share), x, v)

        observe(network.input, arriving, None)
        readout = self.model(arriving, observe, membranes="all")
        if integer:
            readout = torch.round(readout.double() * STATE_SCALE).long()
        if self.counted is not None:
            operations = account(self.counted, counts, 1, arriving.shape[-1])
            for name in self.kept & self.counted.shapes.keys():
                count = round(operations.operations_into(name))
                found[name] = dataclasses.replace(found[name], operations=np.array([count]))
        kind: Kind = "integer" if integer else "float"
        return self.source.recording(kind, number, found, readout.numpy(), self.remarks)

    def _layer(
        self, node: Input | Node, share: float, x: torch.Tensor, v: torch.Tensor | None
    ) -> LayerRecording:
        """Everything but the operations."""
        network, integer = self.model.network, self.model.integer
        fields: dict[str, Any] = {}
        sheets = _steps_first(x)
        if isinstance(node, (Input, Population)):
            fields["spikes"] = sheets.to(torch.uint8).numpy()
        elif integer:
            fields["spikes"] = sheets.to(torch.int32).numpy()
        else:
            fields["values"] = sheets.contiguous().numpy()
        if isinstance(node, Population) and v is not None:
            fields |= self._membranes(node, _steps_first(v))
        return LayerRecording(
            name=node.name,
            kind=_kind(node),
            shape=network.shape(node.name),
            rates=_one(share),
            macs=sum(
                p.operator.macs(network.shape(p.source))
                for p in network.incoming(node.name)
                if network.weight_shape(p) is not None
            ),
            **fields,
        )

    def _membranes(self, population: Population, v: torch.Tensor) -> dict[str, Any]:
        name = population.name
        unit = STATE_SCALE if self.model.integer else 1
        membranes = (v * unit).to(torch.int32) if self.model.integer else v.contiguous()
        fields: dict[str, Any] = {"scale": unit * self.scales.get(name, 1.0)}
        values = membranes.numpy()
        if population.threshold is not None:
            threshold = fields["threshold"] = unit * self.model.neuron(name).threshold
            fields["near"] = _one((np.abs(values - threshold) <= NEAR * threshold).mean())
        if self.membranes:
            fields["membranes"] = values
        return fields


def _kind(node: Input | Node) -> str:
    """What `LayerRecording.kind` calls it."""
    if isinstance(node, Population) and node.threshold is None:
        return "readout"
    return type(node).__name__.lower()


def countable(network: Network) -> tuple[Network | None, tuple[str, ...]]:
    """The network whose synapses the spikes of a trained network drive, or None, with a remark."""
    for projection in network.projections:
        reason = projection.operator.trains_only
        if reason:
            return None, (f"synaptic operations are not counted: {reason}",)
    if not any(isinstance(node, Current) for node in network.nodes):
        return network, ()
    try:
        found = unrolled(network)
    except LavasegError as error:
        return None, (f"synaptic operations are not counted: {error}",)
    late = [name for name in found.shapes if name not in network.shapes]
    if late:
        return None, (
            f"synaptic operations are not counted: the relay {late[0]!r} would send what no "
            "current of the network as trained shows; count the exported network",
        )
    return found, ()


class _Artificial:
    """Records an artificial network: activations of each layer."""

    def __init__(
        self, source: _Source, model: AnalogModel, network: nn.Module, kept: frozenset[str]
    ) -> None:
        assert isinstance(network, AnalogNetwork)
        self.source, self.model, self.network, self.kept = source, model, network, kept

    @torch.no_grad()
    def sample(self, stimulus: Stimulus, number: int) -> Recording:
        seen: dict[str, np.ndarray] = {}

        def see(name: str, _: nn.Module, output: torch.Tensor) -> None:
            if name in self.kept:
                seen[name] = output.clone().numpy()  # a network may go on to change it in place

        with watching(self.network.body, see):
            readout = self.network(self.source.messages(stimulus, number))
        layers = {name: self._layer(name, values) for name, values in seen.items()}
        return self.source.recording("artificial", number, layers, readout.numpy())

    def _layer(self, name: str, values: np.ndarray) -> LayerRecording:
        kind, shape, macs = self.model.sheets[name]
        share = _one(np.count_nonzero(values) / values.size)
        return LayerRecording(name, kind, shape, share, macs, values=values)
