"""A data set in a notebook: its parts, and the first samples with their labels beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lavaseg.data.base import DataSet, Samples
from lavaseg.data.colours import class_colours, data_colours, label_table
from lavaseg.errors import LavasegError
from lavaseg.events import preview
from lavaseg.recipes import Choice
from lavaseg.system.shown import by, html_picture, html_table

_SHOWN = 4
"""Samples that are shown."""
_LONGEST = 320
"""Pixels of a picture's longer side that are shown; of larger pictures some are left out."""


def html(data: DataSet, parts: Mapping[str, Samples]) -> str:
    """HTML of a data set; samples that cannot be read are left out."""
    title = f"{data.name}: {', '.join(data.classes[:12])}" + (", ..." * (len(data.classes) > 12))
    rows = ((part, f"{len(samples):,}") for part, samples in parts.items())
    return html_table(title, ["part", ">samples"], rows) + "".join(
        _sample(data, index) for index in range(min(_SHOWN, len(data.train)))
    )


def _sample(data: DataSet, index: int) -> str:
    try:
        stimulus, label = data.train[index]
    except LavasegError:
        return ""
    picture = preview(stimulus)
    step = max(1, -(-max(label.shape) // _LONGEST))
    own = class_colours(data.classes, data_colours(Choice(name=data.name)))
    colours = label_table(own, data.ignore_index)
    about = f"train {index}, {by(stimulus.shape)}"
    shown = np.moveaxis(picture[:3] if len(picture) >= 3 else picture[:1].repeat(3, 0), 0, -1)
    both = (shown[::step, ::step], colours[label][::step, ::step])
    return "<div>" + "".join(html_picture(np.ascontiguousarray(p), about) for p in both) + "</div>"
