"""Limits of Loihi 2 at the terminal: what a network meets, and what to do about each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lavaseg.cli.console import complain, say
from lavaseg.system.words import counted

if TYPE_CHECKING:
    from lavaseg.chip import Finding
    from lavaseg.network.integers import IntegerNetwork


def say_limits(findings: Iterable[Finding]) -> None:
    """A line for each limit that the network meets, remarks of one kind together."""
    from lavaseg.chip.limits import grouped

    found = grouped(findings)
    say(f"Loihi 2     {_verdict(found)}")
    for finding in found:
        say(f"  {finding.severity:<8}  {finding}")


def say_remarks(net: IntegerNetwork) -> None:
    """Before a board runs a network, on stderr: what is repaired, and what nobody knows.

    Raises:
        LavasegError: as of `check_limits`, or there is no extension for a board.
    """
    from lavaseg.deploy.loihi2 import check_limits
    from lavaseg.deploy.loihi2.system import check_extension

    check_extension()
    for finding in check_limits(net):
        complain(f"{finding.severity}: {finding}")


def _verdict(found: Iterable[Finding]) -> str:
    severities = [finding.severity for finding in found]
    if not severities:
        return "meets no known limit (never run on a chip)"
    refused, repaired = severities.count("refuses"), severities.count("repaired")
    state = f"{refused} known limits are broken" if refused > 1 else "1 known limit is broken"
    if not refused:
        state = "no known limit is broken"
    remarks = severities.count("warns")
    return f"{state}, {repaired} repaired, {counted(remarks, 'remark')} (never run on a chip)"
