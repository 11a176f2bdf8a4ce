"""Data sets by name; each one is a short file that says where its files are and how to read them.

To add one, write a function that returns a `DataSet` and enter it in `DATASETS`: its keyword
arguments are the options that a recipe may set.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lavaseg.data import (
    ade20k,
    camvid,
    ddd17,
    ddd17_events,
    digits,
    dsec,
    event_folder,
    folder,
    mnist_cifar10,
    nmnist,
    voc,
)
from lavaseg.data.base import DataSet, Samples
from lavaseg.errors import LavasegError

__all__ = ["DATASETS", "DataSet", "Samples", "load"]

DATASETS: dict[str, Callable[..., DataSet]] = {
    "digits-photos": digits.load,
    "mnist-cifar10": mnist_cifar10.load,
    "camvid": camvid.load,
    "voc": voc.load,
    "ade20k": ade20k.load,
    "nmnist": nmnist.load,
    "ddd17": ddd17.load,
    "ddd17-events": ddd17_events.load,
    "dsec": dsec.load,
    "folder": folder.load,
    "event-folder": event_folder.load,
}


def load(name: str, /, **options: Any) -> DataSet:
    """The data set called `name`.

    Args:
        name: one of `DATASETS`.
        options: keyword arguments of its function.

    Raises:
        LavasegError: an unknown name or option, an option missing or out of range, or files that
            are missing or damaged.
    """
    if name not in DATASETS:
        raise LavasegError(f"there is no data set {name!r}; there are " + ", ".join(DATASETS))
    parameters = inspect.signature(DATASETS[name]).parameters
    for option in options:
        if option not in parameters:
            raise LavasegError(
                f"data set {name!r} has no option {option!r}; it has " + ", ".join(parameters)
            )
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in options:
            raise LavasegError(f"data set {name!r} needs the option {option!r}")
    return DATASETS[name](**options)
