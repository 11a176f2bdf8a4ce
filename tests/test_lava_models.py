"""Our process models give the numbers of Lava's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from lavaseg.deploy.lava import run_inprocess
from lavaseg.deploy.lava.arithmetic import Convolution
from lavaseg.deploy.lava.lines import LIFReset
from lavaseg.deploy.lava.process_models import (
    FastConv,
    FastDense,
    FastLif,
    FastSparse,
    PyDenseModelBitAcc,
    PySparseModelBitAcc,
    StockLif,
    WideConv,
)
from lavaseg.deploy.lava.synapses import Conv, Dense, SignMode, Sparse
from lavaseg.network.integers import IntegerNetwork

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
    inputs=st.integers(1, 3) | st.just(70),
    outputs=st.integers(1, 3),
    bits=st.sampled_from([0, 1, 8, 24]),
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
    weight = np.abs(process.weight.init).sum(axis=(1, 2, 3)).max()
    most = min(2**bits, 2**31 // max(weight, 1))  # what a sum is above 31 bits is not defined
    low, high = (0, 3) if bits == 0 else (-most + 1, most)
    stream = [
        rng.integers(low, high, process.s_in.shape).astype(np.int32) * (rng.random() < 0.9)
        for _ in range(3)
    ]
    stock = run(model_of(process, WideConv), list(stream), "s_in", "a_out")
    fast = run(model_of(process, FastConv), list(stream), "s_in", "a_out")
    for wanted, found in zip(stock, fast, strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


@unhurried
@given(
    sparse=st.booleans(),
    outputs=st.integers(1, 40),
    inputs=st.integers(1, 150),
    bits=st.sampled_from([0, 1, 8, 24]),
    weight_bits=st.sampled_from([8, 5]),
    exponent=st.sampled_from([0, 0, 2, -1]),
    mode=st.sampled_from([None, SignMode.MIXED, SignMode.EXCITATORY, SignMode.INHIBITORY]),
    seed=st.integers(0, 2**32 - 1),
)
def test_fast_dense_and_sparse_equal_the_stock_models(
    sparse: bool,
    outputs: int,
    inputs: int,
    bits: int,
    weight_bits: int,
    exponent: int,
    mode: SignMode | None,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    low, high = {SignMode.EXCITATORY: (0, 256), SignMode.INHIBITORY: (-255, 1)}.get(
        mode, (-256, 256)
    )
    weights = rng.integers(low, high, (outputs, inputs)) * (rng.random((outputs, inputs)) < 0.5)
    weights[0, 0] = low if low else 1  # of a sign that the mode can hold, and not all 0
    options = {
        "num_message_bits": bits,
        "num_weight_bits": weight_bits,
        "weight_exp": exponent,
        "sign_mode": mode,
    }
    if sparse:
        process = Sparse(weights=csr_matrix(weights.astype(np.int32)), **options)
    else:
        process = Dense(weights=weights.astype(np.int32), **options)
    most = 2 if bits == 0 else 2**bits - 1
    stream = [
        rng.integers(0, most + 1, inputs).astype(np.int32) * (rng.random() < 0.9) for _ in range(3)
    ]
    models = (PySparseModelBitAcc, FastSparse) if sparse else (PyDenseModelBitAcc, FastDense)
    stock, fast = (run(model_of(process, model), list(stream), "s_in", "a_out") for model in models)
    for wanted, found in zip(stock, fast, strict=True):
        # the port sends 32 bits, whatever a model computes in
        np.testing.assert_array_equal(found, wanted.astype(np.int32))


@pytest.mark.parametrize("largest", [20, 128])  # sums of 16 bits are enough, or 32 are needed
@pytest.mark.parametrize("outputs", [12, 40, 250])
def test_a_wide_convolution_equals_the_sum_written_out(outputs: int, largest: int) -> None:
    rng = np.random.default_rng(0)
    sheet = rng.integers(0, 2, (14, 5, 130))
    weight = 2 * rng.integers(-largest, largest, (outputs, 3, 3, 130))
    convolution = Convolution(sheet.shape, weight, padding=(1, 1), graded=False)
    assert convolution.small == (largest == 20)
    found = convolution(sheet)
    whole = np.pad(sheet, ((1, 1), (1, 1), (0, 0)))
    for x, y in np.ndindex(14, 5):
        window = whole[x : x + 3, y : y + 3]
        np.testing.assert_array_equal(found[x, y], (weight[:, ::-1, ::-1] * window).sum((1, 2, 3)))


def test_convolution_is_exact_where_sixteen_bits_are_not_enough() -> None:
    weight = np.full((1, 1, 1, 600), 254)
    weight[0, 0, 0, 0] = 253  # the sum is odd and above 2**17
    sheet = np.full((1, 1, 600), 1)
    assert Convolution(sheet.shape, weight, graded=False)(sheet).item() == 599 * 254 + 253
    messages = sheet * 1001
    assert Convolution(sheet.shape, weight, graded=True)(messages).item() == 152399 * 1001


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
