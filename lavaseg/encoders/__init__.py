"""Encoders: pictures and events to spikes, by the same code while training and once deployed.

An encoder is a small frozen object that travels in the `.net` file. Every random draw comes
from a counter-based generator keyed by (seed, sample), so that a sample gets the same spikes
whatever the batch, the machine or the order, and any run can be replayed spike for spike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from lavaseg.encoders.base import Encoder, EncoderError
from lavaseg.encoders.events import (
    EVENT_ENCODERS,
    EventEncoder,
    EventHistogram,
    EventPresence,
    EventVoxelGrid,
)
from lavaseg.encoders.noise import Noise, NoiseError, NoiseLike, as_noise
from lavaseg.encoders.pictures import (
    PICTURE_ENCODERS,
    Direct,
    Frames,
    OnOffPoisson,
    PictureEncoder,
    Poisson,
)
from lavaseg.system.options import wrong_option
from lavaseg.system.words import or_like

__all__ = [
    "ENCODERS",
    "Direct",
    "Encoder",
    "EncoderError",
    "EventEncoder",
    "EventHistogram",
    "EventPresence",
    "EventVoxelGrid",
    "Frames",
    "Noise",
    "NoiseError",
    "NoiseLike",
    "OnOffPoisson",
    "PictureEncoder",
    "Poisson",
    "as_noise",
    "encoder_from_dict",
]

ENCODERS: dict[str, type[Encoder]] = {
    encoder.kind: encoder for encoder in (*PICTURE_ENCODERS, *EVENT_ENCODERS)
}
"""All encoders, by their names in recipes and files."""


def encoder_from_dict(data: Mapping[str, Any]) -> Encoder:
    """The encoder that `Encoder.to_dict` wrote.

    Raises:
        EncoderError: an unknown kind or a field that it does not have.
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in ENCODERS:
        raise EncoderError(
            f"unknown encoder {kind!r}{or_like(str(kind), ENCODERS, 'expected one of')}"
        )
    own = [field for field in dataclasses.fields(ENCODERS[kind]) if field.init]
    known = {field.name for field in own}
    for name in fields:
        if name not in known:
            raise EncoderError(
                f"the {kind} encoder has no field {name!r}{or_like(name, sorted(known), 'it has')}"
            )
    needed = [f.name for f in own if f.default is f.default_factory is dataclasses.MISSING]
    missing = [name for name in needed if name not in fields]
    if missing:
        raise EncoderError(f"the {kind} encoder needs a value for {' and '.join(missing)}")
    wrong = wrong_option(ENCODERS[kind], fields)
    try:
        made = ENCODERS[kind](**fields)  # says in its own words what it refuses
    except (TypeError, ValueError):
        if wrong is None:
            raise
    if wrong is not None:
        raise EncoderError(f"the {kind} encoder: {wrong[0]} must be {wrong[1]}")
    return made
