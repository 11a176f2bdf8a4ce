"""Runs one of Slurm's commands."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from lavaseg.errors import LavasegError

_PATIENCE = 60
"""Seconds that a command of Slurm may take; they wait for its controller."""


class NoSlurm(LavasegError):
    """Slurm's commands are not installed here."""


def call(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a command of Slurm prints.

    Raises:
        NoSlurm: it is not installed.
        LavasegError: it failed or took too long.
    """
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE, env=environment
        )
    except FileNotFoundError:
        raise NoSlurm(f"Slurm is not installed here ({command[0]} is not found)") from None
    except subprocess.TimeoutExpired:
        raise LavasegError(f"Slurm does not answer: {command[0]} took {_PATIENCE} s") from None
    if ended.returncode:
        words = " ".join(ended.stderr.split()) or f"exit code {ended.returncode}"
        raise LavasegError(f"Slurm's {command[0]} failed: {words}")
    return ended.stdout
