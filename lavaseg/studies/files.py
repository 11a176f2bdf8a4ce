"""Studies as files: those that ship, those of one's own, and what `quick` and `full` make of them.

An axis is written as labels with what they stand for, as `field` and `values`, or as recipes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lavaseg import recipes
from lavaseg.studies.checks import check
from lavaseg.studies.study import Size, Study, StudyError, Variant, Version, label_of, merged
from lavaseg.system.faults import one_line, reading
from lavaseg.system.settings import read_yaml, write_yaml
from lavaseg.system.words import meant, meant_path

_OTHERS = ("papers",)
"""YAML files beside the studies that are none."""


@functools.cache
def _shipped() -> dict[str, Path]:
    files = sorted(Path(__file__).parent.glob("*.yaml"))
    return {file.stem: file for file in files if file.stem not in _OTHERS}


def names() -> list[str]:
    """Names of the studies that ship."""
    return list(_shipped())


def load(
    source: str | Path,
    size: Size = "standard",
    *,
    seeds: Iterable[int] | None = None,
    overrides: Iterable[str] = (),
) -> Study:
    """A study by the name of one that ships, or from a YAML file, checked.

    Args:
        source: a name of `names()`, or the path of a YAML file.
        size: "quick" or "full" for the versions of that name.
        seeds: instead of its own.
        overrides: "field=value" with dotted fields of the recipe, for all runs.

    Raises:
        StudyError: no such study, no such version, or a field that is wrong.
    """
    with reading(f"study {source}", "is no study", StudyError):
        return _of_size(parse(_read(source)), size, seeds, overrides)


def load_kept(path: Path) -> Study:
    """The study that `dump` wrote, as it was run.

    Raises:
        StudyError: there is none, or it is damaged.
    """
    with reading(f"study {path}", "is no study", StudyError):
        return parse(_read(path), kept=True)


def _read(source: str | Path) -> dict[str, Any]:
    """The fields of a study's file."""
    path = _shipped().get(str(source), Path(source))
    if not path.is_file():
        what = "it is no file, expected one in YAML" if path.exists() else "there is none"
        known = f": give a YAML file, or one of {', '.join(names())}"
        raise StudyError(what + (meant(str(source), names()) or meant_path(path) or known))
    with reading("the file", "is no text", StudyError):
        text = path.read_text("utf-8")
    with reading("the file", "is not valid YAML", StudyError):
        data = read_yaml(text, words=True)
    if not isinstance(data, dict):
        raise StudyError("it must hold fields, such as 'name: my-study'")
    return data


def parse(data: Mapping[str, Any], *, kept: bool = False) -> Study:
    """A checked study from plain data; StudyError names the field that is wrong.

    Args:
        kept: it is one version of a study, whose printed figures and claims may be of labels that
            other versions have.
    """
    data = dict(data)
    data["axes"] = {
        label_of(name): _axis(label_of(name), axis)
        for name, axis in _mapping(data.get("axes"), "axes").items()
    }
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        raise StudyError(_in_words(error)) from None
    versions = [
        study,
        *(_version(study, size) for size in ("quick", "full") if getattr(study, size)),
    ]
    check(versions, uses=not kept)
    return study


def dump(study: Study) -> str:
    """The study as YAML, as it is run; `load` reads it back equal."""
    data = study.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    data.pop("quick", None)
    data.pop("full", None)
    data["seeds"] = list(study.seeds)
    data["axes"] = {
        name: {
            label: ({} if v.recipe is None else {"recipe": v.recipe}) | v.fields
            for label, v in axis.items()
        }
        for name, axis in study.axes.items()
    }
    data["measure"] = [{m.name: m.options} if m.options else m.name for m in study.measure]
    return write_yaml({key: value for key, value in data.items() if value not in ({}, [])})


def _of_size(
    study: Study, size: Size, seeds: Iterable[int] | None, overrides: Iterable[str]
) -> Study:
    """The study as it shall run; what differs from the file stands in `settings`."""
    found = study if size == "standard" else _version(study, size)
    words = list(overrides)
    changes: dict[str, Any] = {"settings": "; ".join([found.settings, *words])}
    if seeds is not None:
        changes["seeds"] = tuple(seeds)
    if words:
        fields = dict(map(_override, words))
        _check_overrides(found, fields)
        changes["set"] = merged(found.set, fields)
    found = found.model_copy(update=changes)
    if not found.seeds or len({*found.seeds}) < len(found.seeds) or min(found.seeds) < 0:
        raise StudyError(f"seeds must be different whole numbers from 0, got {list(found.seeds)}")
    return found


def _check_overrides(study: Study, fields: Iterable[str]) -> None:
    """Refuse fields of `--set` that an axis, or the seeds, would set again."""
    for field in fields:
        if field == "seed":
            raise StudyError("--set seed: each run has its own, give --seeds")
        for name, axis in study.axes.items():
            for own in {own for variant in axis.values() for own in variant.fields}:
                if field == own or field.startswith(f"{own}."):
                    raise StudyError(f"--set {field}: axis {name!r} sets this field")


