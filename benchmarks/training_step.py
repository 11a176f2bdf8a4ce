"""Training: our neuron, convolution and whole step against SLAYER's own.

Each side gets its tensors in the memory layout that it works in. Neurons must give the same
spikes, convolutions the same sums, or the benchmark fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from _timing import Report, best, machine, parser, use_threads
from torch import nn

from lavaseg import models
from lavaseg.network import Conv, Input, Network, Population
from lavaseg.recipes import Surrogate
from lavaseg.training.loss import segmentation_loss
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.slayer.neurons import FusedNeuron
from lavaseg.training.slayer.synapses import Synapse, slayer

NEURONS = {
    "leaky, current filter": Population("leaky", 1.0, 1024, 128),
    "hardware preset": Population("preset", 1.0, 4096, 0),
}
Module = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Passes:
    """Seconds of a module's forward and of its backward, and its output."""

    forward: float
    backward: float
    output: torch.Tensor


def slayer_parameters(population: Population) -> dict[str, float]:
    """The parameters of SLAYER's `cuba.Neuron` for the same neuron."""
    assert population.threshold is not None
    return {
        "threshold": population.threshold,
        "current_decay": population.current_decay / 4096,
        "voltage_decay": population.voltage_decay / 4096,
    }


def slayer_neuron(population: Population) -> nn.Module:
    """SLAYER's neuron with the epsilon that makes its threshold strict, as hardware's is."""
    neuron = slayer.neuron.cuba.Neuron(**slayer_parameters(population))
    neuron.threshold_eps = 1 / neuron.s_scale
    return neuron


def channels_first(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W, T) with time innermost in memory: SLAYER's own layout."""
    return x.contiguous()


