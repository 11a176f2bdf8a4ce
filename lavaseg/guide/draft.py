"""A recipe that fits a data set: classes, size, weights, batches and epochs follow from its files.

Model, encoder and rates are those of the recipes that were tuned here. What is chosen is a place
to begin: it trains at once, on a CPU in minutes to hours, and is no tuned result.
"""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg import data, models
from lavaseg.data.base import DataSet
from lavaseg.data.event_files import SUFFIXES as RECORDINGS
from lavaseg.data.folder import files_of
from lavaseg.data.pictures import SUFFIXES as PICTURES
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.guide.labels import Mark, choose, class_pixels, look, names_beside, read_names
from lavaseg.network import Input, Size
from lavaseg.recipes import Recipe, parse
from lavaseg.system.words import counted, percent

OWN = {"folder": ("pictures", PICTURES), "event-folder": ("recordings", RECORDINGS)}
"""Data sets of one's own files: the folder of the stimuli, and what their names end in."""
AREA = 96 * 128
"""Pixels of a sample that a narrow network trains on in minutes to hours on a CPU."""
GRID = 4
"""Sides of samples are multiples of it, as the read-out's stride is."""
NARROW = 48
"""A side below which sheets are not made smaller within the network."""
STEPS = 2500
"""Optimiser steps that the recipes tuned here take, about."""
FEWEST = 10
"""Epochs of a large data set."""
PASSES = (20, 100)
"""The most epochs, as many as there are pictures between these: over a few pictures, further ones
learn them by heart, and a first result is worth more."""
BATCH = (2, 8)
"""Samples of a batch; small ones where pictures are few, so that an epoch has several steps."""
UNEVEN = 4.0
"""Times that the most frequent class may outweigh the rarest before classes get weights."""
LOOKED_AT = 200
"""Samples that are looked at of a data set whose classes are known."""


@dataclass(frozen=True)
class Draft:
    """A recipe and why it is what it is.

    Args:
        recipe: checked; its data set was opened, and its network can be built.
        remarks: a sentence on each thing that was found or chosen.
    """

    recipe: Recipe
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Seen:
    """Sizes of samples, and pixels of each class."""

    sizes: Counter[Size]
    pixels: np.ndarray


def draft(
    name: str = "folder",
    *,
    called: str | None = None,
    names: Sequence[str] = (),
    report: Callable[[int, int], None] = lambda *_: None,
    **options: Any,
) -> Draft:
    """A recipe for a data set.

    Args:
        name: of the data set.
        called: name of the recipe; by default that of the data set, or of its folder.
        names: of the classes of one's own files, in the order of their ids.
        report: called with (files done, files in all) while label maps are read.
        options: of the data set; of one's own files `root` at least.

    Raises:
        LavasegError: no such data set or option, or files that cannot be used.
    """
    data.check_name(name)
    for option in options:
        data.check_option(name, option)
    if name in OWN:
        seen, options, remarks = _own(name, names, options, report)
    elif names:
        raise LavasegError(f"the classes of {name!r} have names: leave the option classes out")
    else:
        seen, remarks = _known(name, options), []
    size, options, more = _sized(name, seen, options)
    whole = data.load(name, **options)
    stimulus, _ = whole.train[0]
    events = isinstance(stimulus, Events)
    encoder, sheet = _encoder(whole, size) if events else ({**_PICTURES}, size)
    model = _small() if min(sheet) < NARROW else _usual()
    training, why = _training(whole, seen.pixels)
    title = f"Spiking-DeepLab on {options['root'] if name in OWN else name}, {_text(sheet)}"
    fields = {
        "name": called or _called(name, options),
        "title": title,
        "data": {"name": name, "options": options},
        "model": model,
        "encoder": encoder,
        "augment": {} if events else _augmentation(whole),
        "training": training,
        "finetune": {"epochs": 2, "learning_rate": 0.0005},
    }
    recipe = parse({k: v for k, v in fields.items() if v}, "as drafted")
    _check(recipe, whole)
    return Draft(recipe, (*remarks, *more, *whole.remarks, *why))


_PICTURES = {"kind": "direct", "steps": 4, "bits": 6}


def _own(
    name: str,
    names: Sequence[str],
    options: Mapping[str, Any],
    report: Callable[[int, int], None],
) -> tuple[_Seen, dict[str, Any], list[str]]:
    """What one's own files hold, and the options that follow."""
    if "root" not in options:
        raise LavasegError(f"data set {name!r} needs the option 'root', its folder")
    root = Path(options["root"]).expanduser()
    kind, endings = OWN[name]
    found = files_of(str(root), kind, endings, options.get("label_suffix"))
    files = [label for pairs in found.parts.values() for _, label in pairs]
    if len(files) < 3:
        raise LavasegError(
            f"{root} holds {counted(len(files), 'sample')}, expected 3 or more: to train, to "
            "select the model, and to test"
        )
    held = look(files, report)
    remarks = [f"{counted(len(files), 'sample')} in {root}"]
    options = {"root": options["root"], **options}
    if "classes" not in options:
        beside = names_beside(root)
        known: dict[str, Mark | None] = dict.fromkeys(names)
        if not known and beside is not None:
            known = read_names(beside)
            remarks.append(f"names of classes are those in {beside}")
        chosen = choose(held, known)
        options["classes"] = chosen.classes
        if "ignore" not in options and chosen.ignore is not None:
            options["ignore"] = chosen.ignore
        remarks += chosen.remarks
    pixels = class_pixels(held, options["classes"], options.get("ignore"))
    if name == "event-folder" and "sensor" not in options:
        options["sensor"] = list(held.sizes.most_common(1)[0][0])
        remarks.append(f"the sensor is as large as the label maps, {_text(options['sensor'])}")
    return _Seen(held.sizes, pixels), options, remarks


