"""Reads a `.net` file, which may come from a stranger, into an integer network.

The checksum is compared before the HDF5 library sees a byte, and then every number is checked
against the description: its place, type, shape, range and storage. Only plain arrays inside the
file are read, never more bytes than the file has.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lavaseg.network.integers import Bias, IntegerNetwork, check_bias, check_weights, hands_on
from lavaseg.netx.description import Description, parse_description
from lavaseg.netx.hdf5 import Reader, opened, read_image
from lavaseg.netx.header import check_header
from lavaseg.netx.layout import (
    BIAS,
    DELAY,
    DESCRIPTION,
    LAYOUTS,
    TEXT,
    WEIGHT,
    Layout,
    stored_delays,
    stored_weight_shape,
)
from lavaseg.netx.limits import MAX_DESCRIPTION
from lavaseg.netx.stock import stock_loadable


def read(path: str | Path) -> IntegerNetwork:
    """The network of a `.net` file, equal to the one that was written.

    Raises:
        LavasegError: the file is missing, damaged, of another program or of a newer version, or
            a field is missing, unknown, of the wrong type or shape, or out of range.
    """
    image = read_image(Path(path))
    check_header(image, str(path))
    with opened(image, str(path)) as file:
        return NetReader(file, str(path), len(image)).network()


class NetReader(Reader):
    """Reads one open file of lavaseg's own."""

    def network(self) -> IntegerNetwork:
        """The network, once every number of the file agrees with the description."""
        data = parse_description(self._text())
        layout = LAYOUTS[data.layout](data.network, data.bias_exponents)
        self._check_members(layout)
        for path, expected in layout.fields.items():
            found = self.array(path, expected.dtype, expected.shape)
            if not np.array_equal(found, expected):
                self.refuse(path, f"is {_show(found)}, the description expects {_show(expected)}")
        for path, projection in layout.delays.items():
            shape = stored_weight_shape(data.network, projection)
            found = self.array(path, DELAY, shape)
            if not np.array_equal(found, stored_delays(data.network, projection)):
                self.refuse(path, f"holds other delays than projection {projection.name!r} has")
        net = IntegerNetwork(
            data.network,
            self._weights(layout, data),
            data.encoder,
            data.classes,
            self._biases(layout, data),
            data.scales,
            self._clocks(layout, data),
        )
        if (layout.name == "sequence") != stock_loadable(net)[0]:
            self.refuse("layout", f"is {layout.name!r}, which does not suit this network")
        return net

    def array(self, path: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """The numbers at `path`, which have this type and shape."""
        dataset = self.dataset(path)
        if dataset.dtype != dtype:
            self.refuse(path, f"has type {dataset.dtype}, expected {dtype}")
        if dataset.shape != shape:
            self.refuse(path, f"has shape {dataset.shape}, expected {shape}")
        return self.numbers(path, dataset)

    def _text(self) -> bytes:
        shape = self.dataset(DESCRIPTION).shape
        if shape is None or len(shape) != 1 or shape[0] > MAX_DESCRIPTION:
            self.refuse(DESCRIPTION, f"has shape {shape}, expected at most {MAX_DESCRIPTION} bytes")
        return self.array(DESCRIPTION, TEXT, shape).tobytes()

    def _check_members(self, layout: Layout) -> None:
        """Refuse members that the format does not know: layers, neurons' fields or groups."""
        paths, groups = layout.paths, layout.groups
        for group in sorted(groups):
            for name in self.group(group):
                path = f"{group}/{name}".lstrip("/")
                if path not in groups and path not in paths:
                    self.refuse(path, "is unknown: it does not belong to the network described")

    def _weights(self, layout: Layout, data: Description) -> dict[str, np.ndarray]:
        found = {}
        for path, projection in layout.weights.items():
            stored = self.array(path, WEIGHT, stored_weight_shape(data.network, projection))
            if not hands_on(projection, stored):
                check_weights(projection.name, stored)
            shape = data.network.synapse_shape(projection)
            found[projection.name] = stored.astype(np.int16).reshape(shape)
        return found

    def _biases(self, layout: Layout, data: Description) -> dict[str, Bias]:
        found = {}
        for path, name in layout.biases.items():
            channels = data.network.shape(name)[0]
            mantissa = self.array(path, BIAS, (channels,)).astype(np.int32)
            found[name] = Bias(mantissa, data.bias_exponents[name])
            check_bias(name, found[name], channels)
        return found

    def _clocks(self, layout: Layout, data: Description) -> dict[str, np.ndarray]:
        found = {}
        for path, name in layout.clocks.items():
            shape = data.encoder.steps, data.network.shape(name)[0]
            found[name] = self.array(path, WEIGHT, shape).astype(np.int16)
        return found


def _show(value: np.ndarray) -> str:
    if value.dtype.kind == "S":
        return repr(value.ravel()[0].decode("ascii", "replace"))
    return str(value.tolist())
