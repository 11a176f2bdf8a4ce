"""Stock NetX loads the files of plain sequences and gives the same spikes.

The stock runtime hangs when something fails inside it, so this module is also a program: it
runs in a child process with a time limit, once for all networks.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lavaseg.deploy import simulate
from lavaseg.encoders import Direct, Encoder, Poisson
from lavaseg.kernels.neuron import reference
from lavaseg.network import Conv, Dense, Input, Network, Operator, Population, Projection
from lavaseg.network.integers import Bias, IntegerNetwork
from lavaseg.netx import stock_loadable, write
from lavaseg.netx.stock import why_not_dense

SAMPLES, STEPS = 2, 6


def chain(
    shape: tuple[int, int, int],
    *layers: tuple[Operator, Population],
    seed: int = 0,
    bits: int = 0,
    low: int = -40,
    high: int = 48,
    delays: dict[str, int | tuple[int, ...]] | None = None,
    loops: tuple[str, ...] = (),
) -> IntegerNetwork:
    """A sequence with random even weights, and biases where a population asks for one.

    Args:
        delays: of the projections into some populations.
        loops: populations that feed back, all to all, one step later.
    """
    populations = tuple(population for _, population in layers)
    names = ["input", *(p.name for p in populations)]
    back = tuple(
        Projection(p.name, p.name, operator, 1) for operator, p in layers if p.name in loops
    )
    network = Network(
        Input("input", shape, bits),
        populations,
        tuple(
            Projection(source, target, operator, (delays or {}).get(target, 0))
            for source, target, (operator, _) in zip(names, names[1:], layers, strict=False)
        )
        + back,
        names[-1],
    )
    rng = np.random.default_rng(seed)
    encoder: Encoder = Direct(STEPS, bits) if bits else Poisson(STEPS)
    return IntegerNetwork(
        network,
        {
            p.name: 2 * rng.integers(low // 2, high // 2 + 1, network.weight_shape(p), np.int16)
            for p in network.projections
        },
        encoder,
        tuple(f"class {i}" for i in range(network.shape(names[-1])[0])),
        {
            p.name: Bias(rng.integers(-30, 60, network.shape(p.name)[0], np.int32))
            for p in populations
            if p.bias
        },
    )


NETS = {
    "stride, padding and kernel differ by axis": chain(
        (2, 7, 5), (Conv(3, (3, 2), (2, 1), (0, 1)), Population("a", 60, bias=True))
    ),
    "dilation and groups, leaky neurons": chain(
        (4, 6, 7),
        (Conv(4, (2, 3), 1, (1, 2), (1, 2), groups=2), Population("a", 50, 4096, 400)),
        (Conv(6, 3, 2, 1, groups=2), Population("b", 55, 1024, 64, bias=True)),
    ),
    "depthwise, then dense after a wide sheet": chain(
        (3, 5, 4),
        (Conv(3, 3, 1, 1, groups=3), Population("a", 40, bias=True)),
        (Dense(6), Population("b", 90, bias=True)),
        (Dense(4), Population("c", 30)),
    ),
    "dense at once, thresholds up to 2000": chain(
        (2, 6, 5),
        (Dense(9), Population("a", 2000, 0, 0)),
        (Dense(3), Population("b", 60, bias=True)),
        low=-256,
        high=254,
    ),
    "voltage forgotten at once, small weights": chain(
        (1, 5, 5),
        (Conv(5, 3), Population("a", 4, 4096, 4096)),
        (Dense(4), Population("b", 5, 4095, 4095)),
        low=-4,
        high=6,
    ),
    "weights of one sign": chain(
        (1, 4, 4),
        (Conv(4, 2), Population("a", 50)),
        (Dense(5), Population("b", 700, bias=True)),
        (Dense(3), Population("c", 120)),
        low=2,
        high=30,
    ),
    "graded input, membrane read out": chain(
        (2, 5, 6),
        (Conv(4, 3, 1, 1), Population("a", 1900, bias=True)),
        (Conv(3, 1), Population("readout", None, bias=True)),
        bits=8,
    ),
    "delays of a layer and of channels, biases": chain(
        (2, 3, 2),
        (Dense(7), Population("a", 60, 3000, 200, bias=True)),
        (Dense(7), Population("b", 40, bias=True)),
        (Dense(3), Population("c", 30)),
        delays={"a": 1, "b": (0, 2, 1, 0, 4, 1, 2)},
    ),
    "delays of the channels of a sheet": chain(
        (2, 5, 4),
        (Conv(3, 3), Population("a", 50, bias=True)),
        (Dense(4), Population("b", 60)),
        delays={"b": (0, 3, 1)},
    ),
    "dense layers that feed back, leaks": chain(
        (2, 3, 2),
        (Conv(3, 2), Population("a", 60, bias=True)),
        (Dense(6), Population("b", 40, 3000, 200)),
        (Dense(4), Population("c", 30, 4096, 500)),
        loops=("b", "c"),
        seed=2,
    ),
}
"""Lava's synapses keep a sample's last spikes for the next one: those with delays and loops run one
sample."""
RESTLESS = {
    "population 'c' gets late spikes, and the bias of 'b' may fire": chain(
        (2, 3, 2),
        (Dense(7), Population("a", 60, bias=True)),
        (Dense(7), Population("b", 40, bias=True)),
        (Dense(3), Population("c", 30)),
        delays={"c": 2},
    ),
    "population 'b' feeds back, and the bias of 'b' may make it fire": chain(
        (2, 3, 2),
        (Dense(7), Population("a", 60)),
        (Dense(7), Population("b", 40, bias=True)),
        loops=("b",),
    ),
    "population 'b' feeds back otherwise than from a dense layer": chain(
        (2, 3, 2),
        (Conv(2, 1), Population("a", 60)),
        (Conv(2, 1), Population("b", 40)),
        loops=("b",),
    ),
    "population 'b' feeds back, and gets its input late": chain(
        (2, 3, 2),
        (Dense(7), Population("a", 60)),
        (Dense(7), Population("b", 40)),
        loops=("b",),
        delays={"b": 1},
    ),
}
"""What stock NetX would run with other spikes, and how it is named."""


def branched() -> IntegerNetwork:
    """Two projections into one population: not for stock NetX."""
    net = chain((1, 4, 4), (Conv(2, 3), Population("a", 9)))
    skip = Projection("input", "a", Conv(2, 3), name="skip")
    network = Network(net.network.input, net.network.nodes, (*net.network.projections, skip), "a")
    weights = {**net.weights, "skip": net.weights["input_to_a"]}
    return IntegerNetwork(network, weights, net.encoder, net.classes)


def input_spikes(net: IntegerNetwork) -> np.ndarray:
    """(N, T, C, H, W)"""
    pictures = np.random.default_rng(1).integers(
        0, 256, (SAMPLES, *net.network.input.shape), np.uint8
    )
    samples = 1 if any(p.longest for p in net.network.projections) else SAMPLES
    return net.encoder.encode(pictures[:samples], seed=3)


def late(spikes: np.ndarray, delay: int | tuple[int, ...]) -> np.ndarray:
    """Spikes (N, T, C, H, W), each channel as much later."""
    found = np.zeros_like(spikes)
    for channel, own in enumerate(np.broadcast_to(delay, spikes.shape[2]).tolist()):
        found[:, own:, channel] = spikes[:, : STEPS - own, channel]
    return found


def expected(net: IntegerNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of the last population (N, T, C, H, W) and its last membranes (N, C, H, W)."""
    if any(p.recurrent for p in net.network.projections):  # the rounds are the simulator's
        found = simulate(net, input_spikes(net), record="all")
        return found.spikes[net.network.readout].astype(np.int64), found.readout
    spikes = input_spikes(net).astype(np.float64)
    for projection, population in zip(
        net.network.projections, net.network.populations, strict=True
    ):
        operator = projection.operator
        weight = torch.tensor(net.weights[projection.name].astype(np.float64))
        x = torch.tensor(late(spikes, projection.delay)).flatten(0, 1)
        if isinstance(operator, Conv):
            a = F.conv2d(
                x,
                weight,
                None,
                operator.stride,
                operator.padding,
                operator.dilation,
                operator.groups,
            )
        else:
            a = F.conv2d(x, weight)
        synaptic = a.reshape(len(spikes), STEPS, *a.shape[1:]).numpy().astype(np.int64)
        fired, membrane = reference(
            synaptic.swapaxes(0, 1),
            threshold=None if population.threshold is None else int(population.threshold),
            current_decay=population.current_decay,
            voltage_decay=population.voltage_decay,
            bias=net.bias(population.name)[:, None, None],
        )
        spikes = fired.swapaxes(0, 1).astype(np.float64)
    return spikes.astype(np.int64), membrane[-1]


