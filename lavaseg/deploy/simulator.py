"""The bit-exact simulator: whole batches, layer by layer, in logical time.

Integer sums are computed as floating-point convolutions, which are exact while every sum stays
below 2^24 (float32): the range proof guarantees 2^18. On a GPU the library may choose a
convolution by transforms, which rounds; there sums are taken in float64 and rounded back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from lavaseg.activity import Activity
from lavaseg.deploy.requests import check_request
from lavaseg.errors import LavasegError
from lavaseg.export import check_ranges
from lavaseg.integers import IntegerNetwork
from lavaseg.network import (
    DECAY_UNITY,
    Conv,
    Current,
    Population,
    Projection,
    Relay,
    SumPool,
)
from lavaseg.neuron import STATE_SCALE, filter_current, fire
from lavaseg.neuron_torch import filter_current_steps, fire_steps
from lavaseg.operators_torch import apply_operator

CHUNK_BYTES = 512 * 2**20
"""Memory that the automatic chunk size aims to stay below."""


def simulate(
    net: IntegerNetwork,
    spikes: np.ndarray,
    *,
    record: Sequence[str] | str = (),
    chunk: int | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Activity:
    """Run encoded samples through an integer network: the spikes that Lava gives, fast.

    Args:
        spikes: uint8 (N, T, C, H, W), as `net.encoder.encode` gives them.
        record: names of populations whose spikes are kept, or "all".
        chunk: samples computed at once, which bounds the memory; chosen from the network's size
            by default. The result does not depend on it.
        device: a torch device.
        progress: called with (samples done, samples in all).

    Raises:
        LavasegError: spikes that do not fit the network, an unknown population, a range that
            Loihi does not have.
    """
    recorded = check_request(net, spikes, record)
    check_ranges(net)
    if any(isinstance(node, Current) for node in net.network.nodes):
        raise LavasegError("an integer network has no currents: unroll them on export")
    total = len(spikes)
    size = chunk or max(1, CHUNK_BYTES // _sample_bytes(net))
    started = time.monotonic()
    parts: list[tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]] = []
    # where oneDNN is missing, torch may take NNPACK, which convolves by transforms
    with torch.inference_mode(), torch.backends.nnpack.flags(enabled=False):
        for first in range(0, total, size):
            parts.append(_run(net, spikes[first : first + size], recorded, torch.device(device)))
            if progress is not None:
                progress(min(first + size, total), total)
    return Activity(
        readout=np.concatenate([p[0] for p in parts]),
        counts={k: np.concatenate([p[1][k] for p in parts]) for k in parts[0][1]},
        spikes={k: np.concatenate([p[2][k] for p in parts]) for k in parts[0][2]},
        seconds=time.monotonic() - started,
    )


def _sample_bytes(net: IntegerNetwork) -> int:
    """Peak memory of one sample: spikes, sums and membranes of the two largest sheets."""
    sheets = sorted(net.network.neurons(name) for name in net.network.shapes)
    return 4 * net.steps * (4 * sheets[-1] + sum(sheets[-2:-1]))


def _run(
    net: IntegerNetwork, spikes: np.ndarray, recorded: Sequence[str], device: torch.device
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Read-out, counts and recorded spikes of one chunk."""
    network = net.network
    dtype = torch.float32 if device.type == "cpu" else torch.float64
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
    waiting = {
        name: sum(not p.recurrent for p in network.outgoing(name)) for name in network.shapes
    }
    readout = np.empty(0)
    for node in network.ordered:
        current: torch.Tensor | None = None
        for projection in network.incoming(node.name):
            if projection.recurrent:
                continue
            arriving = _delayed(_project(net, projection, emitted[projection.source]), projection)
            current = arriving if current is None else current + arriving
            waiting[projection.source] -= 1
            if not waiting[projection.source]:
                del emitted[projection.source]
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
        if waiting[node.name]:
            emitted[node.name] = fired
        if node.name == network.readout:
            readout = last.permute(0, 3, 1, 2).to(torch.int64).cpu().numpy()
    return readout, counts, kept


def _project(net: IntegerNetwork, projection: Projection, x: torch.Tensor) -> torch.Tensor:
    """Input current of one projection, (T, N, H, W, C) -> (T, N, H', W', C')."""
    operator = projection.operator
    if isinstance(operator, SumPool) and operator.average:
        raise LavasegError(f"projection {projection.name!r}: averages are not integers")
    weight = torch.from_numpy(net.weights[projection.name]).to(x.device, x.dtype)
    if isinstance(operator, Conv):
        weight = weight.contiguous(memory_format=torch.channels_last)
    folded = x.flatten(0, 1).permute(0, 3, 1, 2)  # channels last in memory
    out = apply_operator(operator, folded, weight)
    if x.dtype == torch.float64:
        out = out.round()
    return out.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


def _delayed(x: torch.Tensor, projection: Projection) -> torch.Tensor:
    """x shifted by the projection's delay, with nothing arriving before."""
    delay = min(projection.delay, len(x))
    if not delay:
        return x
    return torch.cat([torch.zeros_like(x[:delay]), x[: len(x) - delay]])


def _settle(
    net: IntegerNetwork, population: Population, current: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `_respond`, recurrent projections included.

    What feeds back needs steps before only: each round settles so many more steps as the shortest
    delay has, and a round that changes nothing is the last one.
    """
    fired, last = _respond(net, population, current, bias)
    loops = [p for p in net.network.incoming(population.name) if p.recurrent]
    shortest = min((p.delay for p in loops), default=len(current))
    for _ in range(shortest, len(current), shortest):
        before, total = fired, current
        for projection in loops:
            total = total + _delayed(_project(net, projection, fired), projection)
        fired, last = _respond(net, population, total, bias)
        if torch.equal(before, fired):
            break
    return fired, last


def _respond(
    net: IntegerNetwork, population: Population, current: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes (T, N, H, W, C) and last membrane in state units (N, H, W, C)."""
    threshold, soft = net.threshold(population), population.reset == "soft"
    filtered = population.current_decay != DECAY_UNITY
    if current.is_cuda:
        if filtered:
            current = filter_current_steps(current, population.current_decay, STATE_SCALE)
        spikes, _, last = fire_steps(
            current + bias, threshold, population.voltage_decay, soft, STATE_SCALE
        )
        return spikes, last
    flat = current.contiguous().view(len(current), -1)
    if filtered:
        u = filter_current(flat.numpy(), decay=population.current_decay)
        flat = torch.from_numpy(u)
    entering = (flat.view(current.shape) + bias).view(len(current), -1).numpy()
    fired, _, last_membrane = fire(
        entering,
        threshold=threshold,
        voltage_decay=population.voltage_decay,
        soft_reset=soft,
        record=False,
    )
    shape = current.shape
    return torch.from_numpy(fired).view(shape), torch.from_numpy(last_membrane).view(shape[1:])
