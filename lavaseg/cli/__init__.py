"""The command line: `lavaseg COMMAND`. Commands only translate; the work is in the API.

Heavy modules (torch, lightning, lava, matplotlib) are imported inside the commands that need
them, so that `lavaseg --help` answers at once.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer
from typer.completion import completion_init

from lavaseg.cli import (
    chip,
    cloud,
    compare,
    conversion,
    data,
    demo,
    doctor,
    evaluation,
    help,
    inference,
    models,
    nets,
    plot,
    recipes,
    record,
    report,
    shells,
    show,
    study,
    training,
    verification,
)
from lavaseg.cli.console import Commands, print_anything
from lavaseg.errors import LavasegError
from lavaseg.system.environment import settle
from lavaseg.system.progress import line
from lavaseg.system.session import clear_up
from lavaseg.system.verbosity import speaking

NAME = "lavaseg"
app = typer.Typer(
    cls=Commands,
    name=NAME,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PIPELINE, DATA, RESULTS = "The pipeline, in order", "Looking at data", "Looking at results"
CLOUD = "On another machine"
app.command(rich_help_panel=PIPELINE)(demo.demo)
app.command(rich_help_panel=PIPELINE)(doctor.doctor)
app.add_typer(recipes.app, name="recipes", rich_help_panel=PIPELINE)
app.command("help", rich_help_panel=PIPELINE)(help.help_)
app.command(rich_help_panel=PIPELINE)(shells.completion)
app.command(rich_help_panel=RESULTS)(models.models)
app.command(rich_help_panel=PIPELINE)(training.train)
app.command(rich_help_panel=PIPELINE)(conversion.convert)
app.command(rich_help_panel=PIPELINE)(nets.export)
app.command("import", rich_help_panel=PIPELINE)(nets.import_)
app.command(rich_help_panel=PIPELINE)(verification.verify)
app.command(rich_help_panel=PIPELINE)(inference.predict)
app.command(rich_help_panel=PIPELINE)(inference.simulate)
app.command(rich_help_panel=PIPELINE)(inference.run)
app.command(rich_help_panel=CLOUD)(cloud.bundle)
app.command(rich_help_panel=CLOUD)(cloud.submit)
app.command(rich_help_panel=CLOUD)(cloud.collect)
app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.command(rich_help_panel=RESULTS)(nets.info)
app.command("map", rich_help_panel=RESULTS)(chip.map_)
app.command(rich_help_panel=RESULTS)(show.show)
app.command(rich_help_panel=RESULTS)(evaluation.evaluate)
app.command(rich_help_panel=RESULTS)(record.record)
app.command(rich_help_panel=RESULTS)(plot.plot)
app.command(rich_help_panel=RESULTS)(report.report)
app.command(rich_help_panel=RESULTS)(compare.compare)
app.add_typer(study.app, name="study", rich_help_panel=RESULTS)


def _version(wanted: bool) -> None:
    if wanted:
        from lavaseg import __version__

        typer.echo(f"lavaseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show results and errors, no progress.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Show what libraries log and warn of, too."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the Python traceback of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Train spiking segmentation networks, and run them on Lava spike for spike as trained.

    **Start here:** `lavaseg demo` does everything once, in a few minutes. Then
    `lavaseg recipes` lists what can be trained.

    Exit codes: 0 success, 1 verify, submit or collect found differing spikes (or map --check a
    broken limit, doctor what hinders, study a run that failed), 2 a mistake in the call or in a
    file, 3 a fault of the program, 130 interrupted.

    --quiet, --verbose and --debug may stand behind the command, too. Colours and bold letters
    are left out where NO_COLOR is set; files and pipes get none.
    """
    if quiet and verbose:
        raise LavasegError("--quiet and --verbose exclude each other: give one of them")
    ctx.with_resource(speaking(quiet=quiet, verbose=verbose))


def main() -> None:
    """Entry point of the command `lavaseg`."""
    if shells.is_completing():
        completion_init()
        app(prog_name=NAME)
    print_anything()
    for remark in settle(os.environ):
        line(remark)
    clear_up()
    app(prog_name=NAME)
