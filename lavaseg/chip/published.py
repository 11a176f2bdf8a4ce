"""Tables that Intel's compiler printed in public notebooks, and the layers that they are of.

What the model in this folder was read from, and what its tests compare it with. Bits of weights
are those of the weights where these are public; else the only number that gives the printed
synaptic memory (`inferred`), since the register depends on them and nothing else prints them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lavaseg.chip.layers import ChipLayer, Form, Synapses
from lavaseg.chip.mapping import LayerMapping
from lavaseg.chip.profiles import TITLES, CompilerProfile
from lavaseg.network import Conv, Dense, Operator
from lavaseg.network.base import Shape


@dataclass(frozen=True)
class PublishedRow:
    """A row as it was printed.

    Args:
        layer: name of its layer.
        printed: AxonIn, NeuronGr, Neurons, SynMem ("Synapses"), AxonMap, AxonMem and, by the newer
            compiler, Total: counts, or percent of a core's capacity.
        cores: how many the layer takes.
        tile: (x, y, c) of a convolution; None: it was not printed.
    """

    layer: str
    printed: tuple[str, ...]
    cores: int
    tile: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class PublishedTable:
    """One printed table.

    Args:
        name: what was compiled.
        source: where it was printed.
        profile: version of the compiler.
        layers: the network, sources first.
        rows: from the output back to the input, as printed.
        inferred: the bits of the layers' weights are not public.
    """

    name: str
    source: str
    profile: str
    layers: tuple[ChipLayer, ...]
    rows: tuple[PublishedRow, ...]
    inferred: bool


def as_printed(layer: LayerMapping, row: PublishedRow, profile: CompilerProfile) -> tuple[str, ...]:
    """The registers of a layer in the form of a printed row."""
    used = layer.registers.used()
    found = []
    for name, text in zip(TITLES, row.printed, strict=False):
        limit = profile.capacities[name]
        if text.endswith("%") and limit is not None:
            found.append(f"{100 * used[name] / limit:.2f}%")
        else:
            found.append(str(used[name]))
    return tuple(found)


def differences(
    layer: LayerMapping, row: PublishedRow, profile: CompilerProfile
) -> Mapping[str, tuple[str, str]]:
    """What differs from a printed row: (printed, ours) of registers, "tile" and "cores"."""
    ours = as_printed(layer, row, profile)
    found = {
        name: (there, here)
        for name, there, here in zip(TITLES, row.printed, ours, strict=False)
        if there != here
    }
    if row.tile is not None and row.tile != layer.tile:
        found["tile"] = (str(row.tile), str(layer.tile))
    if row.cores != layer.cores:
        found["cores"] = (str(row.cores), str(layer.cores))
    return found


def _chain(
    source: Shape,
    steps: Sequence[tuple[str, Operator, int]],
    *,
    buffer: int | None = None,
    sparse: Sequence[str] = (),
    units: Mapping[str, int] | None = None,
) -> tuple[ChipLayer, ...]:
    """A network in which each layer sends to the next.

    Args:
        source: shape of the input.
        steps: name, operator and bits of the weights of each layer.
        buffer: words of a neuron of the input, if the chip has one.
        sparse: layers whose synapses are lists of those that exist.
        units: words of a neuron where it is not one.
    """
    layers = [] if buffer is None else [ChipLayer("input", "input", source, buffer)]
    before, shape = "input", source
    for name, operator, bits in steps:
        geometry = operator.geometry(shape)
        form: Form = "dense" if isinstance(operator, Dense) else "conv"
        if name in sparse:
            form = "sparse"
        item = Synapses(name, before, form, geometry, shape[0], bits)
        size = (units or {}).get(name, 1)
        layers.append(ChipLayer(name, "population", geometry.target, size, (item,)))
        before, shape = name, geometry.target
    return tuple(layers)


def _rows(
    text: str, tiles: Mapping[str, tuple[int, int, int]] | None = None
) -> tuple[PublishedRow, ...]:
    """Rows of words: layer, registers, cores."""
    found = []
    for line in text.strip().splitlines():
        name, *printed, cores = line.split()
        found.append(PublishedRow(name, tuple(printed), int(cores), (tiles or {}).get(name)))
    return tuple(found)


def _conv(channels: int, stride: int = 1, kernel: int = 3, padding: int = 1) -> Conv:
    return Conv(channels, (kernel, kernel), (stride, stride), (padding, padding))


# --------------------------------------------------------------------------------------------
# YOLO-KP: lava-dl's yolo_kp.py; a buffer of 99 frames of 8 bits plays the input in one of them

_YOLO = (
    ("conv1", _conv(16, 2), 5),
    ("conv2", _conv(32, 2), 6),
    ("conv3", _conv(64, 2), 5),
    ("conv4", _conv(128, 2), 5),
    ("conv5", _conv(256), 5),
    ("conv6", _conv(256, 2), 4),
    ("conv7", _conv(512), 5),
    ("conv8", _conv(256, 1, 1, 0), 5),
    ("conv9", _conv(512), 5),
    ("conv10", _conv(48, 1, 1, 0), 6),
)
_YOLO_TILES = {
    "conv10": (4, 14, 48),
    "conv9": (8, 7, 64),
    "conv8": (2, 7, 256),
    "conv7": (8, 7, 64),
    "conv6": (8, 7, 64),
    "conv5": (4, 7, 128),
    "conv4": (4, 7, 128),
    "conv3": (4, 14, 64),
    "conv2": (8, 14, 32),
    "conv1": (8, 28, 16),
    "input": (16, 28, 3),
}
_REPLAYED_WORDS = -(-99 * 8 // 64)
_YOLO_COUNTS = """
conv10 2 2  2688  3072 2688   0  8452   4
conv9  1 1  3584 13824   56  28 17494  32
conv8  1 1  3584 10752   14  56 14408  14
conv7  1 1  3584 13824   56  56 17522  32
conv6  1 1  3584 11520   56 448 15610  16
conv5  1 1  3584 12672   28  28 16314  56
conv4  1 1  3584  6336   28  56 10006  28
conv3  1 1  3584  1728   56  28  5398  56
conv2  1 1  3584   576  112  56  4330 112
conv1  1 1  3584    54  224 112  3976 224
input  1 1 17472     0  448 224 18146 448
"""
_YOLO_PERCENT = """
conv10 0.01% 25.00% 65.64% 19.20% 16.80% 0.00% 42.26%   4
conv9  0.01% 12.50% 87.52% 86.40%  0.35% 0.17% 87.47%  32
conv8  0.01% 12.50% 87.52% 67.20%  0.09% 0.35% 72.04%  14
conv7  0.01% 12.50% 87.52% 86.40%  0.35% 0.35% 87.61%  32
conv6  0.01% 12.50% 87.52% 72.00%  0.35% 2.80% 78.05%  16
conv5  0.01% 12.50% 87.52% 79.20%  0.17% 0.17% 81.57%  56
conv4  0.01% 12.50% 87.52% 39.60%  0.17% 0.35% 50.03%  28
conv3  0.01% 12.50% 87.52% 10.80%  0.35% 0.17% 26.99%  56
conv2  0.01% 12.50% 87.52%  3.60%  0.70% 0.35% 21.65% 112
conv1  0.01% 12.50% 87.52%  0.34%  1.40% 0.70% 19.88% 224
"""

# --------------------------------------------------------------------------------------------
# MNIST, dense; layers of lava-dl's state-space models

_MNIST = (("first", Dense(128), 8), ("second", Dense(64), 8), ("third", Dense(10), 8))
_MNIST_PERCENT = """
third  0.40% 12.50% 0.24%  1.60% 0.06% 0.00%  1.71% 1
second 0.80% 12.50% 1.56% 16.80% 0.40% 0.00% 14.72% 1
first  4.90% 12.50% 1.22% 78.40% 0.31% 0.00% 67.14% 3
"""
_STATES = (
    ("spread", Conv(4096, (1, 1), groups=256), 1),
    ("gather", Conv(256, (1, 1), groups=256), 1),
    ("mix", Dense(256), 4),
)
_STATES_PERCENT = """
mix     1.60% 12.50%  3.10% 51.20%  0.79% 0.00% 43.52% 3
gather 25.60% 12.50%  6.25% 25.60%  1.60% 0.00% 43.52% 1
spread  1.60% 12.50% 99.98%  3.21% 12.79% 0.00% 34.55% 3
"""
_NETWORK = (
    ("spread", Conv(512, (1, 1), groups=128), 1),
    ("gather", Conv(128, (1, 1), groups=128), 1),
)
_NETWORK_PERCENT = """
gather 3.20% 12.50%  3.13% 3.20% 0.80% 0.00% 6.41% 1
spread 0.80% 12.50% 25.01% 0.80% 3.20% 0.00% 8.96% 1
"""

# --------------------------------------------------------------------------------------------
# PilotNet: weights of the LIF network lie in lava-dl's tests, those of the SDNN do not

_PILOT_SHAPES = (
    ("conv1", Conv(24, (3, 3), (2, 2))),
    ("conv2", Conv(36, (3, 3), (2, 2))),
    ("conv3", Conv(48, (3, 3), (2, 2))),
    ("conv4", Conv(64, (3, 3), (2, 1), (1, 0))),
    ("conv5", Conv(64, (3, 3))),
    ("dense1", Dense(100)),
    ("dense2", Dense(50)),
    ("dense3", Dense(10)),
    ("dense4", Dense(1)),
)
_PILOT_TILES = {
    "conv5": (16, 2, 64),
    "conv4": (8, 4, 64),
    "conv3": (8, 7, 48),
    "conv2": (4, 15, 36),
    "conv1": (4, 32, 24),
    "input": (16, 66, 3),
}
_PILOT_LIF_BITS = (5, 4, 4, 4, 4, 3, 4, 5, 6)
_PILOT_SDNN_BITS = (6, 4, 4, 5, 4, 4, 6, 5, 4)
_PILOT_LIF = """
dense4   10 1    1   10    1   0  1
dense3   50 1   10  150   10   0  1
dense2  100 1   50 1300   50   0  1
dense1 2560 1    8 7253    8   0 12
conv5     1 1 2048 2880 1280   0  2
conv4     1 1 2048 2160   29   9  3
conv3     2 1 2688 1620  112  46  3
conv2     2 1 2160  864  113  32 13
conv1     2 1 3072   81  253  93 25
input     1 1 3168    0 1015 731 13
"""
_PILOT_SDNN = """
dense4   10 1    1   10    1   0  1
dense3   50 1   10  150   10   0  1
dense2  100 1   50 1500   50   0  1
dense1 2560 1    8 7253    8   0 12
conv5     1 1 2048 2880 1280   0  2
conv4     1 1 2048 2592   29   9  3
conv3     2 1 2688 1620  112  46  3
conv2     2 1 2160  864  113  32 13
conv1     2 1 3072   81  253  93 25
"""


def _pilot(bits: Sequence[int], buffer: int | None) -> tuple[ChipLayer, ...]:
    steps = [(name, op, bit) for (name, op), bit in zip(_PILOT_SHAPES, bits, strict=True)]
    return _chain((3, 66, 200), steps, buffer=buffer)


_NETX = "lava-nc/lava-dl, tutorials/lava/lib/dl/netx"

_SCIFAR = "lava-nc/lava-dl, src/lava/lib/dl/slayer/state_space_models/sCIFAR/profiling_scripts"

PUBLISHED: tuple[PublishedTable, ...] = (
    PublishedTable(
        "YOLO-KP, input replayed",
        "mbrehove/lava-dl, tutorials/lava/lib/dl/netx/yolo_kp, benchmark of 2024",
        "2024",
        _chain((3, 448, 448), _YOLO, buffer=_REPLAYED_WORDS),
        _rows(_YOLO_COUNTS, _YOLO_TILES),
        inferred=True,
    ),
    PublishedTable(
        "YOLO-KP",
        f"{_NETX}/yolo_kp/run.ipynb and run_eth.ipynb",
        "2024",
        _chain((3, 448, 448), _YOLO),
        _rows(_YOLO_PERCENT, _YOLO_TILES),
        inferred=True,
    ),
    PublishedTable(
        "MNIST, dense",
        f"{_NETX}/mnist/run.ipynb",
        "2024",
        _chain((784, 1, 1), _MNIST),
        _rows(_MNIST_PERCENT),
        inferred=True,
    ),
    PublishedTable(
        "State-space layer",
        f"{_SCIFAR}/num_cores_estimate.ipynb",
        "2024",
        _chain((256, 1, 1), _STATES, sparse=("spread", "gather"), units={"spread": 2}),
        _rows(_STATES_PERCENT),
        inferred=False,
    ),
    PublishedTable(
        "State-space network, layers without trained synapses",
        f"{_SCIFAR}/profiling_slayer_version.ipynb",
        "2024",
        _chain((128, 1, 1), _NETWORK, sparse=("spread", "gather"), units={"spread": 2}),
        _rows(_NETWORK_PERCENT),
        inferred=False,
    ),
    PublishedTable(
        "PilotNet, LIF",
        f"{_NETX}/pilotnet_snn/benchmark.ipynb",
        "2022",
        _pilot(_PILOT_LIF_BITS, 1),
        _rows(_PILOT_LIF, _PILOT_TILES),
        inferred=False,
    ),
    PublishedTable(
        "PilotNet, sigma-delta",
        f"{_NETX}/pilotnet_sdnn/benchmark.ipynb",
        "2022",
        _pilot(_PILOT_SDNN_BITS, None),
        _rows(_PILOT_SDNN, _PILOT_TILES),
        inferred=True,
    ),
)
"""All of them; the newer compiler's first."""
