"""Recipes: one YAML file an experiment, checked field by field.

A recipe says everything that a training run depends on: data, model, encoder, optimisation,
regularisation, quantisation-aware fine-tuning and seed. `lavaseg recipes` lists those that ship.
One that differs little from another says `like: NAME` and only what differs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from lavaseg.encoders import Encoder, encoder_from_dict
from lavaseg.errors import LavasegError
from lavaseg.network.nodes import LONGEST_DELAY
from lavaseg.recipes.init import Init
from lavaseg.recipes.machine import Machine
from lavaseg.recipes.section import Section
from lavaseg.system.faults import one_line, reading
from lavaseg.system.settings import read_yaml, write_yaml
from lavaseg.system.shown import html_table
from lavaseg.system.words import counted, meant, meant_path, or_like


class RecipeError(LavasegError):
    """A recipe that cannot be read; the message names the file and the field."""


class Choice(Section):
    """Something chosen by name, with its options (the keyword arguments of its function)."""

    name: str
    """Which one."""
    options: dict[str, Any] = Field({})
    """Its options by name; `lavaseg help NAME` lists those of one. What is not given has its
    default."""


class Surrogate(Section):
    """Derivative of the spike with respect to the membrane, used in the backward pass.

    Integer neurons (a model's option `levels`) have one at each of their thresholds,
    (k + 1/2) theta in place of theta below, and these add up: a rectangle of width 1 and height 1
    is the straight-through gradient 1 / theta on 0 .. levels theta (Luo et al. 2024, SpikeYOLO);
    a triangle of width 1 and height 1 falls off over one theta at both ends of it.
    """

    kind: Literal["slayer", "triangle", "rectangle"] = "triangle"
    """Its shape around the threshold theta. slayer: SLAYER's own exponential,
    height / (2 tau) * exp(-|v - theta| / tau) with tau = width * theta; triangle:
    height / theta * max(0, 1 - |v - theta| / (width * theta)), width 1 and height 0.3 in Kim et al.
    2022's code, height 1 in their paper; rectangle: height / theta on
    |v - theta| <= width / 2 * theta, where MFS-Seg's 1 on |v - 0.5| <= 0.5 is width 2, height
    0.5."""
    width: float = Field(1.0, gt=0)
    """How wide it is around the threshold, in thresholds, as `kind` says."""
    height: float = Field(1.0, gt=0)
    """Factor on the derivative, as `kind` says."""
    reset: Literal["ignore", "gate"] = "ignore"
    """ignore: the gradient flows through time as if no reset happened (SLAYER's backward);
    gate: a reset stops it (reset factor detached, as in MS-ResNet and MFS-Seg). Integer neurons
    keep nothing, so that both are the same."""


class Rmp(Section):
    """RMP regularisation: draws membranes to where quantised hardware can hold them.

    Loss = mean of (v - target)^2, over the neurons of a layer and then as `mean` says, added to
    cross-entropy with a weight that follows `schedule` over training (Guo et al. 2023; Yadolahi &
    Abolmaali 2025).
    """

    weight: float = Field(0.0, ge=0)
    """Largest weight; 0 switches it off. Guo et al.: 0.1."""
    time: Literal["all", "last"] = "all"
    """Membranes of all steps, or of the last step only (Yadolahi & Abolmaali 2025 'enhanced')."""
    target: Literal["spike", "nearest", "centred", "steady_state"] = "spike"
    """spike: 0 or theta, by whether it fired; nearest: the nearer of 0 and theta; centred: 0 or
    2 theta by whether it fired, so that theta is the midpoint; steady_state: the neuron's own mean
    over T, which is equation 1 of Yadolahi & Abolmaali 2025 taken literally, their text speaks of
    0 and 1. With it the loss is a variance over time, and that of a single step is 0. Of integer
    neurons spike, nearest and centred are one: theta times the number that is sent."""
    membrane: Literal["pre_reset", "post_reset"] = "pre_reset"
    """Which membrane is drawn to its target: the one that is held against the threshold, or what
    its reset leaves. post_reset is refused where there are integer neurons, which keep nothing."""
    schedule: Literal["triangle", "ramp", "cosine", "constant"] = "triangle"
    """The weight over training. triangle: rises to half-time and falls back (Guo et al. 2023);
    ramp: rises to the end; cosine: falls from the start to nothing."""
    layers: Literal["all", "inner"] = "all"
    """inner leaves out the first and the last spiking population."""
    mean: Literal["layers", "neurons"] = "layers"
    """layers: each layer counts alike (Guo et al. 2023); neurons: each neuron does, the 1/M of
    equation 1 of Yadolahi & Abolmaali 2025, so that large sheets prevail."""

    @model_validator(mode="after")
    def _some_variance(self) -> Rmp:
        if self.target == "steady_state" and self.time == "last":
            raise ValueError(
                "target steady_state with time last is 0 whatever the membranes are, since one "
                "step has no variance over time: expected time all, or another target"
            )
        return self


class Augment(Section):
    """Random changes of training pictures and their labels; none unless set.

    Drawn anew for each sample and epoch, from seed, epoch and sample number alone.
    """

    flip: bool = False
    """Mirror left and right, half of the time."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Zoom by a factor between these two (log-uniform), then cut to the old size at a random
    place. Beyond the border of a picture made smaller: black, and the ignore index."""
    brightness: float = Field(0.0, ge=0, le=1)
    """Multiply by a factor up to this far from 1."""
    contrast: float = Field(0.0, ge=0, le=1)
    """Multiply differences from the mean grey by a factor up to this far from 1."""
    saturation: float = Field(0.0, ge=0, le=1)
    """Multiply differences from each pixel's grey by a factor up to this far from 1."""
    hue: float = Field(0.0, ge=0, le=0.5)
    """Turn the hue by up to this part of the colour circle."""

    @field_validator("scale")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0.1 <= value[0] <= value[1] <= 10:
            raise ValueError("expected two factors between 0.1 and 10, the smaller one first")
        return value

    @property
    def colourful(self) -> bool:
        """Whether colours change."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))


class Training(Section):
    """Optimisation of the float network."""

    epochs: int = Field(ge=1)
    """Passes over the training samples."""
    batch_size: int = Field(16, ge=1)
    """Samples of one batch, shared among the devices where there are several; of one step of the
    optimiser, unless `accumulate` says otherwise."""
    accumulate: int = Field(1, ge=1)
    """Batches of one step of the optimiser, one after the other in the memory of one. Without batch
    norm, 4 batches of 4 are one of 16; batch norm takes its statistics of each batch alone."""
    early_stop: int = Field(0, ge=0)
    """Stop after so many epochs without a better validation mIoU; 0: never. Schedules are those of
    all `epochs`."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Numbers in which synapses multiply while training: the others are half as large and are
    rounded (float16 needs a GPU). Weights, neurons, norms and losses are float32, and so are
    evaluation and export."""
    learning_rate: float = Field(3e-3, gt=0)
    """The largest that `schedule` reaches."""
    optimiser: Literal["adam", "amsgrad", "sgd"] = "adam"
    """amsgrad: Adam with the largest second moment so far (Kim et al.'s code); sgd: with
    momentum 0.9."""
    weight_decay: float = Field(0.0, ge=0)
    """Factor of the weights that is added to their gradients (L2)."""
    schedule: Literal["one_cycle", "step", "cosine", "constant"] = "one_cycle"
    """The learning rate over training. step: falls at `milestones`; one_cycle: warms up, then falls
    to nothing; cosine: falls to nothing from the start."""
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.8)
    """Parts of training after which `step` multiplies the learning rate by `decay`; by default
    those of Kim et al.'s code (their paper: 0.5 alone)."""
    decay: float = Field(0.1, gt=0, le=1)
    """Factor on the learning rate at each of the `milestones`."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Part of each pixel's target that is spread evenly over all classes."""
    gradient_clip: float = Field(0.0, ge=0)
    """Largest norm of a step's gradients, to which longer ones are shortened; 0: any."""
    validation_fraction: float = Field(0.1, gt=0, lt=1)
    """Part of the training data that selects the model, where the data set has no such split."""
    train_on_all: bool = False
    """Train on every sample outside of the test part, the validation part included. Nothing is held
    out, so nothing selects the model: the last epoch is kept. As always, what does not fill the
    last batch of an epoch waits for another one."""
    class_weights: (
        Literal["none", "median_frequency", "root_median_frequency"]
        | Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=2)]
    ) = "none"
    """Weight of each class in the loss. median_frequency: the median frequency of a class over
    this class's, counted in the pictures that show it (Eigen and Fergus 2015, SegNet);
    root_median_frequency: its square root, which exaggerates rare classes less."""
    auxiliary_weight: float = Field(1.0, ge=0)
    """Weight of the loss of each auxiliary read-out, for models that have them: mfs_seg and
    spike_brgnet, of whose boundary it is that of where classes meet."""
    membrane_histograms: bool = False
    """Keep histograms of the membranes of a few validation samples after each epoch, in a small
    file, for `lavaseg plot membrane-epochs`; of training samples, where none are held out. Changes
    nothing of what is learned."""
    max_delay: int = Field(0, ge=0, le=LONGEST_DELAY)
    """The most steps by which the spikes of a channel may be late where neurons send through
    weights: training learns each channel's delay, as SLAYER's axons do. 0: no delays."""
    delay_learning_rate: float = Field(0.1, gt=0)
    """Learning rate of these delays, in steps of time; it follows `schedule`."""
    surrogate: Surrogate = Surrogate()
    """Derivative of the spike, for the backward pass."""
    initial_weights: Literal["kaiming_normal", "xavier_uniform"] = "kaiming_normal"
    """How synaptic weights are drawn. kaiming_normal: variance 2 / fan in; xavier_uniform: variance
    2 / (fan in + fan out), times `initial_gain` squared."""
    initial_gain: float = Field(1.0, gt=0)
    """Factor on the weights of xavier_uniform; Kim et al.'s code: 2."""

    @model_validator(mode="after")
    def _judged(self) -> Training:
        if self.early_stop and self.train_on_all:
            raise ValueError(
                f"training.early_stop is {self.early_stop}, but with training.train_on_all nothing "
                "is validated: expected early_stop 0"
            )
        return self


class Finetune(Section):
    """Quantisation-aware fine-tuning of the folded network, at export."""

    epochs: int = Field(2, ge=0)
    """Passes over the training samples; 0 rounds the weights and leaves it at that."""
    learning_rate: float = Field(3e-4, gt=0)
    """The largest of its learning rates, which fall to nothing."""


class Recipe(Section):
    """One experiment."""

    name: str
    """Also that of the run's folder in runs/, unless another is given."""
    title: str
    """What it trains, in a line."""
    paper: str = ""
    """Paper and table that it reproduces, if any."""
    seed: int = Field(0, ge=0)
    """Of initial weights, order of samples, held-out part, augmentation and encoder."""
    data: Choice
    """Data set, and its options."""
    model: Choice
    """Model, and its options."""
    encoder: dict[str, Any]
    """How pictures or events become spikes: its `kind`, `steps`, and what that kind has besides."""
    augment: Augment = Augment()
    """Random changes of training pictures."""
    init: Init = Init()
    """Weights to begin with, and layers that keep them."""
    training: Training
    """Optimisation of the float network."""
    rmp: Rmp = Rmp()
    """RMP regularisation of membranes."""
    finetune: Finetune = Finetune()
    """Fine-tuning with rounded weights, at export."""
    machine: Machine = Machine()
    """What it is trained on. Changes nothing of what is trained, and may differ on resuming."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if value.strip(". ") == "" or any(c in "/\\" or not c.isprintable() for c in value):
            raise ValueError("expected a name without slashes, as it names a folder")
        return value

    @field_validator("encoder")
    @classmethod
    def _known_encoder(cls, value: dict[str, Any]) -> dict[str, Any]:
        encoder = encoder_from_dict(value)
        if encoder.interleave != 1:
            raise ValueError("interleave is set by `lavaseg export --widest`, not by a recipe")
        return encoder.to_dict()

    @property
    def encoder_object(self) -> Encoder:
        """The encoder that the section `encoder` describes."""
        return encoder_from_dict(self.encoder)

    def __repr__(self) -> str:
        what = f"{self.model.name} on {self.data.name}"
        return f"Recipe({self.name!r}, {what}, {counted(self.training.epochs, 'epoch')})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = []
        for section, value in self.model_dump(exclude_defaults=True).items():
            if isinstance(value, dict):
                rows += [(f"{section}.{field}", _in_a_line(v)) for field, v in value.items()]
        return html_table(f"{self!r}: {self.title}", ["field", "value"], rows)


def _in_a_line(value: Any) -> str:
    """Plain data as YAML in one line."""
    text = write_yaml(value, default_flow_style=True, width=1_000_000)
    return text.removesuffix("...\n").strip()


GROUPS = {
    "": "Tuned here",
    "papers": "With the papers' settings",
    "quick": "Every kind of system, narrow, in minutes",
}
"""Folders of recipes, and what those in it have in common."""


def names(group: str | None = None) -> list[str]:
    """Names of the recipes that ship, all or those of one of `GROUPS`."""
    wanted = GROUPS if group is None else (group,)
    return sorted(name for name, (found, _) in _shipped().items() if found in wanted)


@functools.cache
def _shipped() -> dict[str, tuple[str, Path]]:
    """Group and file of each recipe that ships."""
    root = Path(__file__).parent
    return {file.stem: (group, file) for group in GROUPS for file in (root / group).glob("*.yaml")}


def load(source: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """A recipe by the name of one that ships, or from a YAML file.

    Args:
        source: a name of `names()`, or the path of a YAML file.
        overrides: "field=value" with dotted fields, e.g. "training.epochs=3"; values are YAML, and
            of a field's values the last one holds.

    Raises:
        RecipeError: no such recipe, unreadable YAML, an unknown field or a value out of range.
    """
    data = _read(source)
    for item in overrides:
        override(data, item)
    return parse(data, str(source))


LIKE = (
    "Another recipe that ships, which gives all fields that are not given here; of data, model and "
    "encoder the whole section."
)
"""What the field `like` of a recipe's file says, which is gone once it is read."""

CHOICES = ("data", "model", "encoder")
"""Sections that a recipe replaces as a whole; of the others it replaces the fields it names."""


def _read(source: str | Path, like: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a recipe, those of the shipped recipe that it is `like` included."""
    source_text = str(source)
    if source_text in _shipped():
        text = _shipped()[source_text][1].read_text("utf-8")
    else:
        path = Path(source)
        if path.exists() and not path.is_file():
            raise RecipeError(f"recipe {source_text} is no file, expected one in YAML")
        if not path.is_file():
            listed = ": give a YAML file, or a name that `lavaseg recipes` lists"
            close = meant(source_text, names()) or meant_path(path)
            raise RecipeError(f"there is no recipe {source_text!r}{close or listed}")
        with reading(f"recipe {source_text}", "is no text", RecipeError):
            text = path.read_text("utf-8")
    with reading(f"recipe {source_text}", "is not valid YAML", RecipeError):
        data = read_yaml(text)
    if not isinstance(data, dict):
        raise RecipeError(f"recipe {source_text} must hold fields, such as 'name: my-recipe'")
    base = data.pop("like", None)
    if base is None:
        return data
    if base not in names() or base in like:
        raise RecipeError(
            f"recipe {source_text}: field like must name another recipe that ships, got {base!r}"
        )
    merged = _read(base, (*like, source_text)) | {"paper": ""}
    for field, value in data.items():
        inherited = merged.get(field)
        if field in CHOICES or not isinstance(inherited, dict) or not isinstance(value, dict):
            merged[field] = value
        else:
            merged[field] = {**inherited, **value}
    return merged


_NAMED = 4
"""Wrong fields that one sentence names."""


def parse(data: dict[str, Any], source: str = "recipe") -> Recipe:
    """A checked recipe from plain data; RecipeError names the field that is wrong."""
    try:
        return Recipe.model_validate(data)
    except LavasegError as error:  # the encoder's own words
        raise RecipeError(f"recipe {source}: field encoder: {error}") from None
    except ValidationError as error:
        lines = []
        for item in error.errors():
            where = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                lines.append(f"there is no field {where!r}{_hint(item['loc'])}")
            elif item["type"] == "missing":
                lines.append(f"field {where!r} is missing")
            else:
                what = item["msg"].removeprefix("Value error, ").replace("Input", "it", 1)
                what = what.replace("valid integer", "whole number").partition(", unable")[0]
                lines.append(f"field {where!r}: {what}, got {one_line(repr(item['input']))}")
        more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
        raise RecipeError(f"recipe {source}: {'; '.join(lines[:_NAMED])}{more}") from None


def _hint(location: tuple[int | str, ...]) -> str:
    """The field that was probably meant in a section, or all that it has."""
    model: type[BaseModel] = Recipe
    for part in location[:-1]:
        inner = model.model_fields[str(part)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return ""
        model = inner
    section = ".".join(str(part) for part in location[:-1]) or "a recipe"
    return or_like(str(location[-1]), model.model_fields, f"{section} has")


def override(data: dict[str, Any], item: str) -> None:
    """Set one field of plain data; `item` is "field=value", as `load` takes them."""
    path, equals, value = item.partition("=")
    if not equals or not path:
        raise RecipeError(f"--set {item!r}: expected field=value, such as training.epochs=3")
    *sections, last = path.split(".")
    for section in sections:
        data = data.setdefault(section, {})
        if not isinstance(data, dict):
            raise RecipeError(f"--set {item!r}: {section!r} is a value, it has no fields")
    with reading(f"--set {item!r}: {value!r}", "is not a YAML value", RecipeError):
        data[last] = read_yaml(value, last)


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every field written out; `load` reads it back equal."""
    return write_yaml(recipe.model_dump())
