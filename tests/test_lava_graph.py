"""What the Lava graph can express, and what it refuses by name."""

from __future__ import annotations

import logging
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from lavaseg.deploy import verify_spikes
from lavaseg.deploy.lava import LavaError, check_lava, run_inprocess
from lavaseg.deploy.lava.graph import ProcessServer, build
from lavaseg.deploy.lava.needs import SERVICES, sync_channels
from lavaseg.deploy.lava.parts import count_parts
from lavaseg.deploy.lava.process_models import run_config
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.kernels import neuron
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Current,
    Dense,
    Input,
    Network,
    Node,
    OneToOne,
    Operator,
    Population,
    Projection,
    Relay,
    SumPool,
    Upsample,
)
from lavaseg.network.integers import Bias, IntegerNetwork


def network_of(
    nodes: tuple[Node, ...],
    projections: tuple[Projection, ...],
    *,
    steps: int = 3,
    biases: dict[str, Bias] | None = None,
) -> IntegerNetwork:
    """A net on a 2 x 4 x 6 input with weights of 4, read out at the last node."""
    network = Network(Input("input", (2, 4, 6)), nodes, projections, nodes[-1].name)
    weights = {p.name: np.full(network.synapse_shape(p), 4, np.int16) for p in projections}
    classes = tuple(str(i) for i in range(network.shape(network.readout)[0]))
    return IntegerNetwork(network, weights, Poisson(steps), classes, biases or {})


