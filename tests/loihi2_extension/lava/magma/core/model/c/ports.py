"""Ports of processes on the embedded cores: names that Lava imports."""


class AbstractCPort:
    """A port of a C process."""


class CInPort(AbstractCPort):
    """Receives."""


class COutPort(AbstractCPort):
    """Sends."""


class CRefPort(AbstractCPort):
    """Reads variables of other processes."""
