"""Single bad events of a recording can be dropped, which is said; many are never."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavaseg.data import load
from lavaseg.data.event_files import read_recording
from lavaseg.data.inputs import load_inputs
from lavaseg.data.sound_events import SoundEvents
from lavaseg.encoders import EventPresence
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork

SENSOR = (6, 8)
GOOD = [f"{1000 + 10 * i} {i % 8} {i % 6} {i % 2}" for i in range(400)]
BAD = {
    "beyond the sensor": "1500 9 1 1",
    "back in time": "20 1 1 1",
    "ahead in time": "9000000 1 1 0",
    "no polarity": "1500 1 1 7",
    "no number": "1500 x 1 1",
    "too short": "1500 1",
    "fraction of a pixel": "1500 1.5 1 1",
}


def recording(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def same(found: Events, expected: Events) -> None:
    for name in ("t", "x", "y", "polarity"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_event_is_refused_or_dropped_with_nothing_else(kind: str, tmp_path: Path) -> None:
    expected = read_recording(recording(tmp_path / "good.txt", GOOD), SENSOR)
    path = recording(tmp_path / "bad.txt", [*GOOD[:60], BAD[kind], *GOOD[60:]])
    with pytest.raises(LavasegError, match=r"bad\.txt"):
        read_recording(path, SENSOR)
    sound = SoundEvents(path)
    same(read_recording(path, SENSOR, sound=sound), expected)
    assert f"{path}: 1 bad event dropped" in sound.remark


def test_all_kinds_at_once_are_counted(tmp_path: Path) -> None:
    lines = list(GOOD)
    for place, line in enumerate(BAD.values()):
        lines.insert(50 + 40 * place, line)
    sound = SoundEvents(recording(tmp_path / "bad.txt", lines))
    assert len(read_recording(sound.path, SENSOR, sound=sound)) == len(GOOD)
    assert sound.dropped == len(BAD)


def test_a_sound_recording_is_the_same_and_nothing_is_said(tmp_path: Path) -> None:
    sound = SoundEvents(recording(tmp_path / "good.txt", GOOD))
    same(read_recording(sound.path, SENSOR, sound=sound), read_recording(sound.path, SENSOR))
    assert not sound.remark


def test_many_bad_events_are_not_single_ones(tmp_path: Path) -> None:
    sound = SoundEvents(recording(tmp_path / "other.txt", GOOD))
    with pytest.raises(LavasegError, match="events are bad, which is more than single ones"):
        read_recording(sound.path, (6, 6), sound=sound)


def test_binary_recordings_drop_events_beyond_the_sensor(tmp_path: Path) -> None:
    words = np.array([[i % 8, i % 6, 128, 0, i] for i in range(200)], np.uint8)
    words[30, 0] = 77
    path = tmp_path / "one.bin"
    path.write_bytes(words.tobytes())
    with pytest.raises(LavasegError, match="event 30 has x = 77"):
        read_recording(path, SENSOR)
    assert len(read_recording(path, SENSOR, sound=SoundEvents(path))) == 199


def test_data_set_and_input_have_the_option_and_say_what_was_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*GOOD[:60], BAD["beyond the sensor"], *GOOD[60:]]
    for number in range(3):
        path = recording(tmp_path / "d" / "recordings" / f"{number}.txt", lines)
        (tmp_path / "d" / "labels").mkdir(exist_ok=True)
        Image.fromarray(np.zeros(SENSOR, np.uint8)).save(
            tmp_path / "d" / "labels" / f"{number}.png"
        )
    options = {"root": str(tmp_path / "d"), "classes": 2, "sensor": SENSOR}
    with pytest.raises(LavasegError, match="has x = 9"):
        load("event-folder", **options).test[0]
    with pytest.raises(LavasegError, match="'bad_events' must be one of refuse, drop"):
        load("event-folder", **options, bad_events="keep")
    data = load("event-folder", **options, bad_events="drop")
    for _ in range(2):
        events, _label = data.test[0]
        assert len(events) == len(GOOD)
    assert capsys.readouterr().err.count("1 bad event dropped") == 1
    network = Network(
        Input("input", (2, *SENSOR)),
        (Population("out", None),),
        (Projection("input", "out", Conv(2, (1, 1))),),
        "out",
    )
    weights = {network.projections[0].name: np.full((2, 2, 1, 1), 2, np.int16)}
    net = IntegerNetwork(network, weights, EventPresence(4, sensor=SENSOR), ("a", "b"))
    with pytest.raises(LavasegError, match="has x = 9"):
        load_inputs(str(path), net)
    found = load_inputs(str(path), net, options={"bad_events": "drop"})
    assert "1 bad event dropped" in found.remark
    found = load_inputs(str(tmp_path / "d" / "recordings"), net, options={"bad_events": "drop"})
    assert found.remark.count("1 bad event dropped") == 3


def test_pictures_with_too_many_pixels_are_refused_or_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("pictures", "labels"):
        (tmp_path / kind).mkdir()
        for number in range(4):
            size = (40, 40) if number == 2 else (8, 8)
            Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / kind / f"{number}.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    options = {"root": str(tmp_path), "classes": 2, "size": 8}
    refused = load("folder", **options)
    samples = [*range(len(refused.train))]
    with pytest.raises(LavasegError, match=r"2\.png has more than 1,000 pixels"):
        [part[i] for part in (refused.train, refused.test) for i in samples[: len(part)]]
    data = load("folder", **options, large="skip")
    assert len(data.train) + len(data.test) == 3
    assert any(
        "left out for too many pixels: 1 sample" in remark and "2.png" in remark
        for remark in data.remarks
    )
