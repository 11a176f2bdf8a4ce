"""Recipes: one YAML file an experiment, checked field by field.

A recipe says everything that a training run depends on: data, model, encoder, optimisation,
regularisation, quantisation-aware fine-tuning and seed. `lavaseg recipes` lists those that ship.
One that differs little from another says `like: NAME` and only what differs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from lavaseg.encoders import Encoder, encoder_from_dict
from lavaseg.errors import LavasegError
from lavaseg.recipes.init import Init
from lavaseg.recipes.machine import Machine
from lavaseg.recipes.section import Section
from lavaseg.recipes.training import Augment, Finetune, Rmp, Surrogate, Training
from lavaseg.system.faults import one_line, reading
from lavaseg.system.settings import read_yaml, write_yaml
from lavaseg.system.shown import html_table
from lavaseg.system.words import counted, meant, meant_path, or_like

__all__ = [
    "CHOICES",
    "GROUPS",
    "LIKE",
    "Augment",
    "Choice",
    "Finetune",
    "Init",
    "Machine",
    "Recipe",
    "RecipeError",
    "Rmp",
    "Surrogate",
    "Training",
    "dump",
    "load",
    "names",
    "override",
    "parse",
]


class RecipeError(LavasegError):
    """A recipe that cannot be read; the message names the file and the field."""


class Choice(Section):
    """Something chosen by name, with its options (the keyword arguments of its function)."""

    name: str
    """Which one."""
    options: dict[str, Any] = Field({})
    """Its options by name; `lavaseg help NAME` lists those of one. What is not given has its
    default."""


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
