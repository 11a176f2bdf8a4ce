"""What this machine can do: everything that the package needs, looked at piece by piece.

Nothing is changed, nothing is imported that is heavy, and each program that is asked has a time
limit, so that a driver or a cluster that hangs holds nothing up.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lavaseg.deploy.doctor import cluster, machine, packages
from lavaseg.deploy.doctor.check import (
    GOOD,
    MISSING,
    PURPOSES,
    WRONG,
    Check,
    as_plain,
    obstacles,
)
from lavaseg.deploy.doctor.probes import Probes

__all__ = ["GOOD", "MISSING", "PURPOSES", "WRONG", "Check", "as_plain", "examine", "obstacles"]

Examination = Callable[[Probes], list[Check]]

EXAMINATIONS: tuple[Examination, ...] = (
    packages.python,
    packages.kernels,
    packages.extras,
    packages.torch,
    packages.lava,
    machine.shared_memory,
    machine.start_method,
    machine.threads,
    machine.memory,
    machine.disk,
    machine.open_files,
    machine.data,
    cluster.cluster,
)
"""Every examination gives one check or several; to add one, enter its function here."""


def examine(*, patience: float = 60.0) -> tuple[Check, ...]:
    """Look at everything, several things at a time.

    Args:
        patience: seconds that each program which is asked has at most.

    Returns:
        The checks, always in the same order.
    """
    with (
        Probes(patience) as probes,
        ThreadPoolExecutor(len(EXAMINATIONS)) as pool,
    ):
        try:
            found = list(pool.map(lambda look: _checked(look, probes), EXAMINATIONS))
        except BaseException:
            probes.close()  # before the pool waits for its threads
            raise
    return tuple(check for checks in found for check in checks)


def _checked(look: Examination, probes: Probes) -> list[Check]:
    """The checks of an examination, which is itself reported if it fails."""
    try:
        return look(probes)
    except Exception as error:  # a broken machine breaks what looks at it
        name = look.__name__.replace("_", " ")
        found = f"it cannot be examined: {type(error).__name__}: {error}"
        return [Check(name, WRONG, found, "read what is said, and mend that", tuple(PURPOSES))]
