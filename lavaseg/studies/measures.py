"""What a study can measure: the table of measures, and the quantities that they give.

A measure is a function `(run, options) -> rows`. A row is made by `row(quantity, value,
**conditions)`; conditions are columns of the results, such as sigma or layer. A new measure is a
function in `lavaseg/studies/measuring/`, an entry of `MEASURES`, and of `QUANTITIES` if what it
gives has no entry yet.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from lavaseg.errors import LavasegError
from lavaseg.studies import options as o
from lavaseg.studies.study import label_of
from lavaseg.system.faults import one_line
from lavaseg.system.words import or_like

if TYPE_CHECKING:
    from lavaseg.runs import Run

Row: TypeAlias = "Mapping[str, Any]"
"""Labels of conditions by column, "quantity" and "value"."""
Gives: TypeAlias = "Iterable[tuple[str, ...]]"
"""(quantity, condition, ...) of each kind of row."""


@dataclass(frozen=True)
class Quantity:
    """What a number means.

    Args:
        title: in tables and figures.
        unit: in which it is shown; "" for ratios and counts.
        digits: after the point in tables; None: three significant ones.
        neutral: what says neither yes nor no; 1 of ratios.
        factor: of what is shown to the value, which is in joules, bytes, seconds, percent.
    """

    title: str
    unit: str = ""
    digits: int | None = None
    neutral: float = 0.0
    factor: float = 1.0

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def text(self, value: float) -> str:
        """A value as tables show it."""
        value *= self.factor
        if self.digits is not None:
            return f"{value:,.{self.digits}f}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


QUANTITIES: dict[str, Quantity] = {
    "miou": Quantity("mIoU", "%", 2),
    "accuracy": Quantity("pixels right", "%", 2),
    "trivial_miou": Quantity("mIoU of the most frequent class everywhere", "%", 2),
    "iou": Quantity("IoU", "%", 2),
    "integer_iou": Quantity("IoU of integers", "%", 2),
    "drop": Quantity("(clean - noisy) / clean mIoU", "%", 2),
    "integer_miou": Quantity("mIoU of integers", "%", 2),
    "integer_accuracy": Quantity("pixels right, integers", "%", 2),
    "integer_drop": Quantity("(clean - noisy) / clean mIoU of integers", "%", 2),
    "integer_spikes": Quantity("spikes of a neuron in an inference, integers", "", 3),
    "rounding_loss": Quantity("mIoU lost by rounding", "points", 2),
    "operations": Quantity("synaptic operations a sample"),
    "differing": Quantity("spikes and read-outs that differ on Lava", "", 0),
    "compared": Quantity("spikes and read-outs compared on Lava", "", 0),
    "spikes": Quantity("spikes of a neuron in an inference", "", 3),
    "rate": Quantity("spikes of a neuron in a step", "", 4),
    "parameters": Quantity("parameters", "", 0),
    "macs": Quantity("MACs of a dense pass as described"),
    "energy": Quantity("energy of a sample", "mJ", factor=1e3),
    "ann_energy": Quantity("energy of the artificial twin", "mJ", factor=1e3),
    "energy_ratio": Quantity("times less energy than the artificial twin", "", 2, 1.0),
    "ann_miou": Quantity("mIoU of the artificial network", "%", 2),
    "train_seconds": Quantity("seconds of training", "s", 1),
    "step_memory": Quantity("peak memory of a training step", "MiB", factor=2**-20),
    "loss_first": Quantity("loss of the first epoch", "", 4),
    "loss_last": Quantity("loss of the last epoch", "", 4),
    "phi": Quantity("phi of J J^T, 1 in an isometry", "", 3),
    "phi_error": Quantity("standard error of phi", "", 4),
    "phi_formula": Quantity("phi by the formula", "", 3),
    "phi_distance": Quantity("|phi - 1|, largest of all blocks"),
    "varphi": Quantity("varphi of J J^T, 0 in an isometry"),
    "varphi_error": Quantity("standard error of varphi", "", 4),
    "varphi_largest": Quantity("varphi, largest of all blocks"),
}
"""What each quantity means."""


@dataclass(frozen=True)
class Measure:
    """One kind of measurement.

    Args:
        title: what it measures.
        function: "module:function" in `lavaseg.studies.measuring`; imported when it is used, and
            called with a run and the options.
        options: their class, whose fields and limits are those of a study's file.
        gives: for options, (quantity, condition, ...) of each kind of row.
        version: raised when it measures something else than before, so that what was measured
            is measured again.
    """

    title: str
    function: str
    options: type[o.Options]
    gives: Callable[[Any], Gives]
    version: int = 1

    def parse(self, name: str, given: Mapping[str, Any]) -> o.Options:
        """Checked options; LavasegError names the one that is wrong."""
        try:
            return self.options.model_validate(given)
        except ValidationError as error:
            item = error.errors()[0]
            field = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                known = or_like(field, self.options.model_fields or ("none",), "it has")
                raise LavasegError(f"measure {name!r} has no option {field!r}{known}") from None
            what = item["msg"].removeprefix("Value error, ")
            got = one_line(repr(item["input"]))
            raise LavasegError(f"measure {name!r}, option {field!r}: {what}, got {got}") from None

    def __call__(self, run: Run, options: o.Options) -> Iterable[Row]:
        module, _, name = self.function.partition(":")
        found = importlib.import_module(f"lavaseg.studies.measuring.{module}")
        return getattr(found, name)(run, options)


def neutral(quantity: str, how: str) -> float:
    """Where the sign of a claim's figure turns: of values, differences and ratios of a quantity."""
    if how == "value":
        return QUANTITIES[quantity].neutral
    return 1.0 if how == "ratio" else 0.0


