"""One of several processes that train together: `python -m lavaseg.training.member`, job on stdin.

It is started by `lavaseg/training/company.py`, whose end ends it, too.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from lavaseg.errors import LavasegError
from lavaseg.system.environment import settle
from lavaseg.system.faults import explanation
from lavaseg.system.session import end_with_owner
from lavaseg.system.threads import limit_threads


def main(job: dict[str, Any]) -> None:
    """Train as the job says, and leave all files to the first process."""
    limit_threads(job["threads"])

    from torch import distributed

    from lavaseg import recipes
    from lavaseg.kernels.devices_torch import Devices
    from lavaseg.training.company import HOST, joined, ready
    from lavaseg.training.experiment import with_others
    from lavaseg.training.ranks import Rank

    devices = Devices(job["kind"], tuple(job["devices"]))
    rank = Rank(job["number"], len(devices.numbers))
    recipe = recipes.parse(job["recipe"])
    start = None if job["start"] is None else Path(job["start"])
    store = distributed.TCPStore(HOST, job["port"], rank.count, is_master=False)
    train = with_others(recipe, Path(job["folder"]), devices, rank, start)
    ready(store, rank.number)
    with joined(store, rank, devices):
        train()


def _main() -> int:
    settle(os.environ)
    job = json.loads(sys.stdin.buffer.readline())
    end_with_owner(lambda: None)
    try:
        main(job)
    except LavasegError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if (sentence := explanation(error)) is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main())
