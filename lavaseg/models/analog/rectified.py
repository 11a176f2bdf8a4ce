"""A description with rectified units in place of neurons: the ANN twins of Kim et al. 2022."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

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
    affine: bool = False,
) -> AnalogPlan:
    """`spiking_deeplab` as published, with ReLU (Kim et al. 2022, DeepLab-ANN).

    Args:
        affine: whether the norms learn scale and shift.
        width, channels, dilations, output_stride, aspp: as `spiking_deeplab`.
    """
    network = spiking_deeplab(
        input_,
        classes,
        width=width,
        channels=channels,
        dilations=dilations,
        output_stride=output_stride,
        aspp=aspp,
        preset="published",
    )
    return _rectified(network, affine)


def ann_fcn(
    input_: Input,
    classes: int,
    *,
    width: int = 64,
    classifier_kernel: Literal[1, 3] = 3,
    resize: Literal["bilinear", "crop"] = "bilinear",
    affine: bool = False,
) -> AnalogPlan:
    """`spiking_fcn` as published, with ReLU (Kim et al. 2022, FCN-ANN).

    Args:
        affine: whether the norms learn scale and shift.
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
    return _rectified(network, affine)


def _rectified(network: Network, affine: bool) -> AnalogPlan:
    """The plan of a description; its layers are called as in `Rectified`."""
    tally = Tally()
    for node in network.ordered:
        for p in network.incoming(node.name):
            if network.weight_shape(p) is not None:
                source = network.shape(p.source)
                tally.operator(f"convolutions.{p.name}", p.operator, source, bias=False)
        if affine and node.norm != "none":
            tally.norm(f"norms.{node.name}", network.shape(node.name))
    biases = sum(network.shape(node.name)[0] for node in network.nodes if node.bias)
    return tally.plan(
        "rectified_torch:Rectified", {"network": network, "affine": affine}, further=biases
    )
