"""Waiting: relays are shared, delay synapses taken where they are cheaper."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

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
from lavaseg.network.delays import plan, row_groups

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


# -- channels that are late by different steps ----------------------------------------------------


def by_channel(operator: Operator, *delays: tuple[int, ...], channels: int = 4) -> Network:
    """Input -> a, and from a, with each of some delays, to outputs of its own."""
    names = [f"out{index}" for index in range(len(delays))]
    sums = [Projection(name, "out", Dense(1)) for name in names]
    return Network(
        Input("input", (channels, 4, 4)),
        (Population("a"), *map(Population, names), Population("out", None)),
        (
            Projection("input", "a", OneToOne()),
            *(Projection("a", n, operator, d) for n, d in zip(names, delays, strict=True)),
            *sums,
        ),
        "out",
    )


def test_channels_of_a_dense_projection_wait_in_its_synapses_behind_one_gate() -> None:
    network = by_channel(Dense(5), (0, 3, 1, 7))
    found = plan(network, 20)
    assert found.chains == {("a", (0, 3, 1, 7)): 1}
    assert found.synapses == {"a_to_out0": (0, 3, 1, 7)}
    assert network.latencies["out0"] == network.latencies["a"] + 2  # the gate takes one


def test_channels_of_a_shared_convolution_wait_in_rows_of_relays() -> None:
    network = by_channel(Conv(5, (3, 3)), (0, 3, 1, 7))
    found = plan(network, 20)
    assert not found.chains
    assert not found.synapses
    assert found.relays(network, ("a", (0, 3, 1, 7))) == (4 + 0 + 3 + 1 + 7) * 16


def test_projections_with_the_same_delays_share_rows_and_gates() -> None:
    delays = (2, 3, 1, 7)
    for operator, where in ((Conv(5, (3, 3)), "rows"), (Dense(5), "chains")):
        found = plan(by_channel(operator, delays, delays), 20)
        assert list(getattr(found, where)) == [("a", delays)]
        assert len(plan(by_channel(operator, delays, (2, 3, 1, 6)), 20).__dict__[where]) == 2


def test_channels_that_are_all_late_need_no_step_to_gather() -> None:
    network = by_channel(Dense(5), (2, 3, 1, 7))
    assert network.latencies["out0"] == network.latencies["a"] + 1
    assert plan(network, 20).synapses == {"a_to_out0": (1, 2, 0, 6)}


def test_channels_later_than_a_sample_wait_no_longer_than_it() -> None:
    assert plan(by_channel(Dense(5), (1, 3, 1, 62)), 5).synapses == {"a_to_out0": (0, 2, 0, 4)}


def test_channels_of_the_input_wait_nowhere() -> None:
    network = Network(
        Input("input", (2, 4, 4)),
        (Population("out", None),),
        (Projection("input", "out", Dense(3), (0, 5)),),
        "out",
    )
    found = plan(network, 20)
    assert not found.chains
    assert not found.synapses
    assert not found.rows
    assert network.latency == 1


def test_without_delay_synapses_all_channels_wait_in_relays() -> None:
    found = plan(by_channel(Dense(5), (0, 3, 1, 7)), 20, delay_synapses=False)
    assert not found.synapses
    assert list(found.rows) == [("a", (0, 3, 1, 7))]


def test_rows_are_cut_into_groups_of_whole_rows() -> None:
    lengths = np.array([3, 0, 4, 1])
    groups = row_groups(lengths, 5, 10)
    np.testing.assert_array_equal(np.concatenate(groups), np.flatnonzero(np.tile(lengths, 5)))
    assert max(lengths[group % 4].sum() for group in groups) < 10 + lengths.max()
    assert len(groups) == 4
    assert [len(group) for group in row_groups(lengths, 5, None)] == [15]
    assert row_groups(np.zeros(3, int), 5, None) == []


def test_a_wait_beyond_what_a_synapse_holds_needs_further_gates() -> None:
    """A channel of 62 steps on a path that is three steps short: three sheets of relays."""
    network = Network(
        Input("input", (4, 1, 1)),
        (*map(Population, "abcde"), Population("out", None)),
        (
            *(Projection(s, t, OneToOne()) for s, t in pairwise(["input", *"abcde"])),
            Projection("a", "out", Dense(2), (0, 62, 1, 5)),
            Projection("e", "out", Dense(2)),
        ),
        "out",
    )
    found = plan(network, 100)
    assert found.chains == {("a", (0, 62, 1, 5)): 4}
    assert found.synapses == {"a_to_out": (0, 62, 1, 5)}
