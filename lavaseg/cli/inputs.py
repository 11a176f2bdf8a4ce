"""What commands are pointed at: run folders, `.net` files, pictures, folders, data sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from lavaseg.errors import LavasegError

if TYPE_CHECKING:
    from lavaseg.data.base import DataSet
    from lavaseg.integers import IntegerNetwork
    from lavaseg.network import Shape
    from lavaseg.recipes import Choice
    from lavaseg.training import Run

FIRST = 16
"""Samples taken from a data set when the user names none."""


@dataclass(frozen=True)
class Pictures:
    """Pictures to run.

    Args:
        names: for messages and file names.
        pictures: uint8 (N, channels, height, width).
        numbers: key the encoder's draws; of a data set's sample, the same as in an evaluation.
        remark: what the user should know about the choice, or ''.
    """

    names: tuple[str, ...]
    pictures: np.ndarray
    numbers: Sequence[int]
    remark: str = ""


def open_run(path: Path) -> Run:
    """The run in a folder; LavasegError if there is none."""
    if not path.exists():
        raise LavasegError(
            f"there is no run folder {path}: `lavaseg train RECIPE --out {path}` makes one"
        )
    from lavaseg.training import Run

    return Run.open(path)


def open_net(path: Path) -> IntegerNetwork:
    """The network in a `.net` file; LavasegError if there is none."""
    if not path.exists():
        raise LavasegError(f"there is no file {path}: `lavaseg export RUN -o {path}` makes one")
    if path.is_dir():
        raise LavasegError(f"{path} is a folder, expected a .net file such as {path / 'net.net'}")
    from lavaseg.export import read

    return read(path)


def check_exists(target: Path) -> None:
    """LavasegError unless a command's RUN|NET is a folder or a file."""
    if not target.exists():
        raise LavasegError(
            f"there is no run folder and no .net file {target}: `lavaseg train` makes runs, "
            "`lavaseg export` makes .net files"
        )


def data_options(items: Iterable[str]) -> dict[str, Any]:
    """Options of a data set from FIELD=VALUE words; values are YAML."""
    options = {}
    for item in items:
        field, equals, value = item.partition("=")
        if not field or not equals:
            raise LavasegError(f"--set {item!r}: expected field=value, such as test=100")
        try:
            options[field] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise LavasegError(f"--set {item!r}: {value!r} is not a YAML value") from None
    return options


def data_beside(net: Path) -> Choice | None:
    """The data set of the run that a `.net` file lies in; None if it lies elsewhere."""
    from lavaseg.recipes import load

    recipe = net.resolve().parent / "recipe.yaml"
    return load(recipe).data if recipe.is_file() else None


def load_data(name: str | None, options: dict[str, Any], beside: Choice | None) -> DataSet:
    """The data set that the user named, or else that of the run that the network lies in.

    A data set that is named without options, and is the run's own, gets the run's options.
    """
    if name is None and beside is None:
        raise LavasegError("this network lies in no run folder: say on which data with --data NAME")
    from lavaseg.data import load

    if beside is not None and name in (None, beside.name):
        return load(beside.name, **{**beside.options, **options})
    return load(str(name), **options)


def picture_shape(net: IntegerNetwork) -> Shape:
    """(channels, height, width) of the pictures whose spikes fit the network's input."""
    channels, height, width = net.network.input.shape
    for count in range(1, channels + 1):
        if net.encoder.shape((count, height, width)) == net.network.input.shape:
            return count, height, width
    raise LavasegError(
        f"no picture gives input spikes of shape {net.network.input.shape} with the "
        f"{net.encoder.kind} encoder"
    )


def check_fits(net: IntegerNetwork, data: DataSet) -> None:
    """LavasegError unless the network takes the data set's pictures and has its classes."""
    wanted = picture_shape(net)
    if data.picture_shape != wanted:
        raise LavasegError(
            f"data set {data.name!r} has pictures of shape {data.picture_shape}, "
            f"the network takes {wanted}"
        )
    if len(data.classes) != len(net.classes):
        raise LavasegError(
            f"data set {data.name!r} has {len(data.classes)} classes, "
            f"the network has {len(net.classes)}"
        )


def load_pictures(
    source: str, net: IntegerNetwork, beside: Choice | None = None, options: Iterable[str] = ()
) -> Pictures:
    """The pictures that IMAGE_OR_DATA names, in the shape that a network takes.

    Args:
        source: a picture, a folder of pictures, or a data set as NAME, NAME:INDEX or
            NAME:START-STOP (STOP not included; numbers of test samples).
        net: image files are scaled to the pictures that it takes; arrays must have that shape.
        beside: data set of the network's run; its options are used where the name is the same.
        options: FIELD=VALUE words, options of the data set.

    Raises:
        LavasegError: nothing of that name, no picture, or a shape that does not fit.
    """
    from lavaseg.data.pictures import SUFFIXES, read_picture

    path = Path(source)
    if not path.exists():
        return _from_data(source, net, beside, data_options(options))
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise LavasegError(f"folder {path} has no pictures ({', '.join(SUFFIXES)})")
    shape = picture_shape(net)
    pictures = np.stack([read_picture(file, shape) for file in files])
    return Pictures(tuple(f.stem for f in files), pictures, range(len(files)))


def _from_data(
    source: str, net: IntegerNetwork, beside: Choice | None, options: dict[str, Any]
) -> Pictures:
    from lavaseg.data import DATASETS

    name, _, part = source.partition(":")
    if name not in DATASETS:
        raise LavasegError(
            f"{source!r} is neither a picture, a folder of pictures nor a data set; the data sets "
            f"are {', '.join(DATASETS)}"
        )
    data = load_data(name, options, beside)
    check_fits(net, data)
    numbers = _numbers(source, part, len(data.test))
    pictures = np.stack([data.test[i][0] for i in numbers])
    remark = ""
    if not part and len(data.test) > FIRST:
        remark = f"the first {FIRST} test samples; {name}:0-{len(data.test)} takes all"
    return Pictures(tuple(f"{name}-{i}" for i in numbers), pictures, numbers, remark)


def _numbers(source: str, part: str, count: int) -> range:
    """The test samples that INDEX or START-STOP names; the first ones if nothing is said."""
    if not part:
        return range(min(FIRST, count))
    start, dash, stop = part.partition("-")
    if not start.isdecimal() or (dash and not stop.isdecimal()):
        raise LavasegError(f"{source!r}: expected NAME, NAME:INDEX or NAME:START-STOP")
    first, last = int(start), int(stop) if dash else int(start) + 1
    if not first < last <= count:
        raise LavasegError(f"{source!r}: there are test samples 0 to {count - 1}")
    return range(first, last)
