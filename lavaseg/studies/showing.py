"""Outputs of a study: table, figures and CSV in a folder, and results that are shown again."""

from __future__ import annotations

from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.studies.figure import draw, file_name
from lavaseg.studies.files import load, load_kept, names
from lavaseg.studies.results import Results, read_csv, write_csv
from lavaseg.studies.study import Size, Study
from lavaseg.studies.table import markdown
from lavaseg.studies.work import STUDY
from lavaseg.system.files import write_atomically
from lavaseg.system.words import meant, meant_path

CSV, TABLE = "results.csv", "table.md"


def write_outputs(study: Study, results: Results, folder: Path) -> None:
    """Write results.csv, table.md and figures into a folder, each whole or not at all."""
    write_csv(results, folder / CSV)
    heading = f"# {study.title}\n\n" + (f"{study.paper}\n\n" if study.paper else "")
    write_atomically(folder / TABLE, heading + markdown(study, results))
    write_figures(study, results, folder)


def write_figures(study: Study, results: Results, folder: Path) -> None:
    """Write the figures into a folder."""
    for number, spec in enumerate(study.figure):
        draw(study, results, spec, folder / file_name(number))


def find_results(target: str) -> Path:
    """The CSV that a name, a folder of results or a file stands for.

    Raises:
        LavasegError: there is none.
    """
    path = Path(target)
    if path.suffix == ".csv":
        return path
    for folder in (path, Path("runs") / "studies" / target):
        if (folder / CSV).is_file():
            return folder / CSV
    others = [
        name
        for name in (f"{target}-quick", f"{target}-full")
        if (folder.parent / name / CSV).is_file()
    ]
    if others:
        raise LavasegError(f"there are no results of {target!r}, but of {' and '.join(others)}")
    if target in names() or path.suffix in (".yaml", ".yml"):
        raise LavasegError(
            f"there are no results of {target!r} here: `lavaseg study run {target}` makes them"
        )
    listed = f"; studies that ship: {', '.join(names())}"
    raise LavasegError(
        f"there are no results of {target!r}, expected a study that was run, its folder or its "
        f"CSV file{meant(target, names()) or meant_path(path) or listed}"
    )


def shown(path: Path, source: str | Path | None = None) -> tuple[Study, Results]:
    """A study and its results, from a CSV file alone.

    Args:
        path: results.csv in a folder of results, or NAME.csv of a study that ships.
        source: name or YAML file of the study, where the file's name does not say.

    Raises:
        LavasegError: a file is damaged, the study is not known, or is another.
    """
    results = read_csv(path)
    beside = path.parent / STUDY
    if source is None and path.name == CSV and beside.is_file():
        study = load_kept(beside)
    elif source is None and path.stem not in names():
        raise LavasegError(
            f"{path}: there is no study {path.stem!r} that ships: say which one it is by --study"
        )
    else:
        study = _with_settings(path.stem if source is None else source, results.settings)
    if tuple(study.axes) != results.axes:
        raise LavasegError(
            f"{path} has the axes {', '.join(results.axes) or 'none'}, the study {study.name!r} "
            f"has {', '.join(study.axes) or 'none'}: run it again"
        )
    return study, results


def _with_settings(source: str | Path, settings: str) -> Study:
    """A study in the version that results say they are of."""
    size, *words = settings.split("; ")
    sizes: dict[str, Size] = {"standard": "standard", "quick": "quick", "full": "full"}
    if size not in sizes:
        raise LavasegError(f"settings must begin with {', '.join(sizes)}, got {settings!r}")
    return load(source, sizes[size], overrides=words)
