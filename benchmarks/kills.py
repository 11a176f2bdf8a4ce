"""Kills commands with SIGKILL at random moments, and looks at what they leave and go on to.

`training`: a run that is killed again and again is resumed until it is done, and compared with one
that nothing interrupted: weights and checkpoint bit for bit, the table but for its seconds.
`lava`: `lavaseg run --backend lava` is killed while it starts, compiles, runs and stops; after the
next command no process, shared memory or temporary folder of it may be left.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

LAVASEG = (sys.executable, "-m", "lavaseg")
FIELDS = (
    "data.options={train: 40, test: 10}",
    "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
    "encoder={kind: direct, steps: 2}",
    "training.batch_size=4",
)
NOWHERE = subprocess.DEVNULL
SHARED_MEMORY = Path("/dev/shm")


def killed(
    command: Sequence[str],
    moment: float,
    environment: Mapping[str, str],
    begun: Callable[[int], bool] = lambda pid: True,
) -> bool:
    """Start a command and kill its main process; False if it had ended before.

    Args:
        moment: seconds from when `begun`, which is given the process, is true.
    """
    with subprocess.Popen(command, env=environment, stdout=NOWHERE, stderr=NOWHERE) as process:
        while process.poll() is None and not begun(process.pid):
            time.sleep(0.01)
        try:
            code = process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
    if code:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {code}")
    return False


def surroundings(temporary: Path) -> dict[str, str]:
    """The environment of all commands: one thread, and their own temporary folder."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}


def training(
    folder: Path, temporary: Path, kills: int, seed: int, fields: Sequence[str] = ()
) -> dict[str, Any]:
    """Kill a training so many times, and compare what it ends in with an uninterrupted run.

    Args:
        folder: takes the runs `whole` and `killed`.
        temporary: the temporary folder of all commands, on another file system for example.
        fields: of the recipe `demo`, besides those that make it small.
    """
    environment = surroundings(temporary)
    changes = [word for field in (*FIELDS, *fields) for word in ("--set", field)]
    begin = [*LAVASEG, "train", "demo", *changes, "--out"]
    started = time.time()
    whole, run = folder / "whole", folder / "killed"
    subprocess.run([*begin, str(whole)], env=environment, check=True)
    start_up = (whole / "recipe.yaml").stat().st_mtime - started
    epochs = len(rows(whole / "metrics.csv"))
    epoch = (whole / "metrics.csv").stat().st_mtime - started - start_up
    epoch /= epochs

    def finished() -> int:
        table = run / "metrics.csv"
        return len(rows(table)) if table.exists() else 0

    def training_now(pid: int) -> bool:
        lock = run / ".lock"
        return finished() >= wanted and lock.exists() and lock.read_text() == str(pid)

    draw, moments, wanted = random.Random(seed), [], 0
    for kill in range(kills):
        resume = ["--resume"] * (run / "recipe.yaml").exists()
        command = [*begin, str(run), *resume]
        if kill % 4 == 0:  # while it imports, reads data, takes the lock or reads its checkpoint
            moment = draw.uniform(0, 1.5 * start_up)
            ended = not killed(command, moment, environment)
        else:
            wanted = finished() + draw.choice((0, 1, 2))
            moment = draw.uniform(0, epoch)
            ended = not killed(command, moment, environment, training_now)
        if ended:
            break
        print(f"killed after {finished()} epochs", file=sys.stderr)
        moments.append((round(moment, 2), finished()))
    parts = sorted(str(path.relative_to(run)) for path in run.rglob(".*.part"))
    subprocess.run([*begin, str(run), "--resume"], env=environment, check=True)
    return {
        "kills": len(moments),
        "seconds of start-up and an epoch": [round(start_up, 2), round(epoch, 3)],
        "moments, and epochs finished then": moments,
        "differing": differing(run, whole),
        "left by kills": parts,
        "left in the end": sorted(str(path.relative_to(run)) for path in run.rglob(".*.part")),
    }


