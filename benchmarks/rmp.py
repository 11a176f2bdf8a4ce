"""RMP regularisation on and off: mIoU as trained and after rounding to 8 bits, over seeds.

The reference is the same run without RMP. Rounding is done without fine-tuning, so that what the
regulariser itself buys is seen. Runs are kept in --out and not repeated.

    python benchmarks/rmp.py --out runs/rmp
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from lavaseg import deploy, export, recipes, training
from lavaseg.runs import Run, RunFolder


def trained_run(recipe: str, overrides: list[str], folder: Path) -> Run:
    """The finished run in `folder`, trained (or resumed) if need be."""
    wanted = recipes.load(recipe, overrides)
    if RunFolder(folder).recipe.exists():
        run = Run.open(folder)
        if len(run.history()) == wanted.training.epochs:
            return run
        return training.train(wanted, folder, resume=True)
    return training.train(wanted, folder)


def measure(run: Run) -> dict[str, float]:
    """Test mIoU as floats and as integers, in percent, and spikes per neuron and inference."""
    trained = training.evaluate(run, progress=False)
    net = export.export(run, finetune=False, progress=False)
    rounded = deploy.evaluate(net, run.data.test, ignore_index=run.ignore_index, progress=False)
    rates = [rate for name, rate in trained.rates.items() if name.startswith("conv")]
    return {
        "float": 100 * trained.miou,
        "integer": 100 * rounded.miou,
        "cost": 100 * (trained.miou - rounded.miou),
        "spikes": float(np.mean(rates)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="mnist-cifar10")
    parser.add_argument("--out", type=Path, default=Path("runs/rmp"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=["off", "all", "last"])
    parser.add_argument("--target", default="spike", help="spike, nearest or centred")
    parser.add_argument("--weight", type=float, default=0.1)
    parser.add_argument("--set", nargs="*", default=[], help="recipe fields, as field=value")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    variants = {
        "off": [],
        "all": [f"rmp.weight={options.weight}", "rmp.time=all", f"rmp.target={options.target}"],
        "last": [f"rmp.weight={options.weight}", "rmp.time=last", f"rmp.target={options.target}"],
    }
    variants = {name: variants[name] for name in options.variants}
    table: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for seed in options.seeds:
        for name, fields in variants.items():
            overrides = [*options.set, *fields, f"seed={seed}"]
            folder = options.out / f"{name}-{options.target}-{seed}"
            table[name].append(measure(trained_run(options.recipe, overrides, folder)))
    if options.json:
        print(json.dumps(table, indent=1))
        return
    print(f"{options.recipe}, RMP target {options.target}, weight {options.weight}, test mIoU in %")
    print("RMP    seeds  float            integer          cost of rounding  spikes/neuron")
    for name, rows in table.items():
        cells = {
            key: f"{np.mean([r[key] for r in rows]):6.2f} +- {np.std([r[key] for r in rows]):.2f}"
            for key in rows[0]
        }
        print(
            f"{name:6s} {len(rows):5d}  {cells['float']:16s} {cells['integer']:16s} "
            f"{cells['cost']:17s} {cells['spikes']}"
        )


if __name__ == "__main__":
    main()
