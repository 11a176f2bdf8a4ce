"""Numbers of parameters agree wherever they are shown, or a sentence says why they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from levelled import FORMS, small

from lavaseg.encoders import Direct
from lavaseg.export.lowering import unroll_levels, unrolled
from lavaseg.network import Conv, Current, Input, Network, OneToOne, Population, Projection
from lavaseg.network.integers import Bias, IntegerNetwork
from lavaseg.network.levels import refolded
from lavaseg.netx import parameters_in_words, stored_parameters


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


@pytest.mark.parametrize("form", FORMS)
def test_slots_and_relays_add_no_parameters_and_are_no_reason(form: Any) -> None:
    rounded = small()
    net = unroll_levels(rounded, form)
    weights = sum(weight.size for weight in rounded.weights.values())
    assert stored_parameters(net) == weights + rounded.biases["a"].mantissa.size
    assert "gains" not in parameters_in_words(refolded(net.network, net.weights), net)


@pytest.mark.parametrize("auxiliary", [False, True])
def test_streams_and_auxiliary_read_outs_are_named(auxiliary: bool) -> None:
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
    assert "sums are unrolled, so that weights stand once for each of their sources" in said
    assert stored_parameters(net) > stream.without_auxiliaries().parameter_count(4)
