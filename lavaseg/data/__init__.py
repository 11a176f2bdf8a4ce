"""Data sets by name; each one is a short file that says where its files are and how to read them.

To add one, write a function `load` that returns a `DataSet` and enter its module in `DATASETS`: its
keyword arguments are the options that a recipe may set.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from lavaseg.data.base import DataSet, Samples
from lavaseg.errors import LavasegError
from lavaseg.system.options import wrong_option
from lavaseg.system.words import or_like

__all__ = ["DATASETS", "DataSet", "Samples", "load", "source", "summary"]

DATASETS = {
    "digits-photos": "digits",
    "mnist-cifar10": "mnist_cifar10",
    "camvid": "camvid",
    "voc": "voc",
    "ade20k": "ade20k",
    "nmnist": "nmnist",
    "ddd17": "ddd17",
    "ddd17-events": "ddd17_events",
    "dsec": "dsec",
    "folder": "folder",
    "event-folder": "event_folder",
}
"""Data sets, and the module of this folder whose `load` gives each; imported when it is needed."""


def summary(name: str) -> str:
    """A data set in a few words."""
    return (function_of(name).__doc__ or "").partition("\n")[0].rstrip(".")


def source(name: str) -> str:
    """Where the files of a data set lie, its options at their defaults.

    A module whose `load` takes long says so by a function `source` of its own.

    Raises:
        LavasegError: they are missing or damaged, or an option is needed.
    """
    module = _module(name)
    if hasattr(module, "source"):
        found: str = module.source()
        return found
    return load(name).source


def function_of(name: str) -> Callable[..., DataSet]:
    """The function that reads the data set of that name; its arguments are the options."""
    found: Callable[..., DataSet] = _module(name).load
    return found


def _module(name: str) -> Any:
    return importlib.import_module(f"lavaseg.data.{DATASETS[name]}")


def load(name: str, /, **options: Any) -> DataSet:
    """The data set called `name`.

    Args:
        name: one of `DATASETS`.
        options: keyword arguments of its function.

    Raises:
        LavasegError: an unknown name or option, an option missing or out of range, or files that
            are missing or damaged.
    """
    check_name(name)
    function = function_of(name)
    parameters = inspect.signature(function).parameters
    for option in options:
        check_option(name, option)
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in options:
            raise LavasegError(f"data set {name!r} needs the option {option!r}")
    wrong = wrong_option(function, options)
    if wrong is not None:
        raise LavasegError(f"data option {wrong[0]!r} must be {wrong[1]}")
    return function(**options)


def check_name(name: str) -> None:
    """LavasegError unless there is a data set of that name."""
    if name not in DATASETS:
        raise LavasegError(f"there is no data set {name!r}{or_like(name, DATASETS)}")


def check_option(name: str, option: str) -> None:
    """LavasegError unless the data set called `name` has an option of that name."""
    known = inspect.signature(function_of(name)).parameters
    if option not in known:
        raise LavasegError(
            f"data set {name!r} has no option {option!r}{or_like(option, known, 'it has')}"
        )
