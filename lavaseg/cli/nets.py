"""`lavaseg export`, `lavaseg import` and `lavaseg info`: networks in integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from lavaseg.cli.console import check_out, check_writable, only_json, print_json, print_table, say
from lavaseg.cli.inputs import Json, Moved, open_net, open_run, run_of, set_options
from lavaseg.cli.limits import say_limits
from lavaseg.cli.machine import AUTO, Device, Threads
from lavaseg.errors import LavasegError
from lavaseg.system.words import command

if TYPE_CHECKING:
    from lavaseg.export.lowering import Choice
    from lavaseg.network.integers import IntegerNetwork


_Widest = Annotated[
    int | None,
    typer.Option(
        "--widest",
        min=1,
        help="Interleave the columns of wider sheets into channels; Loihi 2 needs 254.",
        show_default="none",
    ),
]


def export(
    run: Annotated[Path, typer.Argument(help="Run folder that `lavaseg train` made.")],
    out_: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write.", show_default="RUN/net.net")
    ] = None,
    calibration: Annotated[
        int,
        typer.Option(
            "--calibration",
            min=0,
            help="Training pictures that scales are measured on; 0: scales from the ranges alone.",
        ),
    ] = 16,
    widest: _Widest = None,
    levels: Annotated[
        str,
        typer.Option(
            "--levels",
            metavar="auto|binary|graded",
            help="How integer neurons send integers: as binary spikes of as many neurons, as one "
            "graded spike, or as takes fewer neurons and synapses.",
        ),
    ] = "auto",
    set_: Moved = None,
    device: Device = AUTO,
    threads: Threads = None,
) -> None:
    """Turn a trained network into Loihi's integers and write it as NetX HDF5.

    Folds batch norm into weights and biases, measures on a few training pictures which weights
    are not worth their range and clips them, rounds weights to 8 bits, and fine-tunes the rounded
    network on the run's training data (kept in RUN, so that a second export is quick), unless that
    makes it worse on validation data. Proves that no sum leaves the range of the hardware. A
    network that is a plain sequence can be loaded
    by stock NetX, too. Then names the limits of Loihi 2 that it meets, and what to do about each.

    Example: `lavaseg export runs/demo -o net.net`
    """
    opened = open_run(run, set_)
    path = out_ or opened.files.net.path
    check_out(path, opened.files.besides(opened.files.net))
    check_writable(path.parent)

    from lavaseg.chip import find_limits
    from lavaseg.export import export as export_run
    from lavaseg.network.levels import forms_in_words, integer_neurons
    from lavaseg.netx import parameters_in_words
    from lavaseg.results.rounding import Calibrated, sentences

    net = export_run(
        opened,
        path,
        calibration=calibration,
        widest=widest,
        levels=cast("Choice", levels),
        device=device,
    )
    if calibration:
        for sentence in sentences(Calibrated.from_dict(opened.files.calibration.load())):
            say(sentence)
    say(f"exported: {path}")
    if integers := forms_in_words(integer_neurons(net.network, net.weights)):
        say(f"integers    {integers}")
    say(f"parameters  {parameters_in_words(opened.network, net)}")
    _say_ranges(net)
    say_limits(find_limits(net))
    say(f"Next: {command('verify', path)}")


def import_(
    stock: Annotated[Path, typer.Argument(help="File that SLAYER's blocks exported.")],
    out_: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    steps: Annotated[
        int, typer.Option("--steps", help="Time steps of one sample; the file does not say.")
    ] = 20,
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="Names of the outputs, with commas: background,digit."),
    ] = None,
    encoder: Annotated[
        str, typer.Option("--encoder", help="How pictures become spikes: poisson, direct, ...")
    ] = "poisson",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="A field of the encoder; may be repeated."
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option("--input-shape", help="C,H,W of a file that has no input layer."),
    ] = None,
    widest: _Widest = None,
    readout: Annotated[
        str | None,
        typer.Option(
            "--readout",
            metavar="membrane|spikes",
            help="What the last layer gives: its membrane after the last step, or its spikes.",
            show_default="membrane if its threshold says that it never fires",
        ),
    ] = None,
) -> None:
    """Turn a network that SLAYER's own blocks exported into a .net file of lavaseg.

    Reads what lava-dl 0.6 writes for CUBA neurons: input, conv, convT, pool, unpool, dense,
    recurrent dense and flatten, with biases and delays. Spikes of the last layer are counted:
    their rates are the outputs. Files of other writers in the same layout are read, too: what
    they leave out is taken from the weights, and odd weights are doubled, which is said.

    Example: `lavaseg import slayer.net -o net.net --steps 32`
    For event cameras: `--encoder event_presence --set 'sensor=[34,34]'`
    """
    from lavaseg.chip import find_limits
    from lavaseg.encoders import encoder_from_dict
    from lavaseg.network.interleave import interleave
    from lavaseg.netx import read_stock, write

    fields = set_options(set_ or (), "field=value, such as sensor=[34,34]")
    check_out(out_, [stock])
    check_writable(out_.parent)
    net = read_stock(
        stock,
        steps=steps,
        encoder=encoder_from_dict({**fields, "kind": encoder, "steps": steps}),
        classes=None if classes is None else classes.split(","),
        input_shape=None if input_shape is None else _extents(input_shape),
        readout=readout,
        remark=say,
    )
    if widest is not None:
        net, _ = interleave(net, widest)
    write(net, out_)
    say(f"imported: {out_}")
    say_limits(find_limits(net))
    say(f"Next: {command('info', out_)}")


def _extents(text: str) -> tuple[int, int, int]:
    words = text.split(",")
    if len(words) != 3 or not all(word.strip().isdecimal() for word in words):
        raise LavasegError(
            f"--input-shape {text!r}: expected channels,height,width, such as 2,34,34"
        )
    channels, height, width = (int(word) for word in words)
    return channels, height, width


def _schema(wanted: bool) -> None:
    if wanted:
        from lavaseg.netx.schema import description_schema

        print_json(description_schema())
        raise typer.Exit


def info(
    net: Annotated[Path, typer.Argument(help="A .net file (NetX HDF5).")],
    json: Json = False,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            help="Print the JSON Schema of a file's description, and nothing else.",
            callback=_schema,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Show what a .net file holds: layers, shapes, ranges, encoder and time steps.

    For each layer: the operator that feeds it, its shape, the step in which a spike of the input
    first reaches it on Lava, its threshold, and the ranges of its weights and biases. Also says
    whether stock NetX (lava.lib.dl.netx.hdf5.Network) can load the file, and if not, why.

    Example: `lavaseg info runs/demo/net.net`
    """
    with only_json(json):
        opened = open_net(net)
        summary = _summary(opened)
    if json:
        print_json({"file": net, **summary})
        return
    print_table(
        str(net),
        ["layer", "operator", "shape", ">params", ">step", ">threshold", ">range", ">bias"],
        (
            (
                layer["layer"],
                _fed_by(layer),
                "x".join(map(str, layer["shape"])),
                f"{layer['parameters']:,}",
                layer["latency"],
                "-" if layer["threshold"] is None else layer["threshold"],
                _range(layer["weights"]),
                _range(layer["biases"]),
            )
            for layer in summary["layers"]
        ),
    )
    encoder = ", ".join(f"{key} {value}" for key, value in summary["encoder"].items())
    say(f"encoder     {encoder}")
    say(f"time steps  {summary['steps']} a sample")
    say(f"classes     {_few(summary['classes'])}")
    say(f"parameters  {_parameters(net, opened, summary['parameters'])}")
    waits = summary["delays"]
    if waits["relay_neurons"] or waits["delayed_synapses"]:
        say(
            f"delays      {waits['relay_neurons']:,} relay neurons and "
            f"{waits['delayed_synapses']:,} delayed synapses, for {_why_wait(opened)}"
        )
    _say_ranges(opened)
    if summary["beyond_sheet"]:
        from lavaseg.network.reach import beyond_in_words

        say(f"dilations   {beyond_in_words(opened.network)}")
    obstacle = summary["stock_obstacle"]
    alone = ", one sample at a time: what is on its way at the end of one reaches the next"
    late = any(p.longest for p in opened.network.projections)
    can = "can load it" + (alone if late else "")
    say(f"stock NetX  {'cannot load it: ' + obstacle if obstacle else can}")


