"""Every quick recipe over seeds: what the papers' systems learn in minutes, and whether they run.

Each is trained, measured on test data as floats, exported where it can be, measured as integers,
and verified on Lava spike for spike. The reference is the trivial labelling, which gives every
pixel the class that is most frequent in the training labels. Results are kept in --out, one folder
a recipe and seed, and not computed again; an interrupted run goes on where it was.

    python benchmarks/systems.py --out runs/systems --jobs 2
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lavaseg import recipes
from lavaseg.errors import LavasegError
from lavaseg.results import metrics
from lavaseg.runs import RunFolder
from lavaseg.system.files import write_atomically

RESULT = "result.json"
SMALL = (
    "data={name: digits-photos, options: {train: 24, test: 8}}",
    "training.epochs=1",
    "finetune.epochs=0",
)
"""Overrides of --quick: it shows that all of this works, and nothing else."""


def recipe_of(options: argparse.Namespace, name: str, seed: int) -> recipes.Recipe:
    """The recipe with this seed."""
    return recipes.load(name, [*(SMALL if options.quick else ()), f"seed={seed}"])


def measure(recipe: recipes.Recipe, folder: Path, samples: int) -> None:
    """Everything about one recipe and seed, written to `folder / RESULT`."""
    from lavaseg import deploy, export, training
    from lavaseg.export.lowering import deployed
    from lavaseg.models.analog import AnalogModel
    from lavaseg.results.energy import account

    run = training.train(recipe, folder, resume=RunFolder(folder).recipe.exists(), progress=False)
    rows = run.history()
    steps = recipe.encoder_object.steps
    found: dict[str, Any] = {
        "parameters": run.model.parameter_count(steps),
        "losses": [rows[0]["loss"], rows[-1]["loss"]],
        "seconds": sum(row["seconds"] for row in rows),
        "float": training.evaluate(run, progress=False).miou,
        "trivial": trivial(run.data, len(run.classes)),
    }
    if isinstance(run.model, AnalogModel):
        found["obstacle"] = "artificial"
    else:
        try:
            deployed(run.model)
        except LavasegError as error:
            found["obstacle"] = str(error)
    if "obstacle" not in found:
        net = export.export(run, progress=False)
        result = deploy.evaluate(net, run.data.test, ignore_index=run.ignore_index, progress=False)
        work = account(net.network, result.counts, result.samples, result.steps)
        stimuli = [run.data.test[index][0] for index in range(samples)]
        verdict = deploy.verify(net, stimuli, progress=False)
        found |= {
            "integer": result.miou,
            "operations": float(work.synaptic_operations),
            "differing": sum(row.differing for row in verdict.rows),
            "compared": sum(row.compared for row in verdict.rows),
            "verified": verdict.ok,
        }
    write_atomically(folder / RESULT, json.dumps(found, indent=1))


def trivial(data: Any, classes: int) -> float:
    """Test mIoU of the most frequent training class everywhere."""
    frequent = np.argmax(sum(_histograms(data.train, classes, data.ignore_index)))
    confusion = np.zeros((classes, classes), np.int64)
    confusion[:, frequent] = sum(_histograms(data.test, classes, data.ignore_index))
    return metrics.mean_iou(confusion)


def _histograms(samples: Any, classes: int, ignored: int | None) -> Iterable[np.ndarray]:
    for index in range(len(samples)):
        label = samples[index][1]
        yield np.bincount(label[label != ignored], minlength=classes)


def folder_of(options: argparse.Namespace, name: str, seed: int) -> Path:
    return Path(options.out) / f"{name}-{seed}"


def is_measured(options: argparse.Namespace, name: str, seed: int) -> bool:
    """Whether the result is there.

    Raises:
        LavasegError: the folder holds another recipe, or other settings.
    """
    folder = folder_of(options, name, seed)
    if not (folder / RESULT).exists():
        return False
    if RunFolder(folder).recipe.load() != recipe_of(options, name, seed):
        raise LavasegError(f"{folder} holds the result of other settings: give another --out")
    return True


def measure_all(options: argparse.Namespace) -> None:
    """Measure whatever is missing, each in its own process; the first seed of all recipes first."""
    todo = [
        (name, seed)
        for seed in options.seeds
        for name in options.recipes
        if not is_measured(options, name, seed)
    ]
    threads = str(max((os.cpu_count() or 1) // options.jobs, 1))
    limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(limits, threads)

    def one(item: tuple[str, int]) -> None:
        name, seed = item
        folder = folder_of(options, name, seed)
        folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, __file__, "--out", str(options.out), "--one", name]
        words += ["--seeds", str(seed), "--samples", str(options.samples)]
        words += ["--quick"] * options.quick
        with (folder / "log.txt").open("w") as log:
            code = subprocess.run(
                words, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False
            ).returncode
        state = "done" if code == 0 else f"failed, see {folder / 'log.txt'}"
        print(f"{name}, seed {seed}: {state}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, todo))


def table(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a recipe, over the seeds that are finished."""
    rows = []
    for name in options.recipes:
        folders = [
            folder_of(options, name, seed)
            for seed in options.seeds
            if is_measured(options, name, seed)
        ]
        found = [json.loads((folder / RESULT).read_text()) for folder in folders]
        if not found:
            continue
        row: dict[str, Any] = {
            "recipe": name,
            "seeds": len(found),
            "parameters": found[0]["parameters"],
            "trivial": 100 * found[0]["trivial"],
            "float": [100 * one["float"] for one in found],
            "falling": all(one["losses"][1] < one["losses"][0] for one in found),
            "minutes": float(np.mean([one["seconds"] for one in found])) / 60,
            "obstacle": found[0].get("obstacle"),
        }
        if "integer" in found[0]:
            row["integer"] = [100 * one["integer"] for one in found]
            row["operations"] = float(np.mean([one["operations"] for one in found]))
            row["compared"] = sum(one["compared"] for one in found)
            row["differing"] = sum(one["differing"] for one in found)
            row["verified"] = all(one["verified"] for one in found)
        rows.append(row)
    return rows


