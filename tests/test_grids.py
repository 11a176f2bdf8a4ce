"""The common form of operators: its matrix and its synapses are those of torch's operator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.network.grids import fan_out, matrix
from lavaseg.network.integers import IntegerNetwork

Networks = Callable[..., st.SearchStrategy[IntegerNetwork]]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_operator_is_its_matrix(data: st.DataObject, graph_networks: Networks) -> None:
    net = data.draw(graph_networks(most_populations=3))
    rng = np.random.default_rng(0)
    for projection in net.network.projections:
        shape, weight = net.network.shape(projection.source), net.weights[projection.name]
        sheet = rng.integers(-3, 4, (1, *shape))
        wanted = apply_operator(
            projection.operator, torch.from_numpy(sheet).double(), torch.from_numpy(weight).double()
        )
        found = matrix(projection.operator, weight, shape) @ sheet[0].T.ravel()
        np.testing.assert_array_equal(found, wanted[0].numpy().T.ravel())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_fan_out_is_the_number_of_entries_of_each_column(
    data: st.DataObject, graph_networks: Networks
) -> None:
    net = data.draw(graph_networks(most_populations=3))
    for projection in net.network.projections:
        shape = net.network.shape(projection.source)
        ones = np.ones_like(net.weights[projection.name])
        entries = matrix(projection.operator, ones, shape).getnnz(axis=0)
        sheet = entries.reshape(shape[::-1]).T
        np.testing.assert_array_equal(fan_out(projection.operator, shape), sheet)
