"""Trained network to integers to NetX HDF5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lavaseg.export.lowering import PopulationRange, check_ranges
from lavaseg.export.netx import describe, read, stock_loadable, write
from lavaseg.export.stock import read_stock

if TYPE_CHECKING:
    from lavaseg.export.pipeline import export

__all__ = [
    "PopulationRange",
    "check_ranges",
    "describe",
    "export",
    "read",
    "read_stock",
    "stock_loadable",
    "write",
]


def __getattr__(name: str) -> Any:
    """`export` trains (to fine-tune), so it alone waits for torch and SLAYER."""
    if name == "export":
        from lavaseg.export.pipeline import export

        return export
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