def spread(values: Sequence[float] | None) -> str:
    """Mean and standard deviation over seeds (of the sample, n - 1)."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f} +- {np.std(values, ddof=1):.2f}"


def print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """The table, in Markdown."""
    print("| recipe | seeds | parameters | trivial | floats | integers | operations | verified |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        verified = "-" if row["obstacle"] else ("equal" if row["verified"] else "DIFFERENT")
        operations = f"{row['operations'] / 1e6:.2f} M" if "operations" in row else "-"
        print(
            f"| {row['recipe']} | {row['seeds']} | {row['parameters']:,} | {row['trivial']:.2f} "
            f"| {spread(row['float'])} | {spread(row.get('integer'))} | {operations} | {verified} |"
        )
    falling = all(row["falling"] for row in rows)
    compared = sum(row.get("compared", 0) for row in rows)
    differing = sum(row.get("differing", 0) for row in rows)
    print(f"\nloss fell in every run: {falling}; {compared:,} values compared, {differing} differ")
    minutes = ", ".join(f"{row['minutes']:.1f}" for row in rows)
    print(f"minutes of training a run: {minutes}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/systems"))
    parser.add_argument("--recipes", nargs="+", default=recipes.names("quick"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=4, help="test samples that are verified")
    parser.add_argument("--jobs", type=int, default=1, help="recipes at a time")
    parser.add_argument("--table", action="store_true", help="only print what is finished")
    parser.add_argument("--quick", action="store_true", help="toy size")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        name, seed = options.one, options.seeds[0]
        folder = folder_of(options, name, seed)
        measure(recipe_of(options, name, seed), folder, options.samples)
        return
    for name in options.recipes:
        recipe_of(options, name, 0)  # a name that is none is said before anything runs
    if not options.table:
        measure_all(options)
    rows = table(options)
    if options.json:
        print(json.dumps(rows, indent=1))
    elif rows:
        print_rows(rows)
    wanted, found = len(options.recipes) * len(options.seeds), sum(row["seeds"] for row in rows)
    if found < wanted:
        sys.exit(f"{wanted - found} of {wanted} runs are not finished")


if __name__ == "__main__":
    try:
        main()
    except LavasegError as error:
        sys.exit(f"error: {error}")
