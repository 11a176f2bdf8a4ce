"""`lavaseg train`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.cli.complete import complete_fields, complete_recipes
from lavaseg.cli.console import check_writable, say
from lavaseg.cli.inputs import say_repeated
from lavaseg.system.limits import gigabytes
from lavaseg.system.words import counted, duration, percent

if TYPE_CHECKING:
    from lavaseg.recipes import Recipe
    from lavaseg.runs import Run
    from lavaseg.training.trial import Trial


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
) -> None:
    """Train a network and keep everything about it in one run folder.

    Each epoch shows loss, mIoU on validation data and spike rates, and logs them to
    RUN/metrics.csv and TensorBoard. The best epoch on validation data is kept; with the field
    training.train_on_all nothing is held out, and the last epoch is kept. Test data are never
    looked at. Ctrl-C is safe: --resume goes on exactly where the last epoch ended. With more
    training.epochs it extends a finished run, if its schedules are constant.

    --dry-run trains a few steps, says how much memory and time all of it takes, and writes nothing.

    Example: `lavaseg train demo --set training.epochs=3 -o runs/short`
    """
    from lavaseg.recipes import load

    say_repeated(set_ or ())
    checked = load(recipe, set_ or ())
    folder = out_ or Path("runs") / checked.name
    changes = [word for item in set_ or () for word in ("--set", item)]

    def command(folder: Path, resume: bool) -> str:
        words = ["lavaseg", "train", recipe, *changes, "--out", str(folder)]
        return shlex.join([*words, *["--resume"] * resume])

    if dry_run:
        _try(checked, folder, resume, command)
        return

    from lavaseg.models.analog import RECTIFIED, AnalogModel
    from lavaseg.training import train as train_recipe

    # the folder itself is made when all is checked
    nearest = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    check_writable(nearest if nearest.is_dir() else folder)

    try:
        run = train_recipe(checked, folder, resume=resume, described_as=_say_chip)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted: finished epochs are kept, `{command(folder, True)}` goes on from there"
        ) from None
    kept = " (on all samples; the last epoch is kept)" if checked.training.train_on_all else ""
    say(f"trained: {run.path}{kept}")
    if not isinstance(run.model, AnalogModel):
        say(f"Next: `lavaseg export {run.path}`")
        return
    say(f"Next: `lavaseg evaluate {run.path}`")
    if run.model.name in RECTIFIED:
        say(f"Or make it spiking: `lavaseg convert {run.path} --out {run.path}-converted`")


def _try(recipe: Recipe, folder: Path, resume: bool, command: Callable[[Path, bool], str]) -> None:
    """Train a few steps, say what they took, and what trains the rest."""
    from lavaseg.runs import RunFolder
    from lavaseg.training import dry_run

    classes: list[str] = []

    def describe(run: Run) -> None:
        classes.extend(run.classes)
        _say_chip(run, say)

    found = dry_run(recipe, folder, resume=resume, tell=say, described_as=describe)
    for text in trial_lines(found, classes):
        say(text)
    if not resume and RunFolder(folder).recipe.exists():
        say(f"{'folder':<12}{folder} holds a run already")
        folder = next(f for n in count(2) if not (f := Path(f"{folder}-{n}")).exists())
    say(f"\nNothing was written. Train it: `{command(folder, resume)}`")


_NAMED = 8
"""Classes whose share of the pixels is said."""


def trial_lines(found: Trial, classes: Sequence[str]) -> list[str]:
    """What the steps of a trial took, in lines of the style of what training begins with."""
    batch, epoch, whole = (duration(s) for s in (found.batch, found.epoch, found.whole))
    shares = sorted(
        zip(found.labels.tolist(), (*classes, "not counted"), strict=True), reverse=True
    )
    named = [f"{name} {percent(share, 1)}" for share, name in shares if share]
    more = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    memory = "not told by this system"
    if found.memory is not None:
        memory = f"{gigabytes(found.memory)} at peak ({found.where})"
    validated = ", validation included" if found.batches[1] else ""
    facts = {
        "labels": f"{', '.join(named[:_NAMED])}{more} (of {counted(found.samples, 'sample')})",
        "measured": f"{counted(found.timed, 'batch', 'batches')}, after others to warm up",
        "memory": memory,
        "time": f"{batch} a batch, {epoch} an epoch{validated}, {whole} for "
        f"{counted(found.epochs, 'epoch')}",
    }
    return [f"{key:<12}{fact}" for key, fact in facts.items()]


def _say_chip(run: Run, tell: Callable[[str], None] | None = None) -> None:
    """Say whether the network fits Loihi 2, before its training begins; on stderr by default."""
    from lavaseg.chip import map_net
    from lavaseg.export.lowering import deployed, obstacles
    from lavaseg.models.analog import AnalogModel
    from lavaseg.system.progress import line

    if isinstance(run.model, AnalogModel):
        return
    tell = tell or (lambda text: line(text))
    against = obstacles(run.model.without_auxiliaries())
    if against:
        tell(f"{'Loihi 2':<12}this network trains only ({', '.join(against)})")
        return
    mapping = map_net(deployed(run.model), steps=run.recipe.encoder_object.steps)
    tell(f"{'Loihi 2':<12}{mapping.misfit or mapping.summary} (our model; see `lavaseg map`)")
