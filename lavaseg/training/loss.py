"""Losses: cross-entropy on the read-out, and RMP regularisation of membrane potentials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from lavaseg.data.base import Samples
from lavaseg.errors import LavasegError
from lavaseg.network import Network, Population, Size
from lavaseg.recipes import Rmp
from lavaseg.training.network import after_reset
from lavaseg.training.ranks import Group


def resize_logits(logits: torch.Tensor, size: Size) -> torch.Tensor:
    """Logits at the size of the labels, differentiable: `lavaseg.results.metrics.resize` in torch.

    Args:
        logits: float (N, K, h, w); left alone if they have that size.
        size: (height, width).
    """
    if tuple(logits.shape[-2:]) == tuple(size):
        return logits
    return functional.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=True)


def segmentation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
) -> torch.Tensor:
    """Cross-entropy of logits, resized to the labels' size (bilinear, corners aligned).

    Args:
        logits: (N, K, h, w).
        labels: int64 (N, H, W).
        ignore_index: label of pixels that do not count.
        class_weights: weight of each class's pixels in the mean, or None: all alike.

    Returns:
        0, without a gradient for the logits, where no pixel counts.
    """
    if not anything_counts(labels, ignore_index, class_weights):
        return logits.sum() * 0
    return functional.cross_entropy(
        resize_logits(logits, (labels.shape[1], labels.shape[2])),
        labels,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
        weight=None if class_weights is None else logits.new_tensor(class_weights),
    )


def anything_counts(
    labels: torch.Tensor, ignore_index: int | None, class_weights: Sequence[float] | None = None
) -> bool:
    """Whether any pixel of a batch has a label, of a class whose weight is not 0."""
    ignored = [] if ignore_index is None else [ignore_index]
    ignored += [k for k, weight in enumerate(class_weights or ()) if not weight]
    if not ignored:
        return labels.numel() > 0
    return not bool(torch.isin(labels, labels.new_tensor(ignored)).all())


def counted(
    labels: torch.Tensor, ignore_index: int | None, class_weights: Sequence[float] | None = None
) -> torch.Tensor:
    """What the mean of `segmentation_loss` is over: its pixels, each by its weight, float64 ()."""
    known = torch.ones_like(labels, dtype=torch.bool)
    if ignore_index is not None:
        known = labels != ignore_index
    if class_weights is None:
        return known.sum(dtype=torch.float64)
    weights = torch.tensor(class_weights, dtype=torch.float64, device=labels.device)
    return weights[labels[known]].sum()


def class_weights(
    choice: str | Sequence[float], samples: Samples, classes: int, ignore_index: int | None
) -> tuple[float, ...] | None:
    """The weights that `Training.class_weights` asks for, or None.

    Args:
        choice: one of its names, or a weight for each class.
        samples: training samples; the frequencies read all of their labels.

    Raises:
        LavasegError: more or fewer weights than classes.
    """
    if choice == "none":
        return None
    if isinstance(choice, str):
        weights = median_frequency(samples, classes, ignore_index)
        root = choice == "root_median_frequency"
        return tuple(math.sqrt(w) for w in weights) if root else weights
    if len(choice) != classes:
        raise LavasegError(
            f"field 'training.class_weights' has {len(choice)} weights for {classes} classes"
        )
    return tuple(choice)


def median_frequency(samples: Samples, classes: int, ignore_index: int | None) -> tuple[float, ...]:
    """Weights median(f) / f[k]: f[k] is the share of class k in the pictures that show it.

    A class that no picture shows has weight 0. Source: Eigen and Fergus 2015, section 6.3.2.
    """
    pixels, shown = np.zeros(classes), np.zeros(classes)
    for index in range(len(samples)):
        label = samples[index][1]
        count = np.bincount(label[label != ignore_index], minlength=classes)
        pixels += count
        shown += count.sum() * (count > 0)
    share = np.divide(pixels, shown, out=np.zeros(classes), where=shown > 0)
    median = np.median(share[share > 0]) if share.any() else 0.0
    return tuple(float(median / s) if s else 0.0 for s in share)


def nearest_labels(labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Labels at the size of logits, by the nearest pixel: no class is made up on a border.

    Args:
        labels: int64 (N, H, W).
        logits: (N, K, h, w).
    """
    size = logits.shape[-2:]
    if labels.shape[-2:] == size:
        return labels
    resized = functional.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")
    return resized[:, 0].long()


