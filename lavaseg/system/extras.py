"""Packages that a plain installation leaves out: which extra brings each, said in one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from lavaseg.errors import LavasegError

LAVA = ("lava-nc==0.10.0", "lava-dl==0.6.0")
"""Lava, which no extra can bring: its wheels declare Python below 3.11 and torch below 2.4, so
that pip finds no solution. The two flags of `LAVA_COMMAND` make pip pass over what they declare."""

LAVA_COMMAND = f"pip install --no-deps --ignore-requires-python {' '.join(LAVA)}"


@dataclass(frozen=True)
class Extra:
    """One extra of the package, as `pip install 'lavaseg[NAME]'` installs it.

    Args:
        name: as in pyproject.toml.
        purpose: what needs it; the subject of a sentence in the plural.
        modules: top-level modules that it brings.
    """

    name: str
    purpose: str
    modules: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that installs it."""
        return f"pip install 'lavaseg[{self.name}]'"


EXTRAS = (
    Extra(
        "lava",
        "Lava's runtimes and SLAYER",
        ("asteval", "networkx", "scipy", "threadpoolctl", "lava"),
    ),
    Extra(
        "train",
        "training, export and all that runs networks in torch",
        (
            "torch",
            "torchvision",
            "lightning",
            "torchmetrics",
            "tensorboard",
            "safetensors",
            "setuptools",
        ),
    ),
    Extra(
        "events",
        "files of event cameras",
        ("faery", "lz4", "zstandard", "hdf5plugin"),
    ),
    Extra("data", "the pictures of digits-photos", ("sklearn",)),
)
"""Every extra; `all` is their sum."""

_PACKAGES = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}
"""Packages that have another name than their module."""


def package_of(module: str) -> str:
    """The package that installs a top-level module."""
    return _PACKAGES.get(module, module)


@contextlib.contextmanager
def optional() -> Iterator[None]:
    """A block for imports of packages that may be missing.

    Raises:
        LavasegError: one of them is missing; the sentence says which command brings it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise explained(error) from None


def explained(error: ModuleNotFoundError) -> Exception:
    """A LavasegError that says what to install, or `error` itself if no extra brings it."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra in EXTRAS if module in extra.modules), None)
    if extra is None:
        return error
    if module == "lava":
        return LavasegError(f"Lava is not installed: {extra.command} && {LAVA_COMMAND}")
    return LavasegError(
        f"{package_of(module)} is not installed, which {extra.purpose} need: {extra.command}"
    )
