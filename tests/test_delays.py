"""Waiting: relays are shared, delay synapses taken where they are cheaper."""

from __future__ import annotations

from itertools import pairwise

from lavaseg.network import (
    Conv,
    Dense,
    Input,
    Network,
    OneToOne,
    Operator,
    Population,
    Projection,
    Relay,
)
from lavaseg.network.delays import plan

NARROW, WIDE = Conv(1, (1, 1)), Conv(9, (3, 3), padding=(1, 1))


def ladder(*skips: Projection) -> Network:
    """Input -> a -> b -> c -> d -> out one to one, each 1 x 4 x 4, and further projections."""
    names = ["input", "a", "b", "c", "d"]
    steps = [Projection(a, b, OneToOne(), name=f"{a}{b}") for a, b in pairwise(names)]
    wide = [Projection("d", "wide", WIDE), Projection("d", "few", Dense(3))]
    nodes = [*(Population(n) for n in names[1:]), Population("wide"), Population("few")]
    out = [Projection("wide", "out", Conv(1, (4, 4))), Projection("few", "out", Dense(1))]
    return Network(
        Input("input", (1, 4, 4)),
        (*nodes, Population("out", None)),
        (*steps, *wide, *out, *skips),
        "out",
    )


def skip(source: str, target: str, operator: Operator, delay: int = 0) -> Projection:
    return Projection(source, target, operator, delay, name=f"skip_{source}_{target}")


def test_nothing_waits_on_paths_of_equal_length() -> None:
    found = plan(ladder(), 4)
    assert not found.chains
    assert not found.synapses


def test_a_shared_convolution_waits_in_relays() -> None:
    found = plan(ladder(skip("a", "wide", WIDE)), 4)
    assert found.chains == {("a", 0): 3}
    assert not found.synapses


def test_a_dense_projection_waits_in_its_synapses() -> None:
    found = plan(ladder(skip("a", "few", Dense(3))), 4)
    assert found.synapses == {"skip_a_few": 3}
    assert not found.chains


def test_a_sheet_of_more_neurons_than_a_core_has_axons_waits_in_relays() -> None:
    def network(side: int) -> Network:
        return Network(
            Input("input", (1, side, side)),
            (Population("a"), Population("b"), Population("out", None)),
            (
                Projection("input", "a", OneToOne()),
                Projection("a", "b", OneToOne()),
                Projection("a", "out", Dense(2)),
                Projection("b", "out", Dense(2)),
            ),
            "out",
        )

    assert plan(network(126), 4).synapses == {"a_to_out": 1}  # 15,876 axons
    assert plan(network(127), 4).chains == {("a", 0): 1}  # 16,129


def test_a_chain_that_is_there_is_tapped_for_nothing() -> None:
    found = plan(ladder(skip("a", "wide", WIDE), skip("a", "few", Dense(3))), 4)
    assert found.chains == {("a", 0): 3}
    assert not found.synapses


def test_a_long_wait_of_few_synapses_needs_no_relays() -> None:
    """One synapse a neuron against 3 relays with 3 synapses."""
    found = plan(ladder(skip("a", "d", OneToOne())), 4)
    assert found.synapses == {"skip_a_d": 2}


def test_a_delay_of_its_own_uses_relays_of_its_own() -> None:
    found = plan(ladder(skip("a", "few", Dense(3), delay=1), skip("a", "wide", WIDE)), 4)
    assert found.chains == {("a", 0): 3, ("a", 1): 4}


def test_a_delay_longer_than_a_sample_waits_no_longer_than_the_sample() -> None:
    found = plan(ladder(skip("a", "few", Dense(3), delay=60)), 4)
    assert found.chains == {("a", 4): 7}


def test_the_input_is_played_later_instead() -> None:
    found = plan(ladder(skip("input", "wide", WIDE), skip("input", "few", Dense(3), 2)), 4)
    assert not found.chains
    assert not found.synapses


def test_what_a_relay_of_sums_sends_waits_in_relays() -> None:
    net = Network(
        Input("input", (1, 4, 4)),
        (Relay("sum"), Population("a"), Population("out", None)),
        (
            Projection("input", "sum", OneToOne()),
            Projection("sum", "a", OneToOne()),
            Projection("a", "out", Dense(2)),
            Projection("sum", "out", Dense(2)),
        ),
        "out",
    )
    assert plan(net, 4).chains == {("sum", 0): 1}
