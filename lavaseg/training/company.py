"""Processes that train one network together: this one starts the others and ends them.

Each of the others makes data and network anew from the recipe (`lavaseg/training/member.py`), and
takes its weights from this one. They find each other through a port of the loopback interface that
the system chose, write no file and show nothing. When this process fails, is interrupted or is
killed, the pipes at their standard inputs close, upon which they end.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import torch
from torch import distributed

from lavaseg.errors import LavasegError
from lavaseg.kernels.devices_torch import Devices
from lavaseg.recipes import Recipe
from lavaseg.training.ranks import ALONE, Rank

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
"""What carries sums between processes, by the kind of their devices."""
HOST = "127.0.0.1"
"""The machine itself, where processes find each other."""
_PATIENCE = timedelta(hours=2)
"""How long a process waits for another one within an epoch."""
_LOOK = 0.05
"""Seconds between two looks at the others."""
_GRACE = 10.0
"""Seconds that a process has to end by itself."""


@dataclass
class _Other:
    number: int
    handle: subprocess.Popen[bytes]
    output: IO[bytes]

    def why(self) -> str:
        """Why it has ended, in words; empty if it runs, or has done its work."""
        code = self.handle.poll()
        if not code:
            return ""
        if code < 0:
            return f"killed by signal {-code}"
        self.output.seek(0)
        lines = self.output.read().decode("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1].removeprefix("error: ") if said else f"ended with exit code {code}"


@contextmanager
def company(
    recipe: Recipe, folder: Path, devices: Devices, threads: int | None, start: Path | None
) -> Iterator[Rank]:
    """While open, as many processes as there are devices train together; yields this one's rank.

    Args:
        recipe: what they train, checked.
        folder: the run's, where `start` is.
        devices: one for each process; of one, this process stays alone.
        threads: of each process.
        start: the checkpoint to go on from.

    Raises:
        LavasegError: another process failed; says why.
    """
    count = len(devices.numbers)
    if count == 1:
        yield ALONE
        return
    # bound here: nobody can take the port before the others know it
    listener = socket.create_server((HOST, 0), backlog=count)
    port = listener.getsockname()[1]
    store = distributed.TCPStore(
        HOST,
        port,
        count,
        is_master=True,
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )
    job = {
        "recipe": recipe.model_dump(mode="json"),
        "folder": str(folder),
        "start": None if start is None else str(start),
        "kind": devices.kind,
        "devices": list(devices.numbers),
        "threads": threads,
        "port": port,
    }
    others: list[_Other] = []
    try:
        for number in range(1, count):
            others.append(_start(number, job))
        _await(others, store)
        with joined(store, Rank(0, count), devices), _watching(others, devices):
            yield Rank(0, count)
        _wait(others)
    except Exception as error:
        if why := _failure(others):
            raise LavasegError(f"one of {count} processes that train together failed: {why}") from (
                error
            )
        raise
    finally:
        _end(others)


@contextmanager
def joined(store: distributed.Store, rank: Rank, devices: Devices) -> Iterator[None]:
    """While open, this process is one of those that meet at a store."""
    gpu = devices.kind == "cuda"
    own = torch.cuda.device(devices.numbers[rank.number]) if gpu else nullcontext()
    with _loopback(), own:
        distributed.init_process_group(
            BACKENDS[devices.kind],
            store=store,
            rank=rank.number,
            world_size=rank.count,
            timeout=_PATIENCE,
        )
        try:
            yield
        finally:
            distributed.destroy_process_group()


@contextmanager
def _loopback() -> Iterator[None]:
    """While open, processes of this machine talk over its loopback interface, whatever its name."""
    name = "GLOO_SOCKET_IFNAME"
    before = os.environ.get(name)
    interfaces = [found for _, found in socket.if_nameindex() if found in ("lo", "lo0")]
    if interfaces:
        os.environ[name] = interfaces[0]
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _watching(others: Sequence[_Other], devices: Devices) -> Iterator[None]:
    """While open, this process does not wait on its GPU for another one that failed.

    On CPUs the connection tells it.
    """
    if devices.kind == "cpu":
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if any(other.why() for other in others):
                device = torch.device("cuda", devices.numbers[0])
                distributed.group.WORLD._get_backend(device).abort()  # type: ignore[union-attr]
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _start(number: int, job: Mapping[str, Any]) -> _Other:
    output = tempfile.TemporaryFile()  # noqa: SIM115  read when the process has ended
    handle = subprocess.Popen(
        [sys.executable, "-m", "lavaseg.training.member"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=output,
        start_new_session=True,  # Ctrl-C reaches this process alone
    )
    assert handle.stdin is not None
    with suppress(BrokenPipeError):  # it says why when it is waited for
        handle.stdin.write(json.dumps({**job, "number": number}).encode() + b"\n")
        handle.stdin.flush()
    return _Other(number, handle, output)


def ready(store: distributed.Store, number: int) -> None:
    """Tell the first process that this one is about to join."""
    store.set(f"ready {number}", "")


def _await(others: Sequence[_Other], store: distributed.Store) -> None:
    """Wait until all are about to join, which they do when they have read their data."""
    keys = [f"ready {other.number}" for other in others]
    while not store.check(keys):
        if any(other.handle.poll() is not None for other in others):
            raise RuntimeError("another process has ended")
        time.sleep(_LOOK)


def _wait(others: Sequence[_Other]) -> None:
    """Wait for processes that have nothing left to do."""
    for other in others:
        with suppress(subprocess.TimeoutExpired):
            other.handle.wait(_GRACE)


def _failure(others: Sequence[_Other]) -> str:
    """Why another process failed, which makes this one fail soon after; empty if none did."""
    until = time.monotonic() + 1.0
    while not (why := next(filter(None, (other.why() for other in others)), "")):
        if time.monotonic() > until:
            break
        time.sleep(_LOOK)
    return why


def _end(others: Sequence[_Other]) -> None:
    """End what still runs: by the pipe, then by force."""
    for other in others:
        assert other.handle.stdin is not None
        with suppress(BrokenPipeError):
            other.handle.stdin.close()
    for other in others:
        try:
            other.handle.wait(_GRACE)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(other.handle.pid, signal.SIGKILL)
            other.handle.wait()
        other.output.close()
