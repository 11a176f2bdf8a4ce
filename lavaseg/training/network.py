"""The trainable network: a description made of SLAYER synapses and neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce

import numpy as np
import torch

from lavaseg.errors import LavasegError
from lavaseg.kernels.stopwatch import Stopwatch
from lavaseg.network import STATE_SCALE, Current, Input, Node, Population, Projection, Relay
from lavaseg.network.levels import incoming_by_weights
from lavaseg.results.activity import Activity
from lavaseg.training.norm import StepNorm, check_steps
from lavaseg.training.parts import NetworkParts
from lavaseg.training.slayer.delays import shifted, shifted_channels
from lavaseg.training.slayer.neurons import FLOAT_SCALE, NeuronState, Record


@dataclass
class Carried:
    """What a network keeps from one piece of a sample to the next, for `SpikingNetwork.forward`.

    Args:
        step: steps that have passed.
        neurons: for each population, what its neurons keep.
        late: for each delayed projection, the current that is still on its way, or the spikes where
            each channel has a delay of its own; None: none.
    """

    step: int = 0
    neurons: dict[str, NeuronState] = field(default_factory=dict)
    late: dict[str, torch.Tensor | None] = field(default_factory=dict)


Observer = Callable[[Node, torch.Tensor, "torch.Tensor | None"], None]
"""Called with each population, its spikes and its membranes before reset, (N, C, H, W, T), with
each relay and its messages, and with each current and its values."""


def spikes_sent(node: Input | Node, x: torch.Tensor) -> torch.Tensor:
    """Spikes of each neuron over T steps, int64 (N, C, H, W).

    Integer neurons count for as many as the number that they send; graded spikes of an input or a
    relay for one each, whatever they carry.

    Args:
        x: what a node sends, (N, C, H, W, T).
    """
    if isinstance(node, Population) and node.levels is not None:
        return x.sum(-1, dtype=torch.int64)
    return (x != 0).sum(-1)


def _once(function: Callable[..., torch.Tensor], *arguments: torch.Tensor) -> torch.Tensor:
    """An elementwise function of tensors (..., T); of one step if all are constant in time.

    Such a tensor is a view with stride 0, and so is what is returned: torch's own functions would
    write all steps out, and whatever comes behind would compute each of them.
    """
    steps = arguments[0].shape[-1]
    if steps == 1 or any(x.stride(-1) for x in arguments):
        return function(*arguments)
    found = function(*(x[..., :1] for x in arguments))
    return found.expand(*found.shape[:-1], steps)


def after_reset(
    population: Population, spikes: torch.Tensor, membrane: torch.Tensor
) -> torch.Tensor:
    """Membranes as they are after firing; spikes count as constants."""
    fired = spikes.detach()
    if population.reset == "soft" and population.threshold is not None:
        return membrane - population.threshold * fired
    return membrane * (1 - fired)


def sum_of(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Their sum; of one, itself."""
    return reduce(torch.add, tensors)