def row(quantity: str, value: float, **conditions: Any) -> Row:
    """One value of a quantity in joules, bytes, seconds or percent, under conditions."""
    labels = {name: label_of(condition) for name, condition in conditions.items()}
    return {**labels, "quantity": quantity, "value": float(value)}


def measure_named(name: str) -> Measure:
    """The measure of that name; LavasegError names those that there are."""
    if name not in MEASURES:
        raise LavasegError(f"there is no measure {name!r}{or_like(name, MEASURES)}")
    return MEASURES[name]


def _plain(*quantities: str) -> Callable[[Any], Gives]:
    return lambda options: [(quantity,) for quantity in quantities]


def _noise(options: o.NoiseOptions) -> Gives:
    whose = "integer_" if options.on == "integers" else ""
    return [(f"{whose}{q}", options.condition) for q in ("miou", "drop")]


def _integers(options: o.IntegersOptions) -> Gives:
    found = ["integer_miou", "integer_accuracy", "rounding_loss", "integer_spikes", "operations"]
    return [(q,) for q in [*found, *(["differing", "compared"] if options.verify else [])]]


def _isometry(options: o.IsometryOptions) -> Gives:
    of_all = ("phi", "varphi", "phi_formula", "phi_distance", "varphi_largest")
    of_parts = ("phi", "phi_error", "varphi", "varphi_error", "phi_formula")
    columns = ("block", "stage") if options.blocks else ("stage",)
    parts = [(q, "weights", column) for q in of_parts for column in columns]
    return [*((q, "weights") for q in of_all), *parts]


MEASURES: dict[str, Measure] = {
    "test": Measure(
        "the float network on test data",
        "networks:test",
        o.Options,
        _plain("miou", "accuracy", "spikes", "rate", "parameters"),
    ),
    "integers": Measure(
        "the exported network on test data, and on Lava",
        "networks:integers",
        o.IntegersOptions,
        _integers,
        version=2,
    ),
    "classes": Measure(
        "the network on test data, class by class",
        "networks:classes",
        o.ClassesOptions,
        lambda options: [("integer_iou" if options.on == "integers" else "iou", "class")],
    ),
    "noise": Measure(
        "the network on test data with noise on the input",
        "networks:noise",
        o.NoiseOptions,
        _noise,
    ),
    "steps": Measure(
        "the network at other numbers of time steps than it was trained with",
        "networks:steps",
        o.StepsOptions,
        lambda options: [
            (("integer_miou" if options.on == "integers" else "miou"), "steps"),
            (("integer_spikes" if options.on == "integers" else "spikes"), "steps"),
        ],
    ),
    "conversion": Measure(
        "an artificial network converted by several rules, at several numbers of time steps",
        "conversion:conversion",
        o.ConversionOptions,
        lambda options: [("miou", "rule", "steps"), ("ann_miou",)],
    ),
    "hybrid": Measure(
        "an artificial network converted to few steps with hard reset, then fine-tuned",
        "conversion:hybrid",
        o.HybridOptions,
        lambda options: [("miou", "steps"), ("integer_miou", "steps")],
    ),
    "rates": Measure(
        "spikes of each layer",
        "networks:rates",
        o.Options,
        lambda options: [("spikes", "layer"), ("rate", "layer")],
    ),
    "energy": Measure(
        "energies of a sample by the papers' formulas",
        "networks:energy",
        o.Options,
        lambda options: [
            ("energy", "formula"),
            ("energy_ratio", "formula"),
            ("ann_energy",),
            ("macs",),
        ],
    ),
    "cost": Measure(
        "what training takes",
        "cost:cost",
        o.Options,
        _plain("train_seconds", "step_memory"),
    ),
    "losses": Measure(
        "the loss in training",
        "cost:losses",
        o.Options,
        _plain("loss_first", "loss_last"),
    ),
    "trivial": Measure(
        "the most frequent training class everywhere",
        "cost:trivial",
        o.Options,
        _plain("trivial_miou"),
    ),
    "isometry": Measure(
        "how the Jacobians of residual blocks change the norm of a gradient",
        "isometry:isometry",
        o.IsometryOptions,
        _isometry,
    ),
}
"""Every measure that a study can name."""