def boundaries(
    labels: torch.Tensor, size: Size, ignore_index: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where classes meet, at a size that is no larger than that of the labels.

    A pixel is on a boundary if one beside it, above or below it has another class; a cell of the
    result, if one of its pixels is.

    Args:
        labels: int64 (N, H, W).

    Returns:
        float32 (N, 1, h, w): 1 on boundaries, else 0; and 1 where any pixel has a label.
    """
    known = torch.ones_like(labels, dtype=torch.bool)
    if ignore_index is not None:
        known = labels != ignore_index
    found = torch.zeros_like(known)
    for axis in (1, 2):
        extent = labels.shape[axis] - 1
        first, second = (
            tuple(x.narrow(axis, start, extent) for x in (labels, known, found)) for start in (0, 1)
        )
        meets = (first[0] != second[0]) & first[1] & second[1]
        first[2].logical_or_(meets)
        second[2].logical_or_(meets)
    edge, seen = (
        functional.adaptive_max_pool2d(mask[:, None].float(), tuple(size))
        for mask in (found, known)
    )
    return edge, seen


def boundary_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    ignore_index: int | None = None,
    group: Group | None = None,
) -> torch.Tensor:
    """Cross-entropy of a boundary's logits, its cells and all others counting half each.

    Args:
        logits: (N, 1, h, w), positive where a boundary is foretold.
        labels: int64 (N, H, W), at least as large.
        group: the step of the optimiser that the labels are a part of; None: they are all.

    Returns:
        0, without a gradient, where no pixel has a label.

    Source: Long et al. 2024 (Spike-BRGNet), whose published code weighs the two so up to a factor.
    """
    size = logits.shape[2], logits.shape[3]

    def sides(labels: torch.Tensor) -> torch.Tensor:
        edge, seen = boundaries(labels, size, ignore_index)
        return torch.stack([edge * seen, (1 - edge) * seen])

    group = group or Group([labels])
    totals = group.total(lambda labels: sides(labels).sum((1, 2, 3, 4)))
    edge, _ = boundaries(labels, size, ignore_index)
    each = functional.binary_cross_entropy_with_logits(logits, edge, reduction="none")
    parts = [
        (each * side).sum() / total * group.parts
        for side, total in zip(sides(labels), totals, strict=True)
        if total > 0
    ]
    return torch.stack(parts).mean() if parts else logits.sum() * 0


def rmp_weight(rmp: Rmp, progress: float) -> float:
    """lambda(n) at `progress` = n / N in 0 .. 1 of the training.

    - triangle: rises to the full weight at half-time and falls back (Guo et al. 2023)
    - ramp: rises linearly to the end (what Yadolahi & Abolmaali 2025's text asks for)
    - cosine: weight / 2 * (1 + cos(pi n / N)), falling (the group's IM-Loss code)
    """
    if rmp.schedule == "triangle":
        return rmp.weight * 2 * min(progress, 1 - progress)
    if rmp.schedule == "ramp":
        return rmp.weight * progress
    if rmp.schedule == "cosine":
        return rmp.weight * 0.5 * (1 + math.cos(math.pi * progress))
    return rmp.weight


def rmp_layers(rmp: Rmp, network: Network) -> tuple[str, ...]:
    """Names of the populations that are regularised: those that spike, all or the inner ones."""
    spiking = [
        node.name
        for node in network.ordered
        if isinstance(node, Population) and node.threshold is not None
    ]
    return tuple(spiking if rmp.layers == "all" else spiking[1:-1])


def rmp_loss(
    rmp: Rmp, population: Population, spikes: torch.Tensor, membrane: torch.Tensor
) -> torch.Tensor:
    """Mean squared distance of a population's membranes from their targets.

    Args:
        spikes, membrane: (N, C, H, W, T); membranes before reset, in trained units.

    Source: Guo et al. 2023 (RMP-Loss) for target "spike" and "nearest" with all steps;
    Yadolahi & Abolmaali 2025 for the last step, and their equation 1 for "steady_state";
    "centred" puts the threshold halfway between the two targets. Of integer neurons all three
    are the membrane of the level that is sent, the nearest one: thresholds are halfway anyhow.
    """
    theta = population.threshold
    assert theta is not None, "a population that never fires has no RMP target"
    if rmp.time == "last":
        spikes, membrane = spikes[..., -1:], membrane[..., -1:]
    before = membrane.detach()
    if rmp.membrane == "post_reset":
        membrane = after_reset(population, spikes, membrane)
    if rmp.target == "steady_state":  # deviations add up to 0: its own gradient is none
        target = membrane.detach().mean(-1, keepdim=True)
    elif population.levels is not None:
        target = spikes.detach() * theta
    elif rmp.target == "nearest":
        target = theta * (before > theta / 2).to(before.dtype)
    else:
        target = spikes.detach() * (theta if rmp.target == "spike" else 2 * theta)
    return (membrane - target).square().mean()


def rmp_mean(rmp: Rmp, losses: Sequence[torch.Tensor], neurons: Sequence[int]) -> torch.Tensor:
    """One loss of those of the layers, each by itself or by its number of neurons.

    Args:
        losses: of each layer, as `rmp_loss` gives them.
        neurons: of each layer.
    """
    stacked = torch.stack(list(losses))
    if rmp.mean == "layers":
        return stacked.mean()
    share = stacked.new_tensor(neurons, dtype=torch.float64) / sum(neurons)
    return (stacked * share.to(stacked.dtype)).sum()
