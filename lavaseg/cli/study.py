"""`lavaseg study`: the papers' claims, and one's own questions, run and shown."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli import machine
from lavaseg.cli.console import UNABLE, complain, only_json, print_json, print_table, say
from lavaseg.cli.inputs import Json, say_repeated
from lavaseg.errors import LavasegError

if TYPE_CHECKING:
    from lavaseg.studies import StudyResult
    from lavaseg.studies.running import Runner

SLURM = "On a cluster"
app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Run the papers' claims, and your own questions, over seeds; see the results.",
)

Quick = Annotated[
    bool, typer.Option("--quick", help="A narrow version, minutes on two cores; outputs say so.")
]
Full = Annotated[bool, typer.Option("--full", help="The published size, for a GPU.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """List the studies that ship, and what shows each table and figure of the papers.

    Example: `lavaseg study list`
    """
    from lavaseg.studies import load, names, papers

    studies = [load(name) for name in names()]
    if json:
        print_json(
            {
                "studies": [
                    {
                        "name": study.name,
                        "title": study.title,
                        "paper": study.paper,
                        "runs": study.count,
                        "versions": study.versions,
                    }
                    for study in studies
                ],
                "papers": [item.to_dict() for item in papers.items()],
            }
        )
        return
    print_table(
        "Studies",
        ["name", "what it asks", "after", ">runs"],
        ((s.name, s.title, s.paper or "-", s.count) for s in studies),
        whole=("name",),
    )
    for size in ("quick", "full"):
        without = [study.name for study in studies if size not in study.versions]
        which = f"all but {', '.join(without)}" if without else "all"
        say(f"with a version --{size}: {which}")
    for cite in dict.fromkeys(i.paper.cite for i in papers.items()):
        print_table(
            f"Tables and figures of {cite}",
            ["item", "what it shows", "how it is reproduced"],
            ((i.label, i.shows, i.how) for i in papers.items() if i.paper.cite == cite),
            whole=("item",),
        )
    say("(?): that it exists under this number is not known for certain")
    say("Run one: `lavaseg study run NAME --quick`")


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="Name of a study that ships, or a YAML file.")],
    quick: Quick = False,
    full: Full = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Runs at a time.",
            show_default="1; with --slurm as many as it gives",
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="Seeds, such as 0,1,2, instead of its own.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of all its recipes."),
    ] = None,
    out_: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of the results.", show_default="runs/studies/NAME"
        ),
    ] = None,
    device: machine.TrainDevice = None,
    threads: machine.ThreadsEach = None,
    slurm: Annotated[
        bool,
        typer.Option("--slurm", help="As an array of Slurm's jobs.", rich_help_panel=SLURM),
    ] = False,
    partition: Annotated[
        str | None,
        typer.Option(
            "--partition",
            help="Partition of Slurm.",
            show_default="Slurm's own",
            rich_help_panel=SLURM,
        ),
    ] = None,
    time: Annotated[
        int | None,
        typer.Option(
            "--time",
            min=1,
            help="Minutes that each run may take.",
            show_default="limit of the partition",
            rich_help_panel=SLURM,
        ),
    ] = None,
    gres: Annotated[
        str | None,
        typer.Option("--gres", help="What each run needs: gpu:1.", rich_help_panel=SLURM),
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            "--sbatch",
            metavar="OPTION",
            help="A further option of sbatch, such as --sbatch=--cpus-per-task=8; may be repeated.",
            rich_help_panel=SLURM,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Train and measure what a study asks for, and write its table, figure and CSV.

    Runs are kept in the folder `runs` beside the results and shared by all studies: what is there
    is not done again, and after Ctrl-C the same command goes on. A run that fails is named at the
    end and stops no other; the exit code is then 1.

    With --slurm, Ctrl-C takes the jobs out of the queue. If this command is killed they go on, and
    the same command takes them up again.

    Example: `lavaseg study run rmp --quick`, or `lavaseg study run rmp --slurm --gres gpu:1`
    """
    from lavaseg.studies import run_study

    say_repeated(set_ or ())
    asked = {"partition": partition, "minutes": time, "gres": gres, "sbatch": tuple(sbatch or ())}
    runner = _on_slurm(jobs, asked) if slurm else None
    if not slurm and any(asked.values()):
        raise LavasegError("--partition, --time, --gres and --sbatch are for --slurm: add it")
    try:
        with only_json(json):
            found = run_study(
                study,
                quick=quick,
                full=full,
                seeds=_seeds(seeds),
                overrides=[*(set_ or ()), *machine.fields(device=device, threads=threads)],
                out=out_,
                jobs=jobs or 1,
                runner=runner,
            )
    except KeyboardInterrupt as error:
        again = shlex.join(["lavaseg", *sys.argv[1:]])
        raise KeyboardInterrupt(
            f"{str(error) or 'interrupted'}: finished runs and epochs are kept, `{again}` goes on "
            "from there"
        ) from None
    if json:
        print_json(found.to_dict())
    else:
        _show(found)
        say(f"written: {found.folder}")
    if found.failed:
        _say_failed(found.failed)
        raise typer.Exit(UNABLE)


