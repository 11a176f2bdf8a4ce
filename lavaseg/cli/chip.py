"""`lavaseg map`: how a network lies on Loihi 2."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lavaseg.cli.console import (
    DIFFERENT,
    check_writable,
    only_json,
    print_json,
    print_table,
    say,
)
from lavaseg.cli.inputs import Json, open_net, open_run
from lavaseg.cli.limits import say_limits
from lavaseg.cli.models import sheet
from lavaseg.cli.prediction import predicted, show, spikes_of
from lavaseg.errors import LavasegError
from lavaseg.system.words import counted, meant, meant_path

if TYPE_CHECKING:
    from lavaseg.chip import LayerMapping, Mapping
    from lavaseg.network import Network
    from lavaseg.network.integers import IntegerNetwork


def map_(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NET|RUN|SYSTEM", help="A .net file, a run folder, or a system's name."
        ),
    ],
    profile: Annotated[
        str, typer.Option("--profile", help="Version of Intel's compiler: 2022 or 2024.")
    ] = "2024",
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Play the input from buffers on the chip, and count these."),
    ] = False,
    cores: Annotated[
        bool, typer.Option("--cores", help="Show the ids of each layer's cores, and every layer.")
    ] = False,
    out_: Annotated[
        Path | None, typer.Option("--out", "-o", help="Draw the chips into this SVG file.")
    ] = None,
    input_: Annotated[
        str, typer.Option("--input", help="Of a SYSTEM: channels x height x width of its input.")
    ] = "3x64x64",
    classes: Annotated[
        int, typer.Option("--classes", min=1, help="Of a SYSTEM: classes of its logits.")
    ] = 21,
    width: Annotated[
        int | None,
        typer.Option("--width", min=1, help="Of a SYSTEM: channels of its first layer."),
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", min=1, help="Of a SYSTEM: time steps T of a sample.")
    ] = 20,
    check: Annotated[
        bool, typer.Option("--check", help="Name the limits of Loihi 2 that the network meets.")
    ] = False,
    board: Annotated[
        str | None,
        typer.Option(
            "--board",
            help="Check that it fits this board.",
            show_default="the smallest that holds it",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", help="Spikes a neuron and step to assume for time and energy."),
    ] = None,
    json: Json = False,
) -> None:
    """Show how a network lies on Loihi 2: tiles, registers, cores, chips, board, time, energy.

    Registers and tiles are modelled from public tables of Intel's compiler, whose rows they
    reproduce (docs/loihi2.md); nothing here was run on a chip. Rows marked * are layers that no
    such table shows: their cost is our model. Of a network that is not exported yet, weights are
    taken to have 8 bits. A layer that fits no core is named, with exit code 2,
    and nothing is drawn.

    --check goes through every known limit, with what to do about each: exit code 1 if one is
    broken, 0 if none is or what runs the network repairs it; remarks are no reason to refuse.

    Time and energy are ranges, predicted from the spikes of a network that `lavaseg evaluate` has
    seen, or from --rate.

    Example: `lavaseg map runs/demo -o map.svg`
    """
    from lavaseg.chip import find_board, find_limits, legal, map_net
    from lavaseg.chip import profile as find_profile

    find_profile(profile)
    place = None if board is None else find_board(board)
    check = check or place is not None
    if out_ is not None:
        if out_.suffix != ".svg":
            raise LavasegError(f"--out {out_}: expected a file that ends in .svg")
        check_writable(out_.parent)
    with only_json(json):
        title, net, steps = _network(target, input_, classes, width, steps)
        spikes = spikes_of(target, net, steps, rate)
        mapping = map_net(net, profile=profile, steps=steps, replay=replay)
        prediction = predicted(net, mapping, spikes)
    if out_ is not None and mapping.placed:
        _draw(mapping, title, out_)
    findings = find_limits(net, mapping, board=place, steps=steps) if check else ()
    if json:
        limits = {"limits": [finding.to_dict() for finding in findings]} if check else {}
        plain = None if prediction is None else prediction.to_dict()
        print_json({"target": target, **mapping.to_dict(), "prediction": plain, **limits})
    else:
        _show(title, mapping, cores)
        if mapping.fits:
            show(prediction, spikes)
        say("Not run on a chip: modelled from public tables and a few public runs.")
        if out_ is not None and mapping.placed:
            say(f"drawn: {out_}")
        if check:
            say_limits(findings)
    if not legal(findings):
        raise typer.Exit(DIFFERENT)
    if mapping.misfit is not None:
        raise LavasegError(mapping.misfit)


def _network(
    target: str, input_: str, classes: int, width: int | None, steps: int
) -> tuple[str, IntegerNetwork | Network, int]:
    """What to map: its title, the network, and T."""
    path = Path(target)
    if path.is_dir():
        run = open_run(path)
        if run.files.net.exists():
            net = run.net()
            return target, net, net.steps
        from lavaseg.export.lowering import deployed

        return f"{target}, not exported", deployed(run.network), run.recipe.encoder_object.steps
    if path.exists() or path.suffix == ".net":
        net = open_net(path)
        return target, net, net.steps
    from lavaseg.export.lowering import deployed
    from lavaseg.models.analog import AnalogModel
    from lavaseg.models.systems import SYSTEMS, find
    from lavaseg.network import Input

    try:
        system = find(target)
    except LavasegError:
        close = meant(target, SYSTEMS) or meant_path(path)
        raise LavasegError(
            f"there is no file, run folder or system {target!r}"
            f"{close or ': `lavaseg models` lists the systems'}"
        ) from None
    model = system.build(Input("input", sheet(input_)), classes, width)
    if isinstance(model, AnalogModel):
        instead = f"; {system.deployed_as} stands for it" if system.deployed_as else ""
        raise LavasegError(f"{target} is an artificial network, which has no spikes{instead}")
    return f"{target}, input {input_}, {classes} classes, T = {steps}", deployed(model), steps


def _draw(mapping: Mapping, title: str, path: Path) -> None:
    from lavaseg.report.chips import chip_map, save_svg

    save_svg(chip_map(mapping, title), path)


# --------------------------------------------------------------------------------------------
# The table

_COLUMNS = (
    "layer", "tile\nx,y,c", ">Axon\nIn", ">Neur\nonGr", ">Neu-\nrons", ">Syn\nMem",
    ">Axon\nMap", ">Axon\nMem", ">Total", "most used", ">cores",
)  # fmt: skip


def _show(title: str, mapping: Mapping, cores: bool) -> None:
    columns = (*_COLUMNS, ">ids") if cores else _COLUMNS
    groups = [[layer] for layer in mapping.layers] if cores else list(_waits(mapping.layers))
    print_table(
        f"{title}, compiler of {mapping.profile.name}",
        columns,
        (_row(group, cores) for group in groups),
        wrap="layer",
        tight=True,
    )
    if not all(layer.tabled for layer in mapping.layers):
        say("* our model: no public table of the compiler shows such a layer")
    if not mapping.placed:
        return
    say(f"cores        {mapping.cores:,} on {counted(mapping.chips, 'chip')}{_of_helpers(mapping)}")
    board = mapping.board
    say(
        "board        none has so many cores"
        if board is None
        else f"board        {board.name}, {counted(board.chips, 'chip')}"
    )
    say(f"utilisation  {mapping.utilisation:.0%} of the fullest register, mean over cores")
    say(f"limited by   {_limits(mapping.layers)}")


def _waits(layers: Iterable[LayerMapping]) -> Iterable[list[LayerMapping]]:
    """Layers, the links of one chain of relays together, where its first link stands."""
    chains: dict[str, list[LayerMapping]] = {}
    for layer in layers:
        key = layer.name.rpartition(" ")[0] if layer.kind == "wait" else layer.name
        chains.setdefault(key, []).append(layer)
    return chains.values()


def _row(group: list[LayerMapping], ids: bool) -> tuple[str, ...]:
    first, last = group[0], group[-1]
    name = first.name
    if len(group) > 1:
        name += f"-{last.name.rpartition(' ')[2]}"
    used = first.registers.used()
    found = (
        name + ("" if first.tabled else "*"),
        ",".join(map(str, first.tile)),
        *(str(number) for number in used.values()),
        f"{first.limiting} {100 * first.share:.0f}%",
        str(sum(layer.cores for layer in group)),
    )
    return (*found, _span(first.core_ids)) if ids else found


def _span(ids: range) -> str:
    return str(ids.start) if len(ids) == 1 else f"{ids.start}-{ids.stop - 1}"


def _of_helpers(mapping: Mapping) -> str:
    """How many cores serve no neurons of the description."""
    words = {
        "wait": "where spikes wait",
        "clock": "for clocks",
        "echo": "for echoes",
        "relay": "for relays of sums",
        "input": "that play the input",
    }
    found = [
        f"{cores:,} {text}"
        for kind, text in words.items()
        if (cores := sum(layer.cores for layer in mapping.layers if layer.kind == kind))
    ]
    return f", {', '.join(found)}" if found else ""


def _limits(layers: Iterable[LayerMapping]) -> str:
    by_register = sorted(layers, key=lambda layer: layer.limiting)
    found = {
        name: sum(layer.cores for layer in group)
        for name, group in groupby(by_register, key=lambda layer: layer.limiting)
    }
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} on {counted(cores, 'core')}" for name, cores in ordered)
