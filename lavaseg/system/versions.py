"""Versions of the packages that compute, for files that must say what they came from."""

from __future__ import annotations

import platform
from importlib import metadata

PACKAGES = ("lavaseg", "lava-nc", "lava-dl", "torch", "lightning", "numpy")


def versions() -> dict[str, str]:
    """The version of Python and of each of `PACKAGES`."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        found[package] = version_of(package) or "not installed as a package"
    return found


def version_of(package: str) -> str | None:
    """The version of a package; None if there is no such package here."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
