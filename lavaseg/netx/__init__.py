"""The `.net` file: NetX HDF5 that holds an integer network, ours or what SLAYER's blocks wrote."""

from lavaseg.netx.file import describe, read, stock_loadable, write
from lavaseg.netx.slayer import read_stock

__all__ = ["describe", "read", "read_stock", "stock_loadable", "write"]
