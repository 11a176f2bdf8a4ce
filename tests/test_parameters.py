"""Numbers of parameters agree wherever they are shown, or a sentence says why they do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lavaseg.encoders import Direct
from lavaseg.network import Conv, Current, Input, Network, OneToOne, Population, Projection
from lavaseg.network.integers import Bias, IntegerNetwork
from lavaseg.netx import describe, parameters_in_words, stored_parameters


def trained(norm: str) -> Network:
    return Network(
        Input("input", (3, 6, 6), message_bits=4),
        (Population("conv1", 40, norm=norm), Population("out", None)),
        (
            Projection("input", "conv1", Conv(5, 3, padding=1)),
            Projection("conv1", "out", Conv(2, 1)),
        ),
        "out",
    )


def exported(network: Network, *, biased: bool) -> IntegerNetwork:
    nodes = {"conv1": {"norm": "none", "bias": biased}}
    whole = network.replace_nodes(nodes)
    weights = {p.name: np.full(whole.weight_shape(p) or (), 2, np.int16) for p in whole.projections}
    biases = {"conv1": Bias(np.ones(5, np.int64), 6)} if biased else {}
    return IntegerNetwork(whole, weights, Direct(4, 4), ("a", "b"), biases=biases)


def test_without_norms_as_many_integers_are_stored_as_numbers_were_learned() -> None:
    network = trained("none")
    net = exported(network, biased=False)
    assert stored_parameters(net) == network.parameter_count(4) == 5 * 27 + 10
    assert "as many as" in parameters_in_words(network, net)


def test_a_folded_norm_is_why_they_differ() -> None:
    network = trained("batch")
    net = exported(network, biased=True)
    assert network.parameter_count(4) == 5 * 27 + 10 + 2 * 5
    assert stored_parameters(net) == 5 * 27 + 10 + 5
    said = parameters_in_words(network, net)
    assert said == (
        "150 integers, of 155 numbers that were learned: norms are folded into weights and biases"
    )


def test_the_sum_is_that_of_the_rows_that_info_shows() -> None:
    net = exported(trained("batch"), biased=True)
    assert stored_parameters(net) == sum(row["parameters"] for row in describe(net))


@pytest.mark.parametrize("auxiliary", [False, True])
def test_streams_and_auxiliary_read_outs_are_named(auxiliary: bool) -> None:
    from lavaseg.export.lowering import unrolled

    stream = Network(
        Input("input", (2, 4, 4), message_bits=4),
        (Population("a", 40), Current("sum"), Population("out", None), Population("aux", None)),
        (
            Projection("input", "a", Conv(2, 1)),
            Projection("a", "sum", OneToOne()),
            Projection("input", "sum", OneToOne()),
            Projection("sum", "out", Conv(2, 1)),
            Projection("a", "aux", Conv(3, 1)),
        ),
        "out",
        auxiliaries=("aux",),
    )
    if not auxiliary:
        stream = stream.without_auxiliaries()
    deployed = unrolled(stream.without_auxiliaries())
    weights = {
        p.name: np.full(deployed.synapse_shape(p), 2, np.int16) for p in deployed.projections
    }
    net = IntegerNetwork(deployed, weights, Direct(4, 4), ("a", "b"))
    said = parameters_in_words(stream, net)
    assert ("auxiliary read-outs are left out" in said) == auxiliary
    assert ("unrolled" in said) or stored_parameters(net) == stream.parameter_count(4)
    assert dataclasses.replace(net).network is net.network
