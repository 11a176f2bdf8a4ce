"""Start-up time and peak memory of a deep Lava graph in both runtimes, with and without our part.

Each row runs in processes of its own. The memory of several processes is the sum of their
proportional shares (PSS), so that what they share counts once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from _networks import chain, random_input
from _timing import Cell, Report, family, machine, parser

from lavaseg.deploy import run

MEBIBYTE = 2**20
RUNTIMES = ("lava-inprocess", "lava")


def memory() -> int:
    """Bytes that the family holds."""
    total = 0
    for pid in family():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:")
    return 1024 * total


def measure(backend: str, populations: int, channels: int, size: int, steps: int) -> list[float]:
    """Seconds of start-up (and clearing up), seconds a step, peak bytes above what was there."""
    net = chain(populations, channels=channels, size=size, steps=steps)
    spikes = random_input(net, 1)
    before, peak, done = memory(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    seconds = run(net, spikes, backend=backend).seconds
    total = time.perf_counter() - started
    done.set()
    watcher.join()
    return [total - seconds, seconds / (steps + populations), max(0, peak[0] - before)]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--one", help="measure this runtime, here")
    options.add_argument("--populations", type=int, nargs="+", default=[3, 10, 30])
    options.add_argument("--channels", type=int, default=16)
    options.add_argument("--size", type=int, default=32, help="height and width")
    options.add_argument("--steps", type=int, default=8, help="time steps T")
    chosen = options.parse_args(arguments)
    if chosen.quick:
        chosen.populations, chosen.channels, chosen.size, chosen.steps = [2], 2, 4, 2
    shape = chosen.channels, chosen.size, chosen.steps
    if chosen.one:
        print(json.dumps(measure(chosen.one, chosen.populations[0], *shape)))
        return
    before = machine()
    report = Report(
        f"Start-up and peak memory of a chain of convolutions, {chosen.channels} channels, "
        f"{chosen.size}x{chosen.size}",
        "the smallest of the graphs, in process",
        ("runtime", "populations", "start-up s", "times", "peak MiB", "ms a step"),
        before=before,
    )
    for backend in RUNTIMES:
        for populations in chosen.populations:
            command = [sys.executable, __file__, "--one", backend]
            command += ["--populations", str(populations), "--channels", str(shape[0])]
            command += ["--size", str(shape[1]), "--steps", str(shape[2])]
            child = subprocess.run(command, capture_output=True, text=True, check=False)
            if child.returncode:
                raise RuntimeError(f"{backend}, {populations}: {child.stderr[-2000:]}")
            startup, step, grown = json.loads(child.stdout.splitlines()[-1])
            row: list[Cell] = [backend, populations, startup, startup, grown / MEBIBYTE, 1e3 * step]
            report.rows.append(row)
    first = report.rows[0][2]
    assert isinstance(first, float)
    for row in report.rows:
        row[3] /= first
    report.notes.append(
        "Start-up is all but the steps themselves: imports, compilation, processes, clearing up; "
        "in process, imports and what the net was built with are not in it."
    )
    report.show(chosen.json)


if __name__ == "__main__":
    main()
