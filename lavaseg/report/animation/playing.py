"""The player: sprites that a page moves by itself, by style sheets alone, without a script."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jinja2 import Template
from markupsafe import Markup

from lavaseg.network import Shape
from lavaseg.report.animation import sprites
from lavaseg.report.animation.frames import Spikes
from lavaseg.report.animation.sprites import FITS, Fit, Sprite
from lavaseg.report.plots import class_colours
from lavaseg.report.templates import environment
from lavaseg.system.shown import spread
from lavaseg.system.words import counted

LARGEST = 4 * 2**20
"""Bytes of a page's sprites at most."""
_SHOWN = 96
"""Pixels of the screen that the longer side of a map is enlarged to, about."""
_PICTURE = 150
"""The same of the picture."""
_SECONDS = 0.6
"""Of each frame."""


@dataclass(frozen=True)
class Card:
    """What the page shows of one layer, or of the picture.

    Args:
        note: below the title.
        zoom: pixels of the screen for each of the sprite.
        moves: whether it has a frame for each of the animation.
    """

    title: str
    note: str
    sprite: Sprite
    zoom: int
    moves: bool = True

    @property
    def style(self) -> str:
        """Its size on the screen, as custom properties that the style sheet reads."""
        height = self.sprite.height * self.zoom
        return f"--w:{self.sprite.width * self.zoom}px;--h:{height}px"


def player(spikes: Spikes, bound: int = LARGEST) -> Markup:
    """The player as a piece of a page: style sheet, buttons for the steps, maps.

    Args:
        bound: bytes of its sprites at most, as text. Layers, channels, places and at last steps
            are left out until it is kept.
    """
    fit, scene, layers = _fitted(spikes, bound)
    frames = spikes.frames if fit.frames else spikes.frames[-1:]
    return Markup(
        _template("player.html").render(
            spikes=spikes,
            frames=frames,
            moving=len(frames) > 1,
            seconds=_SECONDS * (len(frames) - 1),
            scene=scene,
            layers=layers,
            classes=_classes(spikes),
            left_out=spikes.left_out + max(len(spikes.tracks) - fit.layers - 1, 0),
            channels=fit.channels,
        )
    )


def page(spikes: Spikes, bound: int = LARGEST) -> str:
    """A page of its own, which loads nothing."""
    return _template("page.html").render(spikes=spikes, player=player(spikes, bound))


def _template(name: str) -> Template:
    return environment().get_template(f"animation/{name}")


def _fitted(spikes: Spikes, bound: int) -> tuple[Fit, list[Card], list[Card]]:
    """The largest of `FITS` whose sprites keep the bound, the smallest if none does; its cards."""
    for fit in FITS:
        scene, layers = _scene(spikes, fit), _layers(spikes, fit)
        if sum(len(card.sprite.uri) for card in (*scene, *layers)) <= bound:
            break
    return fit, scene, layers


def _scene(spikes: Spikes, fit: Fit) -> list[Card]:
    """Picture, label and prediction."""
    label = sprites.truth(spikes)
    predicted = sprites.predicted(spikes, fit)
    after = "after each step" if len(spikes.predictions) > 1 else ""
    cards = [("picture", spikes.sample, sprites.picture(spikes), False)]
    cards += [] if label is None else [("label", "", label, False)]
    cards += [("prediction", after, predicted, fit.frames)]
    return [
        Card(title, note, sprite, zoom_to(sprite.height, sprite.width, _PICTURE), moves)
        for title, note, sprite, moves in cards
    ]


def _layers(spikes: Spikes, fit: Fit) -> list[Card]:
    """The layers that fit, the input first."""
    cards = []
    for track in spread(spikes.tracks, fit.layers + 1):
        sprite = sprites.sprite_of(track, fit)
        shown = track.channels[: fit.channels]
        note = f"{_by(track.shape)}, {_spikes(track.counts[-1], track.levels)}"
        note += f"; all channels, and {', '.join(map(str, shown))}" if shown else ""
        cards.append(
            Card(
                track.name,
                note,
                sprite,
                zoom_to(*sprites.extent(track, fit.side), _SHOWN),
                fit.frames,
            )
        )
    return cards


def zoom_to(height: int, width: int, wanted: int) -> int:
    """How often a map is enlarged so that its longer side is about as long as wanted."""
    return max(1, round(wanted / max(height, width)))


def _by(shape: Shape | tuple[int, ...]) -> str:
    return "\u202f×\u202f".join(map(str, shape))


def _spikes(count: int, levels: int) -> str:
    return counted(count, "spike") if levels == 1 else f"{count:,} in all"


def _classes(spikes: Spikes) -> list[tuple[str, str]]:
    """Names and colours of the classes that are seen or predicted."""
    found = set(np.unique(spikes.predictions).tolist())
    if spikes.truth is not None:
        found |= set(np.unique(spikes.truth).tolist())
    shown = zip(spikes.classes, class_colours(spikes.classes, spikes.colours), strict=True)
    return [named for k, named in enumerate(shown) if k in found]
