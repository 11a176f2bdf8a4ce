"""Arguments of commands: run folders, `.net` files, and the words of `--set`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.errors import LavasegError
from lavaseg.system.faults import reading
from lavaseg.system.progress import line
from lavaseg.system.settings import read_yaml
from lavaseg.system.words import command, meant_path

if TYPE_CHECKING:
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.recipes import Choice
    from lavaseg.runs import Run


ROOT = "data.options.root"
"""The field that `--set` may change of a run that exists: its data folder, which moved."""
Moved = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help=f"{ROOT}=FOLDER, where the data have moved to."
    ),
]


def open_run(path: Path, set_: Iterable[str] | None = None) -> Run:
    """The run in a folder; LavasegError if there is none.

    Args:
        set_: words of `--set`, of which `ROOT` is the only field.
    """
    if not path.exists():
        made = f": {command('train', 'RECIPE', '--out', path)} makes one"
        raise LavasegError(f"there is no run folder {path}{meant_path(path) or made}")
    from lavaseg.runs import Run

    run, items = Run.open(path), tuple(set_ or ())
    say_repeated(items)
    for item in items:
        field, equals, root = item.partition("=")
        if field not in (ROOT, "root") or not equals or not root:
            raise LavasegError(
                f"--set {item!r}: a run keeps its recipe, but for {ROOT}=FOLDER where its data "
                "have moved"
            )
        run = run.with_data_in(root)
    return run


def check_net(path: Path) -> None:
    """LavasegError unless there is a file where a `.net` file is expected."""
    if not path.exists():
        made = f": {command('export', 'RUN', '-o', path)} makes one"
        raise LavasegError(f"there is no file {path}{meant_path(path) or made}")
    if path.is_dir():
        from lavaseg.runs import RunFolder

        net = RunFolder(path).net.path
        raise LavasegError(f"{path} is a folder, expected a .net file such as {net}")


def open_net(path: Path) -> IntegerNetwork:
    """The network in a `.net` file; LavasegError if there is none."""
    check_net(path)
    from lavaseg.netx import read

    return read(path)


def say_repeated(items: Sequence[str]) -> None:
    """Say on stderr which fields several words of `--set` give: the last one holds."""
    count = Counter(item.partition("=")[0] for item in items)
    for field, number in count.items():
        if number > 1:
            last = [item for item in items if item.partition("=")[0] == field][-1]
            line(f"--set gives {field} {number} times: the last one holds, {last!r}")


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Option of the data set; may be repeated."),
]


def data_options(items: Iterable[str] | None) -> dict[str, Any]:
    """Options of a data set from the words of `--set`; fields may be spelled as in a recipe."""
    return set_options(items or (), "field=value, such as test=100", prefix="data.options.")


def set_options(items: Iterable[str], example: str, *, prefix: str = "") -> dict[str, Any]:
    """Options from the FIELD=VALUE words of `--set`; values are YAML.

    Args:
        example: one of them, for messages.
        prefix: what a field may begin with.
    """
    items, options = tuple(items), {}
    say_repeated(items)
    for item in items:
        field, equals, value = item.partition("=")
        field = field.removeprefix(prefix)
        if not field or not equals:
            raise LavasegError(f"--set {item!r}: expected {example}")
        with reading(f"--set {item!r}: {value!r}", "is not a YAML value"):
            options[field] = read_yaml(value, field)
    return options


def data_beside(net: Path) -> Choice | None:
    """The data set of the run that a `.net` file lies in; None if it lies elsewhere."""
    from lavaseg.runs import RunFolder

    recipe = RunFolder(net.resolve().parent).recipe
    return recipe.load().data if recipe.exists() else None


def prediction_of(net: Path) -> str:
    """The command that labels photos with a network on Lava: those of its run's data, if known."""
    data = data_beside(net)
    photos = "PHOTOS"
    if data is not None and data.name == "folder":
        root = Path(str(data.options["root"])).expanduser()
        parts = [root / part / "pictures" for part in ("test", "testing", "val", "valid")]
        parts += [root / "validation" / "pictures", root / "pictures"]
        photos = str(next((part for part in parts if part.is_dir()), root))
    return command("predict", net, photos, "--backend", "lava")


def run_of(net: Path) -> Run | None:
    """The run whose current export a `.net` file is; None of any other file."""
    from lavaseg.runs import Run

    return Run.of_net(net)
