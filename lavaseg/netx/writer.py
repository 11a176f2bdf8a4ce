"""Writes an integer network as a `.net` file."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np

from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx.description import description_text
from lavaseg.netx.header import HEADER_SIZE, header
from lavaseg.netx.layout import (
    BIAS,
    DESCRIPTION,
    LAYOUTS,
    TEXT,
    WEIGHT,
    stored_delays,
    stored_weight_shape,
)
from lavaseg.netx.limits import MAX_FILE, check_limits
from lavaseg.netx.stock import stock_loadable
from lavaseg.system.files import write_atomically


def write(net: IntegerNetwork, path: str | Path) -> None:
    """Write `net` as a `.net` file, atomically: an older file stays until the new one is whole.

    The same network always gives the same bytes.

    Raises:
        LavasegError: the folder cannot be written, or the network is larger than a file may hold.
    """
    check_limits(net.network)
    body = _hdf5(net)[HEADER_SIZE:]
    if HEADER_SIZE + len(body) > MAX_FILE:
        raise LavasegError(f"{path} cannot be written: a file holds up to {MAX_FILE} bytes")
    write_atomically(path, header(body) + body)


def _hdf5(net: IntegerNetwork) -> bytes:
    network = net.network
    layout = LAYOUTS["sequence" if stock_loadable(net)[0] else "graph"](network, net.biases)
    arrays = dict(layout.fields)
    for path, projection in layout.weights.items():
        weight = net.weights[projection.name].astype(WEIGHT)
        arrays[path] = weight.reshape(stored_weight_shape(network, projection))
    for path, projection in layout.delays.items():
        arrays[path] = stored_delays(network, projection)
    for path, name in layout.biases.items():
        arrays[path] = net.biases[name].mantissa.astype(BIAS)
    for path, name in layout.clocks.items():
        arrays[path] = net.clocks[name].astype(WEIGHT)
    arrays[DESCRIPTION] = np.frombuffer(description_text(net, layout.name), TEXT)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=HEADER_SIZE) as file:
        for path, values in arrays.items():
            file.create_dataset(path, data=values)
    return buffer.getvalue()
