"""ANN to SNN conversion: test mIoU of each rule against the number of steps, and of the ANN.

The reference is the artificial network itself, on the same test pictures. Rules run in floats with
soft reset, as they are meant; the last row is the rule "channel" with hard reset, rounded to 8
bits without fine-tuning, which is what hardware could run. One simulation of the most steps gives
all smaller numbers of steps, too. The artificial network is trained once and kept in --out.

    python benchmarks/conversion.py --out runs/conversion --figure docs/conversion.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lavaseg import recipes, training
from lavaseg.encoders import Direct, Encoder, Poisson
from lavaseg.export.conversion import RULES, convert
from lavaseg.export.lowering import choose_quantisation, lower, quantise
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network import Node
from lavaseg.results import metrics
from lavaseg.runs import Run, RunFolder
from lavaseg.training import SpikingNetwork
from lavaseg.training.batches import messages
from lavaseg.training.experiment import trained_model, training_parts

ENCODERS: dict[str, Callable[[int], Encoder]] = {"direct": Direct, "poisson": Poisson}
INTEGER = "channel, hard reset, 8 bits"


def trained_run(recipe: str, overrides: list[str], folder: Path) -> Run:
    """The finished run in `folder`, trained if need be."""
    fields = ["model.name=ann_deeplab", "encoder={kind: direct, steps: 1, bits: 8}"]
    wanted = recipes.load(recipe, [*fields, *overrides])
    if RunFolder(folder).recipe.exists() and Run.open(folder).recipe == wanted:
        return Run.open(folder)
    return training.train(wanted, folder)


class Curve:
    """mIoU after each of some numbers of steps."""

    def __init__(self, run: Run, pictures: np.ndarray, labels: np.ndarray, batch: int) -> None:
        self.run, self.pictures, self.labels, self.batch = run, pictures, labels, batch

    def of(
        self, model: SpikingNetwork | AnalogNetwork, encoder: Encoder, at: list[int]
    ) -> list[float]:
        """In percent. Logits are compared with one another: their unit does not matter."""
        confusions = [np.zeros((len(self.run.classes),) * 2, np.int64) for _ in at]
        for first in range(0, len(self.pictures), self.batch):
            numbers = range(first, min(first + self.batch, len(self.pictures)))
            encoded = messages(list(self.pictures[list(numbers)]), encoder, 0, numbers)
            readouts = _readouts(model, encoded)
            truth = self.labels[list(numbers)]
            for confusion, steps in zip(confusions, at, strict=True):
                predicted = metrics.predict(readouts[..., steps - 1].numpy(), truth.shape[1:])
                confusion += metrics.confusion_matrix(
                    predicted, truth, len(confusion), self.run.ignore_index
                )
        return [100 * metrics.mean_iou(confusion) for confusion in confusions]


@torch.no_grad()
def _readouts(model: SpikingNetwork | AnalogNetwork, encoded: torch.Tensor) -> torch.Tensor:
    """Membranes of the read-out after each step, (N, K, h, w, T)."""
    if isinstance(model, AnalogNetwork):
        return model(encoded)[..., None]
    seen: list[torch.Tensor] = []

    def observe(node: Node, _: torch.Tensor, membrane: torch.Tensor | None) -> None:
        if node.name == model.network.readout and membrane is not None:
            seen.append(membrane)

    model(encoded, observe, membranes="all")
    return seen[0]


def stacked(samples: object, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` pictures and labels."""
    pictures, labels = zip(*(samples[i] for i in range(count)), strict=True)  # type: ignore[index]
    return np.stack(pictures), np.stack(labels)


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """mIoU for each rule and number of steps."""
    fields = [
        "data.options={train: 5000, test: 1000}",
        "training.epochs=6",
    ]
    run = trained_run(options.recipe, [*fields, *options.set], options.out)
    analog = trained_model(run)
    assert isinstance(analog, AnalogNetwork)
    pictures, labels = stacked(run.data.test, options.pictures)
    balance_on, _ = stacked(training_parts(run.recipe, run.data)[0], options.calibration)
    curve = Curve(run, pictures, labels, options.batch)
    table = {"ANN": curve.of(analog, Direct(1), [1]) * len(options.steps)}
    make = ENCODERS[options.encoder]
    encoder = make(max(options.steps))
    calibration = messages(
        list(balance_on), make(options.calibration_steps), 1, range(len(balance_on))
    )
    seen = _readouts(analog, messages(list(balance_on), Direct(1), 0, range(len(balance_on))))
    unit = float(seen.abs().max()) * encoder.steps / 1000  # membranes of floats end at 2048
    for name in RULES:
        converted = convert(
            analog, calibration, name, logit_unit=unit, message_bits=encoder.message_bits
        )
        table[name] = curve.of(converted.to_model(), encoder, options.steps)
    weighted = lower(convert(analog, calibration, reset="hard", message_bits=encoder.message_bits))
    net = quantise(weighted, choose_quantisation(weighted), encoder, run.classes)
    model = SpikingNetwork.from_integers(net)
    table[INTEGER] = curve.of(model, encoder, options.steps)
    return table


def draw(table: dict[str, list[float]], steps: list[int], path: Path) -> None:
    """The curves as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for name, values in table.items():
        style = {"ANN": {"color": "black", "linestyle": ":"}, INTEGER: {"linestyle": "--"}}
        axes.plot(steps, values, marker="o", markersize=3, label=name, **style.get(name, {}))
    axes.set(xscale="log", xlabel="time steps T", ylabel="test mIoU (%)")
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.minorticks_off()
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="mnist-cifar10")
    parser.add_argument("--out", type=Path, default=Path("runs/conversion"))
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128, 256, 512])
    parser.add_argument("--pictures", type=int, default=200, help="test pictures")
    parser.add_argument("--calibration", type=int, default=32, help="training pictures")
    parser.add_argument("--calibration-steps", type=int, default=64)
    parser.add_argument("--encoder", choices=ENCODERS, default="direct")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--set", nargs="*", default=[], help="recipe fields, as field=value")
    parser.add_argument("--figure", type=Path, help="where to draw the curves")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = measure(options)
    if options.figure:
        draw(table, options.steps, options.figure)
    if options.json:
        print(json.dumps({"steps": options.steps, "miou": table}, indent=1))
        return
    print(f"{options.recipe}, {options.encoder} code, {options.pictures} pictures, test mIoU in %")
    print(f"{'T':30s}" + "".join(f"{steps:8d}" for steps in options.steps))
    for name, values in table.items():
        print(f"{name:30s}" + "".join(f"{value:8.2f}" for value in values))


if __name__ == "__main__":
    main()
