"""Noise on the input: drawn by seed and sample alone, of the statistics that were asked for."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.encoders import (
    Direct,
    Encoder,
    EventHistogram,
    EventPresence,
    EventVoxelGrid,
    Frames,
    Noise,
    NoiseError,
    OnOffPoisson,
    Poisson,
    as_noise,
)
from lavaseg.events import Events

SENSOR = (6, 8)
OF_PICTURES = (Poisson(3), OnOffPoisson(3), Direct(3, bits=5), Frames(3), Frames(3, bits=4))
OF_EVENTS = (
    EventPresence(4, SENSOR),
    EventHistogram(4, SENSOR, bits=3),
    EventVoxelGrid(2, SENSOR, bins=2, slicing="count"),
)
IDS = {encoder: f"{encoder.kind}-{encoder.message_bits}" for encoder in (*OF_PICTURES, *OF_EVENTS)}


def stimuli(encoder: Encoder, count: int = 5) -> list[Any]:
    rng = np.random.default_rng(3)
    if encoder in OF_PICTURES:
        return list(rng.integers(0, 256, (count, 3, *SENSOR), np.uint8))
    return [recording(rng) for _ in range(count)]


def recording(rng: np.random.Generator, events: int = 300) -> Events:
    t = np.sort(rng.integers(0, 10_000, events))
    y, x = (rng.integers(0, extent, events) for extent in SENSOR)
    return Events(t, x, y, rng.random(events) < 0.5, SENSOR, (0, 10_000))


def kinds(encoder: Encoder) -> list[Noise]:
    found = [Noise("gaussian", 0.4), Noise("salt-pepper", 0.3)]
    return [*found, Noise("drop-events", 0.5)] if encoder in OF_EVENTS else found


each = pytest.mark.parametrize("encoder", [*OF_PICTURES, *OF_EVENTS], ids=IDS.get)


@each
def test_a_sample_has_the_same_noise_in_any_batch_and_order(encoder: Encoder) -> None:
    given_, numbers = stimuli(encoder), [7, 2**40, 0, 3, 11]
    order = [3, 0, 4, 1, 2]
    for noise in kinds(encoder):
        together = encoder.encode(given_, samples=numbers, noise=noise)
        again = encoder.encode(
            [given_[k] for k in order], samples=[numbers[k] for k in order], noise=noise
        )
        np.testing.assert_array_equal(again, together[order])
        alone = encoder.encode(given_[1:2], samples=numbers[1:2], noise=noise)
        np.testing.assert_array_equal(alone[0], together[1])


@each
def test_noise_of_amount_zero_is_no_noise_bit_for_bit(encoder: Encoder) -> None:
    clean = encoder.encode(stimuli(encoder), seed=5)
    for noise in kinds(encoder):
        none = dataclasses.replace(noise, amount=0.0)
        np.testing.assert_array_equal(encoder.encode(stimuli(encoder), seed=5, noise=none), clean)


@each
def test_another_seed_or_sample_number_gives_other_noise(encoder: Encoder) -> None:
    same = [stimuli(encoder)[0]] * 2
    for noise in kinds(encoder):
        first = encoder.encode(same, noise=noise)
        other = encoder.encode(same, noise=dataclasses.replace(noise, seed=1))
        assert (first != other).any()
        assert (first[0] != first[1]).any()


@each
def test_noisy_messages_stay_within_those_that_the_code_can_send(encoder: Encoder) -> None:
    for noise in (Noise("gaussian", 100.0), Noise("salt-pepper", 1.0)):
        spikes = encoder.encode(stimuli(encoder), noise=noise)
        assert spikes.dtype == np.uint8
        assert spikes.max() == encoder.largest_message


@pytest.mark.parametrize("encoder", [Poisson(2), Direct(2), EventHistogram(2, (4, 8))], ids=str)
def test_an_interleaved_sheet_has_the_noise_of_the_plain_one(encoder: Encoder) -> None:
    from lavaseg.network.interleave import interleaved

    rng = np.random.default_rng(0)
    one: Any = rng.integers(0, 256, (1, 4, 8), np.uint8)
    if isinstance(encoder, EventHistogram):
        one = Events(np.arange(9), np.arange(9) % 8, np.arange(9) % 4, np.ones(9), (4, 8))
    narrow = dataclasses.replace(encoder, interleave=2)
    for noise in (Noise("gaussian", 0.3), Noise("salt-pepper", 0.3)):
        plain, folded = (e.encode([one], noise=noise)[0] for e in (encoder, narrow))
        np.testing.assert_array_equal(folded, interleaved(plain, 2))


def test_gaussian_noise_has_its_sigma_on_the_scale_of_pixels_and_of_messages() -> None:
    picture = np.full((3, 64, 64), 128, np.uint8)
    added = Noise("gaussian", 0.1).on_picture(picture, 0).astype(float) - picture
    assert abs(added.mean()) < 5 * 25.5 / np.sqrt(added.size)
    assert abs(added.std() / 25.5 - 1) < 5 / np.sqrt(2 * added.size)
    frames = np.full((8, 2, 64, 64), 31, np.uint8)
    added = Noise("gaussian", 0.1).on_frames(frames, 63, 0).astype(float) - frames
    assert abs(added.std() / 6.3 - 1) < 0.02


def test_gaussian_noise_flips_a_binary_message_where_it_exceeds_one_half() -> None:
    frames = np.zeros((8, 2, 64, 64), np.uint8)
    flipped = Noise("gaussian", 0.5).on_frames(frames, 1, 0).mean()
    assert abs(flipped - 0.158655) < 5 * np.sqrt(0.16 * 0.84 / frames.size)  # 1 sigma, one side


def test_salt_and_pepper_fall_on_whole_pixels_with_even_chances() -> None:
    picture = np.full((3, 128, 128), 100, np.uint8)
    noisy = Noise("salt-pepper", 0.2).on_picture(picture, 0)
    assert (noisy == noisy[:1]).all()  # all channels of a pixel alike
    tolerance = 5 * np.sqrt(0.1 * 0.9 / 128**2)
    assert abs((noisy[0] == 0).mean() - 0.1) < tolerance
    assert abs((noisy[0] == 255).mean() - 0.1) < tolerance
    assert set(np.unique(noisy)) == {0, 100, 255}


def test_dropped_events_leave_the_others_and_the_span_as_they_were() -> None:
    whole = recording(np.random.default_rng(1), 20_000)
    left = Noise("drop-events", 0.3).on_recording(whole, 4)
    assert left.span == whole.span
    assert abs(len(left) / len(whole) - 0.7) < 5 * np.sqrt(0.21 / 20_000)
    before, after = (list(zip(e.t, e.x, e.y, e.polarity, strict=True)) for e in (whole, left))
    rest = iter(before)
    assert all(event in rest for event in after)  # in this order
    assert len(Noise("drop-events", 1.0).on_recording(whole, 4)) == 0


def test_noise_does_not_repeat_the_draws_of_the_code() -> None:
    # the code's uniform draws of the same key: a picture that is noise alone would correlate
    from lavaseg.encoders.base import draws

    ours = Noise("salt-pepper", 0.5).on_picture(np.full((1, 64, 64), 9, np.uint8), 3) == 9
    code = draws(0, 3, (1, 64, 64)).astype(float)
    assert abs(np.corrcoef(ours.ravel(), code.ravel())[0, 1]) < 5 / 64


@pytest.mark.parametrize("encoder", OF_PICTURES, ids=IDS.get)
def test_pictures_have_no_events_to_drop(encoder: Encoder) -> None:
    with pytest.raises(NoiseError, match="recordings of an event camera"):
        encoder.encode(stimuli(encoder), noise=Noise("drop-events", 0.1))


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["gaussian", "salt-pepper", "drop-events"]), st.floats(0, 1))
def test_the_word_of_a_noise_is_read_as_that_noise(kind: Any, amount: float) -> None:
    noise = Noise(kind, amount, seed=2)
    assert Noise.parse(f"{kind}:{amount!r}", seed=2) == noise


def test_a_number_is_the_sigma_of_gaussian_noise() -> None:
    assert as_noise(0.1) == as_noise("0.1") == Noise.parse("0.1") == Noise("gaussian", 0.1)
    assert as_noise(None) is None


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("fog:0.1", "'fog'"),
        ("much", "salt-pepper:0.05"),
        ("gaussian:", "SIGMA"),
        ("-0.1", "sigma"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("salt-pepper:1.5", "share of pixels"),
        ("drop-events:2", "share of events"),
    ],
)
def test_wrong_noise_is_named(word: str, named: str) -> None:
    with pytest.raises(NoiseError, match=named):
        Noise.parse(word)
