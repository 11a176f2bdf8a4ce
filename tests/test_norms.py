"""Norms: what they compute, how they start, what they become on hardware."""

from __future__ import annotations

import torch

from lavaseg.network import Conv, Current, Input, Network, OneToOne, Population, Projection
from lavaseg.training import SpikingNetwork


def branch(norm: str, steps_scale: float | None = None) -> Network:
    """A residual current: stream + norm(conv(spikes)), with a norm of `norm` everywhere."""
    nodes = (
        Population("fire", 2.0, norm=norm),
        Current("branch", norm=norm, norm_scale=steps_scale),
        Population("out", None, norm=norm),
    )
    projections = (
        Projection("input", "fire", Conv(4, (3, 3), padding=(1, 1))),
        Projection("fire", "branch", Conv(4, (3, 3), padding=(1, 1))),
        Projection("branch", "out", OneToOne()),
    )
    return Network(Input("input", (2, 6, 5)), nodes, projections, "out")


def test_the_scale_of_a_norm_starts_at_the_threshold_or_where_the_description_says() -> None:
    model = SpikingNetwork(branch("batch", 0.0))
    starts = {name: set(norm.weight.tolist()) for name, norm in model.norms.items()}
    assert starts == {"fire": {2.0}, "branch": {0.0}, "out": {1.0}}
    messages = (torch.rand(2, 2, 6, 5, 3) < 0.5).float()
    assert not model(messages).any()  # a branch that starts at 0 adds nothing
