"""`lavaseg convert`: a trained artificial network becomes a spiking one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lavaseg.cli.console import check_writable, say
from lavaseg.cli.inputs import open_run, say_repeated
from lavaseg.system.words import command


def convert(
    run: Annotated[Path, typer.Argument(help="Run folder of an ann_deeplab or ann_fcn.")],
    out_: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make.")],
    rule: Annotated[
        str,
        typer.Option("--rule", help="How thresholds are balanced: channel, percentile, layer, ..."),
    ] = "channel",
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", help="Time steps of one sample.", show_default="64, with hard reset 8"
        ),
    ] = None,
    reset: Annotated[
        Literal["soft", "hard"],
        typer.Option("--reset", help="soft: best in floats; hard: can be exported."),
    ] = "soft",
    calibration: Annotated[
        int, typer.Option("--calibration", help="Training samples that thresholds are balanced on.")
    ] = 32,
    encoder: Annotated[
        Literal["direct", "poisson"] | None,
        typer.Option(
            "--encoder",
            help="How pictures become spikes.",
            show_default="as for the artificial network",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change a field of training, augment or finetune; may be repeated.",
        ),
    ] = None,
) -> None:
    """Make a spiking network of a trained artificial one, in a run folder of its own.

    Rates of spikes stand for the activations of ReLUs; thresholds are balanced on the first
    training samples. With soft reset the more steps, the closer it comes to the artificial
    network, in floats. With hard reset it loses what the artificial network knew, but starts from
    its weights: export then fine-tunes the integers, and few steps are enough.

    Example: `lavaseg convert runs/ann --out runs/converted --reset hard`
    """
    say_repeated(set_ or ())
    opened = open_run(run)
    check_writable(out_.parent)

    from lavaseg.export import convert_run

    made = convert_run(
        opened,
        out_,
        rule=rule,
        steps=steps,
        reset=reset,
        calibration=calibration,
        encoder=encoder,
        overrides=set_ or (),
    )
    say(f"converted: {made.path}")
    say(f"Next: {command('evaluate' if reset == 'soft' else 'export', made.path)}")
