"""The process that runs Lava's runtime: `python -m lavaseg.deploy.supervised FOLDER`.

Importing Lava takes seconds, and the process that asked for it may be killed in any of them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from lavaseg.system.session import end_with_owner, remove, sweep_shared_memory

_PATIENCE = 2.0
"""Seconds in which the main thread should come from whatever it computes to its next line."""


def main(folder: Path) -> None:
    """Run the job in `folder`, and end with the process that asked for it."""
    held = threading.Event()

    def hold(*_: object) -> None:
        held.set()
        while True:
            time.sleep(60)

    signal.signal(signal.SIGUSR1, hold)
    end_with_owner(lambda: _leave(folder, held))

    from lavaseg.deploy.lava.child import main as run

    run(folder)


def _leave(folder: Path, held: threading.Event) -> None:
    """Remove all that the job has made, before its session is killed.

    Whoever still works could make more: the main thread is held, and processes are stopped. Killed,
    they would be a failure, upon which this process ends early. If the main thread does not come
    to be held, the folder stays for the next command, whose `clear_up` removes all that is of it.
    """
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    quiet = held.wait(_PATIENCE)
    for process in multiprocessing.active_children():
        with suppress(OSError, TypeError):
            os.kill(process.pid, signal.SIGSTOP)  # type: ignore[arg-type]
    if quiet:
        with suppress(OSError, ValueError, KeyError):
            sweep_shared_memory(json.loads((folder / "job.json").read_text("utf-8"))["prefix"])
        remove(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
