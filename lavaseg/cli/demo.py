"""`lavaseg demo`: the whole chain once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.cli.console import DIFFERENT, check_writable, say
from lavaseg.cli.machine import AUTO, Device, Threads, fields
from lavaseg.cli.verification import show_verdict

if TYPE_CHECKING:
    from lavaseg.recipes import Recipe
    from lavaseg.runs import Run

STAGES = 5
SAMPLES = 16


def demo(
    out_: Annotated[Path, typer.Option("--out", "-o", help="Run folder.")] = Path("runs/demo"),
    device: Device = AUTO,
    threads: Threads = None,
) -> None:
    """Train, export, verify on Lava, evaluate and report: the whole chain in a few minutes.

    A small Spiking-DeepLab with integer neurons learns to find handwritten digits on photographs
    (both ship with scikit-learn: nothing is downloaded), is exported to Loihi's integers, and is
    run on Lava spike for spike. Needs no GPU. A demo that was interrupted goes on where it stopped.

    Example: `lavaseg demo --out runs/first`
    """
    from lavaseg import deploy, export, recipes, report
    from lavaseg.results.energy import CMOS_45NM, account, format_energy, on_device
    from lavaseg.system.words import counted, percent
    from lavaseg.training import evaluate as evaluate_floats

    check_writable(out_)

    started = time.monotonic()
    recipe = recipes.load("demo-levels", fields(device=device))

    with _stage(1, f"train: {recipe.title}, {recipe.training.epochs} epochs"):
        run = _trained(recipe, out_)
        trained = evaluate_floats(run, device=device)
        parameters = run.network.parameter_count(recipe.encoder_object.steps)
        _figure(f"test mIoU {percent(trained.miou)} with {parameters:,} parameters in floats")

    with _stage(2, "export: fold, round to Loihi's integers, fine-tune, prove ranges"):
        net = export.export(run, device=device)
        steps = counted(net.steps, "time step")
        _figure(f"{net.network.weight_count():,} weights of 8 bits, {steps}")

    with _stage(3, f"verify: {SAMPLES} samples through torch, simulator and both Lava runtimes"):
        verdict = deploy.verify(run, limit=SAMPLES)
        show_verdict(verdict)

    with _stage(4, "evaluate the integers that Lava runs"):
        result = deploy.evaluate(run, device=device)
        work = account(net.network, result.counts, result.samples, result.steps)
        energy = on_device(work, CMOS_45NM)
        spent = format_energy((energy.picojoules or (0.0, 0.0))[1])
        change = 100 * (result.miou - trained.miou)
        _figure(f"test mIoU {percent(result.miou)} ({change:+.2f} points against the floats)")
        _figure(f"{work.synaptic_operations:,.0f} synaptic operations a picture")
        _figure(f"{spent} a picture ({energy.title[0].lower()}{energy.title[1:]}; an estimate)")

    with _stage(5, "report"):
        page = report.write_report(run)

    say(f"\nDone in {time.monotonic() - started:.0f} s. Look at")
    say(f"  {page}  pictures, spikes, energy, verdict")
    say(f"  {run.files.net.path}  the network; `lavaseg info` describes it")
    if not verdict.ok:
        raise typer.Exit(DIFFERENT)


def _trained(recipe: Recipe, folder: Path) -> Run:
    """Train, or go on with what an earlier demo left."""
    from lavaseg.runs import RunFolder
    from lavaseg.system.words import command
    from lavaseg.training import train

    try:
        return train(recipe, folder, resume=RunFolder(folder).recipe.exists())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            "interrupted: finished epochs are kept, "
            f"{command('demo', '--out', folder)} goes on from there"
        ) from None


@contextmanager
def _stage(number: int, title: str) -> Iterator[None]:
    """Announce a stage, and say how long it took."""
    say(f"{number}/{STAGES} {title}", "bold")
    started = time.monotonic()
    yield
    _figure(f"{time.monotonic() - started:.1f} s")


def _figure(text: str) -> None:
    say(f"    {text}")
