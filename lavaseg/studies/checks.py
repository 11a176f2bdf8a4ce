"""What can be wrong with a study as a whole: names that nothing has, fields that are set twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from lavaseg.errors import LavasegError
from lavaseg.studies.figure import as_number
from lavaseg.studies.measures import QUANTITIES, measure_named, neutral
from lavaseg.studies.study import RESERVED, Claim, FigureSpec, Study, StudyError, label_of
from lavaseg.system.words import or_like


def check(versions: Sequence[Study], *, uses: bool = True) -> None:
    """Check a study and its versions.

    Args:
        versions: the study itself first. What tables, figures, printed figures and claims name
            must be in one of them.
        uses: whether to check these; not of one version alone, which may leave out what they name.

    Raises:
        LavasegError: a name that nothing has, a field that two axes set, a quantity that two
            measures give.
    """
    known: set[tuple[str, ...]] = set()
    for study in versions:
        known |= _given(study)
        _check_axes(study)
    conditions = {name for _, *names in known for name in names}
    measured = _measured_at(versions)
    axes: dict[str, set[str]] = {}
    for study in versions:
        for name, axis in study.axes.items():
            axes.setdefault(name, set()).update(axis)
    if both := {*axes} & ({*RESERVED} | conditions):
        raise StudyError(f"axis {min(both)!r} has the name of another column: give it another name")
    if not uses:
        return
    for where, quantity, labels, names in _uses(versions[0]):
        _check_names(where, axes, conditions, [*labels, *(names or ())])
        _check_labels(where, "axis", axes, labels)
        _check_labels(where, "condition", measured, labels)
        _check_covered(where, axes, labels, names)
        wanted = conditions & {*labels, *(names or ())}
        if not any(q == quantity and wanted == {*c} for q, *c in known):
            raise StudyError(f"{where}: {_unmeasured(quantity, wanted, known)}")
    for number, figure in enumerate(versions[0].figure, 1):
        _check_horizontal(f"figure {number}", figure, {**axes, **measured})
    for claim in versions[0].claims:
        _check_claim(f"claim {claim.says!r}", claim, axes)


def _given(study: Study) -> set[tuple[str, ...]]:
    """(quantity, condition, ...) of everything that is measured, conditions sorted."""
    found: dict[tuple[str, ...], str] = {}
    for measured in study.measure:
        try:
            measure = measure_named(measured.name)
            options = measure.parse(measured.name, measured.options)
        except LavasegError as error:
            raise StudyError(str(error)) from None
        for quantity, *conditions in measure.gives(options):
            kind = (quantity, *sorted(conditions))
            if kind in found:
                raise StudyError(
                    f"measures {found[kind]!r} and {measured.name!r} both give {quantity!r} under "
                    "the same conditions: leave one of them out"
                )
            found[kind] = measured.name
    return {*found}


def _measured_at(versions: Iterable[Study]) -> dict[str, set[str]]:
    """Labels of conditions under which something is measured, as far as options say."""
    found: dict[str, set[str]] = {}
    for measured in (m for study in versions for m in study.measure):
        options = measure_named(measured.name).parse(measured.name, measured.options)
        for name, values in options.labels().items():
            found.setdefault(name, set()).update(map(label_of, values))
    return found


def _check_horizontal(where: str, figure: FigureSpec, labels: dict[str, set[str]]) -> None:
    """Lines need numbers along the horizontal, or nothing can be drawn at the end."""
    if figure.along and figure.kind != "points":
        raise StudyError(f"{where}: along joins points: use kind points, not {figure.kind}")
    if figure.kind != "lines":
        return
    if figure.x not in labels:
        raise StudyError(f"{where}: lines need numbers along x, not a {figure.x}: use kind bars")
    for label in sorted(labels[figure.x]):
        try:
            as_number(label)
        except LavasegError as error:
            raise StudyError(f"{where}: {error}") from None


def _check_claim(where: str, claim: Claim, axes: dict[str, set[str]]) -> None:
    """A claim must have one sign, and two sides that differ."""
    for name in claim.against:
        if len(axes.get(name, ())) > 1 and name not in claim.of:
            raise StudyError(f"{where}: against has a label of axis {name!r}, and of has none")
    if claim.against and {**claim.of, **claim.against} == claim.of:
        raise StudyError(f"{where}: of and against are the same")
    turns = neutral(claim.quantity, claim.how)
    if claim.printed == turns and claim.sign is None:
        raise StudyError(f"{where}: printed {turns:g} has no sign, give the one that is claimed")
    if claim.sign is None or claim.printed is None or claim.printed == turns:
        return
    if (claim.sign == "+") != (claim.printed > turns):
        raise StudyError(f"{where}: printed {claim.printed:g} has not the sign {claim.sign}")


def _check_axes(study: Study) -> None:
    """Axes and labels are words; two axes must not set the same field, and none the seed."""
    for name, axis in study.axes.items():
        for word in (name, *axis):
            if not word.strip() or not word.isprintable():
                raise StudyError(f"axis {name!r}: {word!r} is no word")
    sets = {
        name: {field for variant in axis.values() for field in variant.fields}
        | ({"recipe"} if any(v.recipe is not None for v in axis.values()) else set())
        for name, axis in study.axes.items()
    }
    for (one, fields), (other, others) in combinations(sets.items(), 2):
        for field in sorted(fields):
            for second in sorted(others):
                if _overlap(field, second):
                    raise StudyError(f"axes {one!r} and {other!r} both set {min(field, second)!r}")
    for where, fields in [*((f"axis {n!r}", f) for n, f in sets.items()), ("set", {*study.set})]:
        if "seed" in fields:
            raise StudyError(f"{where} sets 'seed': use the field seeds")
    for name, axis in study.axes.items():
        chosen = [variant.recipe is not None for variant in axis.values()]
        if any(chosen) and not all(chosen) and study.recipe is None:
            raise StudyError(f"axis {name!r} gives a recipe to some labels alone, the study none")
    if study.recipe is None and not any("recipe" in fields for fields in sets.values()):
        raise StudyError("field 'recipe' is missing, and no axis chooses one")


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _uses(
    study: Study,
) -> Iterable[tuple[str, str, dict[str, str], tuple[str, ...] | None]]:
    """Where a quantity is used: the place, its name, labels that are given, and columns.

    Printed figures and claims have no columns (None): they may be of several labels.
    """
    for number, table in enumerate(study.table, 1):
        for quantity in table.columns:
            yield f"table {number}", quantity, table.where, table.rows
    for number, figure in enumerate(study.figure, 1):
        if figure.kind == "points":
            columns = (*figure.lines, *([figure.along] if figure.along else []))
            for quantity in (figure.x, figure.y):
                yield f"figure {number}", quantity, figure.where, columns
            continue
        yield f"figure {number}", figure.y, figure.where, (figure.x, *figure.lines)
    for printed in study.printed:
        yield f"printed {printed.value:g}", printed.quantity, printed.at, None
    for claim in study.claims:
        for labels in (claim.of, {**claim.of, **claim.against}):
            yield f"claim {claim.says!r}", claim.quantity, labels, None


def _check_names(
    where: str, axes: dict[str, set[str]], conditions: set[str], names: Iterable[str]
) -> None:
    for name in names:
        if name not in axes and name not in conditions:
            known = or_like(name, [*axes, *sorted(conditions)])
            raise StudyError(f"{where}: there is no axis or condition {name!r}{known}")


def _check_labels(
    where: str, what: str, known: dict[str, set[str]], labels: dict[str, str]
) -> None:
    for name, label in labels.items():
        if name in known and label not in known[name]:
            there = or_like(label, sorted(known[name]), "it has")
            raise StudyError(f"{where}: {what} {name!r} has no label {label!r}{there}")


def _check_covered(
    where: str, axes: dict[str, set[str]], labels: dict[str, str], names: tuple[str, ...] | None
) -> None:
    """Tables and figures must not mix labels of an axis."""
    if names is None:
        return
    for name, there in axes.items():
        if len(there) > 1 and name not in names and name not in labels:
            raise StudyError(
                f"{where} would mix the labels of axis {name!r}: name it, or give one in where"
            )


def _unmeasured(quantity: str, wanted: set[str], known: set[tuple[str, ...]]) -> str:
    """Why a quantity is not there under these conditions."""
    if quantity not in QUANTITIES:
        there = or_like(quantity, sorted({q for q, *_ in known}), "measured are")
        return f"there is no quantity {quantity!r}{there}"
    ways = sorted(" and ".join(c) or "no condition" for q, *c in known if q == quantity)
    if not ways:
        there = ", ".join(sorted({q for q, *_ in known}))
        return f"no measure of this study gives {quantity!r}; measured are {there}"
    by = " and ".join(sorted(wanted)) or "no condition"
    return f"{quantity!r} is measured by {'; '.join(ways)}, not by {by}"