@app.command()
def show(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER|CSV", help="A study that was run, its folder, or its CSV file."
        ),
    ],
    study: Annotated[
        str | None,
        typer.Option(
            "--study",
            help="The study that a CSV file is of: a name, or a YAML file.",
            show_default="that of the file's name",
        ),
    ] = None,
    out_: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write table and figures to."),
    ] = None,
    json: Json = False,
) -> None:
    """Show a study's results, made of its CSV file alone.

    Example: `lavaseg study show rmp-quick`
    """
    from lavaseg.studies.running import StudyResult
    from lavaseg.studies.showing import find_results, shown, write_outputs

    path = find_results(target)
    found = StudyResult(*shown(path, study), folder=path.parent)
    if out_ is not None:
        from lavaseg.cli.console import check_out, check_writable
        from lavaseg.studies.showing import CSV

        check_writable(out_)
        check_out(out_ / CSV, [path])
        write_outputs(found.study, found.results, out_)
    if json:
        print_json(found.to_dict())
    else:
        _show(found)


@app.command()
def page(
    pages: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PAGE", help="Markdown files.", show_default="docs/results.md"),
    ] = None,
) -> None:
    """Fill the blocks of a Markdown page from the CSV files beside it, in its folder `results`.

    A block begins with a line `<!-- study: NAME -->` and ends with a line `<!-- end -->`.

    Example: `lavaseg study page docs/results.md`
    """
    from lavaseg.studies.page import refresh

    for path in pages or [Path("docs") / "results.md"]:
        names = refresh(path)
        say(f"{path}: {', '.join(names) or 'no blocks'}")


@app.command(hidden=True)
def task(
    folder: Annotated[Path, typer.Argument(help="Folder of a study's results.")],
    index: Annotated[int, typer.Argument(help="Number of the job, from 0.")],
    attached: Annotated[bool, typer.Option("--attached", help="End when stdin is closed.")] = False,
) -> None:
    """Do one job of a study: train its run and measure it."""
    from lavaseg.studies.work import do_task

    if attached:
        _end_with_stdin()
    run = do_task(folder, index)
    say(f"done: {run.path}")


def _end_with_stdin() -> None:
    """From now on, this process is interrupted when the pipe at its stdin is closed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored by now

    def watch() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def _on_slurm(jobs: int | None, asked: dict[str, Any]) -> Runner:
    """What hands the jobs to Slurm, which has the place that they are to run at."""
    from lavaseg.studies.cluster import Request, places, run_array

    request = Request(at_once=jobs, **asked)
    places(request)
    return partial(run_array, request=request)


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise LavasegError(f"--seeds must be whole numbers such as 0,1,2, got {text!r}")
    return [int(word) for word in words]


def _say_failed(failed: Mapping[str, str]) -> None:
    """Why runs failed; those that failed alike in one line, with the log of the first."""
    from lavaseg.studies.running import reason_of

    for reason in dict.fromkeys(map(reason_of, failed.values())):
        alike = [title for title, why in failed.items() if reason_of(why) == reason]
        complain(f"failed: {'; '.join(alike)}: {failed[alike[0]]}")


def _show(found: StudyResult) -> None:
    """Tables and verdicts at the terminal."""
    from lavaseg.studies.table import remarks, tables
    from lavaseg.studies.verdicts import verdicts

    say(found.study.title, "bold")
    for remark in remarks(found.study, found.results):
        say(remark)
    for table in tables(found.study, found.results):
        values = table.columns[table.labels :]
        print_table(table.title, table.columns, table.rows, whole=values, labels=table.labels)
        if table.sources:
            say(f"Printed: {'; '.join(table.sources)}.")
    for verdict in verdicts(found.study, found.results):
        say(f"- {verdict.sentence.replace('**', '')}")