def run_stock(path: str, spikes: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Stream `spikes` (N, T, C, H, W) through stock NetX on the stock runtime.

    Returns its last layer's spikes (N, T, C, H, W) and its membranes at the end, (C, H, W).
    """
    from lavaseg.compat import prepare_lava

    prepare_lava()
    from lava.lib.dl.netx.hdf5 import Network as StockNetwork
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    net = StockNetwork(
        net_config=path, reset_interval=STEPS, reset_offset=1, input_message_bits=bits
    )
    layers = len(net)
    steps = len(spikes) * STEPS + layers
    data = spikes.reshape(-1, *spikes.shape[2:]).astype(np.int32)
    if len(net.inp.shape) == 1:
        data = data.reshape(len(data), -1).T
    else:
        data = data.transpose(3, 2, 1, 0)
    data = np.concatenate([data, np.zeros((*data.shape[:-1], layers), np.int32)], -1)
    source, sink = Source(data=data), Sink(shape=net.out.shape, buffer=steps)
    source.s_out.connect(net.inp)
    net.out.connect(sink.a_in)
    try:
        net.run(RunSteps(steps), Loihi2SimCfg(select_tag="fixed_pt"))
        fired = sink.data.get()[..., layers:].astype(np.int64)
        membrane = net.layers[-1].neuron.v.get()
    finally:
        net.stop()
    if fired.ndim == 2:
        fired, membrane = fired[None, None], membrane[None, None]
    fired = fired.transpose(3, 2, 1, 0)
    return fired.reshape(len(spikes), STEPS, *fired.shape[1:]), membrane.transpose(2, 1, 0)


def refusal(path: str) -> str:
    """What stock NetX says of a file that is not for it."""
    from lavaseg.compat import prepare_lava

    prepare_lava()
    from lava.lib.dl.netx.hdf5 import Network as StockNetwork

    try:
        StockNetwork(net_config=path)
    except NotImplementedError as error:
        return str(error)
    return ""


def misjudged_dense_weights(count: int) -> list[list[list[int]]]:
    """Dense weights that stock NetX and Lava change although we say they do not, or reverse."""
    from lavaseg.compat import prepare_lava

    prepare_lava()
    from lava.lib.dl.netx.utils import optimize_weight_bits
    from lava.utils.weightutils import clip_weights, determine_sign_mode, truncate_weights

    rng = np.random.default_rng(0)
    wrong = []
    for _ in range(count):
        low = -int(rng.choice([0, 1, 2, 3, 16, 17, 64, 127, 128]))
        high = int(rng.choice([low, 0, 1, 40, 127]))
        weight = 2 * rng.integers(min(low, high), max(low, high) + 1, rng.integers(1, 5, 2))
        try:
            scaled, bits, exponent, _ = optimize_weight_bits(weight)
            sign = determine_sign_mode(scaled)
            clipped = clip_weights(scaled, sign, num_bits=8)
            used = truncate_weights(clipped, sign, int(bits)) / 2.0**-exponent
            kept = np.array_equal(used, weight)
        except OverflowError:
            kept = False
        if kept != (why_not_dense(weight) == ""):
            wrong.append(weight.tolist())
    return wrong


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the stock runtime gave for all networks, in one child process."""
    folder = tmp_path_factory.mktemp("stock")
    write(branched(), folder / "branched.net")
    jobs = []
    for index, net in enumerate(NETS.values()):
        write(net, folder / f"{index}.net")
        np.save(folder / f"{index}.npy", input_spikes(net))
        jobs.append((str(folder / str(index)), net.network.input.message_bits))
    child = subprocess.Popen(
        [sys.executable, __file__, str(folder), json.dumps(jobs)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = child.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # with the processes that Lava forked
        raise
    assert child.returncode == 0, errors[-3000:]
    found = dict(json.loads((folder / "words.json").read_text("utf-8")))
    for name, (base, _) in zip(NETS, jobs, strict=True):
        with np.load(base + ".npz") as arrays:
            found[name + " spikes"], found[name + " membrane"] = (
                arrays["spikes"],
                arrays["membrane"],
            )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_stock_netx_gives_the_spikes_of_the_reference(name: str, results: dict[str, Any]) -> None:
    net = NETS[name]
    assert stock_loadable(net) == (True, "")
    spikes, membrane = expected(net)
    found = results[name + " spikes"]
    if net.network.populations[-1].threshold is None:
        assert not found.any()
        assert np.ptp(membrane) > 0
        np.testing.assert_array_equal(results[name + " membrane"], membrane[-1])
    else:
        assert 0.02 < spikes.mean() < 0.98, "the case shows nothing"
        np.testing.assert_array_equal(found, spikes)


@pytest.mark.parametrize("reason", RESTLESS)
def test_late_spikes_that_stock_netx_would_get_wrong_are_named(reason: str) -> None:
    loadable, found = stock_loadable(RESTLESS[reason])
    assert not loadable
    assert found.startswith(reason)


@pytest.mark.slow
def test_stock_netx_refuses_a_branched_network_in_words(results: dict[str, Any]) -> None:
    assert stock_loadable(branched()) == (False, "population 'a' adds up 2 projections")
    assert results["refusal"] == "concat is not implemented."


@pytest.mark.slow
def test_dense_weights_that_stock_netx_changes_are_known(results: dict[str, Any]) -> None:
    assert results["misjudged"] == []


def main(folder: str, jobs: str) -> None:
    words = {
        "refusal": refusal(str(Path(folder) / "branched.net")),
        "misjudged": misjudged_dense_weights(3000),
    }
    (Path(folder) / "words.json").write_text(json.dumps(words), "utf-8")
    for base, bits in json.loads(jobs):
        spikes, membrane = run_stock(base + ".net", np.load(base + ".npy"), bits)
        np.savez(Path(base + ".npz"), spikes=spikes, membrane=membrane)


if __name__ == "__main__":
    main(*sys.argv[1:])
