"""`lavaseg models`: what can be trained, how large it is, and whether it can be deployed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lavaseg.cli.console import print_json, print_table, say
from lavaseg.cli.inputs import set_options
from lavaseg.errors import LavasegError

if TYPE_CHECKING:
    from lavaseg.models.analog import AnalogModel
    from lavaseg.network import Network


def models(
    name: Annotated[str | None, typer.Argument(help="One model; all by default.")] = None,
    input_: Annotated[
        str, typer.Option("--input", help="Channels x height x width that it sees.")
    ] = "3x64x64",
    classes: Annotated[int, typer.Option("--classes", min=1, help="Classes of its logits.")] = 21,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Option of the model; repeatable."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models with their size, or show the layers of one.

    Parameters and MACs are those of papers' tables: every layer with weights in one dense pass,
    zero padding included. Synaptic memory is that of the exported network: one byte for each
    weight, shared ones once. A model is deployable if each of its parts has an exact counterpart
    on Lava; else the reason is said.

    Example: `lavaseg models mfs_seg --input 3x180x240 --classes 12 --set n=3`
    """
    from lavaseg.models import ANALOG, MODELS, build
    from lavaseg.network import Input

    if set_ and name is None:
        raise LavasegError("--set changes an option of one model: name it")
    sheet = Input("input", _shape(input_))
    options = set_options(set_ or (), "option=value, such as width=32")
    built = {
        each: build(each, sheet, classes, **options)
        for each in ([name] if name else [*MODELS, *ANALOG])
    }
    rows = {each: _figures(model) for each, model in built.items()}
    if json:
        print_json(
            {
                each: {**row, "layers": _layers(built[each])} if name else row
                for each, row in rows.items()
            }
        )
        return
    if name is not None:
        print_table(
            f"{name}, input {input_}, {classes} classes",
            ["layer", "operator", "channels x height x width", ">weights", ">MACs"],
            (
                (
                    row["layer"],
                    row["operator"],
                    "x".join(map(str, row["shape"])),
                    f"{row['weights']:,}",
                    f"{row['macs']:,}",
                )
                for row in _layers(built[name])
            ),
        )
    print_table(
        f"Models, input {input_}, {classes} classes",
        ["model", ">parameters", ">GMACs", ">neurons", ">latency", ">memory", "deployable"],
        (
            (
                each,
                f"{row['parameters']:,}",
                f"{row['macs'] / 1e9:.4f}",
                f"{row['neurons']:,}" if row["neurons"] else "-",
                "-" if row["latency"] is None else row["latency"],
                "-" if row["memory"] is None else f"{row['memory'] / 1024:,.0f} KiB",
                row["obstacle"] or "yes",
            )
            for each, row in rows.items()
        ),
    )
    if name is not None:
        from lavaseg.models import option_names

        say(f"options     {', '.join(option_names(name))}")
        say(
            f"as papers   {rows[name]['kim_macs']:,} MACs by Kim et al.'s formula, "
            f"{rows[name]['torchstat_macs']:,} as torchstat counts"
        )


def _shape(text: str) -> tuple[int, int, int]:
    if not re.fullmatch(r"\d+x\d+x\d+", text):
        raise LavasegError(f"--input must be CHANNELSxHEIGHTxWIDTH, such as 3x64x64, got {text!r}")
    channels, height, width = (int(part) for part in text.split("x"))
    return channels, height, width


def _figures(model: Network | AnalogModel) -> dict[str, Any]:
    """Sizes, memory once deployed in bytes, and what stands against deploying it."""
    from dataclasses import asdict

    from lavaseg.export.lowering import deployed
    from lavaseg.models.analog import AnalogModel
    from lavaseg.models.size import size

    found = size(model)
    figures = {**asdict(found), "ann_millijoules": found.ann_millijoules}
    memory, obstacle = None, None
    if isinstance(model, AnalogModel):
        obstacle = "no: artificial"
    else:
        try:
            memory = deployed(model).weight_count()
        except LavasegError as error:
            obstacle = f"no: {error}"
    return {**figures, "memory": memory, "obstacle": obstacle}


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
