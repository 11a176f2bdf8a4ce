"""Reads damaged files of every kind, and counts what is neither a result nor one sentence.

Each kind is read in a process of its own, which may crash or hang. A damaged file is right if its
reader gives a result, or a sentence that names the file, within 10 s of computation and 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from _damage import LONGEST, Outcome, attempt
from _file_kinds import KINDS, Kind, contents, sound_contents
from _list_kinds import LISTS
from _run_files import run_kinds

PATIENCE = 6 * LONGEST
"""Seconds without a word after which a reader counts as hanging, on a busy machine, too."""


@dataclass(frozen=True)
class Options:
    """What is to be done, and where: `keep` takes the files that were wrong."""

    folder: Path
    count: int
    seed: int
    keep: Path

    def path(self, number: int, kind: Kind) -> Path:
        """Where the damaged files of a kind lie, one after the other."""
        return self.folder / f"kind-{number}" / kind.name


class Place(NamedTuple):
    """The number of a kind, and of a damaged file of that kind."""

    kind: int
    file: int


@dataclass
class Tally:
    """What became of the damaged files of one kind."""

    name: str
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    memory: int = 0

    def add(self, outcome: Outcome, file: str) -> None:
        what = "wrong" if outcome.fault else "sentence" if outcome.refused else "result"
        self.outcomes[what] += 1
        self.seconds = max(self.seconds, outcome.seconds)
        self.memory = max(self.memory, outcome.memory)
        if outcome.fault:
            self.faults.append(f"{file}: {outcome.fault}"[:600])


def _work(place: Place, todo: Sequence[int], options: Options, pipe: Connection) -> None:
    """Tries files from `place` on; says where it is before each, and then what came of it."""
    kinds = _kinds(options.folder)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        others = sound_contents(Path(name))
    for number in todo:
        if number < place.kind:
            continue
        kind, path = kinds[number], options.path(number, kinds[number])
        path.parent.mkdir(parents=True, exist_ok=True)
        files = contents(kind, path, others, options.count, options.seed)
        for index, content in enumerate(files):
            if (number, index) >= (place.kind, place.file):
                path.write_bytes(content)
                pipe.send(Place(number, index))
                pipe.send(attempt(kind.read, path))
    pipe.send(None)


def _kinds(folder: Path) -> tuple[Kind, ...]:
    return (*KINDS, *LISTS, *run_kinds(folder / "run"))


def try_kinds(kinds: Sequence[Kind], todo: Sequence[int], options: Options) -> Iterator[Tally]:
    """The damaged files of kinds by their numbers, in processes that may die."""
    tallies = {number: Tally(kinds[number].name) for number in todo}
    context = multiprocessing.get_context("spawn")
    place: Place | None = Place(todo[0], 0)
    while place is not None:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(place, todo, options, theirs), daemon=True)
        worker.start()
        theirs.close()
        done = place.kind
        for place, outcome in _listen(ours):
            if place is None:
                break
            yield from (tallies[n] for n in todo if done <= n < place.kind)
            done = place.kind
            path = options.path(place.kind, kinds[place.kind])
            if outcome.fault:
                options.keep.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, options.keep / f"{place.file}.{path.name}")
            tallies[place.kind].add(outcome, f"{path.name} number {place.file}")
            if outcome.fatal:
                worker.kill()
                place = Place(place.kind, place.file + 1)
                break
        worker.join()
    yield from (tallies[n] for n in todo if done <= n)


def _listen(pipe: Connection) -> Iterator[tuple[Place | None, Outcome]]:
    """Where a worker is and what came of the file there, a crash included; None when it is done."""
    place, preparing = None, True  # it imports first
    while True:
        patience = 10 * PATIENCE if preparing else PATIENCE
        fault = "" if pipe.poll(patience) else f"no answer for {patience} s"
        try:
            said = None if fault else pipe.recv()
        except EOFError:
            fault = "the process crashed"
        if fault and place is None:
            raise SystemExit(f"{fault}, before any file was damaged")
        if fault or isinstance(said, Outcome):
            preparing = True  # the next kind, perhaps
            yield place, Outcome(fault, fatal=True) if fault else said
        elif said is None:
            yield None, Outcome()
        else:
            place, preparing = said, False


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options.add_argument("--quick", action="store_true", help="few files, to see that it works")
    options.add_argument("--count", type=int, default=250, help="damaged files of each kind")
    options.add_argument("--seed", type=int, default=2026)
    options.add_argument("--kinds", nargs="*", help="names of kinds; all by default")
    options.add_argument(
        "--keep", type=Path, default=Path("runs/damaged"), help="takes what was wrong"
    )
    chosen = options.parse_args(arguments)
    count = 12 if chosen.quick else chosen.count
    tallies = []
    with tempfile.TemporaryDirectory(prefix="lavaseg-damaged-") as name:
        kinds = _kinds(Path(name))
        todo = [n for n, kind in enumerate(kinds) if not chosen.kinds or kind.name in chosen.kinds]
        for tally in try_kinds(kinds, todo, Options(Path(name), count, chosen.seed, chosen.keep)):
            tallies.append(tally)
            if not chosen.json:
                _print(tally)
    if chosen.json:
        print(json.dumps([vars(tally) for tally in tallies], indent=1))
    wrong = sum(tally.outcomes["wrong"] for tally in tallies)
    print(f"{sum(sum(t.outcomes.values()) for t in tallies)} files, {wrong} wrong", file=sys.stderr)
    raise SystemExit(bool(wrong))


def _print(tally: Tally) -> None:
    counts = "  ".join(f"{tally.outcomes[w]:5d} {w}" for w in ("result", "sentence", "wrong"))
    peak = f"{tally.seconds:6.2f} s  {tally.memory / 2**20:6.0f} MiB"
    print(f"{tally.name:24} {counts}  {peak}", flush=True)
    for fault in tally.faults[:5]:
        print("    " + fault.replace("\n", "\n    "), flush=True)


if __name__ == "__main__":
    main()
