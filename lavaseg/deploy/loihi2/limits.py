"""What a board would do wrong without a word is refused before anything runs there."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lavaseg.chip.limits import Finding, find_limits, grouped
from lavaseg.deploy.loihi2.system import check_extension
from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork


def check_limits(net: IntegerNetwork) -> tuple[Finding, ...]:
    """The limits of Loihi 2 that a network meets and that are repaired, or are mere remarks.

    Raises:
        LavasegError: it breaks one: spikes would be lost, or it would not compile.
    """
    found = grouped(find_limits(net))
    refused = [finding for finding in found if finding.severity == "refuses"]
    if refused:
        more = f" (and {len(refused) - 1} more: `lavaseg map NET --check`)" * (len(refused) > 1)
        raise LavasegError(f"Loihi 2 does not take this network: {refused[0]}{more}")
    return found


def check_board(net: IntegerNetwork, spikes: np.ndarray, record: Iterable[str] | str) -> None:
    """Raise LavasegError if no board could run the network from here, whichever it is."""
    check_extension()
    check_limits(net)
