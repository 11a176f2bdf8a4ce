"""Fixtures and strategies of all tests: folders of real data, and random networks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from slurm_cluster import obstacle, running_cluster

from lavaseg.compat import prepare_lava
from lavaseg.encoders import Direct, Encoder, Poisson
from lavaseg.network import (
    NEVER,
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Network,
    OneToOne,
    Operator,
    Population,
    Projection,
    Relay,
    Shape,
    SumPool,
    Upsample,
)
from lavaseg.network.integers import Bias, IntegerNetwork

prepare_lava()  # before any test module imports Lava


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_works() -> Iterator[None]:
    """A shell starts background jobs with Ctrl-C ignored, and so would be all that tests start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data sets beside the repository; skips where there is none."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, photos of one's own, and results of a study."""
    from terminal_calls import furnish

    folder = tmp_path_factory.mktemp("terminal")
    furnish(folder)
    return folder


@pytest.fixture(scope="session")
def slurm_conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Configuration of a real Slurm with two boards; skips where Slurm is not installed."""
    if reason := obstacle():
        pytest.skip(reason)
    with running_cluster(tmp_path_factory.mktemp("slurm")) as configuration:
        yield configuration


@pytest.fixture
def slurm(slurm_conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of Slurm ask a real one: partition kp with board-1, and vpx with board-2, down."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_conf))
    return slurm_conf


EXTENSION = Path(__file__).parent / "loihi2_extension"
"""The test double of Intel's extension of Lava for Loihi 2."""
SINFO = """#!/bin/sh
case "$*" in
  *--Node*) printf '%s\\n' 'ncl-og-01|oheogulch|up|idle' 'ncl-og-02|oheogulch|up|down*' \\
    'ncl-vx-01|kp|down|idle' ;;
  *) printf 'PARTITION AVAIL TIMELIMIT NODES STATE NODELIST\\noheogulch* up infinite 1 idle\\n' ;;
esac
"""
"""A Slurm with a board that is idle and one that is down, a partition that is up and one not."""


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with the double of Intel's extension; returns the double's folder."""
    folder = tmp_path / "extension"
    shutil.copytree(EXTENSION, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.syspath_prepend(str(folder))
    for name in ("SLURM", "NOSLURM", "BOARD", "PARTITION", "NXSDKHOST", "LOIHI_GEN"):
        monkeypatch.setenv(name, "")  # so that what tests set is taken back
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def ask_double(extension: Path) -> Callable[[str, Path], str]:
    """Function that runs a module of the double on a folder; returns what it prints."""

    def ask(module: str, folder: Path) -> str:
        root = Path(__file__).resolve().parents[1]
        result = subprocess.run(
            [sys.executable, "-m", f"loihi2_double.{module}", str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(extension)])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return ask


@pytest.fixture
def chip(extension: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with the double of Intel's extension and Slurm; returns the double's folder."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "sinfo").write_text(SINFO)
    (commands / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    return extension


def bounded_weights(rng: np.random.Generator, shape: tuple[int, ...], budget: int) -> np.ndarray:
    """Random even int16 weights in -128 .. 254 whose magnitudes sum to at most `budget` an output.

    Args:
        shape: (out, ...).
    """
    weight = 2 * rng.integers(-64, 128, shape)  # more up than down: most populations spike
    total = np.abs(weight).sum(axis=tuple(range(1, len(shape))), keepdims=True)
    scale = np.minimum(1.0, budget / np.maximum(total, 1))
    return (2 * np.trunc(weight * scale / 2)).astype(np.int16)


def _sizes(draw: st.DrawFn, least: int, most: int) -> tuple[int, int]:
    return draw(st.integers(least, most)), draw(st.integers(least, most))


def _conv(draw: st.DrawFn, shape: tuple[int, int, int]) -> Conv:
    """A convolution of any geometry that leaves at least one pixel of `shape`."""
    padding, dilation = _sizes(draw, 0, 3), _sizes(draw, 1, 3)
    kernel = tuple(
        draw(st.integers(1, max(1, min(4, (n + 2 * p - 1) // d + 1))))
        for n, p, d in zip(shape[1:], padding, dilation, strict=True)
    )
    groups = draw(st.sampled_from([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
    channels = groups * draw(st.integers(1, 3))
    return Conv(channels, kernel, _sizes(draw, 1, 3), padding, dilation, groups)


@st.composite
def _sequential_networks(
    draw: st.DrawFn, *, message_bits: int | None = None, most_steps: int = 6
) -> IntegerNetwork:
    bits = draw(st.sampled_from([0, 0, 1, 4, 8])) if message_bits is None else message_bits
    steps = draw(st.integers(1, most_steps))
    inverted = draw(st.booleans())
    encoder: Encoder = Direct(steps, bits=bits) if bits else Poisson(steps, inverted=inverted)
    source = Input("input", (draw(st.integers(1, 4)), *_sizes(draw, 1, 9)), bits)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 4))
    nodes: list[Population] = []
    projections: list[Projection] = []
    weights: dict[str, np.ndarray] = {}
    biases: dict[str, Bias] = {}
    shape, before, peak = source.shape, source.name, source.max_message
    for index in range(count):
        is_readout = index == count - 1
        decay = 4096 if is_readout else draw(st.sampled_from([4096, 4096, 4095, 2048, 1024, 300]))
        leak = draw(st.sampled_from([0, 0, 1, 128, 2048, 4095]))
        threshold = None if is_readout else draw(st.integers(1, 100) | st.integers(1, 2000))
        operator = (
            Dense(draw(st.integers(1, 8))) if draw(st.integers(0, 4)) == 0 else _conv(draw, shape)
        )
        name = f"p{index}"
        has_bias = draw(st.booleans())
        nodes.append(Population(name, threshold, decay, leak, bias=has_bias))
        projections.append(Projection(before, name, operator))
        # u stays within 24 bits; a read-out's membrane below the threshold that stands for never
        budget = NEVER // peak // (2 * steps if is_readout else -(-4096 // decay) + 1)
        weights[projections[-1].name] = bounded_weights(rng, operator.weight_shape(shape), budget)
        shape = operator.output_shape(shape)
        if has_bias:
            exponent = int(rng.integers(0, 8))
            most = min(4095, NEVER * 32 // (steps << exponent)) if is_readout else 4095
            biases[name] = Bias(rng.integers(-most, most + 1, shape[0]), exponent)
        before, peak = name, 1
    network = Network(source, tuple(nodes), tuple(projections), before)
    classes = tuple(f"class{i}" for i in range(shape[0]))
    return IntegerNetwork(network, weights, encoder, classes, biases)


@pytest.fixture(scope="session")
def sequential_networks() -> Callable[..., st.SearchStrategy[IntegerNetwork]]:
    """Strategy of random plain sequences of convolutions and dense layers, sums in range.

    Options: message_bits (any by default), most_steps.
    """
    return _sequential_networks


def _groups(draw: st.DrawFn, channels: int) -> int:
    return draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))


def _any_operator(draw: st.DrawFn, shape: Shape) -> Operator:
    """Any operator of any geometry whose result stays small and not empty."""
    kind = draw(st.sampled_from(["conv", "conv", "transpose", "dense", "one", "pool", "up"]))
    small = max(shape[1:]) <= 5
    if kind == "dense":
        return Dense(draw(st.integers(1, 6)))
    if kind == "one":
        return OneToOne()
    if kind == "pool" and max(shape[1:]) > 1:
        padding = _sizes(draw, 0, 2)
        kernel = tuple(
            draw(st.integers(1, min(3, n + 2 * p))) for n, p in zip(shape[1:], padding, strict=True)
        )
        return SumPool(kernel, _sizes(draw, 1, 3), padding)
    if kind == "up" and small:
        factor = _sizes(draw, 1, 2)
        return Upsample(factor, tuple(draw(st.integers(0, f - 1)) for f in factor))
    if kind == "transpose" and small:
        groups = _groups(draw, shape[0])
        stride, dilation = _sizes(draw, 1, 3), _sizes(draw, 1, 2)
        kernel, sizes = _sizes(draw, 1, 4), zip(shape[1:], stride, dilation, strict=True)
        operator = ConvTranspose(
            groups * draw(st.integers(1, 2)),
            kernel,
            stride,
            _sizes(draw, 0, 2),
            tuple(draw(st.integers(0, max(s, d) - 1)) for _, s, d in sizes),
            dilation,
            groups,
        )
        if min(operator.output_shape(shape)) >= 1:
            return operator
    return _conv(draw, shape)


def _operator_between(draw: st.DrawFn, source: Shape, target: Shape) -> Operator:
    """An operator that maps a sheet of one shape to a sheet of the other."""
    if source == target and draw(st.booleans()):
        return OneToOne()
    if target[1:] == (1, 1) and draw(st.booleans()):
        return Dense(target[0])
    if source[0] == target[0] and draw(st.booleans()):
        factor = tuple(max(1, t // s) for s, t in zip(source[1:], target[1:], strict=True))
        if Upsample(factor).output_shape(source) == target:
            return Upsample(factor)
        kernel = tuple(max(1, s // t) for s, t in zip(source[1:], target[1:], strict=True))
        if SumPool(kernel, kernel).output_shape(source) == target:
            return SumPool(kernel, kernel)
    groups = _groups(draw, int(np.gcd(source[0], target[0])))
    if all(t >= s for s, t in zip(source[1:], target[1:], strict=True)) and draw(st.booleans()):
        padding = _sizes(draw, 0, 1)
        sides = zip(source[1:], target[1:], padding, strict=True)
        kernel = tuple(t - s + 2 * p + 1 for s, t, p in sides)
        return ConvTranspose(target[0], kernel, padding=padding, groups=groups)
    padding = tuple(
        max(0, (t - s + 1) // 2) + draw(st.integers(0, 1))
        for s, t in zip(source[1:], target[1:], strict=True)
    )
    sides = zip(source[1:], target[1:], padding, strict=True)
    kernel = tuple(s + 2 * p - t + 1 for s, t, p in sides)
    return Conv(target[0], kernel, padding=padding, groups=groups)


def _values(
    rng: np.random.Generator, operator: Operator, shape: tuple[int, ...], budget: int
) -> np.ndarray:
    """Weights, or a gain for each channel, that add up to at most `budget` in every neuron."""
    if len(shape) == 1:
        taps = int(np.prod(operator.kernel)) if isinstance(operator, SumPool) else 1
        most = min(127, budget // taps // 2)
        return (2 * rng.integers(-most // 3, most + 1, shape)).astype(np.int16)
    if isinstance(operator, ConvTranspose):  # one sum for all outputs: a bound for each
        groups = operator.groups
        turned = (shape[1] * groups, shape[0] // groups, *shape[2:])
        weight = bounded_weights(rng, turned, budget)
        split = weight.reshape(groups, shape[1], shape[0] // groups, *shape[2:])
        return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(shape)
    return bounded_weights(rng, shape, budget)


@st.composite
def _graph_networks(
    draw: st.DrawFn, *, most_populations: int = 12, most_steps: int = 6, recurrent: bool = True
) -> IntegerNetwork:
    bits = draw(st.sampled_from([0, 0, 1, 4, 8]))
    steps = draw(st.integers(1, most_steps))
    inverted = draw(st.booleans())
    encoder: Encoder = Direct(steps, bits=bits) if bits else Poisson(steps, inverted=inverted)
    source = Input("input", (draw(st.integers(1, 4)), *_sizes(draw, 1, 7)), bits)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, most_populations))
    nodes: list[Population | Relay] = []
    projections: list[Projection] = []
    weights: dict[str, np.ndarray] = {}
    biases: dict[str, Bias] = {}
    clocks: dict[str, np.ndarray] = {}
    shapes: dict[str, Shape] = {source.name: source.shape}
    relays: set[str] = set()
    axons: dict[str, tuple[int, ...]] = {}
    peaks = {source.name: source.max_message}
    delays = st.sampled_from([0, 0, 0, 1, 2, 7])
    for index in range(count):
        is_readout = index == count - 1
        name = f"p{index}"
        decay = 4096 if is_readout else draw(st.sampled_from([4096, 4096, 4095, 2048, 1024, 300]))
        leak = draw(st.sampled_from([0, 0, 1, 128, 2048, 4095]))
        threshold = None if is_readout else draw(st.integers(1, 100) | st.integers(1, 2000))
        # mostly from what came last, so that the graph gets deep
        first = list(shapes)[-1] if draw(st.booleans()) else draw(st.sampled_from(list(shapes)))
        operators = {first: _any_operator(draw, shapes[first])}
        shapes[name] = operators[first].output_shape(shapes[first])
        others = draw(st.lists(st.sampled_from(list(shapes)[:-1]), unique=True, max_size=2))
        for other in others:
            if other != first:
                operators[other] = _operator_between(draw, shapes[other], shapes[name])
        is_relay = not is_readout and draw(st.integers(0, 5)) == 0
        clock = not is_relay and draw(st.integers(0, 3)) == 0
        nodes.append(
            Relay(name)
            if is_relay
            else Population(name, threshold, decay, leak, bias=draw(st.booleans()), clock=clock)
        )
        parts = len(operators) + clock
        budget = NEVER // parts // (2 * steps if is_readout else -(-4096 // decay) + 1)
        if recurrent and not is_relay and draw(st.integers(0, 3)) == 0:
            operators[name] = _operator_between(draw, shapes[name], shapes[name])
            budget //= 2  # excitation, inhibition and what holds it down share the 24 bits
        if is_relay:
            budget = draw(st.sampled_from([18, 300, 3000]))
        peaks[name] = len(operators) * budget if is_relay else 1
        for other, operator in operators.items():
            delay: int | tuple[int, ...] = 0 if other in relays else draw(delays)
            if other == name:
                delay = max(delay, 1)
            elif other not in relays and draw(st.integers(0, 2)) == 0:
                if other not in axons or draw(st.booleans()):
                    channels = shapes[other][0]  # each as late as it likes
                    own = draw(st.lists(delays, min_size=channels, max_size=channels))
                    axons[other] = tuple(own)
                delay = axons[other]
            projection = Projection(other, name, operator, delay)
            projections.append(projection)
            shape = operator.weight_shape(shapes[other]) or shapes[other][:1]
            weights[projection.name] = _values(rng, operator, shape, budget // peaks[other])
        if is_relay:
            relays.add(name)
        if clock:
            most = min(127, budget // 2)
            clocks[name] = 2 * rng.integers(-most, most + 1, (steps, shapes[name][0]))
        if nodes[-1].bias:
            exponent = int(rng.integers(0, 8))
            most = min(4095, NEVER * 32 // (steps << exponent)) if is_readout else 4095
            biases[name] = Bias(rng.integers(-most, most + 1, shapes[name][0]), exponent)
    network = Network(source, tuple(nodes), tuple(projections), nodes[-1].name)
    classes = tuple(f"class{i}" for i in range(network.shape(network.readout)[0]))
    return IntegerNetwork(network, weights, encoder, classes, biases, clocks=clocks)


@pytest.fixture(scope="session")
def graph_networks() -> Callable[..., st.SearchStrategy[IntegerNetwork]]:
    """Strategy of random networks: every operator, branches, loops, relays, delays, biases, leaks.

    Options: most_populations, most_steps, recurrent (True: some populations feed back).
    """
    return _graph_networks


@pytest.fixture(scope="session")
def random_spikes() -> Callable[..., np.ndarray]:
    """Function (net, samples, seed=0, density=0.4): random input, uint8 (N, T, C, H, W)."""

    def draw(net: IntegerNetwork, samples: int, seed: int = 0, density: float = 0.4) -> np.ndarray:
        rng = np.random.default_rng(seed)
        source = net.network.input
        shape = (samples, net.steps, *source.shape)
        values = rng.integers(1, source.max_message + 1, shape)
        return (values * (rng.random(shape) < density)).astype(np.uint8)

    return draw
