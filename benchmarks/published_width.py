"""Spiking-DeepLab at full published width: our step measured whole, stock Conv from a slice.

Stock Conv needs minutes for one step of this net, and with NumPy 2 refuses its layers of 128 and
more channels. It loops over output channels, one after the other: so a few output channels are
timed, over all input channels and pixels, and scaled up to the layer. Those figures are
extrapolated; all others are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from _networks import deeplab, random_input, rates_sentence
from _timing import Report, best, machine, parser, use_threads
from threadpoolctl import threadpool_limits

from lavaseg.deploy import run, simulate
from lavaseg.deploy.lava.arithmetic import Convolution
from lavaseg.network import Conv, Projection
from lavaseg.network.integers import IntegerNetwork


def arithmetic(
    net: IntegerNetwork, projection: Projection, outputs: int
) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """The function behind our Conv model, and behind the stock one for `outputs` channels."""
    from lava.proc.conv import utils  # once lavaseg.deploy.lava has prepared Lava

    operator = projection.operator
    assert isinstance(operator, Conv)
    # torch correlates, Lava convolves: flip; (out, in, h, w) -> (out, w, h, in)
    weight = net.weights[projection.name][:, :, ::-1, ::-1].transpose(0, 3, 2, 1).astype(np.int32)
    # width first, as Lava has it
    stride, padding, dilation = (
        getattr(operator, name)[::-1] for name in ("stride", "padding", "dilation")
    )
    channels, height, width = net.network.shape(projection.source)
    shape = (width, height, channels)
    ours = Convolution(shape, weight, stride, padding, dilation, graded=False)
    part, kernel = weight[:outputs], operator.kernel[::-1]

    def stock(sheet: np.ndarray) -> np.ndarray:
        return utils.conv(sheet, part, kernel, stride, padding, dilation, 1)

    return ours, stock


def layer(
    net: IntegerNetwork, projection: Projection, spikes: np.ndarray, outputs: int, repeats: int
) -> tuple[float, float]:
    """Seconds a step of our convolution (whole layer) and of stock's (scaled up)."""
    sheet = np.ascontiguousarray(spikes.transpose(2, 1, 0)).astype(bool)
    whole = net.network.shape(projection.target)[0]
    outputs = min(outputs, whole)
    ours, stock = arithmetic(net, projection, outputs)
    if not np.array_equal(ours(sheet)[:, :, :outputs], stock(sheet)):
        raise RuntimeError(f"{projection.name}: stock Conv gave other sums")
    with threadpool_limits(1, user_api="blas"):
        seconds = best(lambda: ours(sheet), repeats)
    return seconds, best(lambda: stock(sheet), repeats) * whole / outputs


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--width", type=int, default=64, help="channels of the first layer")
    options.add_argument("--size", type=int, default=64, help="height and width of the input")
    options.add_argument("--steps", type=int, default=4, help="time steps T")
    options.add_argument("--slice", type=int, default=2, help="output channels timed of stock Conv")
    options.add_argument("--batch", type=int, default=8, help="of the simulator, beside batch 1")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.width, chosen.size, chosen.steps = 2, 16, 2
        chosen.slice, chosen.batch, chosen.repeats = 1, 2, 1
    use_threads(chosen.threads)
    before = machine()
    net = deeplab(width=chosen.width, size=chosen.size, steps=chosen.steps)
    network = net.network
    spikes = random_input(net, chosen.batch)
    activity = simulate(net, spikes[:1], record="all")

    report = Report(
        f"One time step of Spiking-DeepLab, width {chosen.width}, {chosen.size}x{chosen.size}, "
        f"{network.macs() / 1e6:,.0f} M multiply-accumulates",
        f"lava.proc.conv.utils.conv, which stock Conv calls, on one core; EXTRAPOLATED from "
        f"{chosen.slice} output channels of each layer (all input channels and pixels)",
        ("what", "sheet", "M MAC", "stock ms (extrapolated)", "ours ms (measured)", "ratio"),
        before=before,
    )
    total = slowest = 0.0
    for projection in network.projections:
        last = activity.spikes[projection.source][0, -1]
        ours, stock = layer(net, projection, last, chosen.slice, chosen.repeats)
        total, slowest = total + stock, max(slowest, stock)
        macs = projection.operator.macs(network.shape(projection.source)) / 1e6
        sheet = "x".join(map(str, network.shape(projection.target)))
        report.rows.append((projection.target, sheet, macs, 1e3 * stock, 1e3 * ours, stock / ours))
    measured = {"whole net: Lava graph, in process": graph_step(net, spikes[:2], chosen.repeats)}
    for batch in (1, chosen.batch):
        what = f"whole net: simulator, batch {batch}"
        measured[what] = simulator_step(net, spikes[:batch], chosen.repeats)
    for what, seconds in measured.items():
        row = (what, "", network.macs() / 1e6, 1e3 * total, 1e3 * seconds, total / seconds)
        report.rows.append(row)
    report.notes += [
        rates_sentence(net, activity.counts),
        f"Stock, all layers after one another: {total:.3g} s a step (extrapolated), its neurons "
        f"and messages not counted; a core for each process would still leave the slowest layer, "
        f"{slowest:.3g} s.",
        "Ours whole includes neurons and messages. Rows of layers and the in-process graph use "
        "one thread, the simulator all cores.",
        "With NumPy 2 stock Conv raises OverflowError for sheets of more than 127 channels (or "
        "wider than 127), so the stock runtime cannot run this net at all.",
        "The stock slice gave the same sums as ours.",
    ]
    report.show(chosen.json)


def graph_step(net: IntegerNetwork, spikes: np.ndarray, repeats: int) -> float:
    """Seconds a physical step of the Lava graph in this process."""
    steps = spikes.shape[0] * spikes.shape[1] + net.network.latency
    return min(run(net, spikes).seconds for _ in range(repeats)) / steps


def simulator_step(net: IntegerNetwork, spikes: np.ndarray, repeats: int) -> float:
    """Seconds a sample and step of the simulator, all samples at once."""
    samples, steps = spikes.shape[:2]
    return best(lambda: simulate(net, spikes, chunk=samples), repeats) / (samples * steps)


if __name__ == "__main__":
    main()
