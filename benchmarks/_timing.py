"""Shared by all benchmarks: best of n, the machine in one line, a plain table or JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

Cell = str | float


def best(work: Callable[[], object], repeats: int) -> float:
    """Least wall time of `repeats` calls, in seconds, after one call that warms up.

    The least, because whatever else the machine does can only add to it.
    """
    work()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    found = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    found.add_argument("--json", action="store_true", help="print JSON instead of a table")
    found.add_argument("--quick", action="store_true", help="toy sizes, to see that it works")
    found.add_argument("--threads", type=int, help="threads of torch; by default its own choice")
    found.add_argument("--repeats", type=int, default=3, help="runs, the best of which counts")
    return found


def use_threads(count: int | None) -> None:
    """Let torch compute on `count` threads; None leaves its own choice."""
    if count is not None:
        torch.set_num_threads(count)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Cell]:
    """The machine that the figures were measured on; its load includes the benchmark itself."""
    return {
        "processor": _processor(),
        "cores": float(os.cpu_count() or 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "torch threads": float(torch.get_num_threads()),
        "load (1 min)": round(os.getloadavg()[0], 2),
    }


def peak_memory() -> int:
    """Largest resident memory of this process so far, bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's from before the fork
        for line in status.read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def family() -> list[int]:
    """This process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat[1])
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_seconds() -> float:
    """Processor time that the family's living processes have used."""
    ticks = 0
    for pid in family():
        with suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _text(cell: Cell) -> str:
    """A number with about three digits, everything else as it is."""
    if isinstance(cell, str):
        return cell
    return f"{cell:,.0f}" if cell == int(cell) or abs(cell) >= 100 else f"{cell:.3g}"


@dataclass
class Report:
    """A benchmark's result.

    Args:
        title: what was measured.
        reference: what every ratio compares with.
        columns: names, with units.
        rows: one cell for each column.
        notes: sentences that the reader needs; one marks whatever was not measured.
        before: `machine()` when the benchmark began, so that its own load is not in it.
    """

    title: str
    reference: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    before: dict[str, Cell] = field(default_factory=machine)

    def as_json(self) -> str:
        """The report for machines; rows are objects."""
        data = {
            "title": self.title,
            "reference": self.reference,
            "machine": self.before,
            "load at the end": round(os.getloadavg()[0], 2),
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "notes": self.notes,
        }
        return json.dumps(data, indent=1)

    def as_table(self) -> str:
        """A plain table: first column to the left, numbers to the right."""
        cells = [list(self.columns), *([_text(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = [
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        about = ", ".join(f"{name} {_text(value)}" for name, value in self.before.items())
        head = [self.title, about, f"reference: {self.reference}", ""]
        return "\n".join([*head, *lines, "", *self.notes])

    def show(self, as_json: bool) -> None:
        """Print it, the load at the end included."""
        if not as_json:
            self.notes.append(f"Load at the end: {os.getloadavg()[0]:.2f}.")
        print(self.as_json() if as_json else self.as_table(), flush=True)