def differing(run: Path, whole: Path) -> list[str]:
    """What of two runs is not the same: weights, table but for seconds, checkpoint."""
    found = []
    weights = "model.safetensors"
    if (run / weights).read_bytes() != (whole / weights).read_bytes():
        found.append(weights)
    if rows(run / "metrics.csv") != rows(whole / "metrics.csv"):
        found.append("metrics.csv")
    checkpoints = (torch.load(path / "checkpoints" / "metrics.ckpt") for path in (run, whole))
    return found + unequal(*checkpoints, "checkpoint")


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table without their seconds."""
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def unequal(one: Any, other: Any, name: str) -> list[str]:
    """The places in nested data where two are not equal; seconds and the paths of runs are."""
    if name.endswith((".seconds", "path", ".dirpath")):
        return []
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [text for key in one for text in unequal(one[key], other[key], f"{name}.{key}")]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) == len(other):
            pairs = enumerate(zip(one, other, strict=True))
            return [text for i, pair in pairs for text in unequal(*pair, f"{name}.{i}")]
        return [name]
    same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if same else [f"{name}: {one!r} and {other!r}"[:200]]


def lava(net: Path, source: str, folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill `lavaseg run --backend lava` so many times, each followed by another command.

    Args:
        net: a .net file, beside its data or with a `source` of its own.
        source: what it looks at, such as digits-photos:0-2.
        folder: empty; takes label maps, and the temporary folder of all commands.
    """
    temporary = folder / "temporary"
    temporary.mkdir()
    token = f"LAVASEG_KILLS={uuid.uuid4().hex}"
    environment = surroundings(temporary) | dict([token.split("=")])
    labels = folder / "labels"
    labels.mkdir()
    run = [*LAVASEG, "run", str(net), source, "--backend", "lava", "-o", str(labels)]
    started = time.monotonic()
    subprocess.run(run, env=environment, check=True, stdout=subprocess.DEVNULL)
    longest = time.monotonic() - started
    draw, left = random.Random(seed), []
    for _ in range(kills):
        before = set(SHARED_MEMORY.iterdir())
        moment = draw.uniform(0, longest)
        if not killed(run, moment, environment):
            moment = longest
        print(f"killed after {moment:.2f} s", file=sys.stderr)
        after = [*LAVASEG, "info", str(net)]
        subprocess.run(after, env=environment, check=True, stdout=subprocess.DEVNULL)
        found = {
            "processes": processes(token),
            "shared memory": shared_memory(before),
            "temporary files": [path.name for path in temporary.iterdir()],
        }
        if any(found.values()):
            left.append({"moment": round(moment, 2), **found})
    return {"kills": kills, "seconds of a run": round(longest, 2), "left": left}


def shared_memory(before: Set[Path]) -> list[str]:
    """Names of shared memory that was not there before, and that no living process uses."""
    found = set(SHARED_MEMORY.iterdir()) - before
    if not found:
        return []
    used = ""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # it ended meanwhile
            used += maps.read_text("utf-8", "replace")
    return sorted(path.name for path in found if path.exists() and str(path) not in used)


def processes(token: str) -> list[str]:
    """Command lines of living processes with `token` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and token.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text("utf-8", "replace").replace("\0", " "))
        except OSError:  # it ended meanwhile
            continue
    return [line for line in found if line]


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("what", choices=("training", "lava"))
    options.add_argument("--kills", type=int, default=None, help="20 of a training, 50 of a run")
    options.add_argument("--seed", type=int, default=0, help="of the random moments")
    options.add_argument("--out", type=Path, help="folder of the runs; a temporary one by default")
    options.add_argument("--temporary", type=Path, help="temporary folder of the trainings")
    options.add_argument("--set", nargs="*", default=["training.epochs=60"], help="of the demo")
    options.add_argument("--net", type=Path, default=Path("runs/demo/net.net"))
    options.add_argument("--source", default="digits-photos:0-2")
    chosen = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.out or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.what == "training":
            elsewhere = chosen.temporary or Path(tempfile.mkdtemp(dir=name))
            elsewhere.mkdir(parents=True, exist_ok=True)
            kills = chosen.kills or 20
            result = training(folder, elsewhere, kills, chosen.seed, chosen.set)
        else:
            result = lava(chosen.net, chosen.source, folder, chosen.kills or 50, chosen.seed)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
