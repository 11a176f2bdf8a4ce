"""Questions put to other programs, each bounded in time: a program that hangs is ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import lavaseg


@dataclass(frozen=True)
class Answer:
    """What a program said.

    Args:
        code: exit code; None if it was ended because its time was up.
        output: standard output.
        errors: standard error.
        seconds: how long it took.
    """

    code: int | None
    output: str
    errors: str
    seconds: float

    @property
    def fault(self) -> str:
        """Why there is no answer, in a few words; "" if there is one."""
        if self.code is None:
            return f"no answer within {self.seconds:.0f} s"
        if self.code == 0:
            return ""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return lines[-1].strip() if lines else f"it ended with code {self.code}"


class Probes:
    """Programs that are asked, from any thread; whoever leaves the block ends all that still run.

    Args:
        patience: seconds that a program has; each question may give it less.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Probes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all programs that still run; from now on none is started."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _end(process)

    def ask(self, command: Sequence[str], patience: float | None = None) -> Answer | None:
        """The answer of a program; None if there is no such program.

        Its output goes to files, so that a child of it that lives on holds nothing up.
        """
        program = shutil.which(command[0])
        if program is None:
            return None
        limit = self.patience if patience is None else min(patience, self.patience)
        started = time.monotonic()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            with self._lock:
                if self._closed:
                    return None
                process = subprocess.Popen(
                    [program, *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    env=_environment(),
                    start_new_session=True,
                )
                self._running.add(process)
            code: int | None = None
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                pass
            finally:
                with self._lock:
                    self._running.discard(process)
                    _end(process)
            output.seek(0)
            errors.seek(0)
            said = output.read().decode("utf-8", "replace")
            wrong = errors.read().decode("utf-8", "replace")
        return Answer(code, said, wrong, time.monotonic() - started)

    def ask_python(self, *arguments: str) -> Answer:
        """The answer of this Python, with this package, to `arguments`."""
        answer = self.ask([sys.executable, *arguments])
        return answer or Answer(1, "", f"{sys.executable} cannot be started", 0.0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program with all that it started in its session, and wait for it."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _environment() -> dict[str, str]:
    package = str(Path(lavaseg.__file__).parents[1])
    path = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([package, path] if path else [package]),
        "LC_ALL": "C",  # what programs say is read
    }
