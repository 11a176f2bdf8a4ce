"""The folder of runs that studies share: each run is trained once, and measured once.

A run lies in `<recipe>-<key>`, whose key is that of all fields that matter
(`lavaseg/studies/plan.py`), and what was measured of it in its folder `measures`.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lavaseg.errors import LavasegError
from lavaseg.runs import Run, RunFolder
from lavaseg.runs.run import make_folder
from lavaseg.studies.measures import QUANTITIES, Row, measure_named
from lavaseg.studies.plan import Job, key_of
from lavaseg.studies.study import Measured
from lavaseg.system.faults import reading
from lavaseg.system.files import write_atomically
from lavaseg.system.lock import Held, locked
from lavaseg.system.progress import line

Found = TypeVar("Found")
_WAIT = 1.0
"""Seconds between two looks at whether another process still holds a run."""


@dataclass(frozen=True)
class Pool:
    """Runs that studies share.

    Args:
        folder: which need not exist.
    """

    folder: Path

    def place(self, job: Job) -> Path:
        """The folder of a job's run: one that is there, whatever its recipe is called, or new."""
        own = self.folder / job.folder
        if own.exists() or not self.folder.is_dir():
            return own
        return next(iter(sorted(self.folder.glob(f"*-{job.key}"))), own)

    def trained(self, job: Job) -> Run | None:
        """The job's run if it is trained to the end.

        Raises:
            LavasegError: its folder holds a run of other settings, or is damaged.
        """
        folder = self.place(job)
        if not RunFolder(folder).recipe.exists():
            return None
        run = Run.open(folder)
        if key_of(run.recipe) != job.key:
            raise LavasegError(
                f"{folder} holds a run of other settings than its name says: remove it, or give "
                "another --out"
            )
        return run if run.finished else None

    def rows(self, run: Run, measured: Measured) -> list[Row] | None:
        """What was measured of a run, or None if it was not, or of other weights.

        Raises:
            LavasegError: the file is damaged.
        """
        path = _file(run, measured)
        if not path.exists():
            return None
        with reading(path, "is no measurement, or damaged: remove it"):
            found = json.loads(path.read_text("utf-8"))
            if found["weights"] != run.files.weights.sha256():
                return None
            return _checked(found["rows"])

    def keep(self, run: Run, measured: Measured, rows: Iterable[Row]) -> None:
        """Keep what was measured of a run; values that are not finite are left out."""
        finite = _checked([row for row in rows if math.isfinite(row["value"])])
        content = {
            "measure": measured.name,
            "options": _options(measured),
            "weights": run.files.weights.sha256(),
            "rows": finite,
        }
        write_atomically(_file(run, measured), json.dumps(content, indent=1))

    def is_done(self, job: Job) -> bool:
        """Whether the run is trained, and everything measured."""
        run = self.trained(job)
        return run is not None and all(self.rows(run, m) is not None for m in job.measures)

    def is_open(self, job: Job) -> bool:
        """Whether something is to be done; of a damaged run, too, whose job then says why."""
        try:
            return not self.is_done(job)
        except LavasegError:
            return True

    def measured(self, job: Job) -> list[Row]:
        """All that can be read of what was measured of a job's run."""
        found: list[Row] = []
        with suppress(LavasegError):
            if run := self.trained(job):
                for measured in job.measures:
                    with suppress(LavasegError):
                        found += self.rows(run, measured) or ()
        return found

    @contextmanager
    def holding(self, job: Job) -> Iterator[Path]:
        """The folder of a job's run, held against other jobs; waits while one has it."""
        folder = self.place(job)
        make_folder(_measures(folder))
        with ExitStack() as stack:
            waiting(lambda: stack.enter_context(locked(_measures(folder))))
            yield folder


def waiting(attempt: Callable[[], Found]) -> Found:
    """The result of `attempt`, made again as long as another process holds a folder's lock."""
    said = False
    while True:
        try:
            return attempt()
        except Held as error:
            if not said:
                line(f"waiting: {error}")
                said = True
        time.sleep(_WAIT)


def _measures(folder: Path) -> Path:
    return folder / "measures"


def _file(run: Run, measured: Measured) -> Path:
    """Where a measurement is kept, by measure, its version and options."""
    version = measure_named(measured.name).version
    text = json.dumps([_options(measured), version], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return _measures(run.path) / f"{measured.name}-{digest}.json"


def _options(measured: Measured) -> dict[str, Any]:
    """All options with their defaults, so that one that is spelt out is the same measurement."""
    parsed = measure_named(measured.name).parse(measured.name, measured.options)
    return parsed.model_dump(mode="json")


def _checked(rows: Any) -> list[Row]:
    """Rows of plain data.

    Raises:
        LavasegError: they are none.
    """
    for row in rows:
        labels = [value for key, value in row.items() if key not in ("quantity", "value")]
        known = row["quantity"] in QUANTITIES and isinstance(row["value"], float)
        if not known or not all(isinstance(label, str) for label in labels):
            raise LavasegError(f"{row} is no row of a measurement")
    return list(rows)
