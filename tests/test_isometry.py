"""Block dynamical isometry: the estimates are those of the Jacobian written out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

from lavaseg import data, models, recipes
from lavaseg.errors import LavasegError
from lavaseg.models.residual import ResidualBlock, inner_nodes, residual_blocks
from lavaseg.network import Input, Network, Population
from lavaseg.recipes import Surrogate
from lavaseg.runs import Run
from lavaseg.studies.measures import measure_named
from lavaseg.training.isometry import block_isometries, isometries, isometry, neuron_phi
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.preparing import described
from lavaseg.training.slayer.neurons import FusedNeuron

Map = Callable[[torch.Tensor], torch.Tensor]
SURROGATE = Surrogate(kind="rectangle", width=2.0, height=0.5, reset="gate")


def jacobian_of(function: Map, x: torch.Tensor) -> np.ndarray:
    """J, one row an output, from one backward pass for each of them."""
    x = x.clone().requires_grad_()
    out = function(x)
    rows = [
        torch.autograd.grad(y, x, retain_graph=True, materialize_grads=True)[0].flatten()
        for y in out.flatten()
    ]
    return torch.stack(rows).double().numpy()


def moments_of(jacobian: np.ndarray) -> tuple[float, float]:
    """Mean and variance of the squared singular values, zeros of a wide one's rows included."""
    gram = jacobian @ jacobian.T
    phi = np.trace(gram) / len(gram)
    return phi, np.trace(gram @ gram) / len(gram) - phi**2


def linear(matrix: np.ndarray) -> Map:
    weight = torch.from_numpy(matrix).float()
    return lambda x: weight @ x


def conv(x: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(3, 2, 3, 3, generator=generator) / 4
    return torch.nn.functional.conv2d(x, weight, padding=1)


def mfs_seg(side: int = 4, **options: object) -> Network:
    sizes = {"base": 2, "n": 2, "multi_scale": False}
    found = models.build("mfs_seg", Input("input", (1, side, side)), 2, **sizes | options)
    assert isinstance(found, Network)
    return found


def drawn(
    network: Network, samples: int = 2, steps: int = 3
) -> tuple[SpikingNetwork, torch.Tensor]:
    """A network with random weights, and spikes for it."""
    torch.manual_seed(0)
    model = SpikingNetwork(network, SURROGATE, steps=steps)
    return model, (torch.rand(samples, *network.input.shape, steps) < 0.5).float()


def test_an_identity_has_phi_1_and_varphi_0_whatever_the_probes() -> None:
    for probes in (3, None):
        found = isometry(lambda x: x, torch.zeros(3, 5), probes=probes)
        assert (found.phi, found.varphi, found.phi_error, found.varphi_error) == (1, 0, 0, 0)


def test_scaling_an_identity_squares_into_phi_alone() -> None:
    found = isometry(lambda x: 3 * x, torch.zeros(7), probes=3)
    assert (found.phi, found.varphi) == (9, 0)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (conv, (1, 2, 4, 5)),
        (linear(np.arange(12).reshape(3, 4) / 5), (4,)),
        (linear(np.arange(12).reshape(4, 3) / 5), (3,)),
        (torch.tanh, (6,)),
    ],
    ids=["convolution", "wide", "tall", "tanh"],
)
def test_all_basis_vectors_give_the_moments_of_the_jacobian(
    function: Map, shape: tuple[int, ...]
) -> None:
    x = torch.linspace(-1, 1, int(np.prod(shape))).view(shape)
    found = isometry(function, x, probes=None)
    assert (found.phi, found.varphi) == pytest.approx(moments_of(jacobian_of(function, x)))
    assert found.phi_error == found.varphi_error == 0


def test_random_probes_come_within_their_standard_errors() -> None:
    x = torch.zeros(1, 2, 6, 6)
    phi, varphi = moments_of(jacobian_of(conv, x))
    found = isometry(conv, x, probes=200)
    assert 0 < found.phi_error < 0.1 * phi
    assert 0 < found.varphi_error < 0.1 * varphi
    assert abs(found.phi - phi) < 3 * found.phi_error
    assert abs(found.varphi - varphi) < 3 * found.varphi_error


