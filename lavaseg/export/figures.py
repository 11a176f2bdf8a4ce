"""The figures of a system: how large it is, and whether it can be deployed.

Here and not beside the models, since only lowering knows what would run on hardware.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from lavaseg.chip import map_net
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import deployed, obstacles
from lavaseg.models.analog import RECTIFIED, AnalogModel
from lavaseg.models.size import ASSUMED_RATE, Size, size, synaptic_memory
from lavaseg.models.systems import System
from lavaseg.network import Input, Network


def system_figures(
    system: System,
    sheet: Input,
    classes: int,
    width: int | None = None,
    steps: int = 20,
    rate: float = ASSUMED_RATE,
    *,
    hardware: bool = True,
) -> dict[str, Any]:
    """Figures of a system by name; `error` says why there are none for that input or width.

    Args:
        system: with its own options.
        sheet: what it sees.
        classes: channels of its logits.
        width: channels of the first layer; None: the system's own.
        steps: T of a sample.
        rate: spikes a neuron and step, for `total_millijoules`.
        hardware: whether to look how it would lie on hardware, which takes most of the time.
    """
    options = dict(system.options)
    try:
        options = system.all_options(width)
        model = system.build(sheet, classes, width)
    except LavasegError as error:
        return model_figures(system, options, None, steps, str(error))
    return model_figures(system, options, model, steps, rate=rate, hardware=hardware)


def model_figures(
    system: System,
    options: dict[str, Any],
    model: Network | AnalogModel | None,
    steps: int,
    error: str | None = None,
    *,
    rate: float = ASSUMED_RATE,
    hardware: bool = True,
) -> dict[str, Any]:
    """Figures of a model that was built for a system, by name; None if there is no model.

    `memory` is in bytes, once deployed. `cores` and `chips` are those of Loihi 2 by our model of
    its compiler (`lavaseg.chip.map_net`), None if a layer fits no core; `misfit` is what does not
    fit. `obstacles` are kinds of parts that stand against deploying, with a sentence for each.
    Energies are of `Size`; those of what was not asked for are None.

    Args:
        options: those that it was built with.
        steps: T of a sample.
        error: why there is no model.
        rate, hardware: as of `system_figures`.
    """
    row: dict[str, Any] = {
        "title": system.title,
        "paper": system.paper,
        "source": system.source,
        "model": system.model,
        "options": options,
        **{figure.name: None for figure in fields(Size)},
        **dict.fromkeys(("flops", "ann_millijoules", "rate", "total_millijoules")),
        "memory": None,
        **dict.fromkeys(("cores", "chips", "board", "misfit")),
        "deployable": None,
        "obstacles": {},
        "deployed_as": system.deployed_as,
        "error": error,
    }
    if model is None:
        return row
    found = size(model, steps)
    row |= {
        **asdict(found),
        "flops": found.flops,
        "ann_millijoules": found.ann_millijoules,
        "rate": rate if found.neurons else None,
        "total_millijoules": found.total_millijoules(steps, rate),
    }
    if not hardware:
        return row
    on_hardware, against = _on_hardware(model)
    return row | {
        **({} if on_hardware is None else _chip_figures(on_hardware, steps)),
        "deployable": on_hardware is not None,
        "obstacles": against,
    }


def _chip_figures(network: Network, steps: int) -> dict[str, Any]:
    mapping = map_net(network, steps=steps)
    return {
        "memory": synaptic_memory(network, steps),
        "cores": mapping.cores if mapping.placed else None,
        "chips": mapping.chips if mapping.placed else None,
        "board": mapping.board.name if mapping.placed and mapping.board else None,
        "misfit": mapping.misfit,
    }


def _on_hardware(model: Network | AnalogModel) -> tuple[Network | None, dict[str, str]]:
    """The network that would run on hardware, or the obstacles."""
    if isinstance(model, AnalogModel):
        instead = ": `lavaseg convert` makes a spiking one of it" if model.name in RECTIFIED else ""
        return None, {"artificial": f"an artificial network has no spikes{instead}"}
    against = obstacles(model.without_auxiliaries())
    if against:
        return None, against
    try:
        return deployed(model), {}
    except LavasegError as error:  # two operators that do not become one: named by its first words
        return None, {str(error).split(":")[0]: str(error)}
