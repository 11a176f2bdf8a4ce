"""One table of backends, and one of each backend's operators: nothing is missing unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from lavaseg.deploy import BACKENDS, COMPARABLE, run, simulate, verify_spikes
from lavaseg.deploy.lava import synapses as lava_synapses
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.kernels import operators_torch
from lavaseg.network import (
    OPERATORS,
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Network,
    OneToOne,
    Operator,
    Population,
    Projection,
    Resize,
    SumPool,
    Upsample,
)
from lavaseg.network.integers import IntegerNetwork
from lavaseg.training.slayer import synapses as slayer_synapses

SOURCE = (2, 4, 6)
EXAMPLES: Mapping[str, Operator] = {
    "conv": Conv(3, 3, 2, 1),
    "conv_transpose": ConvTranspose(3, 2, 2),
    "dense": Dense(3),
    "one_to_one": OneToOne(),
    "sum_pool": SumPool(2, 2),
    "upsample": Upsample(2),
    "resize": Resize((5, 7)),
}
"""One operator of each kind; all fit a sheet of `SOURCE`."""


@dataclass(frozen=True)
class Unknown(Conv):
    """An operator that stands in no table, whatever it inherits."""

    kind: ClassVar[str] = "unknown"


def network(operator: Operator) -> Network:
    """input -> p (through the operator, and once more with a delay) -> read-out."""
    return Network(
        Input("input", SOURCE),
        (Population("p", 20), Population("out", None)),
        (
            Projection("input", "p", operator, name="operator"),
            Projection("p", "p", OneToOne(), 2, "back"),
            Projection("p", "out", Dense(2)),
        ),
        "out",
    )


def integers(description: Network, steps: int = 4) -> IntegerNetwork:
    rng = np.random.default_rng(0)
    weights = {
        p.name: 2 * rng.integers(-6, 12, description.synapse_shape(p)).astype(np.int16)
        for p in description.projections
    }
    return IntegerNetwork(description, weights, Poisson(steps), ("no", "yes"))


def spikes(steps: int = 4) -> np.ndarray:
    return (np.random.default_rng(1).random((2, steps, *SOURCE)) < 0.5).astype(np.uint8)


@pytest.mark.parametrize("name", [name for name in BACKENDS if not BACKENDS[name].on_chip])
@pytest.mark.parametrize("record", ["all", ("p",), ()])
def test_every_backend_on_this_machine_gives_the_activity_of_the_simulator(
    name: str, record: str | tuple[str, ...]
) -> None:
    net = integers(network(Conv(3, 3, 1, 1)))
    wanted = simulate(net, spikes(), record=record)
    found = BACKENDS[name].run(net, spikes(), record, None, None)
    assert wanted.counts["p"].any()
    assert found.counts.keys() == wanted.counts.keys()
    assert found.spikes.keys() == wanted.spikes.keys()
    for population, expected in wanted.spikes.items():
        np.testing.assert_array_equal(found.spikes[population], expected)
        assert found.spikes[population].dtype == expected.dtype
    for population, counts in wanted.counts.items():
        np.testing.assert_array_equal(found.counts[population], counts)
        assert found.counts[population].dtype == counts.dtype
    np.testing.assert_array_equal(found.readout, wanted.readout)
    assert found.readout.dtype == wanted.readout.dtype


def test_a_backend_that_is_not_there_is_answered_with_the_names() -> None:
    net = integers(network(OneToOne()))
    with pytest.raises(LavasegError, match=r"'loihi': did you mean 'loihi2'\?$"):
        run(net, spikes(), backend="loihi")
    with pytest.raises(LavasegError, match=f"'simulator'; there are {', '.join(COMPARABLE)}$"):
        verify_spikes(net, spikes(), backends=("simulator",))


def test_every_operator_is_walked_here() -> None:
    assert {kind: type(operator) for kind, operator in EXAMPLES.items()} == dict(OPERATORS)


@pytest.mark.parametrize("operator", EXAMPLES.values(), ids=EXAMPLES)
def test_every_operator_survives_the_way_to_plain_data_and_back(operator: Operator) -> None:
    assert Network.from_dict(network(operator).to_dict()) == network(operator)


@pytest.mark.parametrize("operator", EXAMPLES.values(), ids=EXAMPLES)
def test_torch_computes_every_operator_on_the_shape_that_the_description_has(
    operator: Operator,
) -> None:
    shape = operator.weight_shape(SOURCE)
    weight = None if shape is None else torch.ones(shape)
    found = operators_torch.apply_operator(operator, torch.ones(1, *SOURCE), weight)
    assert tuple(found.shape[1:]) == operator.output_shape(SOURCE)
    synapse = slayer_synapses.Synapse(operator, SOURCE)  # the table has all that have weights
    assert (synapse.synapse is None) == (shape is None)
    assert tuple(synapse(torch.ones(1, *SOURCE, 1)).shape[1:4]) == operator.output_shape(SOURCE)


@pytest.mark.parametrize("operator", EXAMPLES.values(), ids=EXAMPLES)
def test_every_operator_runs_on_lava_or_is_refused_by_name(operator: Operator) -> None:
    if type(operator) not in lava_synapses.BUILDERS:
        assert operator.why_not_integer
        weights = dict.fromkeys(("operator", "back"), np.array([2, 2]))
        with pytest.raises(LavasegError, match=f"'operator'.*{operator.why_not_integer}"):
            IntegerNetwork(network(operator), weights, Poisson(4), ("no", "yes"))
        return
    backends = ("torch", "lava-inprocess")
    verdict = verify_spikes(
        integers(network(operator)), spikes(), backends=backends, progress=False
    )
    assert verdict.ok, str(verdict.first_difference)


def _in_torch() -> None:
    operators_torch.apply_operator(Unknown(3), torch.ones(1, *SOURCE), torch.ones(3, 2, 1, 1))


def _in_slayer() -> None:
    slayer_synapses.Synapse(Unknown(3), SOURCE)


def _on_lava() -> None:
    BACKENDS["lava-inprocess"].run(integers(network(Unknown(3))), spikes(), (), None, None)


def _from_plain_data() -> None:
    Network.from_dict(network(Unknown(3)).to_dict())


@pytest.mark.parametrize("use", [_in_torch, _in_slayer, _on_lava, _from_plain_data])
def test_an_operator_in_no_table_is_refused_by_name(use: Callable[[], Any]) -> None:
    with pytest.raises(LavasegError, match="'unknown'"):
        use()