def test_estimates_have_no_bias_and_their_errors_are_those_over_seeds() -> None:
    matrix = np.random.default_rng(0).normal(size=(20, 15)) / 4
    phi, varphi = moments_of(matrix)
    found = [isometry(linear(matrix), torch.zeros(15), probes=8, seed=seed) for seed in range(400)]
    for values, exact, errors in (
        ([f.phi for f in found], phi, [f.phi_error for f in found]),
        ([f.varphi for f in found], varphi, [f.varphi_error for f in found]),
    ):
        spread = np.std(values, ddof=1)
        assert abs(np.mean(values) - exact) < 3 * spread / np.sqrt(len(values))
        assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.2)


def test_a_large_random_matrix_has_the_moments_of_marchenko_and_pastur() -> None:
    m, n = 200, 400
    matrix = np.random.default_rng(0).normal(size=(m, n)) / np.sqrt(n)
    found = isometry(linear(matrix), torch.zeros(n), probes=50)
    assert found.phi == pytest.approx(1, abs=0.03)
    assert found.varphi == pytest.approx(m / n, abs=0.05)


def test_the_same_seed_gives_the_same_estimate_and_another_one_another() -> None:
    x = torch.zeros(1, 2, 4, 4)
    first, again, other = (isometry(conv, x, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_too_few_probes_are_refused() -> None:
    with pytest.raises(LavasegError, match="probes must be at least 3, got 2"):
        isometry(conv, torch.zeros(1, 2, 4, 4), probes=2)


@pytest.mark.parametrize("kind", ["slayer", "triangle", "rectangle"])
@pytest.mark.parametrize("reset", ["ignore", "gate"])
@pytest.mark.parametrize(
    "population",
    [
        Population("p", 1.0, voltage_decay=1024),
        Population("p", 0.5, current_decay=1000, voltage_decay=300),
        Population("p", 1.0, reset="soft"),
        Population("p", None, current_decay=2000, voltage_decay=300),
    ],
    ids=["leaky", "filtered", "soft", "readout"],
)
@pytest.mark.parametrize("record", ["none", "last", "all"])
def test_forward_mode_is_the_transpose_of_the_backward_pass(
    kind: str, reset: str, population: Population, record: str
) -> None:
    neuron = FusedNeuron(population, Surrogate(kind=kind, width=0.8, reset=reset))
    x = torch.randn(2, 3, 2, 2, 5, generator=torch.Generator().manual_seed(0)) + 0.5

    def both(x: torch.Tensor) -> torch.Tensor:
        spikes, membrane = neuron.respond(x, record=record)
        return (
            spikes.flatten()
            if membrane is None
            else torch.cat([spikes.flatten(), membrane.flatten()])
        )

    if population.threshold is None and record == "none":
        return  # nothing that is handed out depends on the input
    jacobian = jacobian_of(both, x)
    assert np.any(jacobian)
    w = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    with forward_ad.dual_level():
        out = both(forward_ad.make_dual(x.clone().requires_grad_(), w))
        tangent = forward_ad.unpack_dual(out).tangent
    np.testing.assert_allclose(tangent.numpy(), jacobian @ w.flatten().numpy(), atol=1e-5)


def part_of(
    model: SpikingNetwork, block: ResidualBlock, spikes: torch.Tensor
) -> tuple[Map, torch.Tensor]:
    """A block as a function of the stream before it, and that stream for some input."""
    sent: dict[str, torch.Tensor] = {}
    model(spikes, lambda node, x, _: sent.__setitem__(node.name, x.detach()))
    inner = inner_nodes(model.network, block)
    given = {name: x for name, x in sent.items() if name not in inner}
    stream = sent[block.begin].contiguous()
    return lambda x: model.between(given | {block.begin: x}, block.end), stream


@pytest.mark.parametrize(
    ("block", "identity"), [("efs", True), ("fire", True), ("efs", False), ("ms", False)]
)
def test_a_spiking_block_is_measured_as_its_jacobian_says(block: str, identity: bool) -> None:
    options = {"block": block, "identity": identity, "branch_scale": 0.5}
    network = mfs_seg(4, n=1, base=1, **options)
    model, spikes = drawn(network, samples=1, steps=2)
    found = block_isometries(model, spikes, probes=None)
    model.train()
    for part, residual in zip(found, residual_blocks(network), strict=True):
        exact = moments_of(jacobian_of(*part_of(model, residual, spikes)))
        assert (part.measured.phi, part.measured.varphi) == pytest.approx(exact, rel=1e-4, abs=1e-6)
        assert part.name == residual.end
    assert max(part.measured.varphi for part in found) > 0.1


def test_a_gradient_passes_from_sample_to_sample_through_the_norms_of_a_block() -> None:
    network = mfs_seg(4, n=1, identity=False)
    model, spikes = drawn(network)
    function, stream = part_of(model.train(), residual_blocks(network)[-1], spikes)
    jacobian = jacobian_of(function, stream)
    rows, columns = jacobian.shape
    assert np.any(jacobian[: rows // 2, columns // 2 :])


def test_blocks_that_start_at_0_are_isometries_and_those_without_identity_are_not() -> None:
    model, spikes = drawn(mfs_seg())
    for part in block_isometries(model, spikes, stages=True):
        assert (part.measured.phi, part.measured.varphi, part.predicted_phi) == (1, 0, 1)
    plain, spikes = drawn(mfs_seg(identity=False))
    for part in block_isometries(plain, spikes):
        assert part.measured.varphi > 0.5


def test_a_larger_branch_moves_phi_from_1_as_predicted() -> None:
    phis = []
    for scale in (0.1, 0.5):
        model, spikes = drawn(mfs_seg(16, n=1, base=8, branch_scale=scale))
        found = block_isometries(model, spikes, probes=3)
        phis.append([part.measured.phi for part in found])
        added = np.array([(part.measured.phi - 1, part.predicted_phi - 1) for part in found])
        measured, predicted = added.mean(0)  # the theory is one of large random matrices
        assert predicted == pytest.approx(measured, rel=0.2)
    assert np.all(np.diff(phis, axis=0) > 0)


def test_a_stage_as_a_whole_follows_its_blocks() -> None:
    model, spikes = drawn(mfs_seg(branch_scale=0.5))
    found = block_isometries(model, spikes, stages=True)
    assert [(part.name, part.blocks) for part in found[:3]] == [
        ("encode1_0", 1),
        ("encode1_1", 1),
        ("encode1", 2),
    ]
    assert found[2].predicted_phi == pytest.approx(found[0].predicted_phi * found[1].predicted_phi)
    assert found[2].measured.phi > max(part.measured.phi for part in found[:2])


def test_measuring_leaves_the_network_as_it_was() -> None:
    model, spikes = drawn(mfs_seg())
    model.eval()
    before = copy.deepcopy(model.state_dict())
    block_isometries(model, spikes)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("reset", ["ignore", "gate"])
@pytest.mark.parametrize("kind", ["slayer", "triangle", "rectangle"])
def test_the_phi_of_neurons_is_that_of_their_jacobian(kind: str, reset: str) -> None:
    network = mfs_seg()
    model = SpikingNetwork(network, Surrogate(kind=kind, reset=reset))
    node = network["encoded1"]
    assert isinstance(node, Population)
    x = torch.randn(1, 2, 3, 3, 4, generator=torch.Generator().manual_seed(0)) * 0.5
    _, membrane = model.neuron("encoded1").respond(x, record="all")
    assert membrane is not None
    exact, _ = moments_of(jacobian_of(model.neuron("encoded1"), x))
    assert neuron_phi(model, node, membrane) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("block", ["efs", "ms", "fire", "shuffle"])
@pytest.mark.parametrize("identity", [True, False])
def test_all_residual_blocks_are_found_with_and_without_identities(
    block: str, identity: bool
) -> None:
    found = residual_blocks(mfs_seg(block=block, identity=identity))
    assert found == tuple(
        ResidualBlock(begin, end, identity)
        for begin, end in [
            *(("enter1", "encode1_0"), ("encode1_0", "encode1_1")),
            *(("down2", "attend2"), ("attend2", "encode2_0"), ("encode2_0", "encode2_1")),
            *(("down4", "attend4"), ("attend4", "encode4_0"), ("encode4_0", "encode4_1")),
            *(("encode4_1", "decode4_0"), ("decode4_0", "decode4_1")),
            *(("merge2", "decode2_0"), ("decode2_0", "decode2_1")),
            *(("merge1", "decode1_0"), ("decode1_0", "decode1_1")),
        ]
    )
    assert [b.stage for b in found[:3]] == ["encode1", "encode1", "attend2"]


def test_blocks_of_other_residual_networks_are_found_and_others_have_none() -> None:
    sheet = Input("input", (1, 8, 8))
    resnet = models.build("spiking_resnet", sheet, 2, blocks=2)
    assert isinstance(resnet, Network)
    assert [b.end for b in residual_blocks(resnet)] == [
        *("stream0_0", "stream0_1", "stream1_0", "stream1_1")
    ]
    unet = models.build("spiking_unet", sheet, 2)
    assert isinstance(unet, Network)
    with pytest.raises(LavasegError, match="has no residual blocks"):
        block_isometries(*drawn(unet))


def test_a_part_of_a_network_sends_what_the_whole_sends_or_says_what_is_missing() -> None:
    model, spikes = drawn(mfs_seg())
    model.eval()
    sent: dict[str, torch.Tensor] = {}
    model(spikes, lambda node, x, _: sent.__setitem__(node.name, x.detach()))
    given = {name: sent[name] for name in ("enter1",)}
    assert torch.equal(model.between(given, "encoded1"), sent["encoded1"])
    with pytest.raises(LavasegError, match="'down2' depends on the input"):
        model.between({"seen2": sent["seen2"]}, "down2")


def run_of(folder: Path, model: str, **options: object) -> Run:
    """A run that was never trained."""
    plain = recipes.load("demo").model_dump() | {"model": {"name": model, "options": options}}
    plain["data"] = {"name": "digits-photos", "options": {"train": 12, "test": 2}}
    recipe = recipes.Recipe.model_validate(plain)
    return described(recipe, data.load("digits-photos", train=12, test=2), folder)


def test_a_run_is_measured_with_the_weights_that_its_training_begins_with(tmp_path: Path) -> None:
    run = run_of(tmp_path, "mfs_seg", base=2, n=1, identity=False)
    first, again = (isometries(run, trained=False, samples=2, probes=3) for _ in range(2))
    assert first == again
    assert [part.name for part in first] == [b.end for b in residual_blocks(run.network)]
    other = isometries(run, trained=False, samples=1, probes=3)
    assert other[0].measured.phi != first[0].measured.phi


def test_the_measure_of_studies_gives_what_it_says_for_blocks_stages_and_all(
    tmp_path: Path,
) -> None:
    run = run_of(tmp_path, "mfs_seg", base=2, n=2, branch_scale=0.5)
    measure = measure_named("isometry")
    options = measure.parse("isometry", {"weights": ["initial"], "samples": 1, "probes": 3})
    rows = list(measure(run, options))
    kinds = {(r["quantity"], *(k for k in r if k not in ("quantity", "value"))) for r in rows}
    assert kinds == set(measure.gives(options))
    of_blocks = [r["value"] for r in rows if r["quantity"] == "phi" and "block" in r]
    (mean,) = [r["value"] for r in rows if r["quantity"] == "phi" and len(r) == 3]
    (distance,) = [r["value"] for r in rows if r["quantity"] == "phi_distance"]
    assert len(of_blocks) == 14
    assert mean == pytest.approx(np.mean(of_blocks))
    assert distance == pytest.approx(np.abs(np.array(of_blocks) - 1).max())


def test_runs_without_weights_samples_or_spikes_are_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path, "mfs_seg", base=2, n=1)
    with pytest.raises(LavasegError, match="samples must be at least 1, got 0"):
        isometries(run, trained=False, samples=0)
    with pytest.raises(LavasegError, match=str(tmp_path)):
        isometries(run)
    with pytest.raises(LavasegError, match="artificial network"):
        isometries(run_of(tmp_path, "unet"), trained=False)
