"""MFS-Seg with rectified units in place of neurons: the ANN twins of Su et al. 2024, Table 1."""

from __future__ import annotations

from typing import Literal

from lavaseg.models.analog.plan import AnalogPlan
from lavaseg.models.analog.rectified import rectified
from lavaseg.models.mfs_seg import mfs_seg
from lavaseg.network import Input


def ann_mfs_seg(
    input_: Input,
    classes: int,
    *,
    base: int = 32,
    n: int = 4,
    block: Literal["efs", "ms", "fire", "shuffle"] = "efs",
    multi_scale: bool = True,
    inception: bool = True,
    group: bool = True,
) -> AnalogPlan:
    """`mfs_seg` with ReLU, maxima and products where that has neurons, and batch norms.

    Args:
        base, n, block, multi_scale, inception, group: as `mfs_seg`.

    Source: Su et al. 2024, Table 1: MFS-MS and MFS-EFS as ANNs. What stands there in place of
    spike logic is not printed; the maximum and the product are those of MIMO-UNet (Cho et al.
    2021), from which MFS-Seg descends.
    """
    network = mfs_seg(
        input_,
        classes,
        base=base,
        n=n,
        block=block,
        multi_scale=multi_scale,
        inception=inception,
        group=group,
    )
    return rectified(network, affine=True, eps=1e-5)
