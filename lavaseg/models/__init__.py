"""Models as data: each is a function that returns a `Network`; artificial ones as baselines."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lavaseg.errors import LavasegError
from lavaseg.models.analog import ANALOG, RECTIFIED, AnalogModel, constructor
from lavaseg.models.mfs_seg import mfs_seg
from lavaseg.models.spike_brgnet import spike_brgnet
from lavaseg.models.spiking_deeplab import spiking_deeplab
from lavaseg.models.spiking_fcn import spiking_fcn
from lavaseg.models.spiking_resnet import spiking_resnet
from lavaseg.models.spiking_unet import spiking_unet
from lavaseg.network import Input, Network
from lavaseg.system.options import wrong_option
from lavaseg.system.words import or_like

MODELS: dict[str, Callable[..., Network]] = {
    "spiking_deeplab": spiking_deeplab,
    "spiking_fcn": spiking_fcn,
    "spiking_resnet": spiking_resnet,
    "spiking_unet": spiking_unet,
    "mfs_seg": mfs_seg,
    "spike_brgnet": spike_brgnet,
}

ATTENTION = ("attention", "former", "sltnet")
"""What names of networks with attention contain: Spike2Former, E-SpikeFormer, SLTNet."""

CONVERTED = "converted"
"""The model's name in the recipe of a converted run; no model of that name can be built."""


def build(name: str, input_: Input, classes: int, **options: Any) -> Network | AnalogModel:
    """The description that model `name` gives for an input and a number of classes.

    Raises:
        LavasegError: no such model, or an option that it does not have.
    """
    refuse_attention(name)
    if name == CONVERTED:
        raise LavasegError(
            "a converted network is not trained from a recipe: `lavaseg convert` makes it of a run "
            f"of {' or '.join(RECTIFIED)}"
        )
    if name not in (*MODELS, *ANALOG):
        raise LavasegError(
            f"there is no model {name!r}{or_like(name, (*MODELS, *ANALOG), 'the models are')}"
        )
    known = option_names(name)
    for option in options:
        if option not in known:
            refuse_attention(option)
            raise LavasegError(
                f"model {name!r} has no option {option!r}{or_like(option, known, 'it has')}"
            )
    wrong = wrong_option(_function(name), options)
    if wrong is not None:
        raise LavasegError(f"model {name!r}: option {wrong[0]} must be {wrong[1]}")
    try:
        if name in MODELS:
            return MODELS[name](input_, classes, **options)
        model = AnalogModel(name, input_, classes, options)
        model.macs()  # builds it once, so that wrong options are refused here
        return model
    except (TypeError, ValueError) as error:
        raise LavasegError(f"model {name!r}: {error}") from None


def refuse_attention(name: str) -> None:
    """Raise LavasegError if a model or an option of one is attention by its name."""
    if any(part in name.lower() for part in ATTENTION):
        raise LavasegError(
            f"{name!r} asks for attention, which multiplies spikes with spikes, and a synapse of "
            "Loihi only with a fixed weight; networks of convolutions for the same task are "
            "spike_brgnet and mfs_seg"
        )


def option_names(name: str) -> list[str]:
    """Names of the options that a model has."""
    return list(inspect.signature(_function(name)).parameters)[2:]


def _function(name: str) -> Callable[..., object]:
    return MODELS[name] if name in MODELS else constructor(name)
