"""The `.net` file: NetX HDF5 that holds an integer network, ours or one that SLAYER's blocks wrote.

A plain chain of convolutions and dense layers is written in NetX's published layout, `layer/0`,
`layer/1` and so on. Any other network keeps its numbers in the group `lavaseg`, and holds one
layer that stock NetX refuses. Either way `lavaseg/description` says in JSON what the numbers
mean, and the first 512 bytes, which HDF5 leaves to its users, hold the format's version and a
checksum of the rest. docs/netx-format.md lists every field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.netx.parameters import parameters_in_words, stored_parameters
    from lavaseg.netx.reader import read
    from lavaseg.netx.slayer import read_stock
    from lavaseg.netx.stock import stock_loadable
    from lavaseg.netx.table import describe
    from lavaseg.netx.writer import write

__all__ = [
    "describe",
    "parameters_in_words",
    "read",
    "read_stock",
    "stock_loadable",
    "stored_parameters",
    "write",
]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "describe": "table",
        "parameters_in_words": "parameters",
        "read": "reader",
        "read_stock": "slayer",
        "stock_loadable": "stock",
        "stored_parameters": "parameters",
        "write": "writer",
    },
)
