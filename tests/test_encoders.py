"""Encoders: replay per sample, rates, shapes, and the way to a file and back."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.encoders import (
    ENCODERS,
    Direct,
    Encoder,
    EncoderError,
    OnOffPoisson,
    Poisson,
    encoder_from_dict,
)

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "50"))

steps = st.integers(1, 9)
levels = st.floats(0, 255, allow_nan=False)
encoders: st.SearchStrategy[Encoder] = st.one_of(
    st.builds(Poisson, steps, inverted=st.booleans()),
    st.builds(
        OnOffPoisson,
        steps,
        mean=st.one_of(st.tuples(levels), st.tuples(levels, levels, levels)),
        gain=st.floats(0.1, 10),
    ),
    st.builds(Direct, steps, bits=st.integers(1, 8)),
)


def _pictures(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 5, 4), np.uint8)


@settings(max_examples=EXAMPLES, deadline=None)
@given(encoders, st.integers(0, 2**40), st.data())
def test_sample_gets_the_same_spikes_in_any_batch_and_order(
    encoder: Encoder, seed: int, data: st.DataObject
) -> None:
    pictures = _pictures(seed % 1000, 5)
    numbers = data.draw(st.lists(st.integers(0, 2**40), min_size=5, max_size=5, unique=True))
    order = data.draw(st.permutations(range(5)))
    together = encoder.encode(pictures, seed=seed, samples=numbers)
    for row in order:
        alone = encoder.encode(pictures[row : row + 1], seed=seed, samples=[numbers[row]])
        np.testing.assert_array_equal(alone[0], together[row])
    shuffled = encoder.encode(
        pictures[list(order)], seed=seed, samples=[numbers[row] for row in order]
    )
    np.testing.assert_array_equal(shuffled, together[list(order)])


@settings(max_examples=EXAMPLES, deadline=None)
@given(encoders)
def test_spikes_have_the_declared_shape_and_range(encoder: Encoder) -> None:
    spikes = encoder.encode(_pictures(1, 2))
    assert spikes.dtype == np.uint8
    assert spikes.shape == (2, encoder.steps, *encoder.shape((3, 5, 4)))
    assert spikes.max(initial=0) <= max(1, 2**encoder.message_bits - 1)


@settings(max_examples=EXAMPLES, deadline=None)
@given(encoders)
def test_encoder_survives_the_way_to_plain_data_and_back(encoder: Encoder) -> None:
    import json

    data = json.loads(json.dumps(encoder.to_dict()))
    assert encoder_from_dict(data) == encoder


@pytest.mark.parametrize("kind", ENCODERS)
def test_other_seeds_and_samples_draw_other_spikes_unless_the_code_is_direct(kind: str) -> None:
    encoder = encoder_from_dict({"kind": kind, "steps": 8})
    pictures = np.full((2, 1, 8, 8), 200, np.uint8)
    first, other = encoder.encode(pictures, seed=0), encoder.encode(pictures, seed=1)
    random = kind != "direct"
    assert (first != other).any() == random
    assert (first[0] != first[1]).any() == random


def _rate(encoder: Encoder, level: int) -> np.ndarray:
    """Spikes a step of each input channel for a flat grey picture."""
    return encoder.encode(np.full((1, 1, 64, 64), level, np.uint8)).mean((0, 1, 3, 4))


@pytest.mark.parametrize("level", [1, 40, 128, 200, 254])
def test_poisson_rate_is_the_pixel(level: int) -> None:
    draws = 32 * 64 * 64
    tolerance = 5 * np.sqrt(0.25 / draws)
    assert abs(_rate(Poisson(32), level)[0] - level / 255) < tolerance
    assert abs(_rate(Poisson(32, inverted=True), level)[0] - (1 - level / 255)) < tolerance


def test_poisson_extremes_never_and_always_spike() -> None:
    assert _rate(Poisson(16), 0)[0] == 0
    assert _rate(Poisson(16), 255)[0] == 1
    assert _rate(Poisson(16, inverted=True), 0)[0] == 1
    assert _rate(Poisson(16, inverted=True), 255)[0] == 0


@pytest.mark.parametrize("level", [0, 60, 100, 101, 180, 255])
def test_on_off_rates_are_the_signed_contrast(level: int) -> None:
    contrast = (level - 100) * 1.5 / 255
    on, off = _rate(OnOffPoisson(32, mean=(100.0,), gain=1.5), level)
    tolerance = 5 * np.sqrt(0.25 / (32 * 64 * 64)) + 1 / 65536
    assert abs(on - np.clip(contrast, 0, 1)) < tolerance
    assert abs(off - np.clip(-contrast, 0, 1)) < tolerance
    assert on == 0 or off == 0


def test_on_channels_come_before_off_channels() -> None:
    picture = np.zeros((1, 2, 4, 4), np.uint8)
    picture[:, 1] = 255
    spikes = OnOffPoisson(64).encode(picture).sum((0, 1, 3, 4))
    assert [bool(channel) for channel in spikes] == [False, True, True, False]


@pytest.mark.parametrize("bits", range(1, 9))
def test_direct_sends_the_upper_bits_at_every_step(bits: int) -> None:
    pictures = _pictures(2, 2)
    spikes = Direct(3, bits=bits).encode(pictures)
    for step in range(3):
        np.testing.assert_array_equal(spikes[:, step], pictures >> (8 - bits))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "morse", "steps": 4}, "unknown encoder 'morse'.*poisson"),
        ({"steps": 4}, "unknown encoder None"),
        ({"kind": "poisson"}, "steps"),
        ({"kind": "poisson", "steps": 0}, "steps must be .* 1 to 4096, got 0"),
        ({"kind": "poisson", "steps": 2.5}, "got 2.5"),
        ({"kind": "poisson", "steps": 4, "bits": 3}, "has no field 'bits'; it has inverted, steps"),
        ({"kind": "direct", "steps": 4, "bits": 9}, "bits must be .* 1 to 8, got 9"),
        ({"kind": "onoff_poisson", "steps": 4, "mean": [300]}, "mean"),
        ({"kind": "onoff_poisson", "steps": 4, "gain": 0}, "gain must be positive"),
    ],
)
def test_wrong_setting_is_named(data: dict[str, object], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        encoder_from_dict(data)


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (np.zeros((1, 3, 4, 4), np.float32), "float32"),
        (np.zeros((3, 4, 4), np.uint8), r"\(3, 4, 4\)"),
    ],
)
def test_wrong_picture_is_named(pictures: np.ndarray, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        Poisson(2).encode(pictures)


def test_wrong_number_of_mean_levels_is_named() -> None:
    with pytest.raises(EncoderError, match="2 mean levels for 3 picture channels"):
        OnOffPoisson(2, mean=(1.0, 2.0)).encode(_pictures(0, 1))
