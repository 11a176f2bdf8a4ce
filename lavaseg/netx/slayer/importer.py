"""Turns a file that SLAYER exported into an integer network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lavaseg.encoders import Encoder, Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import DECAY_UNITY, Network, Population, Shape
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.ranges import bounds, check_loops, check_ranges
from lavaseg.netx.hdf5 import SIGNATURE, FormatError, opened, read_image
from lavaseg.netx.header import is_ours
from lavaseg.netx.slayer.fields import StockReader
from lavaseg.netx.slayer.layers import read_average, read_input, read_layer
from lavaseg.netx.slayer.parts import Parts

READOUTS = ("membrane", "spikes")
"""What the last layer's output may be."""


def read_stock(
    path: str | Path,
    *,
    steps: int,
    encoder: Encoder | None = None,
    classes: Sequence[str] | None = None,
    input_shape: Shape | None = None,
    readout: str | None = None,
    remark: Callable[[str], None] = warnings.warn,
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
        readout: "spikes" counts those of the last layer, "membrane" takes its membrane after the
            last step and lets it never fire; by default its membrane where it is an Affine block,
            whose threshold Loihi does not reach, else its spikes.
        remark: called with a sentence for what is read as something else than it says.

    Returns:
        The network in logical time. Its read-out is the membrane of the last layer, or a
        population "readout" that counts the last layer's spikes, 2 weight units each; behind an
        average, those of each group.

    Raises:
        LavasegError: a file that is damaged, contradicts itself or holds what cannot be read (a
            neuron other than CUBA, decays for each channel, ...), or numbers that Loihi cannot
            hold; the message names the file and the field.
    """
    encoder = Poisson(steps) if encoder is None else encoder
    if encoder.steps != steps:
        raise LavasegError(f"the encoder has {encoder.steps} steps, the network was given {steps}")
    if readout not in (None, *READOUTS):
        raise LavasegError(f"readout must be {' or '.join(READOUTS)}, got {readout!r}")
    image = read_image(Path(path))
    if not image.startswith(SIGNATURE):
        kind = "a network of lavaseg" if is_ours(image) else "no HDF5 file"
        raise FormatError(f"{path} is {kind}, expected one that SLAYER exported")
    with opened(image, str(path)) as file:
        layers = StockReader(file, str(path), len(image)).layers()
        parts = read_input(layers[0], encoder.message_bits, input_shape)
        for i, layer in enumerate(layers):
            if layer.kind == "average":
                if layer is not layers[-1]:
                    layer.refuse("is an average of spikes, expected only as the last layer")
                if readout == "membrane":
                    layer.refuse("counts spikes: expected readout spikes, not membrane")
                read_average(parts, layer)
            elif layer.kind != "input":
                name, last = f"{layer.kind.lower()}{i}", layer is layers[-1]
                read_layer(parts, layer, name, last=last, membrane=readout == "membrane")
            elif i:
                layer.refuse("is an input layer, expected only as the first one")
        if not parts.nodes:
            layers[0].reader.refuse("layer", "holds no layer with neurons")
        if readout == "spikes" and parts.nodes[-1].threshold is None:
            layers[-1].refuse("never fires, so that it sends no spikes to count")
        net = _integer_network(parts, encoder, classes)
        check_ranges(net)
        check_loops(net)
    for sentence in _remarks(parts, net):
        remark(f"{path}: {sentence}")
    return net


def _integer_network(
    parts: Parts, encoder: Encoder, classes: Sequence[str] | None
) -> IntegerNetwork:
    if parts.nodes[-1].threshold is not None:
        parts.count_spikes()
    network = Network(
        parts.input, tuple(parts.nodes), tuple(parts.projections), parts.nodes[-1].name
    )
    channels = network.shape(network.readout)[0]
    names = [f"class{i}" for i in range(channels)] if classes is None else classes
    scales = dict.fromkeys(parts.doubled, 2.0) | parts.counts
    return IntegerNetwork(network, parts.weights, encoder, tuple(names), parts.biases, scales)


def _remarks(parts: Parts, net: IntegerNetwork) -> Iterator[str]:
    """What is read as something else than the file says; a sentence each."""
    for name, layer in parts.doubled.items():
        population = net.network[name]
        assert isinstance(population, Population)
        linear = {population.current_decay, population.voltage_decay} <= {0, DECAY_UNITY}
        exact = linear and bounds(net, population).proved
        yield (
            f"{layer} has odd weights, which signed 8-bit synapses do not hold: its weights, bias "
            "and threshold were doubled, "
            + (
                "which gives the same spikes"
                if exact
                else "so that its decays round half a unit finer than in the file's own numbers, "
                "and single spikes may differ from what stock NetX gives"
            )
        )
    counted = parts.nodes[-2] if parts.nodes[-1].name == "readout" else None
    if counted is not None and _cannot_fire(net, counted):
        yield (
            f"the last layer's threshold of {counted.threshold} is beyond what {net.steps} steps "
            "can reach, so that it sends no spikes to count: --readout membrane takes its membrane"
        )


def _cannot_fire(net: IntegerNetwork, population: Population) -> bool:
    """Whether no input whatever brings a population to its threshold within a sample."""
    silent = replace(population, threshold=None)
    nodes = tuple(silent if node == population else node for node in net.network.nodes)
    unbound = replace(net, network=replace(net.network, nodes=nodes))
    return bounds(unbound, silent).high <= (population.threshold or 0)
