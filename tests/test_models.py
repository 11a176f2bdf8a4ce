"""Models: they take any size, spike logic computes what it says, wrong options are named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from lavaseg import models
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import deployed, drop_auxiliaries
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.kernels.operators_torch import apply_operator
from lavaseg.models import logic
from lavaseg.models.blocks import (
    Residual,
    Sketch,
    conv1x1,
    conv3x3,
    efs_block,
    fire_block,
    ms_block,
    shuffle_block,
)
from lavaseg.models.systems import find
from lavaseg.network import Current, Input, Network, NetworkError, OneToOne, Population, Resize
from lavaseg.recipes import Surrogate
from lavaseg.training import SpikingNetwork

VOC = Input("input", (3, 64, 64)), 21


@pytest.mark.parametrize("sides", [(64, 64), (45, 60), (33, 50), (1, 3), (90, 120)])
@pytest.mark.parametrize("output_stride", [8, 4, 2, 1])
def test_branches_of_three_sizes_meet_at_any_size(
    sides: tuple[int, int], output_stride: int
) -> None:
    options: dict[str, Any] = {"width": 4, "blocks": (1, 1), "output_stride": output_stride}
    network = models.build("spike_brgnet", Input("input", (2, *sides)), 6, **options)
    assert isinstance(network, Network)
    wanted = tuple(-(-side // output_stride) for side in sides)
    assert network.shape("readout") == network.shape("readout_detail") == (6, *wanted)
    smallest = tuple(-(-side // (8 * output_stride)) for side in sides)
    assert network.shape("context5b")[1:] == smallest
    assert deployed(network).shape("readout") == (6, *wanted)


def test_a_pyramid_has_the_windows_whose_stride_the_sheet_exceeds() -> None:
    def windows(side: int) -> list[int]:
        network = models.build(
            "spike_brgnet", Input("input", (2, side, side)), 6, width=4, output_stride=1
        )
        assert isinstance(network, Network)
        operators = [p.operator for p in network.projections if p.target.endswith("_means")]
        return [op.kernel[0] for op in operators]  # type: ignore[attr-defined]

    assert windows(8) == [1]
    assert windows(24) == [5, 3]
    assert windows(72) == [5, 9, 17, 9]


def test_a_network_without_boundary_or_auxiliary_has_two_branches_or_one_readout() -> None:
    sheet = Input("input", (2, 32, 32))
    whole = models.build("spike_brgnet", sheet, 6, width=4)
    assert isinstance(whole, Network)
    assert whole.auxiliaries == ("readout_detail", "readout_boundary")
    assert whole.shape("readout_boundary")[0] == 1
    for option, missing in (("boundary", "boundary"), ("auxiliary", "readout_detail")):
        network = models.build("spike_brgnet", sheet, 6, width=4, **{option: False})
        assert isinstance(network, Network)
        assert any(node.name.startswith(missing) for node in whole.nodes)
        assert not any(node.name.startswith(missing) for node in network.nodes)
        assert network.shape("readout") == whole.shape("readout")


@pytest.mark.parametrize("model", ["spiking_fcn", "spiking_unet"])
@pytest.mark.parametrize("preset", ["published", "hardware"])
@pytest.mark.parametrize("sides", [(64, 64), (45, 60), (33, 50)])
def test_enlarged_sheets_meet_their_skips_at_any_size(
    model: str, preset: str, sides: tuple[int, int]
) -> None:
    preset = "small" if (model, preset) == ("spiking_unet", "hardware") else preset
    network = models.build(model, Input("input", (3, *sides)), 4, width=4, preset=preset)
    assert network.shape("readout") == (4, *sides)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("spiking_deeplab", {"width": 4}),
        ("spiking_deeplab", {"width": 4, "pool": "or"}),
        ("spiking_deeplab", {"width": 4, "pool": "if", "aspp": (1, 6, 12, 18)}),
        ("spiking_deeplab", {"width": 4, "preset": "published"}),
        ("spiking_fcn", {"width": 4}),
        ("spiking_fcn", {"width": 4, "preset": "published", "classifier_kernel": 1}),
        ("spiking_unet", {"width": 4}),
        ("spiking_unet", {"width": 4, "preset": "published"}),
        ("mfs_seg", {"base": 4, "n": 1}),
        ("mfs_seg", {"base": 4, "n": 2, "block": "ms", "multi_scale": False}),
        ("mfs_seg", {"base": 4, "n": 1, "block": "fire", "inception": False}),
        ("mfs_seg", {"base": 4, "n": 1, "block": "shuffle"}),
        ("spiking_deeplab", {"width": 4, "branches": True}),
        ("spike_brgnet", {"width": 4, "blocks": (1, 1), "output_stride": 2}),
    ],
)
def test_every_model_computes_finite_logits_and_gradients(
    model: str, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = models.build(model, Input("input", (3, 32, 32), message_bits=8), 5, **options)
    net = SpikingNetwork(network)
    messages = torch.randint(0, 256, (2, 3, 32, 32, 1)).float().expand(-1, -1, -1, -1, 3)
    logits = net(messages)
    assert logits.shape[:2] == (2, 5)
    logits.square().mean().backward()
    for name, parameter in net.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def spikes_of(build: Any, *sources: torch.Tensor) -> torch.Tensor:
    """Output of spike logic on binary sheets (N, 1, H, W, T), one input channel each."""
    stacked = torch.cat(sources, 1)
    sketch = Sketch(Input("input", tuple(stacked.shape[1:4])))
    names = []
    for index in range(len(sources)):
        pick = sketch.population(f"source{index}", ("input", conv1x1(1)), voltage_decay=4096)
        names.append(pick)
    end = build(sketch, *names)
    sketch.readout("readout", (end, OneToOne()))
    net = SpikingNetwork(sketch.network("readout"))
    seen: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for index in range(len(sources)):
            weight = torch.zeros(1, len(sources), 1, 1)
            weight[0, index] = 2.0
            net.synapse(f"input_to_source{index}").set_values(weight)
        net(stacked, lambda node, spikes, _: seen.__setitem__(node.name, spikes))
    return seen[end]


@pytest.fixture
def binary() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.rand((2, 2, 1, 8, 6, 5), generator=torch.Generator().manual_seed(1))
    return (draws[0] < 0.4).float(), (draws[1] < 0.4).float()


def test_spike_and_is_the_product_and_spike_or_the_maximum(
    binary: tuple[torch.Tensor, torch.Tensor],
) -> None:
    both = spikes_of(lambda s, a, b: logic.spike_and(s, "both", a, b), *binary)
    either = spikes_of(lambda s, a, b: logic.spike_or(s, "either", a, b), *binary)
    assert torch.equal(both, binary[0] * binary[1])
    assert torch.equal(either, torch.maximum(*binary))


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1)])
def test_spike_or_pool_is_max_pooling(
    binary: tuple[torch.Tensor, torch.Tensor], kernel: int, stride: int, padding: int
) -> None:
    def pool(sketch: Sketch, source: str) -> str:
        return logic.spike_or_pool(sketch, "pool", source, kernel, stride, padding)

    found = spikes_of(pool, binary[0])
    for step in range(found.shape[-1]):
        expected = functional.max_pool2d(binary[0][..., step], kernel, stride, padding)
        assert torch.equal(found[..., step], expected)


@pytest.mark.parametrize("kind", ["slayer", "triangle", "rectangle"])
def test_gradients_pass_an_or_pool_where_one_spike_decides(kind: str) -> None:
    sketch = Sketch(Input("input", (1, 8, 8)))
    logic.spike_or_pool(sketch, "pool", "input")
    sketch.readout("readout", ("pool", OneToOne()))
    net = SpikingNetwork(sketch.network("readout"), Surrogate(kind=kind))
    spikes = (torch.rand((4, 1, 8, 8, 1), generator=torch.Generator().manual_seed(0)) < 0.3).float()
    spikes.requires_grad_()
    net(spikes).sum().backward()
    windows = functional.avg_pool2d(spikes[..., 0], 2, divisor_override=1)
    decides = (windows <= 1).float().repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert spikes.grad is not None
    assert torch.equal(spikes.grad[..., 0], decides)
    assert 0 < decides.mean() < 1


def test_the_published_fcn_resizes_what_it_enlarges_and_export_says_what_to_do() -> None:
    network = models.build("spiking_fcn", *VOC, width=4, preset="published")
    assert network.shape("enlarged1") == (21, 17, 17)
    assert network.shape("up1") == (21, 16, 16)
    for reset, resize, reason in (
        ("soft", "crop", "soft reset"),
        ("hard", "bilinear", r"'enlarged1_to_up1' resizes bilinearly.*resize 'crop'"),
    ):
        other = models.build(
            "spiking_fcn", *VOC, width=4, preset="published", reset=reset, resize=resize
        )
        with pytest.raises(LavasegError, match=reason):
            deployed(other)


def test_a_resize_is_bilinear_with_aligned_corners() -> None:
    ramp = torch.arange(5.0).view(1, 1, 1, 5) + 10 * torch.arange(3.0).view(1, 1, 3, 1)
    found = apply_operator(Resize((5, 9)), ramp)
    expected = torch.arange(0, 4.5, 0.5) + 10 * torch.arange(0, 2.5, 0.5)[:, None]
    assert torch.equal(found[0, 0], expected)
    assert Resize((5, 9)).output_shape((1, 3, 5)) == (1, 5, 9)


def test_if_pool_sends_one_spike_for_each_window_of_spikes() -> None:
    steady = torch.ones(1, 1, 4, 4, 8)
    half = steady.clone()
    half[:, :, 1::2] = 0
    for source, every in ((steady, 1), (half, 2)):
        found = spikes_of(lambda s, a: logic.if_pool(s, "pool", a), source)
        assert found.sum(-1).unique().tolist() == [8 / every]


@pytest.mark.parametrize("block", [efs_block, ms_block, fire_block, shuffle_block])
def test_a_residual_block_starts_as_the_identity(block: Residual) -> None:
    sketch = Sketch(Input("input", (4, 6, 6)), threshold=0.5)
    stream = sketch.current("stream", ("input", conv3x3(4)))
    sketch.readout("short", (stream, OneToOne()))
    sketch.readout("long", (block(sketch, stream, "block"), OneToOne()))
    net = SpikingNetwork(sketch.network("long", ("short",)))
    membranes = {}
    spikes = (torch.rand(2, 4, 6, 6, 3) < 0.5).float()
    net(spikes, lambda node, _, membrane: membranes.__setitem__(node.name, membrane))
    assert torch.equal(membranes["long"], membranes["short"])
    assert membranes["long"].abs().max() > 0


def test_mfs_seg_norms_start_at_the_threshold_and_residuals_at_zero() -> None:
    network = models.build("mfs_seg", Input("input", (3, 16, 16)), 2, base=4, n=1)
    net = SpikingNetwork(network)
    for name, norm in net.norms.items():
        assert norm.weight.unique().tolist() == ([0.0] if name.endswith("_branch") else [0.5])
    residual = [name for name in net.norms if name.endswith("_branch")]
    assert len(residual) == 6 + 2  # six stages of one block, and one where scales meet


def test_auxiliary_readouts_are_trained_and_dropped_on_export() -> None:
    network = models.build("mfs_seg", Input("input", (3, 16, 16)), 2, base=4, n=1)
    assert network.auxiliaries == ("readout4", "readout2")
    assert [network.shape(a) for a in network.auxiliaries] == [(2, 4, 4), (2, 8, 8)]
    assert Network.from_dict(network.to_dict()) == network
    weighted = WeightedNetwork.from_model(SpikingNetwork(network))
    dropped = drop_auxiliaries(weighted)
    alone = models.build("mfs_seg", network.input, 2, base=4, n=1, multi_scale=False)
    assert dropped.network == alone
    assert set(dropped.weights) == {p.name for p in alone.projections}


def test_an_auxiliary_must_be_another_readout() -> None:
    sketch = Sketch(Input("input", (1, 4, 4)))
    spiking = sketch.population("spiking", ("input", conv1x1(1)))
    sketch.readout("readout", (spiking, conv1x1(2)))
    for wrong in ("spiking", "readout", "none"):
        with pytest.raises(NetworkError, match=f"auxiliary read-out '{wrong}'"):
            sketch.network("readout", (wrong,))


def test_mfs_seg_sees_the_input_at_three_scales() -> None:
    network = models.build("mfs_seg", Input("input", (3, 32, 48)), 2, base=4, n=1)
    assert [network.shape(f"input{n}") for n in (2, 4)] == [(3, 16, 24), (3, 8, 12)]
    assert isinstance(network["input2"], Current)
    gates = [p for p in network.populations if p.voltage_decay == 4095]
    assert sorted(p.name for p in gates) == ["both2", "both4", "pool2", "pool4"]
    others = {p.voltage_decay for p in network.populations if p.threshold == 0.5} - {4095}
    assert others == {3072}


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("spiking_fcn", {"preset": "fast"}, "preset"),
        ("spiking_fcn", {"classifier_kernel": 2}, "classifier_kernel"),
        ("spiking_fcn", {"resize": "nearest"}, "resize"),
        ("spiking_deeplab", {"pool": "max"}, "pool"),
        ("spiking_deeplab", {"aspp": (1, 1)}, "aspp"),
        ("spiking_deeplab", {"levels": 16}, "'conv1': levels must be .* 1 to 15, got 16"),
        ("spiking_deeplab", {"branches": True, "norm": "bntt"}, "branches need norm 'batch'"),
        (
            "spiking_deeplab",
            {"levels": 4, "voltage_decay": 100},
            "'conv1': levels 4 .* voltage_decay must be 4096, got 100",
        ),
        (
            "spiking_deeplab",
            {"levels": 4, "preset": "published", "voltage_decay": 4096},
            "'conv1': levels 4 .* reset must be 'hard', got 'soft'",
        ),
        ("spiking_unet", {"preset": "large"}, "preset"),
        ("spike_brgnet", {"output_stride": 3}, "output_stride must be .* 1, 2, 4, 8"),
        ("spike_brgnet", {"blocks": [2]}, r"blocks \[2\]"),
        ("mfs_seg", {"levels": 4, "voltage_decay": 3072}, "levels 4 .* got 3072"),
        ("spiking_unet", {"attention": True}, "'attention' asks for attention, which multiplies"),
        ("mfs_seg", {"n": 0}, "n 0"),
        ("mfs_seg", {"block": "dense"}, "block"),
    ],
)
def test_a_wrong_option_is_named(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LavasegError, match=message):
        models.build(model, Input("input", (3, 32, 32)), 2, **options)


def test_mfs_seg_says_which_sizes_it_takes() -> None:
    with pytest.raises(LavasegError, match="divisible by 4"):
        models.build("mfs_seg", Input("input", (3, 30, 32)), 2)


def test_deeplab_options_reach_every_spiking_population() -> None:
    network = models.build(
        "spiking_deeplab", VOC[0], 21, reset="soft", voltage_decay=100, threshold=0.5, norm="none"
    )
    for population in network.populations[:-1]:
        assert population == Population(population.name, 0.5, voltage_decay=100, reset="soft")


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("spiking_deeplab", {}),
        ("spiking_deeplab", {"aspp": (1, 6), "branches": True}),
        ("spiking_deeplab", {"pool": "or"}),
        ("spiking_fcn", {}),
        ("spiking_unet", {}),
        ("spiking_unet", {"preset": "published"}),
        ("spiking_resnet", {}),
        ("mfs_seg", {"n": 1}),
        ("spike_brgnet", {}),
    ],
)
def test_levels_make_integer_neurons_of_every_spiking_population(
    model: str, options: dict[str, Any]
) -> None:
    network = models.build(model, VOC[0], 21, levels=4, threshold=0.5, **options)
    assert isinstance(network, Network)
    spiking = [p for p in network.populations if p.threshold is not None]
    readouts = [p for p in network.populations if p.threshold is None]
    assert {(p.levels, p.threshold, p.voltage_decay) for p in spiking} == {(4, 0.5, 4096)}
    assert {(p.levels, p.voltage_decay) for p in readouts} == {(None, 0)}
    plain = models.build(model, VOC[0], 21, **options)
    assert isinstance(plain, Network)
    assert [p.name for p in network.projections] == [p.name for p in plain.projections]
    assert network.weight_count() == plain.weight_count()


def test_integrating_neurons_with_levels_round_the_mean_of_their_window() -> None:
    network = models.build("spiking_deeplab", VOC[0], 21, levels=4, pool="if")
    assert isinstance(network, Network)
    pools = [p for p in network.populations if p.name.startswith("pool")]
    assert {(p.threshold, p.levels, p.norm) for p in pools} == {(9, 4, "none")}


@pytest.mark.parametrize("name", ["spike2former", "E-SpikeFormer", "attention", "SLTNet"])
def test_attention_is_refused_by_name(name: str) -> None:
    for asked in (lambda: models.build(name, *VOC), lambda: find(name)):
        with pytest.raises(LavasegError, match=f"'{name}' asks for attention.*spike_brgnet"):
            asked()
