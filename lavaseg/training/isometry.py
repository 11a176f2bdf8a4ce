"""Block dynamical isometry: how the Jacobian of a part of a network changes a gradient's norm.

For a Jacobian J with m outputs, phi = tr(J J^T) / m is the mean squared singular value, and
varphi = tr((J J^T)^2) / m - phi^2 the variance of the squared singular values. A gradient keeps its
norm from block to block where phi is near 1 and varphi near 0 (Chen et al. 2020, "A comprehensive
and modularized statistical framework for gradient norm equality in deep neural networks", block
dynamical isometry; Su et al. 2024, Section 4.5, for the blocks of MFS-Seg).

The Jacobian of spikes is the surrogate's, as training has it, over all samples, steps and places at
once: the norms of a batch depend on all of them. It is never made; J^T v comes from torch's
backward and J w from its forward mode.

`predicted_phi` is what the theory makes of the parts of a block: phi of a chain is the product of
the phis of its links, phi of a sum the sum of the phis of its terms (multiplication and addition
theorem of Chen et al. 2020, which take large and independent random matrices for granted), so that
a residual block has 1 + the phi of its branch, and the scale with which the branch's last norm
starts chooses the second term (Su et al. 2024, Proposition 1).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.autograd import forward_ad

from lavaseg.errors import LavasegError
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.models.residual import ResidualBlock, inner_nodes, residual_blocks
from lavaseg.network import DECAY_UNITY, Node, Population, Projection
from lavaseg.runs import Run
from lavaseg.training import models, preparing
from lavaseg.training.batches import messages as messages_of
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.slayer.neurons import leak_factors, time_first

Map = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Isometry:
    """Moments of the squared singular values of a Jacobian, without unit.

    Args:
        phi: their mean, tr(J J^T) / m.
        varphi: their variance, tr((J J^T)^2) / m - phi^2. An estimate may fall below 0.
        phi_error, varphi_error: standard errors of the estimates; 0 where all basis vectors
            were taken.
        probes: vectors that it was computed with.
    """

    phi: float
    varphi: float
    phi_error: float
    varphi_error: float
    probes: int


def isometry(function: Map, x: torch.Tensor, *, probes: int | None = 8, seed: int = 0) -> Isometry:
    """Moments of the squared singular values of a function's Jacobian at x.

    With random signs v as probes, |J^T v|^2 / m and |J J^T v|^2 / m are unbiased for phi and for
    phi^2 + varphi (Hutchinson 1989). The square of phi is estimated by products of different
    probes, so that varphi is unbiased, too.

    Args:
        function: one tensor in, one out, of any shapes; the same at each call.
        probes: number of random ones, at least 3; None: every basis vector, which is exact and
            takes as many passes as there are outputs.
        seed: of the probes.

    Raises:
        LavasegError: fewer than 3 probes.
    """
    if probes is not None and probes < 3:
        raise LavasegError(f"isometry: probes must be at least 3, got {probes}")
    jacobian = _Jacobian(function, x)
    m = jacobian.output.numel()
    vectors = _basis(m) if probes is None else _signs(m, probes, seed)
    first, second = [], []
    for vector in vectors:
        back = jacobian.transposed(vector.view_as(jacobian.output))
        first.append(_squared_norm(back))
        second.append(_squared_norm(jacobian.forward(back)))
    q, r = np.array(first), np.array(second)
    if probes is None:
        phi = float(q.sum() / m)
        return Isometry(phi, float(r.sum() / m) - phi**2, 0.0, 0.0, m)
    return _estimate(q / m, r / m)


def _estimate(q: np.ndarray, r: np.ndarray) -> Isometry:
    """Unbiased estimates from |J^T v|^2 / m and |J J^T v|^2 / m of each probe."""
    count = len(q)

    def varphi(kept: np.ndarray) -> float:
        """|J J^T v|^2 less products of different probes, over those that are kept."""
        some, n = q[kept], int(kept.sum())
        square = (some.sum() ** 2 - np.square(some).sum()) / (n * (n - 1))
        return float(r[kept].mean() - square)

    everyone = np.ones(count, bool)
    left_out = np.array([varphi(~np.eye(count, dtype=bool)[i]) for i in range(count)])
    jackknife = math.sqrt((count - 1) * float(left_out.var()))
    phi_error = float(q.std(ddof=1)) / math.sqrt(count)
    return Isometry(float(q.mean()), varphi(everyone), phi_error, jackknife, count)


def _squared_norm(x: torch.Tensor) -> float:
    return float(x.double().square().sum())


def _basis(size: int) -> Iterator[torch.Tensor]:
    for index in range(size):
        vector = torch.zeros(size)
        vector[index] = 1
        yield vector


def _signs(size: int, count: int, seed: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.randint(0, 2, (size,), generator=generator).float() * 2 - 1


class _Jacobian:
    """The Jacobian J of a function at x, as products with vectors."""

    def __init__(self, function: Map, x: torch.Tensor) -> None:
        self.function = function
        self.x = x.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
        self.output = function(self.x)

    def transposed(self, cotangent: torch.Tensor) -> torch.Tensor:
        """J^T v, of the shape of x."""
        (found,) = torch.autograd.grad(
            self.output, self.x, cotangent, retain_graph=True, materialize_grads=True
        )
        return found

    def forward(self, tangent: torch.Tensor) -> torch.Tensor:
        """J w, of the shape of the output."""
        with forward_ad.dual_level():
            out = self.function(forward_ad.make_dual(self.x, tangent))
            found = forward_ad.unpack_dual(out).tangent
        return torch.zeros_like(self.output) if found is None else found.detach()


@dataclass(frozen=True)
class BlockIsometry:
    """Isometry of a residual block of a network, or of all blocks of one stage in a row.

    Args:
        name: of the current that ends the block; of the stage.
        stage: blocks of one stage follow each other.
        blocks: how many they are: 1, or those of the stage.
        measured: by probes.
        predicted_phi: by the phis of the block's parts; that of a stage is the product.
    """

    name: str
    stage: str
    blocks: int
    measured: Isometry
    predicted_phi: float


def isometries(
    run: Run,
    *,
    trained: bool = True,
    samples: int = 4,
    probes: int | None = 8,
    seed: int = 0,
    stages: bool = True,
) -> list[BlockIsometry]:
    """`block_isometries` of a run's float network on its first training samples.

    Args:
        trained: with its best weights; False: with those that its training begins with.
        samples: number of training samples, as many as there are at most.
        probes, seed, stages: as in `block_isometries`.

    Raises:
        LavasegError: an artificial network, one without residual blocks, no trained weights yet,
            fewer than 3 probes or 1 sample.
    """
    if samples < 1:
        raise LavasegError(f"isometry: samples must be at least 1, got {samples}")
    run.network  # noqa: B018  refuses an artificial one
    model = models.trained(run) if trained else models.untrained(run)
    assert isinstance(model, SpikingNetwork)
    chosen = preparing.first(preparing.training_parts(run.recipe, run.data)[0], samples)
    stimuli = [chosen[index][0] for index in range(len(chosen))]
    encoded = messages_of(stimuli, run.recipe.encoder_object, run.recipe.seed, range(len(stimuli)))
    return block_isometries(model, encoded, probes=probes, seed=seed, stages=stages)


def block_isometries(
    model: SpikingNetwork,
    messages: torch.Tensor,
    *,
    probes: int | None = 8,
    seed: int = 0,
    stages: bool = False,
) -> list[BlockIsometry]:
    """Isometry of each residual block of a network, from input to read-out.

    Norms act as in training, with the statistics of these samples, through which the gradient
    passes, too. The network itself is left as it is.

    Args:
        messages: encoded samples (N, C, H, W, T), as the network takes them.
        probes, seed: as in `isometry`; each block has probes of its own.
        stages: also each stage of more than one block as a whole, behind its last block.

    Raises:
        LavasegError: the network has no residual blocks, or fewer than 3 probes.
    """
    blocks = residual_blocks(model.network)
    if not blocks:
        raise LavasegError("the network has no residual blocks, whose isometry could be measured")
    passed = _Pass(model, messages)
    found: list[BlockIsometry] = []
    for stage, group in itertools.groupby(blocks, key=lambda block: block.stage):
        members = list(group)
        parts = [
            passed.block(block, block.end, stage, probes, seed + len(found) + index)
            for index, block in enumerate(members)
        ]
        found += parts
        if stages and len(members) > 1:
            whole = ResidualBlock(members[0].begin, members[-1].end, members[0].identity)
            predicted = math.prod(part.predicted_phi for part in parts)
            measured = passed.measured(whole, probes, seed + len(found))
            found.append(BlockIsometry(stage, stage, len(members), measured, predicted))
    return found


class _Pass:
    """A network in training mode, with what each node sent for some samples."""

    def __init__(self, model: SpikingNetwork, messages: torch.Tensor) -> None:
        self.model = copy.deepcopy(model).train()
        for norm in self.model.norms.values():
            norm.momentum = 1.0  # type: ignore[assignment]  # running values are those of the samples
        self.sent = {model.network.input.name: messages * model.input_scale}
        self.membranes: dict[str, torch.Tensor] = {}

        def keep(node: Node, sent: torch.Tensor, membrane: torch.Tensor | None) -> None:
            self.sent[node.name] = sent
            if membrane is not None:
                self.membranes[node.name] = membrane

        with torch.no_grad():
            self.model(messages, keep, membranes="all")

    def block(
        self, block: ResidualBlock, name: str, stage: str, probes: int | None, seed: int
    ) -> BlockIsometry:
        """A block, measured and predicted."""
        measured, predicted = self.measured(block, probes, seed), self.predicted(block)
        return BlockIsometry(name, stage, 1, measured, predicted)

    def measured(self, block: ResidualBlock, probes: int | None, seed: int) -> Isometry:
        """A block by probes."""
        inner = inner_nodes(self.model.network, block)
        outer = {name: sent for name, sent in self.sent.items() if name not in inner}

        def function(stream: torch.Tensor) -> torch.Tensor:
            return self.model.between(outer | {block.begin: stream}, block.end)

        return isometry(function, self.sent[block.begin], probes=probes, seed=seed)

    def predicted(self, block: ResidualBlock) -> float:
        """phi of a block from the phis of its nodes."""
        network, inner = self.model.network, inner_nodes(self.model.network, block)
        phi = {block.begin: 1.0}
        for node in network.ordered:
            if node.name not in inner:
                continue
            total = sum(
                phi[p.source] * self._squared_weights(p)
                for p in network.incoming(node.name)
                if p.source in phi
            )
            phi[node.name] = self._through(node, total)
        return phi[block.end]

    def _squared_weights(self, projection: Projection) -> torch.Tensor:
        """Sum of squared weights into each channel, (channels,), averaged over its places."""
        synapse = self.model.synapse(projection.name)
        ones = torch.ones(1, *self.model.network.shape(projection.source))
        values = synapse.values
        with torch.no_grad():
            squares = None if values is None else values.square()
            sums = apply_operator(projection.operator, ones, squares)
        if getattr(projection.operator, "average", False):  # each weight is 1 / area
            sums = sums / math.prod(projection.operator.kernel)  # type: ignore[attr-defined]
        return sums.mean((0, 2, 3))

    @torch.no_grad()
    def _through(self, node: Node, arriving: float | torch.Tensor) -> float:
        """phi behind a node's norm and neuron, of what arrives in each channel."""
        if node.name in self.model.norms:
            scale, _ = self.model.norm(node.name).folded()
            arriving = (arriving * scale.square()).mean()
        factor = 1.0
        if isinstance(node, Population):
            factor = neuron_phi(self.model, node, self.membranes[node.name])
        return float(torch.as_tensor(arriving).mean()) * factor


def neuron_phi(model: SpikingNetwork, node: Population, membrane: torch.Tensor) -> float:
    """phi of a population: mean squared derivative of its spikes, time included.

    Args:
        membrane: before reset, (N, C, H, W, T), of each step.
    """
    neuron, v = model.neuron(node.name), time_first(membrane)
    slope, passed = neuron.slope(v), leak_factors(v, neuron)
    energy = torch.ones_like(v)  # sum over earlier steps of (dv_t / dx_s)^2
    for t in range(1, len(v)):
        energy[t] += passed[t - 1].square() * energy[t - 1]
    filtered = (1 - node.current_decay / DECAY_UNITY) ** 2
    steps = len(v)
    of_filter = sum((steps - k) * filtered**k for k in range(steps)) / steps
    return float((slope.square() * energy).mean()) * of_filter
