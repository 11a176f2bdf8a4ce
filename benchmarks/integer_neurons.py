"""Training: a step with integer neurons at T = 1 against one with binary neurons at T = D.

Both networks have the same layers and weights, and may send as many spikes for a sample. Pictures
enter directly, the same at every step, as the recipes have it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from _timing import Report, best, machine, parser, use_threads

from lavaseg import models
from lavaseg.network import Input, Network
from lavaseg.recipes import Surrogate
from lavaseg.training.loss import segmentation_loss
from lavaseg.training.network import SpikingNetwork

CLASSES, BITS = 2, 6
STRAIGHT_THROUGH = Surrogate(kind="rectangle")


def network_of(size: int, widths: Sequence[int], levels: int | None) -> Network:
    """Spiking-DeepLab at full resolution, of the hardware's neurons."""
    found = models.build(
        "spiking_deeplab",
        Input("input", (3, size, size), BITS),
        CLASSES,
        channels=list(widths),
        dilations=[1, 1, 2, 2, 4, 4, 1, 1],
        output_stride=1,
        levels=levels,
    )
    assert isinstance(found, Network)
    return found


def step_of(
    network: Network, surrogate: Surrogate, picture: torch.Tensor, steps: int
) -> Callable[[], None]:
    """Forward, loss, backward and Adam on one batch of pictures (N, C, H, W)."""
    torch.manual_seed(0)
    model = SpikingNetwork(network, surrogate, steps=steps).train()
    messages = picture.unsqueeze(-1).expand(-1, -1, -1, -1, steps)
    labels = (picture.mean(1) > 2 ** (BITS - 1)).long()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def once() -> None:
        optimiser.zero_grad()
        segmentation_loss(model(messages) / steps, labels).backward()
        optimiser.step()

    return once


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--widths", type=int, nargs="+", default=[16, 64], help="channels")
    options.add_argument("--size", type=int, default=32, help="height and width of the pictures")
    options.add_argument("--batch", type=int, default=16, help="samples of a step")
    options.add_argument("--levels", type=int, default=4, help="D, and T of the binary network")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.widths, chosen.size, chosen.batch, chosen.repeats = [4], 8, 2, 1
    use_threads(chosen.threads)
    levels = chosen.levels
    report = Report(
        f"A training step, {chosen.size}x{chosen.size}, batch {chosen.batch}",
        f"the same network with binary neurons and T {levels}",
        ("channels", f"binary T {levels} [ms]", f"T 1, D {levels} [ms]", "times faster"),
        before=machine(),
    )
    draws = torch.Generator().manual_seed(0)
    shape = (chosen.batch, 3, chosen.size, chosen.size)
    picture = torch.randint(0, 2**BITS, shape, generator=draws).float()
    for width in chosen.widths:
        binary, integer = (network_of(chosen.size, [width] * 8, d) for d in (None, levels))
        slower = best(step_of(binary, Surrogate(), picture, levels), chosen.repeats)
        faster = best(step_of(integer, STRAIGHT_THROUGH, picture, 1), chosen.repeats)
        report.rows.append((str(width), 1e3 * slower, 1e3 * faster, slower / faster))
    report.notes += [
        "Eight dilated 3x3 convolutions with batch norm and a read-out; forward, cross-entropy, "
        "backward, Adam.",
        f"Threads: torch's, {torch.get_num_threads()} on both sides; neurons use all cores, or "
        "OMP_NUM_THREADS of them.",
        f"Best of {chosen.repeats} after one that warms up.",
    ]
    report.show(chosen.json)


if __name__ == "__main__":
    main()
