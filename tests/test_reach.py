"""Dilations beyond the sheet: what a kernel acts as, against the connections that torch makes."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from lavaseg import models
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.reach import beyond_in_words, beyond_sheet
from lavaseg.recipes import load


def one_layer(conv: Conv, sheet: tuple[int, int]) -> Network:
    return Network(
        Input("input", (1, *sheet)),
        (Population("out", None),),
        (Projection("input", "out", conv),),
        "out",
    )


@given(
    kernel=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5])),
    dilation=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    sheet=st.tuples(st.integers(1, 18), st.integers(1, 18)),
)
def test_a_kernel_acts_as_the_taps_that_ever_meet_a_neuron(
    kernel: tuple[int, int], dilation: tuple[int, int], sheet: tuple[int, int]
) -> None:
    """A weight whose gradient is 0 for an input of ones meets padding alone."""
    padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
    conv = Conv(1, kernel, (1, 1), (padding[0], padding[1]), dilation)
    weight = torch.zeros(1, 1, *kernel, requires_grad=True)
    ones = torch.ones(1, 1, *sheet)
    torch.nn.functional.conv2d(ones, weight, None, 1, padding, dilation).sum().backward()
    assert weight.grad is not None
    met = weight.grad[0, 0] != 0
    acts_as = (int(met.any(1).sum()), int(met.any(0).sum()))
    found = beyond_sheet(one_layer(conv, sheet))
    if max(dilation) == 1 or acts_as == kernel:
        assert found == ()
    else:
        assert [(b.acts_as, b.kernel, b.sheet) for b in found] == [(acts_as, kernel, sheet)]


def test_the_papers_rates_reach_beyond_the_sheets_of_two_data_sets() -> None:
    for name, side, wanted in (
        ("rmp-aspp-off-voc", 64, {"branch18": (16, 16)}),
        ("rmp-aspp-off-mnist-cifar10", 32, {"branch12": (8, 8), "branch18": (8, 8)}),
        ("rmp-plain-off-mnist-cifar10", 32, {"conv8": (8, 8)}),
        ("rmp-plain-off-voc", 64, {}),
    ):
        recipe = load(name)
        sheet = Input("input", recipe.encoder_object.shape((3, side, side)))
        network = models.build(recipe.model.name, sheet, 2, **recipe.model.options)
        assert isinstance(network, Network)
        found = beyond_sheet(network)
        assert {b.target: b.sheet for b in found} == wanted, name
        assert all(b.acts_as == (1, 1) for b in found)


def test_a_dilation_beyond_rows_alone_acts_as_a_row() -> None:
    conv = Conv(1, (3, 3), (1, 1), (6, 6), (6, 6))
    words = beyond_in_words(one_layer(conv, (4, 9)))
    assert words.endswith("out (dilation 6, a 3x3 kernel on a sheet of 4x9) acts as 1x3")
    assert beyond_in_words(one_layer(conv, (9, 9))) == ""
