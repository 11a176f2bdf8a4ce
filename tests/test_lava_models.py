"""Our process models give the numbers of Lava's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lavaseg.deploy.lava import run_inprocess
from lavaseg.deploy.lava.graph import LIFReset
from lavaseg.deploy.lava.kernels import Convolution
from lavaseg.deploy.lava.models import FastConv, FastLif, StockLif, WideConv
from lavaseg.deploy.lava.synapses import Conv
from lavaseg.integers import IntegerNetwork

unhurried = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Port:
    """A port that receives what is put into it, and keeps what is sent."""

    def __init__(self) -> None:
        self.waiting: list[np.ndarray] = []
        self.sent: list[np.ndarray] = []

    def recv(self) -> np.ndarray:
        return self.waiting.pop(0)

    def send(self, data: np.ndarray) -> None:
        self.sent.append(np.array(data))


def model_of(process: Any, model_class: type) -> Any:
    """The model of a single process, with variables as Lava's builder sets them."""
    model = model_class(process.proc_params)
    for var in process.vars:
        declared = getattr(model_class, var.name)
        if issubclass(declared.cls, np.ndarray):
            value = np.empty(var.shape, declared.d_type)
            value[...] = var.init
        else:
            value = var.init
        setattr(model, var.name, value)
    return model


def run(model: Any, inputs: list[np.ndarray], port_in: str, port_out: str) -> list[np.ndarray]:
    received, sent = Port(), Port()
    setattr(model, port_in, received)
    setattr(model, port_out, sent)
    for step, value in enumerate(inputs, 1):
        received.waiting.append(value)
        model.time_step = step
        model.run_spk()
    return sent.sent


sizes = st.tuples(st.integers(1, 3), st.integers(1, 3))


@unhurried
@given(
    sides=st.tuples(st.integers(1, 11), st.integers(1, 11)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=sizes,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dilation=sizes,
    groups=st.integers(1, 4),
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 3),
    bits=st.sampled_from([0, 1, 8, 16]),
    seed=st.integers(0, 2**32 - 1),
)
def test_fast_convolution_equals_the_stock_model(
    sides: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    inputs: int,
    outputs: int,
    bits: int,
    seed: int,
) -> None:
    sides = tuple(
        max(n, d * (k - 1) + 1 - 2 * p)
        for n, k, d, p in zip(sides, kernel, dilation, padding, strict=True)
    )
    rng = np.random.default_rng(seed)
    process = Conv(
        weight=rng.integers(-256, 255, (groups * outputs, *kernel, inputs)),
        input_shape=(*sides, groups * inputs),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        num_message_bits=bits,
    )
    # a binary synapse takes anything but 0 as one spike; a graded one may carry a sign
    low, high = (0, 3) if bits == 0 else (-(2**bits) + 1, 2**bits)
    stream = [
        rng.integers(low, high, process.s_in.shape).astype(np.int32) * (rng.random() < 0.9)
        for _ in range(3)
    ]
    stock = run(model_of(process, WideConv), list(stream), "s_in", "a_out")
    fast = run(model_of(process, FastConv), list(stream), "s_in", "a_out")
    for wanted, found in zip(stock, fast, strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


def test_convolution_is_exact_where_single_precision_is_not() -> None:
    weight = np.full((1, 1, 1, 64), 254)
    weight[0, 0, 0, 0] = 253  # the sum is odd and above 2**24
    sheet = np.full((1, 1, 64), 2**16 - 1)
    found = Convolution(sheet.shape, weight, (1, 1), (0, 0), (1, 1), 1)(sheet)
    assert found.item() == (63 * 254 + 253) * (2**16 - 1)


def test_convolution_in_blocks_equals_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    sheet = rng.integers(0, 2, (140, 50, 40))  # several blocks, wider than 8 bits count
    weight = 2 * rng.integers(-128, 128, (3, 3, 3, 40))
    found = Convolution(sheet.shape, weight, (1, 1), (1, 1), (1, 1), 1)(sheet)
    whole = np.pad(sheet, ((1, 1), (1, 1), (0, 0)))
    for x, y in ((0, 0), (139, 49), (70, 25), (12, 3)):
        window = whole[x : x + 3, y : y + 3]
        np.testing.assert_array_equal(found[x, y], (weight[:, ::-1, ::-1] * window).sum((1, 2, 3)))


@unhurried
@given(
    du=st.sampled_from([0, 1, 300, 2047, 4095]),
    dv=st.sampled_from([0, 1, 300, 2048, 4095]),
    vth=st.sampled_from([1, 10, 2000, 131071]),
    exponent=st.integers(0, 7),
    interval=st.integers(1, 5),
    offset=st.integers(0, 4),
    size=st.sampled_from([2, 500, 100_000, 2**22, 2**24]),
    seed=st.integers(0, 2**32 - 1),
)
def test_fast_neuron_equals_the_stock_model(
    du: int, dv: int, vth: int, exponent: int, interval: int, offset: int, size: int, seed: int
) -> None:
    """Where u wraps and v is clipped too."""
    rng = np.random.default_rng(seed)
    shape = (3, 4, 5)
    process = LIFReset(
        shape=shape,
        vth=vth,
        du=du,
        dv=dv,
        bias_mant=rng.integers(-4096, 4096, shape),
        bias_exp=exponent,
        reset_interval=interval,
        reset_offset=offset,
    )
    stream = [rng.integers(-size, size + 1, shape).astype(np.int32) for _ in range(12)]
    stock, fast = model_of(process, StockLif), model_of(process, FastLif)
    wanted = run(stock, list(stream), "a_in", "s_out")
    found = run(fast, list(stream), "a_in", "s_out")
    np.testing.assert_array_equal(np.stack(found), np.stack(wanted))
    np.testing.assert_array_equal(fast.u, stock.u)
    np.testing.assert_array_equal(fast.v, stock.v)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_graph_of_stock_models_gives_the_same(
    data: st.DataObject,
    sequential_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
    random_spikes: Callable[..., np.ndarray],
) -> None:
    net = data.draw(sequential_networks())
    spikes = random_spikes(net, 2)
    fast = run_inprocess(net, spikes, record="all")
    stock = run_inprocess(net, spikes, record="all", fast=False)
    for name, wanted in stock.spikes.items():
        np.testing.assert_array_equal(fast.spikes[name], wanted, err_msg=name)
    np.testing.assert_array_equal(fast.readout, stock.readout)
