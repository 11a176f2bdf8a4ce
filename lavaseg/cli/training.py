"""`lavaseg train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lavaseg.cli import machine
from lavaseg.cli.complete import complete_fields, complete_recipes
from lavaseg.cli.console import check_writable, say
from lavaseg.cli.inputs import say_repeated
from lavaseg.cli.training_shown import free_folder, say_chip, try_steps
from lavaseg.errors import LavasegError
from lavaseg.system.words import command


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Name of a recipe that ships, or a YAML file.", autocompletion=complete_recipes
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change a field; may be repeated. `lavaseg help` lists fields.",
            autocompletion=complete_fields,
        ),
    ] = None,
    out_: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder.", show_default="runs/RECIPE")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Train a few steps: memory and time of all. Writes nothing."
        ),
    ] = False,
    init: Annotated[
        Path | None,
        typer.Option(
            "--init", help="Begin with the weights of a run, a .net or a file of weights."
        ),
    ] = None,
    rates: Annotated[
        bool,
        typer.Option("--try-rates", help="Train some steps at rising rates, and suggest one."),
    ] = False,
    device: machine.TrainDevice = None,
    devices: machine.Devices = None,
    threads: machine.ThreadsEach = None,
    workers: machine.Workers = None,
    precision: machine.Precision = None,
    accumulate: machine.Accumulate = None,
    time_limit: machine.TimeLimit = None,
    early_stop: machine.EarlyStop = None,
) -> None:
    """Train a network and keep everything about it in one run folder.

    Each epoch shows loss, mIoU on validation data and spike rates, and logs them to
    RUN/metrics.csv and TensorBoard. The best epoch on validation data is kept; with the field
    training.train_on_all nothing is held out, and the last epoch is kept. Test data are never
    looked at. Ctrl-C is safe: --resume goes on exactly where the last epoch ended. With more
    training.epochs it extends a finished run, if its schedules are constant. What it runs on may
    differ then: apart from the order of sums, it changes nothing of what is learned.

    --init takes what fits of other weights: the best epoch of a run, the integers of a .net file,
    or a .safetensors or torch file; one line says which layers are taken and which are new.
    --set init.frozen='[conv1, conv2]' keeps layers as they are.

    --try-rates writes a curve of the loss over the learning rate beside the run's folder.

    --dry-run trains a few steps, says how much memory and time all of it takes, and writes nothing.

    Example: `lavaseg train demo --set training.epochs=3 -o runs/short`

    Example: `lavaseg train voc --device cuda:1 --workers 4 --time-limit 2h`
    """
    from lavaseg.recipes import load

    asked = {
        **{"device": device, "devices": devices, "threads": threads, "workers": workers},
        **{"precision": precision, "accumulate": accumulate},
        **{"time_limit": time_limit, "early_stop": early_stop},
    }
    say_repeated(set_ or ())
    checked = load(recipe, [*(set_ or ()), *machine.fields(**asked)])
    folder = out_ or Path("runs") / checked.name
    changes = [word for item in set_ or () for word in ("--set", item)]
    changes += machine.words(**asked)
    begun = ["--init", str(init)] if init else []

    def again(folder: Path, resume: bool) -> str:
        words = ["lavaseg", "train", recipe, *changes, "--out", str(folder)]
        return shlex.join([*words, *(["--resume"] if resume else begun)])

    if dry_run and rates:
        raise LavasegError("--dry-run and --try-rates are two trials: leave one of them out")
    if dry_run:
        try_steps(checked, folder, resume, again, init)
        return
    if rates:
        from lavaseg.cli.rates import try_rates

        if resume:
            raise LavasegError("--try-rates looks for a rate to begin with: leave out --resume")
        folder = free_folder(folder, checked)
        try_rates(checked, folder, shlex.split(again(folder, False)), init)
        return

    from lavaseg.models.analog import RECTIFIED, AnalogModel
    from lavaseg.training import train as train_recipe

    # the folder itself is made when all is checked
    nearest = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    check_writable(nearest if nearest.is_dir() else folder)

    try:
        run = train_recipe(checked, folder, init=init, resume=resume, described_as=say_chip)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted: finished epochs are kept, `{again(folder, True)}` goes on from there"
        ) from None
    kept = " (on all samples; the last epoch is kept)" if checked.training.train_on_all else ""
    say(f"trained: {run.path}{kept}")
    if not run.finished:
        say(f"To go on: `{again(folder, True)}`")
    if not isinstance(run.model, AnalogModel):
        say(f"Next: {command('export', run.path)}")
        return
    say(f"Next: {command('evaluate', run.path)}")
    if run.model.name in RECTIFIED:
        made = command("convert", run.path, "--out", f"{run.path}-converted")
        say(f"Or make it spiking: {made}")
