"""`lavaseg models`: the systems of the papers, how large they are, and whether they deploy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.console import is_narrow, print_json, print_table, say
from lavaseg.cli.console import width as console_width
from lavaseg.cli.inputs import Json, set_options
from lavaseg.errors import LavasegError

if TYPE_CHECKING:
    from lavaseg.models.analog import AnalogModel
    from lavaseg.network import Network


def models(
    name: Annotated[
        str | None, typer.Argument(help="One system or model; all systems by default.")
    ] = None,
    input_: Annotated[
        str, typer.Option("--input", help="Channels x height x width of the input.")
    ] = "3x64x64",
    classes: Annotated[int, typer.Option("--classes", min=1, help="Classes of its logits.")] = 21,
    width: Annotated[
        int | None,
        typer.Option(
            "--width", min=1, help="Channels of the first layer; as published by default."
        ),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Time steps T of a sample.")] = 20,
    energy: Annotated[
        bool, typer.Option("--energy", help="List FLOPs and energies instead of sizes.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            min=0,
            max=1,
            help="Spikes a neuron and step to assume for energies.",
            show_default="about that of the papers' networks",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Option of the model; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """List the systems of the papers with their size, or show the layers of one.

    A system is a model with options. Parameters and MACs are those of papers' tables: every layer
    with weights in one dense pass, zero padding included. Memory is that of the synapses of the
    exported network: one byte for each weight, shared ones once. A system is deployable if each of
    its parts has an exact counterpart on Lava; otherwise the reason is given, and which system is.
    Cores and chips are those of Loihi 2 by our model of its compiler (`lavaseg map` shows them).

    --energy lists what papers print: GFLOPs are two for each MAC, transposed convolutions counted
    by their outputs; E_total is 4.6 pJ for each MAC of an artificial network, and 0.9 pJ x T x
    --rate for each of a spiking one (Su et al. 2024, equation 7). `lavaseg evaluate` measures the
    rates of a trained network.

    Example: `lavaseg models mfs-seg-efs-res54 --input 3x180x240 --classes 12 --steps 5`
    """
    from lavaseg.export.figures import model_figures, system_figures
    from lavaseg.models.size import ASSUMED_RATE
    from lavaseg.models.systems import SYSTEMS, find
    from lavaseg.network import Input
    from lavaseg.system.progress import track

    if set_ and name is None:
        raise LavasegError("--set changes an option of one model: name it")
    if energy and name is not None:
        raise LavasegError(f"--energy lists all systems: leave it out, {name!r} shows its energies")
    assumed = ASSUMED_RATE if rate is None else rate
    source = Input("input", sheet(input_))
    title = f"input {input_}, {classes} classes, T = {steps}"
    if name is not None:
        system = find(name)
        options = set_options(set_ or (), "option=value, such as width=32")
        model = system.build(source, classes, width, options)
        row = model_figures(system, system.all_options(width, options), model, steps, rate=assumed)
        row["layers"] = _layers(model)
        if any(system.options.get(option) != value for option, value in options.items()):
            row["title"] += ", changed by --set"
        if json:
            print_json({name: row})
        else:
            _show(f"{name}, {title}", row)
        return
    rows = {
        system.key: system_figures(
            system, source, classes, width, steps, assumed, hardware=not energy or json
        )
        for system in track(SYSTEMS.values(), "models")
    }
    if json:
        print_json(rows)
        return
    title = f"Systems, {title}" + (f", width {width}" if width else "")
    if energy:
        _list_energies(title, rows, assumed, steps)
    else:
        _list(title, rows)


def sheet(text: str) -> tuple[int, int, int]:
    """(channels, height, width) of the words of `--input`."""
    if not re.fullmatch(r"\d+x\d+x\d+", text):
        raise LavasegError(f"--input must be CHANNELSxHEIGHTxWIDTH, such as 3x64x64, got {text!r}")
    channels, height, width = (int(part) for part in text.split("x"))
    return channels, height, width


def _layers(model: Network | AnalogModel) -> list[dict[str, Any]]:
    from lavaseg.models.size import layers

    return [
        {
            "layer": row.name,
            "operator": row.kind,
            "shape": row.shape,
            "weights": row.weights,
            "macs": row.macs,
        }
        for row in layers(model)
    ]


_LATENCY = 4
"""The column that is left to `lavaseg models NAME` where there is no room for all."""
_ALL = 110
"""Columns of a terminal that has room for all columns of the list."""


def _list(title: str, rows: dict[str, dict[str, Any]]) -> None:
    cells: list[tuple[str, ...]] = []
    notes: list[str] = []
    paper = error = None
    narrow = is_narrow()
    for key, row in rows.items():
        if row["paper"] != paper:
            cells += [("",) * 9] * bool(cells) + [(f"{row['paper']}:", *("",) * 8)]
        if not row["error"]:
            found = _cells(row)
        else:
            why = "as above" if row["error"] == error else row["error"]
            found = (*("-",) * 7, f"cannot be built: {why}")
        if narrow and not row["deployable"]:
            notes.append(f"{key}  {found[-1].removeprefix('no: ')}")
            found = (*found[:-1], "no")
        cells.append((key, *found))
        paper, error = row["paper"], row["error"]
    columns = [
        "system", ">params", ">GMACs", ">neurons", ">late-\nncy", ">mem.\nMiB", ">cores",
        ">chips", "can\nrun" if narrow else "deployable",
    ]  # fmt: skip
    shown = [k for k in range(len(columns)) if console_width() >= _ALL or k != _LATENCY]
    print_table(
        title,
        [columns[k] for k in shown],
        ([row[k] for k in shown] for row in cells),
        wrap=None if narrow else columns[-1],
        tight=True,
    )
    if notes:
        say("Cannot run on Lava as they are:")
        for note in notes:
            say(f"  {note}")


def _list_energies(title: str, rows: dict[str, dict[str, Any]], rate: float, steps: int) -> None:
    from lavaseg.results.energy import AC_PJ, MAC_PJ

    cells = [
        (key, *("-",) * 3)
        if row["error"]
        else (
            key,
            f"{row['flops'] / 1e9:.4f}",
            f"{row['total_millijoules']:.4g}",
            f"{row['ann_millijoules']:.4g}",
        )
        for key, row in rows.items()
    ]
    print_table(title, ["system", ">GFLOPs", ">E_total, mJ", ">as an ANN, mJ"], cells, tight=True)
    say(f"Estimates: {rate:g} spikes a neuron and step are assumed, not measured.")
    ratio = f"{MAC_PJ / (AC_PJ * steps * rate):.3g}" if rate else "infinitely many"
    say(f"At T = {steps} a spiking network then takes {ratio} times less than an artificial one.")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        short(row["parameters"]),
        f"{row['macs'] / 1e9:.4f}",
        short(row["neurons"]) if row["neurons"] else "-",
        "-" if row["latency"] is None else str(row["latency"]),
        "-" if row["memory"] is None else f"{row['memory'] / 2**20:.2f}",
        "-" if row["cores"] is None else f"{row['cores']:,}",
        "-" if row["chips"] is None else f"{row['chips']:,}",
        verdict(row),
    )


def short(count: int) -> str:
    """Four digits at most: 4.159 M, 58.69 k, 312."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:#.4g} {name}"
    return str(count)


