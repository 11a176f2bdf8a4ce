"""What `lavaseg train` says of a network before it trains it, and of a dry run."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lavaseg.cli.console import say
from lavaseg.errors import LavasegError
from lavaseg.system.limits import gigabytes
from lavaseg.system.words import counted, duration, percent, several

if TYPE_CHECKING:
    from lavaseg.recipes import Recipe
    from lavaseg.runs import Run
    from lavaseg.training.trial import Trial

_NAMED = 8
"""Classes whose share of the pixels is said."""


def try_steps(
    recipe: Recipe,
    folder: Path,
    resume: bool,
    command: Callable[[Path, bool], str],
    init: Path | None = None,
) -> None:
    """Train a few steps, say what they took, and what trains the rest.

    Args:
        command: that trains into a folder, or resumes there.
        init: weights to begin with.
    """
    from lavaseg.training import dry_run

    found = dry_run(
        recipe,
        folder,
        init=init,
        resume=resume,
        tell=say,
        described_as=lambda run: say_chip(run, say),
    )
    for text in trial_lines(found, recipe.machine.devices):
        say(text)
    if not resume:  # a run to resume has been checked
        folder = free_folder(folder, recipe)
    say("\nNothing was written. What trains it:")
    typer.echo(f"  {command(folder, resume)}")  # in one line, to be copied


def free_folder(folder: Path, recipe: Recipe) -> Path:
    """The folder, if a run can start there; else one of a similar name, after saying why."""
    from lavaseg.runs import RunFolder
    from lavaseg.training.resuming import check_free

    try:
        check_free(RunFolder(folder), recipe, False)
    except LavasegError as error:
        say(f"{'folder':<12}{error}")
        return next(f for n in count(2) if not (f := Path(f"{folder}-{n}")).exists())
    return folder


def trial_lines(found: Trial, devices: int = 1) -> list[str]:
    """What the steps of a trial took, in lines of the style of what training begins with.

    Args:
        devices: that shall train together; one of them took the steps.
    """
    batch, epoch, whole = (duration(s) for s in (found.batch, found.epoch, found.whole))
    names = (*found.classes, "not counted")
    shares = sorted(zip(found.labels.tolist(), names, strict=True), reverse=True)
    named = [f"{name} {percent(share, 1)}" for share, name in shares if share]
    memory = "not told by this system"
    if found.memory is not None:
        memory = f"{gigabytes(found.memory)} at peak ({found.where})"
    alone = f"; whole ones on one of {devices} devices" if devices > 1 else ""
    validated = ", validation included" if found.batches[1] else ""
    facts = {
        "labels": f"{several(named, _NAMED)} (of {counted(found.samples, 'sample')})",
        "measured": f"{counted(found.timed, 'batch', 'batches')}, after others to warm up{alone}",
        "memory": memory,
        "time": f"{batch} a batch, {epoch} an epoch{validated}, {whole} for "
        f"{counted(found.epochs, 'epoch')}",
    }
    return [f"{key:<12}{fact}" for key, fact in facts.items()]


def say_chip(run: Run, tell: Callable[[str], None] | None = None) -> None:
    """Say whether the network fits Loihi 2, before its training begins; on stderr by default."""
    from lavaseg.chip import map_net
    from lavaseg.export.lowering import deployed, obstacles
    from lavaseg.models.analog import AnalogModel
    from lavaseg.system.progress import line

    tell = tell or line
    if isinstance(run.model, AnalogModel):
        return
    against = obstacles(run.model.without_auxiliaries())
    if against:
        tell(f"{'Loihi 2':<12}this network trains only ({', '.join(against)})")
        return
    mapping = map_net(deployed(run.model), steps=run.recipe.encoder_object.steps)
    tell(f"{'Loihi 2':<12}{mapping.misfit or mapping.summary} (our model; see `lavaseg map`)")
