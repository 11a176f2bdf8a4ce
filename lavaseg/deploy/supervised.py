"""The process that runs Lava's runtime: `python -m lavaseg.deploy.supervised FOLDER`.

Importing Lava takes seconds, and the process that asked for it may be killed in any of them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from lavaseg.system.session import end_with_owner, remove, sweep_shared_memory


def main(folder: Path) -> None:
    """Run the job in `folder`, and end with the process that asked for it."""
    end_with_owner(lambda: _leave(folder))

    from lavaseg.deploy.lava.child import main as run

    run(folder)


def _leave(folder: Path) -> None:
    """Remove all that the job has made."""
    for process in multiprocessing.active_children():
        # they could make more; killed, they would be a failure, upon which this process ends early
        with suppress(OSError, TypeError):
            os.kill(process.pid, signal.SIGSTOP)  # type: ignore[arg-type]
    with suppress(OSError, ValueError, KeyError):
        sweep_shared_memory(json.loads((folder / "job.json").read_text("utf-8"))["prefix"])
    remove(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