def _known(name: str, options: Mapping[str, Any]) -> _Seen:
    """What samples of a data set with known classes hold, some of them."""
    whole = data.load(name, **options)
    pixels, sizes = np.zeros(len(whole.classes), np.int64), Counter[Size]()
    count = min(len(whole.train), LOOKED_AT)
    for number in range(count):
        stimulus, label = whole.train[number * len(whole.train) // count]
        sizes[stimulus.shape[1], stimulus.shape[2]] += 1
        pixels += np.bincount(label[label != whole.ignore_index], minlength=len(pixels))
    return _Seen(sizes, pixels)


def _sized(
    name: str, seen: _Seen, options: Mapping[str, Any]
) -> tuple[Size, dict[str, Any], list[str]]:
    """The size of samples, the option that gives it to them, and why."""
    given = options.get("size")
    if given is not None:
        height, width = (given, given) if isinstance(given, int) else given
        return (height, width), dict(options), []
    usual = seen.sizes.most_common(1)[0][0]
    if "size" not in inspect.signature(data.function_of(name)).parameters:
        return usual, dict(options), []
    if len(seen.sizes) == 1 and math.prod(usual) <= AREA:
        return usual, dict(options), []
    size = fitting(seen.sizes)
    why = f"samples of {_text(usual)}" if len(seen.sizes) == 1 else "samples of several sizes"
    return (
        size,
        {**options, "size": list(size)},
        [f"{why} are resized to {_text(size)}; a larger size costs time and may see more"],
    )


def fitting(sizes: Mapping[Size, int]) -> Size:
    """A size of at most `AREA` pixels with the usual sides' ratio.

    Args:
        sizes: number of samples of each size.
    """
    each = np.repeat([*sizes], [*sizes.values()], axis=0)
    height, width = np.median(each, axis=0)
    factor = min(1.0, math.sqrt(AREA / (height * width)))
    rows, columns = (max(GRID, GRID * math.floor(side * factor / GRID)) for side in (height, width))
    return rows, columns


def _encoder(whole: DataSet, sensor: Size) -> tuple[dict[str, Any], Size]:
    """An encoder of events, and the size of its sheet."""
    height, width = sensor
    factor = max(1, math.ceil(math.sqrt(height * width / AREA)))
    encoder: dict[str, Any] = {"kind": "event_presence", "steps": 6, "sensor": [height, width]}
    if factor > 1:
        encoder["factor"] = factor
    seen = height - height % factor, width - width % factor
    if seen != sensor:
        top, left = (height - seen[0]) // 2, (width - seen[1]) // 2
        encoder["crop"] = [top, left, *seen]
    return encoder, (seen[0] // factor, seen[1] // factor)


def _usual() -> dict[str, Any]:
    """As the recipe `camvid`."""
    channels, dilations = [8, 8, 24, 32, 64, 64, 64, 64], [1, 1, 1, 2, 2, 4, 8, 1]
    options = {"channels": channels, "dilations": dilations, "output_stride": 4}
    return {"name": "spiking_deeplab", "options": options}


def _small() -> dict[str, Any]:
    """As the recipe `demo`."""
    channels, dilations = [12, 12, 12, 12, 12, 12, 12, 16], [1, 1, 2, 2, 4, 4, 1, 1]
    options = {"channels": channels, "dilations": dilations, "output_stride": 1}
    return {"name": "spiking_deeplab", "options": options}


def _augmentation(whole: DataSet) -> dict[str, Any]:
    """Mirroring and zoom; smaller only where an ignore index can stand beyond the border."""
    least = 1.0 if whole.ignore_index is None else 0.8
    return {"flip": True, "scale": [least, 1.25]}


def _training(whole: DataSet, pixels: np.ndarray) -> tuple[dict[str, Any], list[str]]:
    fraction = 0.1
    samples = len(whole.train)
    if whole.validation is None:
        samples -= max(1, round(fraction * samples))
    batch = min(samples, BATCH[1], max(BATCH[0], samples // BATCH[1]))
    most = min(PASSES[1], max(PASSES[0], samples))
    epochs = min(most, max(FEWEST, math.ceil(STEPS * batch / samples)))
    training: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch,
        "learning_rate": 0.005,
        "schedule": "one_cycle",
        "surrogate": {"kind": "triangle", "width": 1.0, "height": 1.0, "reset": "gate"},
    }
    remarks = [
        f"{epochs} epochs in batches of {batch}, for {counted(samples, 'sample')} to train on: "
        "`lavaseg train` takes others by --set training.epochs=N"
    ]
    shares = pixels[pixels > 0] / max(1, pixels.sum())
    if len(shares) and shares.max() > UNEVEN * shares.min():
        training["class_weights"] = "root_median_frequency"
        remarks.append(
            f"classes have {percent(shares.min())} to {percent(shares.max())} of the pixels, so "
            "rare ones count more (training.class_weights)"
        )
    return training, remarks


def _check(recipe: Recipe, whole: DataSet) -> None:
    """Raises LavasegError unless the network can be built for the data."""
    encoder = recipe.encoder_object
    sheet = Input("input", encoder.shape(whole.picture_shape), encoder.message_bits)
    models.build(recipe.model.name, sheet, len(whole.classes), **recipe.model.options)


def _called(name: str, options: Mapping[str, Any]) -> str:
    if name not in OWN:
        return f"my-{name}"
    folder = Path(options["root"]).expanduser().resolve().name
    return "".join(c if c.isprintable() and c not in "/\\" else "-" for c in folder) or name


def _text(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"
