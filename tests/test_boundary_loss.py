"""The loss of a boundary branch: where classes meet, at the size of its read-out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.training.loss import boundaries, boundary_loss

IGNORED = 255


def by_hand(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels that have a neighbour of another class, and those with a label."""
    edge = np.zeros(labels.shape, bool)
    for place in np.ndindex(labels.shape):
        for axis, step in ((0, -1), (0, 1), (1, -1), (1, 1)):
            other = list(place)
            other[axis] += step
            if 0 <= other[axis] < labels.shape[axis]:
                pair = labels[place], labels[tuple(other)]
                edge[place] |= pair[0] != pair[1] and IGNORED not in pair
    return edge, labels != IGNORED


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_boundaries_are_cells_with_a_pixel_whose_neighbour_has_another_class(
    data: st.DataObject,
) -> None:
    factor, rows, columns = (data.draw(st.integers(1, n)) for n in (3, 4, 4))
    values = st.sampled_from([0, 0, 0, 1, IGNORED])
    height, width = factor * rows, factor * columns
    flat = data.draw(st.lists(values, min_size=height * width, max_size=height * width))
    labels = np.array(flat).reshape(height, width)
    edge, seen = boundaries(torch.from_numpy(labels)[None], (rows, columns), IGNORED)
    for found, wanted in zip((edge, seen), by_hand(labels), strict=True):
        cells = wanted.reshape(rows, factor, columns, factor).any((1, 3))
        np.testing.assert_array_equal(found[0, 0].numpy(), cells)


def test_a_boundary_weighs_as_much_as_all_that_is_none() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :, 6:] = 1
    edge, _ = boundaries(labels, (8, 8), None)
    assert edge.sum() == 16
    loud = torch.where(edge > 0, 0.0, 3.0)  # wrong everywhere else
    weak = torch.where(edge > 0, -3.0, 0.0)  # as wrong on the boundary
    assert boundary_loss(loud, labels) == pytest.approx(float(boundary_loss(weak, labels)))
    right = torch.where(edge > 0, 20.0, -20.0)
    assert boundary_loss(right, labels) == pytest.approx(0.0, abs=1e-6)


def test_pixels_without_a_label_have_no_loss_and_no_gradient() -> None:
    logits = torch.randn(1, 1, 4, 4, requires_grad=True)
    labels = torch.full((1, 8, 8), IGNORED)
    labels[:, :4] = 1
    boundary_loss(logits, labels, IGNORED).backward()
    assert logits.grad is not None
    assert (logits.grad[0, 0, :2] != 0).all()
    assert (logits.grad[0, 0, 2:] == 0).all()
    assert boundary_loss(logits, torch.full_like(labels, IGNORED), IGNORED) == 0
