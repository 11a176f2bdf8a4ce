"""The simulator on torch devices: layer by layer, all steps at once.

Integer sums are taken as convolutions in float64 and rounded back: exact, even where the library
chooses a convolution by transforms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from lavaseg.deploy.simulator_slots import Slots, foldable, folded_inputs
from lavaseg.kernels.neuron_torch import filter_current_steps, fire_steps
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.network import DECAY_UNITY, STATE_SCALE, Population, Projection, Relay
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.activity import Activity


@torch.inference_mode()
def run_torch(
    net: IntegerNetwork, spikes: np.ndarray, recorded: Sequence[str], device: str
) -> Activity:
    """Run a chunk of samples, all at once; `seconds` is left out.

    Args:
        spikes: uint8 (N, T, C, H, W), checked.
        recorded: names of populations whose spikes are kept.
        device: a torch device.
    """
    network, dtype = net.network, torch.float64
    counts: dict[str, np.ndarray] = {}
    kept: dict[str, np.ndarray] = {}
    relays = {node.name for node in network.nodes if isinstance(node, Relay)}

    def observe(name: str, x: torch.Tensor) -> None:  # (T, N, H, W, C)
        fired = (x != 0).sum(0).permute(0, 3, 1, 2)
        counts[name] = fired.to(torch.int16).cpu().numpy().astype(np.uint16)
        if name in recorded:
            number = torch.int32 if name in relays else torch.uint8
            kept[name] = x.permute(1, 0, 4, 2, 3).to(number).cpu().numpy()

    first = torch.from_numpy(spikes).to(device).permute(1, 0, 3, 4, 2).to(dtype).contiguous()
    emitted = {network.input.name: first}
    observe(network.input.name, first)
    sheets = {item.neurons.sum: item for item in foldable(net)}
    folded = {name: total for total, item in sheets.items() for name in item.folded}
    slots = {slot for item in sheets.values() for slot in item.neurons.slots}
    inputs = {
        node.name: [(p, folded.get(p.source, p.source)) for p, *_ in groups if not p.recurrent]
        for node in network.ordered
        for groups in [folded_inputs(network, node.name, slots)]
        if node.name not in folded
    }
    waiting = Counter(source for found in inputs.values() for _, source in found)
    readout = np.empty(0)
    for node in network.ordered:
        if node.name in folded:
            continue
        current: torch.Tensor | None = None
        for projection, source in inputs[node.name]:
            arriving = _arriving(net, projection, emitted[source])
            current = arriving if current is None else current + arriving
            waiting[source] -= 1
            if not waiting[source]:
                del emitted[source]
        assert current is not None
        if isinstance(node, Population):
            if node.name in net.clocks:
                clock = torch.from_numpy(net.clocks[node.name]).to(device, dtype)
                current = current + clock[:, None, None, None]
            bias = torch.from_numpy(net.bias(node.name) / STATE_SCALE).to(device, dtype)
            fired, last = _settle(net, node, current, bias)
        else:  # a relay sends the sums themselves
            fired = current
        observe(node.name, fired)
        if node.name in sheets:  # its slots alone hear it: their integers stand for it from here
            fired = _levels(sheets[node.name], current)
            for k, slot in enumerate(sheets[node.name].neurons.slots):
                observe(slot, fired > k)
            for relay in sheets[node.name].relays:
                observe(relay, fired)
        if waiting[node.name]:
            emitted[node.name] = fired
        if node.name == network.readout:
            readout = last.permute(0, 3, 1, 2).to(torch.int64).cpu().numpy()
    return Activity(readout, counts, kept)


def _levels(slots: Slots, current: torch.Tensor) -> torch.Tensor:
    """How many slots spike for the sums (T, N, H, W, C) of their relay."""
    bias = torch.from_numpy(slots.bias / STATE_SCALE).to(current)[:, None, None, None]
    membrane = current + bias
    levels = torch.zeros_like(membrane)
    for limit in slots.limits:
        levels += membrane > float(limit) / STATE_SCALE
    return levels


def _project(net: IntegerNetwork, projection: Projection, x: torch.Tensor) -> torch.Tensor:
    """Input current of one projection, (T, N, H, W, C) -> (T, N, H', W', C')."""
    operator = projection.operator
    weight = torch.from_numpy(net.weights[projection.name]).to(x.device, x.dtype)
    folded = x.flatten(0, 1).permute(0, 3, 1, 2)  # channels last in memory
    out = apply_operator(operator, folded, weight).round()
    return out.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


def _arriving(net: IntegerNetwork, projection: Projection, x: torch.Tensor) -> torch.Tensor:
    """`_project` after the projection's delay, with nothing arriving before."""
    delay = projection.within(len(x))
    if isinstance(delay, int):
        return _later(_project(net, projection, x), delay)
    late, each = torch.empty_like(x), torch.tensor(delay, device=x.device)
    for own in sorted(set(delay)):
        late[..., each == own] = _later(x[..., each == own], own)
    return _project(net, projection, late)


def _later(x: torch.Tensor, delay: int) -> torch.Tensor:
    """x, (T, ...), `delay` steps later."""
    return x if not delay else torch.cat([torch.zeros_like(x[:delay]), x[: len(x) - delay]])


def _settle(
    net: IntegerNetwork, population: Population, current: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `_respond`, recurrent projections included.

    Feedback depends on earlier steps alone: each round settles as many more steps as the shortest
    delay has, and a round that changes nothing is the last one.
    """
    fired, last = _respond(net, population, current, bias)
    loops = [p for p in net.network.incoming(population.name) if p.recurrent]
    shortest = min((p.shortest for p in loops), default=len(current))
    for _ in range(shortest, len(current), shortest):
        before, total = fired, current
        for projection in loops:
            total = total + _arriving(net, projection, fired)
        fired, last = _respond(net, population, total, bias)
        if torch.equal(before, fired):
            break
    return fired, last


def _respond(
    net: IntegerNetwork, population: Population, current: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes (T, N, H, W, C) and last membrane in state units (N, H, W, C)."""
    if population.current_decay != DECAY_UNITY:
        current = filter_current_steps(current, population.current_decay, STATE_SCALE)
    soft = population.reset == "soft"
    threshold = net.threshold(population)
    fired, _, last = fire_steps(
        current + bias, threshold, population.voltage_decay, soft, STATE_SCALE
    )
    return fired, last