def time_outermost(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W, T) with memory as (T, N, H, W, C): what our kernels work in."""
    return x.permute(4, 0, 2, 3, 1).contiguous().permute(1, 4, 2, 3, 0)


def passes(module: Module, x: torch.Tensor, repeats: int) -> Passes:
    """Time a module on x; the gradient of its output is all ones."""
    x = x.detach().requires_grad_()
    forward = best(lambda: module(x), repeats)
    out = module(x)
    grad = torch.ones_like(out)
    backward = best(lambda: out.backward(grad, retain_graph=True), repeats)
    return Passes(forward, backward, out.detach())


def _compare(report: Report, what: str, unit: str, theirs: Passes, ours: Passes, of: float) -> None:
    """Rows for both directions, in seconds times `of`; `what` holds a place for the direction."""
    for direction in ("forward", "backward"):
        slower, faster = getattr(theirs, direction), getattr(ours, direction)
        report.rows.append(
            (what.format(direction), unit, of * slower, of * faster, slower / faster)
        )


def neurons(report: Report, shape: tuple[int, ...], repeats: int) -> None:
    """Rows for forward and backward of the neuron, ns per neuron and step."""
    current = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.6
    count = current.numel()
    for name, population in NEURONS.items():
        theirs = passes(slayer_neuron(population), channels_first(current), repeats)
        fused = FusedNeuron(population, Surrogate(kind="slayer"))
        ours = passes(fused, time_outermost(current), repeats)
        if not torch.equal(theirs.output, ours.output) or not ours.output.any():
            raise RuntimeError(f"{name}: the fused neuron gave other spikes than SLAYER's")
        _compare(report, f"neuron {{}}, {name}", "ns a neuron-step", theirs, ours, 1e9 / count)


def convolution(report: Report, shape: tuple[int, ...], repeats: int) -> None:
    """Rows for forward and backward of a 3x3 convolution, ms a batch of T steps."""
    channels = shape[1]
    synapse = Synapse(Conv(channels, (3, 3), padding=(1, 1)), (channels, shape[2], shape[3]))
    spikes = torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.15
    spikes = spikes.float()
    theirs = passes(synapse.synapse, channels_first(spikes), repeats)
    ours = passes(synapse, time_outermost(spikes), repeats)
    if not torch.allclose(theirs.output, ours.output, atol=1e-4):
        raise RuntimeError("the folded convolution gave other sums than SLAYER's")
    _compare(report, f"3x3 convolution {{}}, {channels} channels", "ms", theirs, ours, 1e3)


class SlayerNetwork(nn.Module):
    """A sequence of convolutions made of SLAYER's blocks; the read-out adds up over time."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        *spiking, last = network.projections
        self.blocks = nn.ModuleList()
        for projection in spiking:
            population = network[projection.target]
            operator = projection.operator
            assert isinstance(population, Population)
            assert isinstance(operator, Conv)
            block = slayer.block.cuba.Conv(
                slayer_parameters(population),
                network.shape(projection.source)[0],
                operator.channels,
                operator.kernel,
                operator.stride,
                operator.padding,
                operator.dilation,
                operator.groups,
                pre_hook_fx=None,  # float weights, as in our first training stage
                delay_shift=False,
            )
            nn.init.kaiming_normal_(block.synapse.weight, nonlinearity="relu")
            self.blocks.append(block)
        source, classes = network.shape(last.source)[0], network.shape(last.target)[0]
        self.readout = slayer.synapse.Conv(source, classes, 1)

    def forward(self, spikes: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            spikes = block(spikes)
        return self.readout(spikes).sum(-1)


def step_seconds(
    model: nn.Module, spikes: torch.Tensor, labels: torch.Tensor, repeats: int
) -> float:
    """Seconds of forward, loss, backward and Adam on one batch."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def once() -> None:
        optimiser.zero_grad()
        segmentation_loss(model(spikes) / spikes.shape[-1], labels).backward()
        optimiser.step()

    return best(once, repeats)


def whole_step(
    report: Report, *, width: int, size: int, batch: int, steps: int, repeats: int
) -> None:
    """Rows for a training step of a narrow Spiking-DeepLab at full resolution."""
    network = models.build(
        "spiking_deeplab",
        Input("input", (3, size, size)),
        2,
        channels=[width] * 8,
        dilations=[1, 1, 2, 2, 4, 4, 1, 1],
        output_stride=1,
    )
    plain = network.replace_nodes({node.name: {"norm": "none"} for node in network.nodes})
    draws = torch.Generator().manual_seed(0)
    spikes = (torch.rand((batch, 3, size, size, steps), generator=draws) < 0.3).float()
    labels = torch.randint(0, 2, (batch, size, size), generator=draws)
    torch.manual_seed(0)
    theirs = step_seconds(SlayerNetwork(plain), channels_first(spikes), labels, repeats)
    for name, description in (("without norm", plain), ("with batch norm (tdBN)", network)):
        torch.manual_seed(0)
        ours = step_seconds(SpikingNetwork(description), time_outermost(spikes), labels, repeats)
        report.rows.append(
            (f"training step, {name}", "samples/s", batch / theirs, batch / ours, theirs / ours)
        )


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--width", type=int, default=16, help="channels of each layer")
    options.add_argument("--size", type=int, default=32, help="height and width of the pictures")
    options.add_argument("--batch", type=int, default=16, help="samples of the training step")
    options.add_argument("--steps", type=int, default=8, help="time steps T")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.width, chosen.size, chosen.batch, chosen.steps = 4, 8, 2, 3
        chosen.repeats = 1
    use_threads(chosen.threads)
    report = Report(
        f"Training, T {chosen.steps}, {chosen.size}x{chosen.size}, {chosen.width} channels, "
        f"batch {chosen.batch}",
        "lava-dl SLAYER on the same CPU: cuba.Neuron, synapse.Conv (conv3d), block.cuba.Conv",
        ("what", "unit", "SLAYER", "lavaseg", "times faster"),
        before=machine(),
    )
    sheet = (chosen.batch, chosen.width, chosen.size, chosen.size, chosen.steps)
    neurons(report, sheet, chosen.repeats)
    convolution(report, sheet, chosen.repeats)
    whole_step(
        report,
        width=chosen.width,
        size=chosen.size,
        batch=chosen.batch,
        steps=chosen.steps,
        repeats=chosen.repeats,
    )
    report.notes += [
        "Spikes of both neurons are equal bit for bit; sums of both convolutions equal to 1e-4.",
        "The step: eight 3x3 convolutions with spiking neurons and a read-out; forward, "
        "cross-entropy, backward, Adam. SLAYER's side has no norm (it has no tdBN).",
        "Threads: torch's on both sides; the fused neuron uses all cores.",
        f"Best of {chosen.repeats} after one that warms up.",
    ]
    report.show(chosen.json)


if __name__ == "__main__":
    main()
