"""Every field and option that a recipe or a study may have, gathered from the code."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lavaseg.encoders import ENCODERS
from lavaseg.guide.descriptions import descriptions, resolved, source, summary
from lavaseg.guide.types import type_in_words, value_in_words

REQUIRED = "required"
"""In place of a default, of what must be given."""
KINDS = {
    "recipe": "Sections of a recipe",
    "data": "Data sets: `data.name` and `data.options`",
    "model": "Models: `model.name` and `model.options`",
    "encoder": "Encoders: `encoder.kind` and the other fields of `encoder`",
    "study": "Sections of a study",
    "measure": "Measures of a study, and their options",
}
"""Kinds of sections, in the order of the reference."""


@dataclass(frozen=True)
class Entry:
    """One field or option.

    Args:
        name: its own name.
        path: dotted, as `--set` of `lavaseg train` takes it; of studies, as it stands in the file.
        type: what it may be, in words.
        default: in YAML, or `REQUIRED`.
        words: its description; empty if the code has none.
        where: the declaration that lacks or has the description, "module.function".
    """

    name: str
    path: str
    type: str
    default: str
    words: str
    where: str


@dataclass(frozen=True)
class Section:
    """Fields that belong together: of a section, a data set, a model, an encoder or a measure.

    Args:
        kind: one of `KINDS`.
        name: of the section, or of what is chosen.
        title: the first line of its docstring.
        text: the paragraphs that follow it.
        source: papers that it follows; empty if none.
        entries: its fields, those of sections in it left out.
    """

    kind: str
    name: str
    title: str
    text: str
    source: str
    entries: tuple[Entry, ...]


@functools.cache
def sections() -> tuple[Section, ...]:
    """Everything that can be set, in the order of the reference."""
    return (*_recipe(), *_data_sets(), *_models(), *_encoders(), *_study(), *_measures())


def undescribed() -> list[str]:
    """A sentence on each field and option that has no description, saying where it belongs."""
    return [
        f"{entry.where}: {entry.name!r} has no description: add it to the docstring's Args, or as "
        "a docstring below the field"
        for section in sections()
        for entry in section.entries
        if not entry.words
    ]


def option_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Declared types of the options of a data set's or a model's function, by name."""
    hints = get_type_hints(function)
    return {name: hints[name] for name in _parameters(function)}


def data_functions() -> dict[str, Callable[..., Any]]:
    """The function that reads each data set."""
    from lavaseg.data import DATASETS, function_of

    return {name: function_of(name) for name in DATASETS}


def model_functions() -> dict[str, Callable[..., Any]]:
    """The function that describes each model, artificial ones included."""
    from lavaseg.models import MODELS
    from lavaseg.models.analog import ANALOG, constructor

    return {**MODELS, **{name: constructor(name) for name in ANALOG}}


def _section(kind: str, name: str, documented: Any, entries: Iterator[Entry]) -> Section:
    title, text = summary(documented)
    return Section(kind, name, title.rstrip("."), text, source(documented), tuple(entries))


def _recipe() -> Iterator[Section]:
    from lavaseg.recipes import LIKE, Recipe

    like = Entry("like", "like", "text", "null", LIKE, "lavaseg.recipes.LIKE")
    whole, *inner = _pydantic("recipe", "recipe", Recipe, "")
    yield dataclasses.replace(whole, entries=(*whole.entries, like))
    own = {entry.path: entry.words.rstrip(".") for entry in whole.entries}
    chosen = {"data.name": [*data_functions()], "model.name": [*model_functions()]}
    of_choices = {name: words for name, words in own.items() if f"{name}.name" in chosen}
    for section in inner:
        title = of_choices.get(section.name, section.title)
        entries = (
            dataclasses.replace(entry, type=f"one of {', '.join(chosen[entry.path])}")
            if entry.path in chosen
            else entry
            for entry in section.entries
        )
        yield dataclasses.replace(section, title=title, entries=tuple(entries))