def _override(word: str) -> tuple[str, Any]:
    field, equals, value = word.partition("=")
    if not equals or not field or "; " in word:
        raise StudyError(f"--set {word!r}: expected field=value, such as training.epochs=3")
    with reading(f"--set {word!r}: {value!r}", "is not a YAML value", StudyError):
        return field, read_yaml(value, field.rpartition(".")[2])


def _version(study: Study, size: Size) -> Study:
    """The quick or full version of a study."""
    version: Version | None = getattr(study, size)
    if version is None:
        raise StudyError(f"it has no {size} version: add a field {size}, or leave out --{size}")
    axes = dict(study.axes)
    for name, given in version.axes.items():
        axes[name] = _narrowed(name, axes.get(name), given)
    fields = {f: v for f, v in merged(study.set, version.set).items() if v is not None}
    changes: dict[str, Any] = {"axes": axes, "set": fields, "settings": size}
    changes["note"] = version.note
    for field in ("recipe", "seeds", "measure"):
        if getattr(version, field) is not None:
            changes[field] = getattr(version, field)
    return study.model_copy(update=changes)


def _narrowed(name: str, axis: dict[str, Variant] | None, given: Any) -> dict[str, Variant]:
    """An axis of a version: a list of labels of the study's own axis, or another axis."""
    if axis is not None and isinstance(given, list):
        labels = [label_of(value) for value in given]
        if labels and {*labels} <= axis.keys():
            return {label: axis[label] for label in labels}
    return {k: Variant.model_validate(v) for k, v in _axis(name, given).items()}


def _axis(name: str, given: Any) -> dict[str, Any]:
    """Labels of an axis with recipe and fields of each, however it is written."""
    where = f"axis {name!r}"
    if isinstance(given, list):
        given = {"recipes": given}
    axis = _mapping(given, where)
    if "field" in axis and axis.keys() <= {"field", "values"}:
        field, values = axis["field"], axis.get("values")
        if not isinstance(field, str) or not isinstance(values, list):
            raise StudyError(
                f"{where}: expected a field and a list of values, got {one_line(repr(dict(axis)))}"
            )
        pairs = [(label_of(v), {"fields": {field: v}}) for v in values]
    elif axis.keys() == {"recipes"}:
        wanted = axis["recipes"]
        if isinstance(wanted, str) and wanted in recipes.GROUPS:
            wanted = recipes.names(wanted)
        if not isinstance(wanted, list):
            raise StudyError(
                f"{where}: recipes must be a list, or one of the groups "
                f"{', '.join(filter(None, recipes.GROUPS))}, got {one_line(repr(wanted))}"
            )
        pairs = [(label_of(recipe), {"recipe": recipe}) for recipe in wanted]
    else:
        pairs = [(label_of(label), _variant(where, label, v)) for label, v in axis.items()]
    found = dict(pairs)
    if not found:
        raise StudyError(f"{where} is empty, expected labels, a field and values, or recipes")
    if len(found) < len(pairs):
        raise StudyError(f"{where}: a label is given twice, got {', '.join(k for k, _ in pairs)}")
    return found


def _variant(where: str, label: Any, given: Any) -> dict[str, Any]:
    fields = dict(_mapping(given, f"{where}, label {label_of(label)!r}"))
    recipe = fields.pop("recipe", None)
    return {"recipe": recipe, "fields": fields}


def _mapping(given: Any, where: str) -> Mapping[Any, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise StudyError(f"{where}: expected fields and their values, got {one_line(repr(given))}")
    return given


_EXPECTED = {
    "tuple_type": "expected a list",
    "dict_type": "expected fields and their values",
    "model_type": "expected fields and their values",
    "string_type": "expected a word",
    "string_pattern_mismatch": "expected letters, digits, '_', '-' and '.' alone",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
}
"""What to say of kinds of errors that the checks of fields find."""


def _in_words(error: ValidationError) -> str:
    """The first wrong field; one that is unknown comes first, as what is missing is misspelt."""
    items = error.errors()
    item = next((one for one in items if one["type"] == "extra_forbidden"), items[0])
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        missing = [str(one["loc"][-1]) for one in items if one["type"] == "missing"]
        close = meant(str(item["loc"][-1]), [*missing, *Study.model_fields])
        return f"there is no field {where!r}{close}"
    if item["type"] == "missing":
        return f"field {where!r} is missing"
    what = _EXPECTED.get(item["type"], item["msg"].removeprefix("Value error, "))
    if item["type"] == "value_error" and isinstance(item["input"], dict):
        return f"field {where!r}: {what}"
    return f"field {where!r}: {what}, got {one_line(repr(item['input']))}"
