"""How values become files of a run, and files values again.

Modules that take time to import are imported when a value is read or written.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar

from lavaseg import recipes
from lavaseg.errors import LavasegError
from lavaseg.recipes import Recipe
from lavaseg.results.chip import check_profile
from lavaseg.system.faults import reading
from lavaseg.system.files import write_atomically

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.results.evaluation import Evaluation
    from lavaseg.results.membranes import MembraneHistory

T = TypeVar("T")
Rows: TypeAlias = Sequence[Mapping[str, float]]
"""Rows of a table; where a row lacks a column, it has NaN there in the file."""
Arrays: TypeAlias = "Mapping[str, np.ndarray]"
"""Arrays by name."""


@dataclass(frozen=True)
class Format(Generic[T]):
    """How one type of value is stored.

    Args:
        read: value of a file; a LavasegError names what cannot be read.
        write: writes the value, whole or not at all.
    """

    read: Callable[[Path], T]
    write: Callable[[Path, T], None]


def _text(path: Path) -> str:
    with reading(path):
        return path.read_text("utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    with reading(path):
        found = json.loads(_text(path))
    if not isinstance(found, dict):
        raise LavasegError(f"{path} is damaged: expected a JSON object")
    return found


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps(value, indent=1))


def _read_board(path: Path) -> dict[str, Any]:
    found = _read_json(path)
    with reading(path, "is no profile of a board"):
        check_profile(found)
    return found


_COMPARISON = {"backend": str, "population": str, "compared": int, "differing": int, "spikes": int}
"""Fields of a row of a verdict."""


def _read_verdict(path: Path) -> dict[str, Any]:
    try:
        found = _read_json(path)
        sound = isinstance(found["ok"], bool) and all(
            isinstance(row[name], kind)
            for row in (*found["rows"], *found.get("populations", ()))
            for name, kind in _COMPARISON.items()
        )
        difference = found.get("first_difference")
        if sound and (difference is None or isinstance(difference, dict)):
            return found
    except (LavasegError, KeyError, TypeError):
        pass
    raise LavasegError(f"{path} is no verdict of `lavaseg verify`: remove it, or verify again")


def _write_recipe(path: Path, recipe: Recipe) -> None:
    write_atomically(path, recipes.dump(recipe))


def _read_table(path: Path) -> Rows:
    with reading(path):
        rows = csv.DictReader(io.StringIO(_text(path), newline=""))
        found = [{key: float(value) for key, value in row.items()} for row in rows]
    epochs = [row.get("epoch", math.nan) for row in found]
    if not all(epoch.is_integer() and 1 <= epoch < 2**31 for epoch in epochs):
        raise LavasegError(f"{path} is damaged: expected a column epoch of whole numbers")
    return found


def _write_table(path: Path, rows: Rows) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="nan", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


def _read_arrays(path: Path) -> Arrays:
    from safetensors.numpy import load_file

    with reading(path):
        return load_file(path)


def _write_arrays(path: Path, arrays: Arrays) -> None:
    import numpy as np
    from safetensors.numpy import save

    in_order = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_atomically(path, save(in_order))  # it takes all memory to be in C order


def _read_membranes(path: Path) -> MembraneHistory:
    from lavaseg.results.membranes import MembraneHistory

    arrays = _read_arrays(path)
    with reading(path, "holds no histograms of membranes"):
        return MembraneHistory.from_arrays(arrays)


def _write_membranes(path: Path, history: MembraneHistory) -> None:
    _write_arrays(path, history.to_arrays())


def _read_evaluation(path: Path) -> Evaluation:
    from lavaseg.results.evaluation import Evaluation

    return Evaluation.load(path)


def _write_evaluation(path: Path, evaluation: Evaluation) -> None:
    evaluation.save(path)


def _read_net(path: Path) -> IntegerNetwork:
    from lavaseg.netx import read

    return read(path)


def _write_net(path: Path, net: IntegerNetwork) -> None:
    from lavaseg.netx import write

    write(net, path)


def _not_ours(path: Path, *_: object) -> NoReturn:
    raise TypeError(f"{path} is a folder that lightning reads and writes")


JSON: Format[Mapping[str, Any]] = Format(_read_json, _write_json)
BOARD: Format[Mapping[str, Any]] = Format(_read_board, _write_json)
RECIPE: Format[Recipe] = Format(recipes.load, _write_recipe)
TABLE: Format[Rows] = Format(_read_table, _write_table)
ARRAYS: Format[Arrays] = Format(_read_arrays, _write_arrays)
MEMBRANES: Format[MembraneHistory] = Format(_read_membranes, _write_membranes)
EVALUATION: Format[Evaluation] = Format(_read_evaluation, _write_evaluation)
VERDICT: Format[Mapping[str, Any]] = Format(_read_verdict, _write_json)
NET: Format[IntegerNetwork] = Format(_read_net, _write_net)
PAGE: Format[str] = Format(_text, write_atomically)
FOLDER: Format[NoReturn] = Format(_not_ours, _not_ours)