def _study() -> Iterator[Section]:
    from lavaseg.studies.study import Study

    return _pydantic("study", "study", Study, "")


def _measures() -> Iterator[Section]:
    from lavaseg.studies.measures import MEASURES

    for name, measure in MEASURES.items():
        entries = _fields(measure.options, f"measure.{name}.")
        yield Section("measure", name, measure.title, "", "", tuple(entries))


def _data_sets() -> Iterator[Section]:
    functions = data_functions()
    others = {"lavaseg.data.folder.load": functions["folder"]}
    for name, function in functions.items():
        yield _section("data", name, function, _options(function, "data.options.", others))


def _models() -> Iterator[Section]:
    functions = model_functions()
    for name, function in functions.items():
        yield _section("model", name, function, _options(function, "model.options.", functions))


def _encoders() -> Iterator[Section]:
    for kind, encoder in ENCODERS.items():
        words, hints = descriptions(encoder), get_type_hints(encoder)
        own = (field for field in dataclasses.fields(encoder) if field.init)
        known_by = Entry(
            "kind", "encoder.kind", kind, REQUIRED, "Names this encoder.", encoder.__module__
        )
        entries = (
            Entry(
                field.name,
                f"encoder.{field.name}",
                type_in_words(hints[field.name]),
                REQUIRED if field.default is dataclasses.MISSING else value_in_words(field.default),
                words.get(field.name, ""),
                f"{encoder.__module__}.{encoder.__qualname__}",
            )
            for field in own
            if field.name != "interleave"  # no recipe has it: export sets it
        )
        yield _section("encoder", kind, encoder, chain((known_by,), entries))


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Options of a data set, or of a model behind the input and the number of classes."""
    found = dict(inspect.signature(function).parameters)
    if next(iter(found)) == "input_":
        return dict(list(found.items())[2:])
    return found


def _options(
    function: Callable[..., Any], prefix: str, others: dict[str, Callable[..., Any]]
) -> Iterator[Entry]:
    words, hints = descriptions(function), option_hints(function)
    for name, parameter in _parameters(function).items():
        required = parameter.default is parameter.empty
        yield Entry(
            name,
            prefix + name,
            type_in_words(hints[name]),
            REQUIRED if required else value_in_words(parameter.default),
            resolved(words.get(name, ""), name, others),
            f"{function.__module__}.{function.__qualname__}",
        )


def _pydantic(kind: str, name: str, model: type[BaseModel], prefix: str) -> Iterator[Section]:
    """A section, and those that stand in it; where one stands twice, as of the first place."""
    yield _section(kind, name, model, _fields(model, prefix))
    seen = set()
    for field, info in model.model_fields.items():
        inner = section_in(info.annotation)
        if inner is not None and (kind == "recipe" or inner not in seen):
            seen.add(inner)
            yield from _pydantic(kind, prefix + _spelt(field, info), inner, f"{prefix}{field}.")


def _fields(model: type[BaseModel], prefix: str) -> Iterator[Entry]:
    words = descriptions(model)
    for name, info in model.model_fields.items():
        spelt = _spelt(name, info)
        inner = section_in(info.annotation)
        default = info.get_default(call_default_factory=True)
        if info.is_required():
            shown = REQUIRED
        elif isinstance(default, BaseModel):
            shown = "as below"
        else:
            shown = value_in_words(default)
        kind = type_in_words(info.annotation, info.metadata)
        yield Entry(
            spelt,
            prefix + spelt,
            kind,
            shown,
            words.get(name, "") or ("" if inner is None else summary(inner)[0]),
            f"{model.__module__}.{model.__qualname__}",
        )


def _spelt(name: str, info: FieldInfo) -> str:
    """A field's name in files."""
    return info.alias or name


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The class of the section, or of the sections in a list, that a field holds; else None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(section_in, get_args(annotation))), None)
