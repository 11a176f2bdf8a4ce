"""Encoders: replay per sample, rates, slices, sums, and the way to a file and back."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.encoders import (
    Direct,
    Encoder,
    EncoderError,
    EventEncoder,
    EventHistogram,
    EventPresence,
    EventVoxelGrid,
    Frames,
    OnOffPoisson,
    Poisson,
    encoder_from_dict,
)
from lavaseg.events import Events

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


@pytest.mark.parametrize("kind", ["poisson", "onoff_poisson", "direct"])
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


def presence(**fields: object) -> dict[str, object]:
    return {"kind": "event_presence", "steps": 4, "sensor": [8, 12], **fields}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "morse", "steps": 4}, "unknown encoder 'morse'.*poisson"),
        ({"steps": 4}, "unknown encoder None"),
        ({"kind": "poisson"}, "steps"),
        ({"kind": "poisson", "steps": 0}, "steps must be .* 1 to 4096, got 0"),
        ({"kind": "poisson", "steps": 2.5}, "got 2.5"),
        (
            {"kind": "poisson", "steps": 4, "bits": 3},
            "has no field 'bits'; it has interleave, inv",
        ),
        ({"kind": "direct", "steps": 4, "bits": 9}, "bits must be .* 1 to 8, got 9"),
        ({"kind": "onoff_poisson", "steps": 4, "mean": [300]}, "mean"),
        ({"kind": "onoff_poisson", "steps": 4, "gain": 0}, "gain must be positive"),
        ({"kind": "frames", "steps": 4, "bits": 9}, "bits must be .* 0 to 8, got 9"),
        ({"kind": "event_presence", "steps": 4}, "sensor"),
        ({"kind": "event_presence", "steps": 4, "sensor": 34}, "sensor must be 2 whole numbers"),
        (presence(slicing="frames"), "slicing must be time or count, got 'frames'"),
        (presence(anchor="middle"), "anchor must be start or end"),
        (presence(size=-1), "size must be .* got -1"),
        (presence(size=1.5), "size must be .* got 1.5"),
        (presence(crop=[0, 0, 8]), "crop must be 4 whole numbers"),
        (presence(crop=[4, 0, 6, 8]), r"crop \(4, 0, 6, 8\) reaches beyond the sensor \(8, 12\)"),
        (presence(factor=8), "factor 8 must divide the 8 x 12 pixels seen"),
        ({**presence(), "kind": "event_histogram", "bits": 0}, "bits must be .* 1 to 8, got 0"),
        ({**presence(), "kind": "event_voxel_grid", "bins": 0}, "bins must be"),
        ({**presence(), "kind": "event_voxel_grid", "levels": 256}, "levels must be"),
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


def test_frames_are_taken_one_a_step() -> None:
    stack = np.array([0, 1, 2, 100, 128, 255], np.uint8).reshape(1, 6, 1, 1)
    assert Frames(3).encode(stack).ravel().tolist() == [0, 1, 1, 1, 1, 1]
    assert Frames(3, bits=2).encode(stack).reshape(3, 2).tolist() == [[0, 0], [0, 1], [2, 3]]
    assert Frames(3).shape((6, 4, 5)) == (2, 4, 5)
    with pytest.raises(EncoderError, match="6 picture channels are not 4 frames"):
        Frames(4).encode(stack)


SENSOR = (8, 12)


def recording(seed: int, count: int = 400) -> Events:
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(1_000, 9_000, count))
    x, y = rng.integers(0, SENSOR[1], count), rng.integers(0, SENSOR[0], count)
    return Events(t, x, y, rng.integers(0, 2, count) == 1, SENSOR, (500, 9_500))


event_encoders: st.SearchStrategy[EventEncoder] = st.builds(
    lambda cls, steps, place, **fields: cls(steps, SENSOR, **place, **fields),
    st.sampled_from([EventPresence, EventHistogram, EventVoxelGrid]),
    steps,
    st.sampled_from(
        [{}, {"factor": 2}, {"crop": (1, 2, 6, 9), "factor": 3}, {"crop": (7, 11, 1, 1)}]
    ),
    slicing=st.sampled_from(["time", "count"]),
    size=st.integers(0, 2_000),
    anchor=st.sampled_from(["start", "end"]),
)


def plain_slice(encoder: EventEncoder, events: Events, k: int) -> int | None:
    """The step that event number k falls into, from the definition."""
    start, stop = events.span
    if encoder.slicing == "time":
        place, whole = int(events.t[k]) - start, stop - start
    else:
        place, whole = k, len(events)
    if not encoder.size:
        return next(
            step for step in range(encoder.steps) if place < whole * (step + 1) // encoder.steps
        )
    if encoder.anchor == "end":
        place += encoder.steps * encoder.size - whole
    return place // encoder.size if 0 <= place < encoder.steps * encoder.size else None


def plain_counts(encoder: EventEncoder, events: Events) -> np.ndarray:
    """Events of each input neuron, one at a time: (T, 2, H, W)."""
    top, left, height, width = encoder.crop or (0, 0, *SENSOR)
    f = encoder.factor
    counts = np.zeros((encoder.steps, 2, height // f, width // f), int)
    for k in range(len(events)):
        step = plain_slice(encoder, events, k)
        row, column = int(events.y[k]) - top, int(events.x[k]) - left
        if step is not None and 0 <= row < height and 0 <= column < width:
            counts[step, 0 if events.polarity[k] else 1, row // f, column // f] += 1
    return counts


@settings(max_examples=EXAMPLES, deadline=None)
@given(event_encoders, st.integers(0, 999))
def test_slices_hold_the_events_that_the_definition_says(encoder: EventEncoder, seed: int) -> None:
    events = recording(seed)
    counts = plain_counts(encoder, events)
    fields = {
        k: v for k, v in encoder.to_dict().items() if k not in ("kind", "bins", "levels", "bits")
    }
    spikes = EventPresence(**fields).encode([events])[0]
    np.testing.assert_array_equal(spikes, counts > 0)
    for bits in (1, 2, 8):
        spikes = EventHistogram(**fields, bits=bits).encode([events])[0]
        np.testing.assert_array_equal(spikes, counts.clip(0, 2**bits - 1))


@settings(max_examples=EXAMPLES, deadline=None)
@given(event_encoders, st.integers(0, 999))
def test_event_code_has_the_declared_shape_and_survives_the_way_to_plain_data(
    encoder: EventEncoder, seed: int
) -> None:
    import json

    events = [recording(seed), recording(seed + 1, 3)]
    spikes = encoder.encode(events)
    assert spikes.shape == (2, encoder.steps, *encoder.shape(events[0].shape))
    assert spikes.max(initial=0) <= max(1, 2**encoder.message_bits - 1)
    assert encoder.stimulus(encoder.shape(events[0].shape)) == events[0].shape
    read = encoder_from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert read == encoder
    np.testing.assert_array_equal(read.encode(events, seed=7, samples=[5, 9]), spikes)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.integers(0, 999), st.integers(1, 6), st.integers(1, 20), st.sampled_from(["time", "count"])
)
def test_voxel_grid_is_the_bilinear_sum_of_polarities(
    seed: int, bins: int, levels: int, slicing: str
) -> None:
    events = recording(seed)
    encoder = EventVoxelGrid(1, SENSOR, slicing=slicing, bins=bins, levels=levels)  # type: ignore[arg-type]
    start, stop = events.span if slicing == "time" else (int(events.t[0]), int(events.t[-1]))
    grid = np.zeros((bins, *SENSOR))
    largest = np.zeros(SENSOR)
    for t, x, y, p in zip(events.t, events.x, events.y, events.polarity, strict=True):
        place = (int(t) - start) / (stop - start) * (bins - 1)
        largest[y, x] += 1
        for b in range(bins):
            grid[b, y, x] += (1 if p else -1) * max(0.0, 1 - abs(place - b))
    spikes = encoder.encode([events])[0, 0].astype(int)
    signed = spikes[:bins] - spikes[bins:]
    assert ((spikes[:bins] == 0) | (spikes[bins:] == 0)).all()
    rounding = 0.5 + levels * largest / 256
    assert (np.abs(signed - grid * levels) <= rounding + 1e-9)[np.abs(grid * levels) < 200].all()


def test_voxel_grid_message_of_one_event_is_levels_at_its_bin() -> None:
    one = Events([0, 100], [1, 2], [3, 4], [True, False], SENSOR)
    spikes = EventVoxelGrid(1, SENSOR, slicing="count", bins=3, levels=6).encode([one])[0, 0]
    assert spikes[:, 3, 1].tolist() == [6, 0, 0, 0, 0, 0]
    assert spikes[:, 4, 2].tolist() == [0, 0, 0, 0, 0, 6]
    assert spikes.sum() == 12


def test_window_names_the_labels_of_what_is_seen() -> None:
    label = np.arange(96).reshape(SENSOR)
    assert label[EventPresence(1, SENSOR).window(SENSOR)].shape == SENSOR
    rows, columns = EventPresence(1, SENSOR, crop=(1, 2, 6, 9)).window(SENSOR)
    np.testing.assert_array_equal(label[rows, columns], label[1:7, 2:11])
    assert label[Direct(1).window(SENSOR)].shape == SENSOR


def test_stimulus_of_another_kind_or_sensor_is_named() -> None:
    picture = np.zeros((2, *SENSOR), np.uint8)
    with pytest.raises(EncoderError, match="direct encoder takes pictures and got events"):
        Direct(2).encode([picture, recording(0)])
    with pytest.raises(EncoderError, match=r"event_presence encoder takes recordings .* got pict"):
        EventPresence(2, SENSOR).encode(picture[None])
    with pytest.raises(EncoderError, match=r"a sensor of 9 x 12 .* shape \(2, 8, 12\)"):
        EventPresence(2, (9, 12)).encode([recording(0)])
    with pytest.raises(EncoderError, match="must have one shape"):
        Direct(2).encode([picture, picture[:1]])


def test_list_of_pictures_is_coded_as_the_array_of_them() -> None:
    pictures = _pictures(3, 4)
    np.testing.assert_array_equal(Poisson(3).encode(list(pictures)), Poisson(3).encode(pictures))


def test_hot_pixel_saturates_its_message() -> None:
    count = 40_000
    hot = Events(np.arange(count), [3] * count, [2] * count, [False] * count, SENSOR)
    for slicing in ("time", "count"):
        spikes = EventVoxelGrid(1, SENSOR, slicing=slicing, bins=2, levels=255).encode([hot])  # type: ignore[arg-type]
        assert spikes[0, 0, 2:, 2, 3].tolist() == [255, 255]
        assert np.count_nonzero(spikes) == 2
