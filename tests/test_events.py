"""Events: what contradicts itself is refused; parts, moves and previews."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lavaseg.events import EventError, Events, joined, preview


def events(**changed: Any) -> Events:
    fields: dict[str, Any] = {
        "t": [10, 20, 20, 35],
        "x": [0, 1, 2, 3],
        "y": [2, 1, 0, 2],
        "polarity": [True, False, True, False],
        "sensor": (3, 4),
    }
    return Events(**{**fields, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"t": [10, 20, 20]}, "arrays of one length"),
        ({"t": [10, 20, 19, 35]}, "backwards at event 2, from 20 to 19 µs"),
        ({"x": [0, 1, 2, 4]}, r"event 3 has x = 4 on a sensor of 3 x 4"),
        ({"y": [0, -1, 2, 2]}, r"event 1 has y = -1"),
        ({"span": (11, 40)}, "span 11 to 40 µs"),
        ({"span": (0, 35)}, "span 0 to 35 µs"),
        ({k: [] for k in ("t", "x", "y", "polarity")}, "no events"),
    ],
)
def test_contradiction_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(EventError, match=message):
        events(**changed)


def test_span_is_that_of_the_events_unless_said() -> None:
    assert events().span == (10, 36)
    assert events(span=(0, 50)).span == (0, 50)


def test_parts_hold_the_events_of_their_time_or_number() -> None:
    part = events().between(20, 35)
    assert (list(part.x), part.span) == ([1, 2], (20, 35))
    assert (len(events().between(11, 12)), events().between(11, 12).span) == (0, (11, 12))
    part = events().numbered(1, 3)
    assert (list(part.x), part.span) == ([1, 2], (20, 21))
    whole = joined([events().numbered(0, 2), events().numbered(2, 4)])
    assert (list(whole.x), whole.span) == ([0, 1, 2, 3], (10, 36))


def test_events_of_different_sensors_are_not_joined() -> None:
    with pytest.raises(EventError, match="different sensors"):
        joined([events(), events(sensor=(5, 5))])
    with pytest.raises(EventError, match="backwards"):
        joined([events(), events()])


def test_events_that_leave_the_sensor_are_dropped() -> None:
    there = events()
    moved = there.moved(there.x - 1, there.y, (2, 3))
    assert (list(moved.x), list(moved.y), list(moved.t)) == ([0, 1], [1, 0], [20, 20])
    assert moved.span == there.span


def test_preview_is_orange_for_on_blue_for_off_and_white_elsewhere() -> None:
    frame = preview(events())
    assert (frame.shape, frame.dtype) == ((3, 3, 4), np.uint8)
    assert tuple(frame[:, 2, 0]) == (213, 94, 0)
    assert tuple(frame[:, 1, 1]) == (0, 114, 178)
    assert tuple(frame[:, 0, 0]) == (255, 255, 255)
    assert preview(frame) is frame
