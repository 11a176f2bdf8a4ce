"""`lavaseg recipes`: those that ship, one of them in full, and a new one for your own data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lavaseg.cli.complete import complete_data, complete_recipes
from lavaseg.cli.console import print_json, print_table, say
from lavaseg.cli.inputs import DataOptions, Json, data_options
from lavaseg.errors import LavasegError
from lavaseg.system.words import command

app = typer.Typer(rich_markup_mode="markdown")


@app.callback(invoke_without_command=True)
def recipes(ctx: typer.Context, json: Json = False) -> None:
    """List the recipes that ship, show one, or write a new one for your own data.

    A recipe is one YAML file: data, model, encoder, training, regularisation, fine-tuning, seed.
    A copy with other values is a recipe, too; `lavaseg train` takes its path. Without a command,
    the recipes that ship are listed with the paper and table that each reproduces.

    Example: `lavaseg recipes new --root ~/mine`
    """
    if ctx.invoked_subcommand is None:
        _list(json)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the recipes that ship, with the paper and table that each reproduces.

    Example: `lavaseg recipes list --json`
    """
    _list(json)


def _list(json: bool) -> None:
    from lavaseg.recipes import GROUPS, load, names

    if json:
        print_json([load(name).model_dump() for name in names()])
        return
    for group, title in GROUPS.items():
        print_table(
            title,
            ["name", "what it trains", "reproduces", "data", ">epochs"],
            (
                (r.name, r.title, r.paper or "-", r.data.name, r.training.epochs)
                for r in map(load, names(group))
            ),
        )
    say("Next: `lavaseg recipes show NAME`, `lavaseg train NAME`, or `lavaseg recipes new`")


Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="File to write; it must not exist yet.")
]


@app.command()
def show(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Name of a recipe that ships, or a YAML file.", autocompletion=complete_recipes
        ),
    ],
    all_: Annotated[
        bool, typer.Option("--all", help="Every field and option, with what it means.")
    ] = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Show a recipe as YAML, or write it to a file that you can change and train.

    Fields that have their defaults are left out, unless --all asks for them.

    Example: `lavaseg recipes show camvid --all -o mine.yaml`
    """
    from lavaseg.guide.commented import chosen, commented
    from lavaseg.recipes import load

    loaded = load(recipe)
    if json:
        print_json(loaded.model_dump())
        return
    text = commented(loaded) if all_ else chosen(loaded)
    if out is None:
        typer.echo(text, nl=False)
        return
    _write(out, text)


@app.command()
def new(
    name: Annotated[
        str,
        typer.Option(
            "--data", help="Data set of `lavaseg data list`.", autocompletion=complete_data
        ),
    ] = "folder",
    root: Annotated[Path | None, typer.Option(help="Its folder (data option root).")] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            help="Names of classes in the order of their ids, with commas; or a file with a name "
            "a line, or CVAT's labelmap.txt.",
            show_default="labelmap.txt or classes.txt in DIR, else made up",
        ),
    ] = None,
    set_: DataOptions = None,
    called: Annotated[
        str | None, typer.Option("--name", help="Name of the recipe.", show_default="the folder's")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="File to write; it must not exist yet.", show_default="NAME.yaml"
        ),
    ] = None,
) -> None:
    """Write a recipe that fits your data, ready to train.

    All label maps are read: classes, ignore index and weights of rare classes follow from them,
    size, batches and epochs from the pictures. Model and rates are those of the recipes that were
    tuned here. Pictures lie in DIR/pictures and label maps in DIR/labels, or both in DIR/train,
    DIR/val and DIR/test.

    Example: `lavaseg recipes new --root ~/mine --classes road,sky,car`
    """
    from lavaseg.guide.draft import OWN, draft
    from lavaseg.guide.labels import read_names
    from lavaseg.system.progress import bar

    options = data_options(set_)
    if root is not None:
        options["root"] = str(root)
    elif name in OWN and "root" not in options:
        raise LavasegError("`lavaseg recipes new` needs --root: the folder of your data")
    names: list[str] = []
    if classes is not None and Path(classes).is_file():
        marked = read_names(Path(classes))
        coloured = {n: list(m) for n, m in marked.items() if isinstance(m, tuple)}
        if coloured:
            options["classes"] = coloured
        else:
            names = [*marked]
    elif classes is not None:
        names = [word.strip() for word in classes.split(",")]
    if out is not None:
        _check_new(out)
    with bar("label maps") as report:
        found = draft(name, called=called, names=names, report=report, **options)
    path = out or Path(f"{found.recipe.name}.yaml")
    for remark in found.remarks:
        say(remark)
    from lavaseg.guide.commented import chosen

    _write(path, chosen(found.recipe))


@app.command()
def schema(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write.", show_default="on the terminal"),
    ] = None,
) -> None:
    """Write the JSON Schema of a recipe, by which editors complete fields and mark mistakes.

    Recipes that `lavaseg recipes new` and `show --out` write name it in their first line, as
    yaml-language-server has it, and it lies beside them.

    Example: `lavaseg recipes schema -o recipe.schema.json`
    """
    from lavaseg.guide.schema import recipe_schema

    if out is None:
        print_json(recipe_schema())
    else:
        _write_schema(out)
        say(f"written: {out}")


HELP = "# `lavaseg help FIELD` explains a field, `lavaseg recipes show FILE --all` shows all."
"""The second line of recipes that are written."""


def _write(path: Path, text: str) -> None:
    """A new recipe, and the schema beside it."""
    from lavaseg.guide.schema import FILE, line
    from lavaseg.system.files import write_atomically

    _check_new(path)
    _write_schema(path.parent / FILE)
    write_atomically(path, f"{line()}\n{HELP}\n{text}")
    say(f"written: {path}, and {FILE} beside it for editors")
    say(f"Next: {command('train', path)}")


def _write_schema(path: Path) -> None:
    import json

    from lavaseg.guide.schema import recipe_schema
    from lavaseg.system.files import write_atomically

    write_atomically(path, json.dumps(recipe_schema(), indent=1) + "\n")


def _check_new(path: Path) -> None:
    if path.exists():
        raise LavasegError(f"--out {path} exists already: give another name")