class SpikingNetwork(NetworkParts):
    """A `Network` as a torch module. All populations see an input in the same logical step."""

    def forward(
        self,
        messages: torch.Tensor,
        observe: Observer | None = None,
        *,
        membranes: Record = "none",
        carried: Carried | None = None,
    ) -> torch.Tensor:
        """Membrane of the read-out after the last step, (N, K, H, W), in the unit of the weights.

        Args:
            messages: input spikes (N, C, H, W, T), 0/1 or graded messages.
            observe: called with each node as it is computed.
            membranes: the steps of which `observe` gets the membranes of spiking populations; of
                read-outs it gets at least the last.
            carried: the messages are the next steps of a sample, in eval mode on the CPU: begin
                where the steps before have left off, as is kept there. None: a whole sample.
        """
        net = self.network
        emitted = {net.input.name: _once(lambda x: x * self.input_scale, messages)}
        readout = torch.empty(0)
        for node in net.ordered:
            emitted[node.name], membrane = self.respond(
                node, emitted, membranes=membranes, carried=carried
            )
            if node.name == net.readout:
                assert isinstance(node, Population)
                assert membrane is not None
                last = emitted[node.name][..., -membrane.shape[-1] :]
                readout = after_reset(node, last, membrane)[..., -1]
            if observe is not None:
                observe(node, emitted[node.name], membrane)
        if carried is not None:
            carried.step += messages.shape[-1]
        return readout

    def between(self, given: Mapping[str, torch.Tensor], target: str) -> torch.Tensor:
        """What the node `target` sends if other nodes send what is given, (N, C, H, W, T).

        Nodes that `target` depends on and that are not given are computed, in the norms' mode.

        Args:
            given: what nodes send, (N, C, H, W, T) each; of the input, messages in 0 .. 1.

        Raises:
            LavasegError: `target` depends on the input, and neither it nor what lies between is
                given.
        """
        needed, waiting = set(), [target]
        while waiting:
            name = waiting.pop()
            if name == self.network.input.name:
                raise LavasegError(
                    f"node {target!r} depends on the input, which is not among the nodes given: "
                    + ", ".join(given)
                )
            if name not in needed:
                needed.add(name)
                sources = {p.source for p in self.network.incoming(name) if not p.recurrent}
                waiting += sorted(sources - given.keys())
        emitted = dict(given)
        for node in self.network.ordered:
            if node.name in needed:
                emitted[node.name], _ = self.respond(node, emitted)
        return emitted[target]

    def respond(
        self,
        node: Node,
        emitted: Mapping[str, torch.Tensor],
        *,
        membranes: Record = "none",
        carried: Carried | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What one node sends, and its membranes before reset, as `forward` describes them.

        Args:
            emitted: what each node that it listens to sends, (N, C, H, W, T).
        """
        arriving = [
            self._arriving(group[0], sum_of(emitted[p.source] for p in group), carried)
            for group in incoming_by_weights(self.network, node.name)
            if not group[0].recurrent
        ]
        current = arriving[0]
        for other in arriving[1:]:
            current = _once(torch.add, current, other)
        norm = self._norm_from(node.name, carried)
        bias = self.bias(node.name)
        clock = self.clock(node.name)
        if clock is not None:
            if carried is None:
                check_steps(current, len(clock), "clock")
            else:
                clock = clock[carried.step : carried.step + current.shape[-1]]
            current = current + clock.T.view(1, -1, 1, 1, len(clock))
        if isinstance(node, Population):
            record = "last" if node.threshold is None and membranes == "none" else membranes
            return self._fire(node, current, norm, bias, record, carried)
        current = current if norm is None else norm(current)
        if bias is not None:
            current = _once(lambda x: x + bias.view(1, -1, 1, 1, 1), current)
        return current, None

    def _fire(
        self,
        node: Population,
        current: torch.Tensor,
        norm: Callable[[torch.Tensor], torch.Tensor] | None,
        bias: torch.Tensor | None,
        record: Record,
        carried: Carried | None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Spikes of a population and membranes as `record` asks, recurrent projections included.

        Feedback depends on earlier steps alone: each round settles as many more steps, with their
        gradients, as the shortest delay has.
        """
        neuron = self.neuron(node.name)
        state = None if carried is None else carried.neurons.get(node.name)
        loops = [p for p in self.network.incoming(node.name) if p.recurrent]
        late = {} if carried is None else {p.name: carried.late.get(p.name) for p in loops}

        def respond(current: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
            if carried is None:
                return neuron.respond(current, norm, bias, record=record)
            spikes, membrane, carried.neurons[node.name] = neuron.respond_from(
                state, current, norm, bias, record=record
            )
            return spikes, membrane

        def fed_back(spikes: torch.Tensor) -> torch.Tensor:
            total = current
            for p in loops:
                if carried is not None:  # each round begins where the steps before have left off
                    carried.late[p.name] = late[p.name]
                total = total + self._arriving(p, spikes, carried)
            return total

        first = current if carried is None or not loops else fed_back(torch.zeros_like(current))
        spikes, membrane = respond(first)
        shortest = min((p.shortest for p in loops), default=current.shape[-1])
        for _ in range(shortest, current.shape[-1], shortest):
            before = spikes
            spikes, membrane = respond(fed_back(spikes))
            if not torch.is_grad_enabled() and torch.equal(before, spikes):
                break
        if carried is not None and loops:
            fed_back(spikes)  # what is still on its way
        return spikes, membrane

    def _norm_from(
        self, name: str, carried: Carried | None
    ) -> Callable[[torch.Tensor], torch.Tensor] | None:
        """The norm of a node, or None; that of a step begins with the one that comes next."""
        if name not in self.norms:
            return None
        norm = self.norm(name)
        if carried is None or not isinstance(norm, StepNorm):
            return norm
        return partial(norm, first=carried.step)

    def _arriving(
        self, projection: Projection, spikes: torch.Tensor, carried: Carried | None
    ) -> torch.Tensor:
        """What arrives of the spikes of a projection's source, both (N, C, H, W, T)."""
        name, delay = projection.name, projection.longest
        if name in self.delays or projection.by_channel:
            late = self._later(self._late_channels, projection, spikes, carried)
            return self.synapse(name)(late)
        sent = self.synapse(name)(spikes)
        return self._later(lambda _, x: shifted(x, delay), projection, sent, carried)

    def _late_channels(self, projection: Projection, spikes: torch.Tensor) -> torch.Tensor:
        if projection.name in self.delays:
            return self.delays[projection.name](spikes)
        return shifted_channels(spikes, torch.tensor(projection.delay))

    def _later(
        self,
        late: Callable[[Projection, torch.Tensor], torch.Tensor],
        projection: Projection,
        x: torch.Tensor,
        carried: Carried | None,
    ) -> torch.Tensor:
        """`late` of x, (N, C, H, W, T), which follows what is carried of the steps before."""
        longest = projection.max_delay or projection.longest
        if carried is None or longest == 0:
            return late(projection, x)
        before = carried.late.get(projection.name)
        if before is None:
            before = x.new_zeros((*x.shape[:-1], longest))
        both = torch.cat([before, x], -1)
        carried.late[projection.name] = both[..., x.shape[-1] :].clone()
        return late(projection, both)[..., longest:]

    @torch.no_grad()
    def run(self, spikes: np.ndarray, *, record: bool = True) -> Activity:
        """Activity for encoded samples; the integer network's counterpart of the simulator.

        Args:
            spikes: uint8 (N, T, C, H, W).
            record: keep the spikes of every population.
        """
        kept: dict[str, np.ndarray] = {}
        counts: dict[str, np.ndarray] = {}

        def observe(node: Input | Node, x: torch.Tensor, _: torch.Tensor | None) -> None:
            if isinstance(node, Current):
                return
            counts[node.name] = spikes_sent(node, x).numpy().astype(np.uint16)
            if record:
                number = torch.int32 if isinstance(node, Relay) else torch.uint8
                kept[node.name] = x.permute(0, 4, 1, 2, 3).to(number).numpy()

        messages = torch.from_numpy(spikes).permute(0, 2, 3, 4, 1)
        observe(self.network.input, messages, None)
        with Stopwatch() as watch:
            readout = self(messages.float(), observe)
            unit = STATE_SCALE if self.integer else STATE_SCALE * FLOAT_SCALE
            membranes = torch.round(readout.double() * unit).long().numpy()
        return Activity(membranes, counts, kept, watch.seconds)
