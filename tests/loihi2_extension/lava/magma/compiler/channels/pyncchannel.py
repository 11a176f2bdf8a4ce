"""A channel without an adapter: the double has none."""


class PyNcChannel:
    """Raises: neuro cores and the host speak through adapters."""

    def __init__(self, *arguments: object) -> None:
        raise TypeError("host and neuro cores were connected without an adapter")
