"""The fused kernel against the equations written out, in exact integers."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.kernels.fused import filter_current, fire
from lavaseg.kernels.neuron import decay, reference
from lavaseg.network import NEVER, STATE_LIMIT, STATE_SCALE

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "100"))

decays = st.sampled_from([0, 1, 128, 2048, 4095, 4096]) | st.integers(0, 4096)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int | None, int, int, bool]:
    """Synaptic input (steps, neurons), bias (neurons), threshold, two decays, soft reset."""
    steps, neurons = draw(st.integers(1, 12)), draw(st.sampled_from([1, 7, 300, 2500]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # |u| < 2^24 is what export proves: without decay, sums over time must stay below it
    largest = draw(st.sampled_from([1, 100, 254, 5000, 2**17 // steps]))
    synaptic = rng.integers(-largest, largest + 1, (steps, neurons))
    bias = rng.integers(-4095, 4096, neurons) << draw(st.integers(0, 7))
    threshold = draw(st.none() | st.integers(1, 2000) | st.just(NEVER))
    return synaptic, bias, threshold, draw(decays), draw(decays), draw(st.booleans())


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_fused_kernel_equals_reference_bit_for_bit(
    case: tuple[np.ndarray, np.ndarray, int | None, int, int, bool],
) -> None:
    synaptic, bias, threshold, current_decay, voltage_decay, soft = case
    spikes, membrane = reference(
        synaptic,
        threshold=threshold,
        current_decay=current_decay,
        voltage_decay=voltage_decay,
        bias=bias,
        soft_reset=soft,
    )
    filtered = filter_current(synaptic.astype(np.float32), decay=current_decay)
    # what enters v is u + bias, in weight units; exact in float32 while it is below 2^24
    current = ((filtered.astype(np.float64) * STATE_SCALE + bias) / STATE_SCALE).astype(np.float32)
    if np.abs(current * STATE_SCALE).max() >= 2**24:
        return
    fused, fused_membrane, last = fire(
        current, threshold=threshold, voltage_decay=voltage_decay, soft_reset=soft
    )
    assert fused_membrane is not None
    np.testing.assert_array_equal(fused != 0, spikes)
    np.testing.assert_array_equal(fused_membrane.astype(np.float64) * STATE_SCALE, membrane)
    after = membrane[-1] - spikes[-1] * (STATE_SCALE * (threshold or 0) if soft else membrane[-1])
    np.testing.assert_array_equal(last, after)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(-STATE_LIMIT, STATE_LIMIT), decays)
def test_decay_rounds_towards_zero(state: int, rate: int) -> None:
    magnitude = abs(state) * (4096 - rate) // 4096
    expected = magnitude if state >= 0 else -magnitude
    assert decay(np.array([state]), rate)[0] == expected


def test_decay_extremes_keep_and_forget_everything() -> None:
    state = np.array([-STATE_LIMIT, -1, 0, 1, STATE_LIMIT])
    np.testing.assert_array_equal(decay(state, 0), state)
    np.testing.assert_array_equal(decay(state, 4096), 0)


def test_neuron_fires_above_its_threshold_and_not_at_it() -> None:
    at, above = reference(np.array([[5], [1]]), threshold=5, voltage_decay=0)
    np.testing.assert_array_equal(at[:, 0], [False, True])
    np.testing.assert_array_equal(above[:, 0], [5 * STATE_SCALE, 6 * STATE_SCALE])


def test_hard_reset_clears_and_soft_reset_subtracts() -> None:
    synaptic = np.array([[7], [0]])
    _, hard = reference(synaptic, threshold=5)
    _, soft = reference(synaptic, threshold=5, soft_reset=True)
    assert hard[1, 0] == 0
    assert soft[1, 0] == 2 * STATE_SCALE


def test_membrane_is_clipped_to_24_bits() -> None:
    synaptic = np.full((3, 2), 100_000) * [1, -1]
    _, membrane = reference(synaptic, threshold=None)
    np.testing.assert_array_equal(membrane[-1], [STATE_LIMIT, -STATE_LIMIT])
    _, fused, _ = fire(synaptic.astype(np.float32), threshold=None, voltage_decay=0)
    assert fused is not None
    np.testing.assert_array_equal(fused * np.float64(STATE_SCALE), membrane)


@pytest.mark.parametrize("record", [True, False])
def test_recording_membranes_changes_no_spike(record: bool) -> None:
    current = np.random.default_rng(0).integers(-9, 12, (6, 5000)).astype(np.float32)
    spikes, membrane, _ = fire(current, threshold=10, voltage_decay=128, record=record)
    expected, _ = reference(current.astype(np.int64), threshold=10, voltage_decay=128)
    np.testing.assert_array_equal(spikes != 0, expected)
    assert (membrane is not None) == record