def spikes_for(net: IntegerNetwork, samples: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (samples, net.steps, *net.network.input.shape)
    return (rng.random(shape) < 0.5).astype(np.uint8)


def read(population: str = "out") -> Population:
    return Population(population, None)


def test_several_projections_into_a_population_add_up() -> None:
    net = network_of(
        (Population("a", 9), Population("b", 17), read()),
        (
            Projection("input", "a", Conv(3, (3, 3), padding=(1, 1))),
            Projection("input", "b", Conv(1)),
            Projection("a", "out", Dense(2)),
            Projection("b", "out", Dense(2)),
        ),
    )
    done = run_inprocess(net, spikes_for(net), record="all")
    total = sum(done.counts[name].sum(axis=(1, 2, 3)) for name in ("a", "b")).astype(np.int64)
    wanted = np.broadcast_to((total * 4 * neuron.STATE_SCALE)[:, None, None, None], (2, 2, 1, 1))
    assert total.all()
    np.testing.assert_array_equal(done.readout, wanted)


def test_populations_behind_the_readout_finish_their_last_step() -> None:
    net = network_of(
        (Population("late", 5), read()),
        (Projection("input", "out", Conv(1)), Projection("out", "late", Conv(1, (1, 1)))),
    )
    bias = {"late": Bias(np.array([6]), 6)}
    net = IntegerNetwork(net.network, net.weights, net.encoder, net.classes, bias)
    done = run_inprocess(net, spikes_for(net), record=["late"])
    assert set(done.spikes) == {"late"}
    assert done.spikes["late"].all()  # its bias alone exceeds the threshold at each step


def test_all_negative_dense_weights_keep_their_least_value() -> None:
    net = network_of((read(),), (Projection("input", "out", Dense(2)),), steps=1)
    weights = {name: np.full_like(weight, -256) for name, weight in net.weights.items()}
    net = IntegerNetwork(net.network, weights, net.encoder, net.classes)
    spikes = spikes_for(net)
    wanted = spikes.sum(axis=(1, 2, 3, 4), dtype=np.int64) * -256 * neuron.STATE_SCALE
    np.testing.assert_array_equal(run_inprocess(net, spikes).readout[:, 0, 0, 0], wanted)


def assert_equals_the_simulator(net: IntegerNetwork, samples: int = 3) -> None:
    spikes = spikes_for(net, samples)
    verdict = verify_spikes(net, spikes, backends=("lava-inprocess",), progress=False)
    assert verdict.ok, str(verdict.first_difference)
    assert sum(row.spikes for row in verdict.rows) > 0


@pytest.mark.parametrize(
    "operator",
    [
        ConvTranspose(3, (3, 2), (2, 3), (1, 0), (1, 2), (1, 2)),
        ConvTranspose(4, (2, 2), (2, 2), groups=2),
        SumPool((3, 2), (2, 1), (1, 1)),
        Upsample((2, 3)),
        Upsample((2, 3), (1, 1)),
        OneToOne(),
    ],
)
def test_each_operator_is_put_on_lava(operator: Operator) -> None:
    net = network_of(
        (Population("a", 5), Population("b", 3), read()),
        (
            Projection("input", "a", operator),
            Projection("a", "b", operator),
            Projection("b", "out", Dense(2)),
        ),
    )
    assert_equals_the_simulator(net)


@pytest.mark.parametrize(
    ("operator", "form"),
    [
        (ConvTranspose(2, (2, 2), (2, 2)), "Conv"),
        (ConvTranspose(2, (4, 4), (2, 2), (1, 1)), "Conv"),
        (ConvTranspose(2, (3, 3), (2, 2), (1, 1), (1, 1), groups=2), "Conv"),
        (Upsample((2, 3)), "Conv"),
        (Upsample((2, 3), (1, 0)), "Sparse"),
        (ConvTranspose(2, (3, 3), (2, 2)), "Sparse"),  # odd sheets are no whole number of phases
        (ConvTranspose(2, (9, 9), (9, 9)), "Conv"),
    ],
)
def test_an_enlarging_operator_shares_its_weights_where_it_can(
    operator: Operator, form: str
) -> None:
    net = network_of(
        (Population("a", 5), read()),
        (Projection("input", "a", operator), Projection("a", "out", Dense(2))),
    )
    assert_equals_the_simulator(net)
    graph = build(net, spikes_for(net), {})
    assert type(graph.synapses["input_to_a"]).__name__ == form
    graph.release()


def test_spikes_wait_in_synapses_where_that_is_cheaper() -> None:
    """A dense projection over a long wait: relays would need neurons."""
    net = network_of(
        (Population("a", 9), Population("b", 5), Population("c", 5), read()),
        (
            Projection("input", "a", Conv(2, padding=(1, 1))),
            Projection("a", "b", OneToOne()),
            Projection("b", "c", OneToOne()),
            Projection("c", "out", Dense(2)),
            Projection("a", "out", Dense(2)),
        ),
    )
    assert_equals_the_simulator(net)
    graph = build(net, spikes_for(net), {})
    assert type(graph.synapses["a_to_out"]).__name__ == "DelaySparse"
    assert not graph.helpers
    graph.release()


def test_sums_are_relayed_and_wait() -> None:
    """Counts, negative sums too, as graded spikes; behind the relay paths of unequal length."""
    net = network_of(
        (Relay("sum"), Population("a", 40), Population("b", 3), read()),
        (
            Projection("input", "sum", SumPool((3, 3), (2, 2), (1, 1))),
            Projection("sum", "a", Conv(2, padding=(1, 1))),
            Projection("a", "b", OneToOne()),
            Projection("b", "out", Dense(2)),
            Projection("sum", "out", Dense(2)),
        ),
    )
    assert_equals_the_simulator(net)


def test_paths_of_unequal_length_wait_for_one_another() -> None:
    net = network_of(
        (Population("a", 9), Population("b", 5), Population("c", 5), read()),
        (
            Projection("input", "a", Conv(2, padding=(1, 1))),
            Projection("a", "b", OneToOne()),
            Projection("b", "c", OneToOne()),
            Projection("c", "out", OneToOne()),
            Projection("a", "out", OneToOne()),
            Projection("input", "out", OneToOne()),
        ),
        biases={"a": Bias(np.array([400, -3]), 6), "b": Bias(np.array([7, 0]), 6)},
    )
    assert net.network.waits == {
        **dict.fromkeys(["input_to_a", "a_to_b", "b_to_c", "c_to_out"], 0),
        "a_to_out": 2,
        "input_to_out": 3,
    }
    assert_equals_the_simulator(net)


@pytest.mark.parametrize("delay", [1, 2, 3, 4, 62])
def test_a_delay_carries_no_spike_into_the_next_sample(delay: int) -> None:
    """From the input and from a population that a bias makes fire at every step."""
    net = network_of(
        (Population("a", 1), Population("b", 3), read()),
        (
            Projection("input", "a", Conv(2, padding=(1, 1))),
            Projection("a", "b", OneToOne(), delay=delay),
            Projection("a", "out", OneToOne(), delay=1),
            Projection("b", "out", OneToOne()),
            Projection("input", "out", OneToOne(), delay=delay),
        ),
        steps=4,
        biases={"a": Bias(np.array([4000, 3]), 6)},
    )
    assert_equals_the_simulator(net)


def test_what_only_late_input_reaches_runs_too() -> None:
    net = network_of(
        (Population("a", 1), Population("b", 1), read()),
        (
            Projection("input", "a", Conv(2), delay=9),
            Projection("input", "b", Conv(2), delay=1),
            Projection("b", "out", Conv(2, (1, 1))),
        ),
        biases={"a": Bias(np.array([70, 3]), 6), "b": Bias(np.array([2, 1]), 6)},
    )
    assert_equals_the_simulator(net)


def test_currents_are_named() -> None:
    net = network_of(
        (Current("sum"), read()),
        (Projection("input", "sum", Conv(1)), Projection("sum", "out", Conv(1, (1, 1)))),
    )
    with pytest.raises(LavaError, match="current 'sum'"):
        check_lava(net)


@pytest.mark.parametrize(
    ("population", "words"),
    [
        (Population("out", None, reset="soft"), "reset 'soft'"),
        (Population("out", None, norm="batch"), "norm 'batch'"),
        (Population("out", None, current_decay=0), "current_decay 0"),
        (Population("out", None, 1024, voltage_decay=4096), "voltage_decay 4096"),
    ],
)
def test_a_neuron_that_lava_lacks_is_named(population: Population, words: str) -> None:
    net = network_of((population,), (Projection("input", "out", Conv(1)),))
    with pytest.raises(LavaError, match=f"population 'out': .*{words}|population 'out': {words}"):
        check_lava(net)


def test_a_graph_deeper_than_pythons_stack_is_compiled() -> None:
    """Lava's compiler recurses over connected processes."""
    names = ["input", *(f"p{i}" for i in range(250))]
    steps = [Projection(a, b, OneToOne()) for a, b in pairwise([*names, "out"])]
    net = network_of((*(Population(name, 1) for name in names[1:]), read()), tuple(steps), steps=1)
    spikes, limit = spikes_for(net, 1), sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        graph = build(net, spikes, {})
        graph.compile(run_config(graph.processes, fast=True))
        assert sys.getrecursionlimit() == 400
        graph.release()
    finally:
        sys.setrecursionlimit(limit)


def test_lavas_executable_has_the_channels_that_were_counted() -> None:
    net = network_of(
        (Population("a", 9), read()),
        (
            Projection("input", "a", Conv(2, (1, 1))),
            Projection("a", "a", Conv(2, (1, 1)), 1),
            Projection("a", "out", Conv(2, (1, 1)), 2),
        ),
    )
    graph = build(net, spikes_for(net), {})
    made = graph.compile(run_config(graph.processes, fast=True))
    graph.release()
    assert count_parts(net) == (len(made.proc_builders), len(made.channel_builders))
    services = len(made.runtime_service_builders)
    assert services == SERVICES
    assert len(made.sync_channel_builders) == sync_channels(count_parts(net))


def test_wrong_requests_are_named() -> None:
    net = network_of((read(),), (Projection("input", "out", Conv(1)),))
    spikes = spikes_for(net)
    with pytest.raises(
        LavasegError, match="cannot record 'hidden': expected 'all' or one of input"
    ):
        run_inprocess(net, spikes, record=["hidden"])
    with pytest.raises(LavasegError, match="carry up to 2, the input 'input' takes 0 to 1"):
        run_inprocess(net, spikes * 2)
    with pytest.raises(LavasegError, match="no sample"):
        run_inprocess(net, spikes[:0])
    with pytest.raises(LavasegError, match="uint8"):
        run_inprocess(net, spikes.astype(np.int64))


def test_progress_ends_at_the_last_step() -> None:
    net = network_of((read(),), (Projection("input", "out", Conv(1)),))
    calls: list[tuple[int, int]] = []
    run_inprocess(net, spikes_for(net), progress=lambda *call: calls.append(call))
    assert calls[-1] == (7, 7)


def test_a_run_leaves_the_root_logger_as_it_was() -> None:
    """Lava adds a handler for each process: an error would be printed as often."""
    net = network_of((read(),), (Projection("input", "out", Conv(1)),))
    before = list(logging.root.handlers)
    run_inprocess(net, spikes_for(net))
    assert logging.root.handlers == before


def test_a_run_leaves_no_process_on_lavas_list() -> None:
    net = network_of((read(),), (Projection("input", "out", Conv(1)),))
    before = list(ProcessServer().processes)
    run_inprocess(net, spikes_for(net))
    assert ProcessServer().processes == before


@pytest.mark.parametrize("method", ["spawn", None])
def test_importing_lava_leaves_the_start_method_alone(method: str | None) -> None:
    code = (
        "import multiprocessing, sys\n"
        f"method = {method!r}\n"
        "if method: multiprocessing.set_start_method(method)\n"
        "from lavaseg.compat import prepare_lava\n"
        "prepare_lava(); prepare_lava()\n"
        "import lava.magma.core.process.process\n"
        "assert multiprocessing.get_start_method(allow_none=True) == method\n"
        "assert 'cv2' not in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