def verdict(row: dict[str, Any]) -> str:
    """Yes; or no, what stands against it in a few words, and which system is deployable."""
    if row["deployable"]:
        return "yes"
    instead = f"; {row['deployed_as']} is" if row["deployed_as"] else ""
    return f"no: {', '.join(row['obstacles'])}{instead}"


def _show(title: str, row: dict[str, Any]) -> None:
    from lavaseg.models import option_names

    print_table(
        title,
        ["layer", "operator", "channels x height x width", ">weights", ">MACs"],
        (
            (
                layer["layer"],
                layer["operator"],
                "x".join(map(str, layer["shape"])),
                f"{layer['weights']:,}",
                f"{layer['macs']:,}",
            )
            for layer in row["layers"]
        ),
    )
    say(f"{row['title']} ({row['source']})")
    given = "".join(f" {option}={value}" for option, value in row["options"].items())
    say(f"model       {row['model']}{given}")
    say(f"options     {', '.join(option_names(row['model']))}")
    say(f"parameters  {row['parameters']:,}, of which {row['weights']:,} are weights")
    say(
        f"MACs        {row['macs']:,}; {row['kim_macs']:,} by Kim et al.'s formula, "
        f"{row['torchstat_macs']:,} as torchstat counts"
    )
    say(f"FLOPs       {row['flops']:,}, two for each MAC of Kim et al.'s formula")
    if row["rate"] is None:
        say(f"energy      {row['total_millijoules']:.4g} mJ: 4.6 pJ a MAC")
    else:
        say(
            f"energy      {row['total_millijoules']:.4g} mJ at {row['rate']:g} spikes a neuron and "
            f"step, assumed (0.9 pJ x T x rate x MACs); {row['ann_millijoules']:.4g} mJ as an "
            "artificial network"
        )
    if row["latency"] is not None:
        say(f"neurons     {row['neurons']:,}, the read-out {row['latency']} steps after the input")
    if row["memory"] is not None:
        say(f"memory      {row['memory']:,} bytes of synapses on hardware")
    if row["misfit"] is not None:
        say(f"Loihi 2     {row['misfit']}")
    elif row["cores"] is not None:
        say(f"Loihi 2     {row['cores']:,} cores on {row['chips']:,} chips, by our model")
    say(f"deployable  {verdict(row)}")
    for sentence in row["obstacles"].values():
        say(f"            {sentence}")
