"""What a bundle runs with: lavaseg's own sources, and the versions of the packages it needs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lavaseg
from lavaseg.system.extras import LAVA

_SUFFIXES = frozenset((".py", ".yaml", ".html", ".css", ".js", ".sbatch", ".typed"))
"""Files that a package of ours consists of; what Python or Numba compiled is left out."""
PLAIN = (
    "numpy", "numba", "llvmlite", "h5py", "pillow", "matplotlib", "graphlay", "jinja2",
    "pydantic", "pyyaml", "typer", "rich", "docstring-parser", "packaging",
)  # fmt: skip
"""Packages of a plain installation, as pyproject.toml declares them."""
ON_LAVA = ("asteval", "networkx", "scipy", "threadpoolctl")
"""Packages that Lava imports: those of the extra `lava`."""


def sources() -> dict[str, bytes]:
    """The files of this package, by their path below the folder that holds it."""
    package = Path(lavaseg.__file__).parent
    return {
        f"{package.name}/{path.relative_to(package).as_posix()}": path.read_bytes()
        for path in sorted(package.rglob("*"))
        if path.is_file() and path.suffix in _SUFFIXES
    }


def requirements() -> str:
    """Lines of a requirements file: every package of a plain installation and of what Lava imports.

    Each is pinned to the version that is installed here, with all that it needs in turn. One that
    is not installed here has no version.
    """
    lines: dict[str, str] = {}
    for name in (*PLAIN, *ON_LAVA):
        _collect(Requirement(name), lines)
    return "".join(f"{lines[name]}\n" for name in sorted(lines))


def lava_requirements() -> str:
    """Lines that bring Lava itself, which pip must take without what its wheels declare."""
    return "".join(f"{name}\n" for name in LAVA if name.startswith("lava-nc"))


def _collect(needed: Requirement, lines: dict[str, str]) -> None:
    """Add a package, and those that it needs."""
    name = canonicalize_name(needed.name)
    if name in lines:
        return
    try:
        found = distribution(name)
    except PackageNotFoundError:
        lines[name] = f"{name}{needed.specifier}"
        return
    lines[name] = f"{name}=={found.version}"
    for text in found.requires or ():
        other = Requirement(text)
        extras = ("", *needed.extras)
        if other.marker is None or any(other.marker.evaluate({"extra": e}) for e in extras):
            _collect(other, lines)