def _parameters(path: Path, net: IntegerNetwork, stored: int) -> str:
    """How many, and where the file lies in its run, why they are not those that were learned."""
    from lavaseg.models.analog import AnalogModel
    from lavaseg.netx import parameters_in_words

    run = run_of(path)
    if run is None or isinstance(run.model, AnalogModel):
        return f"{stored:,} integers: weights and biases, norms folded into them"
    return parameters_in_words(run.model, net)


def _why_wait(net: IntegerNetwork) -> str:
    """For what spikes wait: delays of the description, or paths that differ in length."""
    network = net.network
    late = any(p.longest and p.source != network.input.name for p in network.projections)
    short = any(network.lag(p) > 0 for p in network.projections if not p.by_channel)
    return " and ".join(["delays"] * late + ["paths of unequal length"] * short)


def _fed_by(layer: Mapping[str, Any]) -> str:
    """What feeds a layer, and how it sends integers if it does."""
    fed = layer["operator"] or "host"
    if layer["levels"] is None:
        return fed
    how = "binary slots" if layer["form"] == "binary" else "graded spikes"
    return f"{fed}, {layer['levels']} levels, {how}"


def _summary(net: IntegerNetwork) -> dict[str, Any]:
    from lavaseg.network.ranges import check_ranges
    from lavaseg.network.reach import beyond_sheet
    from lavaseg.network.summary import delay_cost
    from lavaseg.netx import describe, stock_loadable, stored_parameters

    layers = describe(net)
    loadable, obstacle = stock_loadable(net)
    return {
        "layers": layers,
        "encoder": net.encoder.to_dict(),
        "steps": net.steps,
        "classes": net.classes,
        "parameters": stored_parameters(net),
        "delays": delay_cost(net),
        "beyond_sheet": [vars(item) for item in beyond_sheet(net.network)],
        "ranges": [vars(item) for item in check_ranges(net)],
        "stock_loadable": loadable,
        "stock_obstacle": obstacle,
    }


def _say_ranges(net: IntegerNetwork) -> None:
    """Print the verdict of the range proof, and the gains that rounding lost."""
    from lavaseg.network.summary import lost_gains, saturation

    say(f"ranges      {saturation(net)}")
    for sentence in lost_gains(net):
        say(f"gains       {sentence}")


_NAMED = 24
"""Classes that `info` prints by name; of more, it prints how many and the outer ones."""


def _few(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{len(names):,}: {', '.join(names[:3])}, ..., {names[-1]}"


def _range(ends: tuple[int, int] | None) -> str:
    return "-" if ends is None else f"{ends[0]}..{ends[1]}"
