"""Turns a file that SLAYER exported into an integer network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lavaseg.encoders import Encoder, Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Network, Shape
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.ranges import check_loops, check_ranges
from lavaseg.netx.hdf5 import SIGNATURE, FormatError, opened, read_image
from lavaseg.netx.header import is_ours
from lavaseg.netx.slayer.fields import StockReader
from lavaseg.netx.slayer.layers import read_input, read_layer
from lavaseg.netx.slayer.parts import Parts


def read_stock(
    path: str | Path,
    *,
    steps: int,
    encoder: Encoder | None = None,
    classes: Sequence[str] | None = None,
    input_shape: Shape | None = None,
) -> IntegerNetwork:
    """The network of a file that SLAYER's CUBA blocks exported.

    Args:
        steps: logical time steps T of one sample, which the file does not say.
        encoder: turns pictures into spikes; `Poisson(steps)` by default. With a direct code the
            input carries its messages (SLAYER's input block, if it has a neuron, clips them at
            254 / scale, 3 by default; the network read here does not).
        classes: names of the output's channels; "class0", "class1" and so on by default.
        input_shape: (channels, height, width), needed where the file has no input layer and
            begins with another than a dense one.

    Returns:
        The network in logical time. Its read-out is the membrane of a last Affine layer, else a
        population "readout" that counts the last layer's spikes, 2 weight units each.

    Raises:
        LavasegError: a file that is damaged, contradicts itself or holds what cannot be read (a
            neuron other than CUBA, decays for each channel, ...), or numbers that Loihi cannot
            hold; the message names the file and the field.
    """
    encoder = Poisson(steps) if encoder is None else encoder
    if encoder.steps != steps:
        raise LavasegError(f"the encoder has {encoder.steps} steps, the network was given {steps}")
    image = read_image(Path(path))
    if not image.startswith(SIGNATURE):
        kind = "a network of lavaseg" if is_ours(image) else "no HDF5 file"
        raise FormatError(f"{path} is {kind}, expected one that SLAYER exported")
    with opened(image, str(path)) as file:
        layers = StockReader(file, str(path), len(image)).layers()
        parts = read_input(layers[0], encoder.message_bits, input_shape)
        for i, layer in enumerate(layers):
            if layer.kind != "input":
                read_layer(parts, layer, f"{layer.kind.lower()}{i}", last=layer is layers[-1])
            elif i:
                layer.refuse("is an input layer, expected only as the first one")
        if not parts.nodes:
            layers[0].reader.refuse("layer", "holds no layer with neurons")
        net = _integer_network(parts, encoder, classes)
        check_ranges(net)
        check_loops(net)
        return net


def _integer_network(
    parts: Parts, encoder: Encoder, classes: Sequence[str] | None
) -> IntegerNetwork:
    counted = parts.nodes[-1].threshold is not None
    if counted:
        parts.count_spikes()
    names = [f"class{i}" for i in range(parts.sheet.shape[0])] if classes is None else classes
    network = Network(
        parts.input, tuple(parts.nodes), tuple(parts.projections), parts.nodes[-1].name
    )
    scales = {"readout": 2.0} if counted else {}
    return IntegerNetwork(network, parts.weights, encoder, tuple(names), parts.biases, scales)
