"""Spikes of every layer for one picture, step by step: a page, or an animated picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.report.animation.frames import Spikes, recorded
    from lavaseg.report.animation.moving import moving_picture
    from lavaseg.report.animation.playing import page, player

__all__ = ["Spikes", "moving_picture", "page", "player", "recorded"]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "Spikes": "frames",
        "moving_picture": "moving",
        "page": "playing",
        "player": "playing",
        "recorded": "frames",
    },
)
