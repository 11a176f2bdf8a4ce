"""A description with rectified units in place of neurons: the ANN twins of Kim et al. 2022."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from typing import Literal, TypedDict

from lavaseg.errors import LavasegError
from lavaseg.models.analog.plan import AnalogPlan, Tally
from lavaseg.models.spiking_deeplab import spiking_deeplab
from lavaseg.models.spiking_fcn import spiking_fcn
from lavaseg.network import Input, Network


def ann_deeplab(
    input_: Input,
    classes: int,
    *,
    width: int | None = None,
    channels: Sequence[int] | None = None,
    dilations: Sequence[int] = (1, 1, 1, 1, 1, 2, 2, 12),
    output_stride: Literal[1, 2, 4] = 4,
    aspp: Sequence[int] = (),
    classifier_layers: Literal[2, 3] = 2,
    affine: bool = False,
    frames: int = 1,
) -> AnalogPlan:
    """`spiking_deeplab` as published, with ReLU (Kim et al. 2022, DeepLab-ANN).

    Args:
        affine: whether the norms learn scale and shift.
        frames: as many frames, one a step, pass the backbone one by one, and what it gives is
            averaged for the classifier, as Kim et al. 2022 print it for DDD17. 1: the whole network
            sees the mean of all steps.
        width, channels, dilations, output_stride, aspp, classifier_layers: as `spiking_deeplab`.
    """
    network = spiking_deeplab(
        input_,
        classes,
        width=width,
        channels=channels,
        dilations=dilations,
        output_stride=output_stride,
        aspp=aspp,
        classifier_layers=classifier_layers,
        preset="published",
    )
    return rectified(network, affine=affine, **_by_frame(network, frames))


def ann_fcn(
    input_: Input,
    classes: int,
    *,
    width: int = 64,
    classifier_kernel: Literal[1, 3] = 3,
    resize: Literal["bilinear", "crop"] = "bilinear",
    affine: bool = False,
    frames: int = 1,
) -> AnalogPlan:
    """`spiking_fcn` as published, with ReLU (Kim et al. 2022, FCN-ANN).

    Args:
        affine: whether the norms learn scale and shift.
        frames: as `ann_deeplab`; the skips leave averaged features, too.
        width, classifier_kernel, resize: as `spiking_fcn`.
    """
    network = spiking_fcn(
        input_,
        classes,
        width=width,
        classifier_kernel=classifier_kernel,
        preset="published",
        resize=resize,
    )
    return rectified(network, affine=affine, **_by_frame(network, frames))


class _ByFrame(TypedDict):
    """How a pass treats frames: their number, and the nodes that each of them passes alone."""

    frames: int
    backbone: Collection[str]


def _by_frame(network: Network, frames: int) -> _ByFrame:
    """The backbone of Kim et al.'s networks: their pools and the convolutions before the eighth."""
    if not 1 <= frames <= 4096:
        raise LavasegError(f"frames must be 1 to 4096, got {frames}")
    backbone = {n.name for n in network.nodes if re.fullmatch(r"conv[1-7]|pool\d+", n.name)}
    return {"frames": frames, "backbone": backbone if frames > 1 else ()}


def rectified(
    network: Network,
    *,
    affine: bool = False,
    eps: float = 1e-4,
    frames: int = 1,
    backbone: Collection[str] = (),
) -> AnalogPlan:
    """The plan of a description; its layers are called as in `Rectified`, which has its arguments.

    A pass takes all frames, and so as many times the backbone's operations.
    """
    tally = Tally()
    for node in network.ordered:
        for p in network.incoming(node.name):
            if network.weight_shape(p) is not None:
                source = network.shape(p.source)
                tally.operator(f"convolutions.{p.name}", p.operator, source, bias=False)
                if node.name in backbone:
                    layer = tally.layers[-1]
                    tally.layers[-1] = dataclasses.replace(layer, macs=frames * layer.macs)
        if affine and node.norm != "none":
            tally.norm(f"norms.{node.name}", network.shape(node.name))
    biases = sum(network.shape(node.name)[0] for node in network.nodes if node.bias)
    arguments = {
        "network": network,
        "affine": affine,
        "eps": eps,
        "frames": frames,
        "backbone": frozenset(backbone),
    }
    return tally.plan("rectified_torch:Rectified", arguments, further=biases)
