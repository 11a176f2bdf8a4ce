"""`lavaseg record`: spikes, membranes and operations of every layer, as an .npz and a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.console import (
    check_out,
    check_writable,
    only_json,
    print_json,
    print_table,
    say,
)
from lavaseg.cli.inputs import (
    DataOptions,
    Json,
    data_beside,
    data_options,
    open_net,
    open_run,
)
from lavaseg.data.inputs import Trained, choose_inputs
from lavaseg.errors import LavasegError
from lavaseg.system.faults import check_target
from lavaseg.system.words import counted, percent

if TYPE_CHECKING:
    from lavaseg.data.inputs import Inputs, Taker
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.recipes import Choice
    from lavaseg.results.recording import LayerRecording, Recording
    from lavaseg.runs import Run


def record(
    target: Annotated[Path, typer.Argument(metavar="RUN|NET", help="A run folder or a .net file.")],
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Pictures, recordings of events, folders or data sets, as of `lavaseg simulate`.",
            show_default="test data of the run, else noise",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=1, help="At most this many samples.")
    ] = 4,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="Names with commas: conv1,conv2; others are left out.",
            show_default="all",
        ),
    ] = None,
    membranes: Annotated[
        bool,
        typer.Option(
            "--membranes/--no-membranes",
            help="Write membranes, too: four times as large as the spikes.",
        ),
    ] = True,
    out_: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("record.npz"),
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            help="Seed of the encoder's random draws.",
            show_default="the recipe's, 0 for a .net",
        ),
    ] = None,
    set_: DataOptions = None,
    json: Json = False,
) -> None:
    """Record what every layer does: spikes, membranes, rates, synaptic operations.

    Of a run, the float network as trained, spiking or artificial (activations and MACs); of a .net
    file, the integers that Lava runs. Writes an .npz that `numpy.load` opens without pickle:
    LAYER/spikes and LAYER/membranes, (samples, steps, channels, height, width), LAYER/values of
    layers without spikes, readout, pictures, and metadata, which --json prints, too, with names.

    Membranes are those before reset, in trained units of a run, in state units (1/64 of a weight
    unit) of a .net file. Those near the threshold, within 10 % of it, are what rounding may turn
    into other spikes.

    Example: `lavaseg record runs/demo --samples 2 --layers conv1,conv8 -o record.npz`
    """
    check_target(target)
    if out_.suffix.lower() != ".npz":
        raise LavasegError(f"recordings are written as .npz: --out {out_} must end in .npz")
    check_writable(out_.parent)
    with only_json(json):
        opened, inputs = _opened(target, sources or [], set_ or [], samples, seed)
        check_out(out_, (target, *inputs.files))

        from lavaseg.deploy import record as record_layers

        recorded = record_layers(
            opened,
            inputs.stimuli,
            seed=seed,
            numbers=inputs.numbers,
            membranes=membranes,
            layers=None if layers is None else [n.strip() for n in layers.split(",")],
            progress=True,
        )
        recorded.save(out_)
    if json:
        print_json({"target": target, "file": out_, "inputs": inputs.names, **recorded.to_dict()})
        return
    if inputs.remark:
        say(inputs.remark)
    _show(target, recorded)
    say(f"recording  {out_} ({out_.stat().st_size / 2**20:,.1f} MiB)")


def _opened(
    path: Path, sources: list[str], set_: list[str], samples: int, seed: int | None
) -> tuple[Run | IntegerNetwork, Inputs]:
    """The run or network to record, and its inputs."""
    opened: Run | IntegerNetwork
    taker: Taker
    beside: Choice | None
    if path.is_dir():
        opened = run = open_run(path)
        taker = Trained(run.model, run.recipe.encoder_object, run.classes)
        beside = run.recipe.data
    else:
        opened = taker = open_net(path)
        beside = data_beside(path)
    options = data_options(set_)
    return opened, choose_inputs(taker, sources, beside, options, samples, seed or 0)


def _show(target: Path, recorded: Recording) -> None:
    what = {"float": "float network", "integer": "integers", "artificial": "artificial network"}
    print_table(
        f"{target}, {what[recorded.kind]}: {counted(recorded.samples, 'sample')}, "
        f"{counted(recorded.steps, 'step')} each",
        [
            "layer",
            "kind",
            "shape",
            ">not 0" if recorded.kind == "artificial" else ">per neuron and step",
            ">near threshold",
            ">operations a sample",
            ">MACs",
        ],
        (_row(layer) for layer in recorded.populations.values()),
    )
    if integers := recorded.view.within(recorded.layers).in_words:
        say(f"integers, each slot and relay recorded: {integers}")
    for remark in recorded.remarks:
        say(remark)


def _row(layer: LayerRecording) -> list[Any]:
    near = layer.near_threshold
    return [
        layer.name,
        layer.kind + ("" if layer.levels is None else f", {layer.levels} levels"),
        "x".join(map(str, layer.shape)),
        f"{layer.rate:.4f}",
        "-" if near is None else percent(near),
        "-" if layer.operations is None else f"{layer.operations.mean():,.0f}",
        f"{layer.macs:,}",
    ]
