"""Trained network to integers to NetX HDF5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lavaseg.export.lowering import PopulationRange, check_ranges
from lavaseg.export.netx import describe, read, stock_loadable, write
from lavaseg.export.stock import read_stock

if TYPE_CHECKING:
    from lavaseg.export.converted import convert_run
    from lavaseg.export.pipeline import export

__all__ = [
    "PopulationRange",
    "check_ranges",
    "convert_run",
    "describe",
    "export",
    "read",
    "read_stock",
    "stock_loadable",
    "write",
]


def __getattr__(name: str) -> Any:
    """These two wait for torch and SLAYER: `export` trains (to fine-tune), `convert_run` runs."""
    if name == "export":
        from lavaseg.export.pipeline import export

        return export
    if name == "convert_run":
        from lavaseg.export.converted import convert_run

        return convert_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
