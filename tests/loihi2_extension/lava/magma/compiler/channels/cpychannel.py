"""Channels between the host and embedded cores: Lava's own, in shared memory."""

from lava.magma.compiler.channels.pypychannel import PyPyChannel


class CPyChannel(PyPyChannel):
    """From an embedded core to the host."""


class PyCChannel(PyPyChannel):
    """From the host to an embedded core."""
