"""Artificial baselines: the same loop and report as spiking ones, and a clear no to export."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lavaseg import export, models, recipes
from lavaseg.errors import LavasegError
from lavaseg.export.conversion import convert
from lavaseg.models.analog import ANALOG, RECTIFIED, AnalogModel, Layer
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.models.size import size
from lavaseg.network import Input, Network
from lavaseg.report import write_report
from lavaseg.runs import Run
from lavaseg.training import evaluate, train
from lavaseg.training.models import trained_model

VOC = Input("input", (3, 64, 64)), 21

SMALL: dict[str, dict[str, Any]] = {
    "ann_deeplab": {"width": 4},
    "ann_fcn": {"width": 4},
    "unet": {"width": 4, "depth": 2},
    "segnet": {"width": 4},
    "mimo_unet": {"base": 4, "n": 1},
    "ann_mfs_seg": {"base": 4, "n": 1},
}


def build(name: str, task: tuple[Input, int], **options: Any) -> AnalogModel:
    model = models.build(name, *task, **options)
    assert isinstance(model, AnalogModel)
    return model


@pytest.mark.parametrize(
    ("analog", "spiking"), [("ann_deeplab", "spiking_deeplab"), ("ann_fcn", "spiking_fcn")]
)
def test_the_twins_of_kim_et_al_have_the_weights_and_macs_of_their_spiking_networks(
    analog: str, spiking: str
) -> None:
    network = models.build(spiking, *VOC, preset="published")
    model = build(analog, VOC)
    biases = sum(network.shape(n.name)[0] for n in network.nodes if n.bias)
    assert model.parameter_count() == network.weight_count() + biases  # norms are not affine
    spikes, rectified = size(network), size(model)
    assert (rectified.macs, rectified.kim_macs) == (spikes.macs, spikes.kim_macs)


def test_mimo_unet_of_eight_blocks_has_the_size_that_its_own_paper_prints() -> None:
    model = build("mimo_unet", (Input("input", (3, 180, 240)), 3), n=8)
    assert round(model.parameter_count() / 1e6, 1) == 6.8


@pytest.mark.parametrize("name", ANALOG)
@pytest.mark.parametrize("sides", [(32, 32), (44, 36)])
def test_logits_have_the_size_of_their_layers_and_gradients_reach_every_weight(
    name: str, sides: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = build(name, (Input("input", (3, *sides), 8), 5), **SMALL[name])
    assert AnalogModel.from_dict(model.to_dict()) == model
    net = model.module()
    messages = torch.randint(0, 256, (2, 3, *sides, 1)).float().expand(-1, -1, -1, -1, 2)
    further: list[torch.Tensor] = []
    logits = net(messages, further.append)
    assert logits.shape[1] == 5
    assert model.layers[-1].shape == tuple(logits.shape[1:])
    assert [x.shape[-1] for x in further] == (
        [sides[1] // 4, sides[1] // 2] if name in ("mimo_unet", "ann_mfs_seg") else []
    )
    sum((x.square().mean() for x in [logits, *further]), torch.zeros(())).backward()
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.isfinite().all(), label


@pytest.mark.parametrize("name", ANALOG)
@pytest.mark.parametrize("options", [{}, {"affine": True}, {"further": 2}])
def test_a_plan_has_the_layers_that_torch_runs(name: str, options: dict[str, Any]) -> None:
    more = {"unet": "depth", "mimo_unet": "n", "ann_mfs_seg": "n"}.get(name)
    chosen = SMALL[name] | ({"affine": True} if "affine" in options and name in RECTIFIED else {})
    if "further" in options and more:
        chosen |= {more: SMALL[name][more] + options["further"]}
    model = build(name, (Input("input", (3, 44, 36)), 5), **chosen)
    body, found = model.module().body.eval(), []

    def record(label: str, module: torch.nn.Module, given: torch.Tensor, y: torch.Tensor) -> None:
        weights, macs, enlarges = 0, 0, 1
        if isinstance(module, torch.nn.Conv2d):
            weights, macs = module.weight.numel(), y[0].numel() * module.weight[0].numel()
        if isinstance(module, torch.nn.ConvTranspose2d):
            weights, macs = module.weight.numel(), given[0].numel() * module.weight[0].numel()
            enlarges = math.prod(module.stride)
        parameters = sum(p.numel() for p in module.parameters())
        shape = (y.shape[1], y.shape[2], y.shape[3])
        kind = type(module).__name__
        found.append(Layer(label, kind, shape, parameters, weights, macs, enlarges))

    for label, module in body.named_modules():
        if not list(module.children()) and list(module.parameters()):
            module.register_forward_hook(
                lambda m, given, y, label=label: record(label, m, given[0], y)
            )
    with torch.no_grad():
        body(torch.zeros(1, 3, 44, 36))
    assert model.layers == tuple(found)
    assert model.parameter_count() == sum(p.numel() for p in body.parameters())


def test_an_artificial_network_sees_the_mean_of_a_random_code() -> None:
    net = build("unet", (Input("input", (3, 16, 16)), 2), width=4, depth=1).module().eval()
    spikes = (torch.rand(2, 3, 16, 16, 10) < 0.3).float()
    mean = spikes.mean(-1, keepdim=True).expand(-1, -1, -1, -1, 10)
    assert torch.allclose(net(spikes), net(mean), atol=1e-5)
    assert torch.allclose(net(mean), 10 * net.body(spikes.mean(-1)), atol=1e-4)


def test_features_of_frames_are_averaged_behind_the_backbone() -> None:
    """A frame at a time, by hand: the backbone, the mean, the classifier."""
    torch.manual_seed(0)
    for name in ("ann_deeplab", "ann_fcn"):
        sheet = Input("input", (2, 32, 32))
        net = build(name, (sheet, 3), width=4, frames=4).module().eval()
        single = build(name, (sheet, 3), width=4).module().eval()
        single.load_state_dict(net.state_dict())
        frames = torch.rand(2, 2, 32, 32, 4)
        held = [frames[..., t : t + 1].expand_as(frames) for t in range(4)]
        # with four equal frames the two are one, and with different ones they are not
        assert torch.allclose(net(held[0]), single(held[0]), atol=1e-5)
        assert not torch.allclose(net(frames), single(frames), atol=1e-4)
        last = "conv7" if name == "ann_deeplab" else "pool3"
        head = "conv8" if name == "ann_deeplab" else "classifier1"
        (p,) = single.body.network.incoming(head)  # type: ignore[union-attr]
        assert p.source == last
        read = [reads(single, p.name, item) for item in held]
        assert torch.allclose(reads(net, p.name, frames), torch.stack(read).mean(0), atol=1e-5)


def reads(net: AnalogNetwork, convolution: str, messages: torch.Tensor) -> torch.Tensor:
    """What a convolution of a pass reads."""
    seen: list[torch.Tensor] = []
    module = net.body.get_submodule(f"convolutions.{convolution}")
    handle = module.register_forward_hook(lambda m, given, y: seen.append(given[0]))
    with torch.no_grad():
        net(messages)
    handle.remove()
    return seen[0]


def test_frames_cost_the_backbone_as_many_times_and_the_classifier_once() -> None:
    sheet = Input("input", (2, 32, 32))
    once = build("ann_deeplab", (sheet, 3), width=4)
    four = build("ann_deeplab", (sheet, 3), width=4, frames=4)
    for one, more in zip(once.layers, four.layers, strict=True):
        head = one.name.endswith(("_to_conv8", "_to_readout"))
        assert more.macs == one.macs * (1 if head else 4), one.name
    assert four.sheets.keys() == once.sheets.keys()
    with pytest.raises(LavasegError, match=r"4 frames .* the encoder has 2 steps"):
        four.module()(torch.zeros(1, 2, 32, 32, 2))
    with pytest.raises(LavasegError, match="frames must be 1 to 4096, got 0"):
        build("ann_deeplab", (sheet, 3), frames=0)


@pytest.mark.parametrize(("block", "printed"), [("ms", 24.45), ("efs", 8.85)])
def test_the_twins_of_su_et_al_have_about_the_operations_that_they_print(
    block: str, printed: float
) -> None:
    """Within 5 %: theirs are by torchstat, which counts two for each output of a norm and one for
    each ReLU, too; the energy is 4.6 pJ times them: 112.47 and 40.73 mJ."""
    task = Input("input", (3, 180, 240)), 12
    model = build("ann_mfs_seg", task, block=block)
    spiking = models.build("mfs_seg", *task, block=block)
    assert isinstance(spiking, Network)
    assert size(model).torchstat_macs == size(spiking).torchstat_macs
    assert size(model).weights == size(spiking).weights
    normed = sum(math.prod(spiking.shape(n.name)) for n in spiking.nodes if n.norm != "none")
    firing = sum(spiking.neurons(p.name) for p in spiking.populations if p.threshold is not None)
    counted = size(model).torchstat_macs + 2 * normed + firing
    assert counted / 1e9 == pytest.approx(printed, rel=0.05)


def test_spike_logic_becomes_maxima_and_products() -> None:
    network = models.build("mfs_seg", Input("input", (3, 16, 16)), 2, base=2, n=1)
    body = build("ann_mfs_seg", (network.input, 2), base=2, n=1).module().body.eval()
    values: dict[str, torch.Tensor] = {}
    for name, unit in body.units.items():  # type: ignore[union-attr,operator]
        unit.register_forward_hook(lambda m, given, y, name=name: values.update({name: y}))
    convolutions = body.convolutions.items()  # type: ignore[union-attr,operator]
    for name, module in convolutions:
        module.register_forward_hook(lambda m, given, y, name=name: values.update({name: given[0]}))
    with torch.no_grad():
        body(torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)))
    pooled = torch.nn.functional.max_pool2d(values["encoded1"], 2)
    assert torch.equal(values["pool2_to_down2"], pooled)
    (p,) = [p for p in network.projections if p.source == "both2"]
    assert torch.equal(values[p.name], values["down2_fire"] * values["seen2"])


@pytest.mark.parametrize("options", [{"frames": 2}, None])
def test_what_no_conversion_rule_is_for_is_refused(options: dict[str, Any] | None) -> None:
    name = "ann_deeplab" if options else "ann_mfs_seg"
    net = build(name, (Input("input", (3, 16, 16)), 2), **SMALL[name], **(options or {})).module()
    with pytest.raises(LavasegError, match="no conversion rule"):
        convert(net.eval(), torch.zeros(1, 3, 16, 16, 2))


@pytest.mark.parametrize("name", ["ann_deeplab", "mimo_unet", "ann_mfs_seg"])
def test_an_artificial_network_trains_by_the_same_loop_and_cannot_be_exported(
    name: str, tmp_path: Path
) -> None:
    recipe = recipes.load(
        "demo",
        [
            "data.options={train: 120, test: 10}",
            f"model.name={name}",
            f"model.options={SMALL[name]}",
            "encoder={kind: direct, steps: 1, bits: 8}",
            "training.epochs=3",
            "training.batch_size=10",
        ],
    )
    run = train(recipe, tmp_path / "run", progress=False)
    rows = run.history()
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    again = Run.open(run.path)
    assert again.model == run.model
    assert isinstance(again.model, AnalogModel)
    assert rows[-1]["energy_uj"] == pytest.approx(4.6e-6 * again.model.kim_macs())
    result = evaluate(again, split="validation", progress=False)
    assert result.miou == pytest.approx(max(row["val_miou"] for row in rows), abs=1e-5)
    assert not trained_model(run).training
    with pytest.raises(LavasegError, match=f"artificial network '{name}'.*train a spiking model"):
        export.export(run, progress=False)
    evaluate(again, progress=False)
    page = write_report(again).read_text("utf-8")
    assert "multiply-accumulates a sample" in page
    assert "mIoU, artificial network" in page
    assert "lavaseg verify" not in page


def test_rmp_on_an_artificial_network_is_refused(tmp_path: Path) -> None:
    fields = ["model={name: unet, options: {width: 4, depth: 1}}", "rmp.weight=0.1"]
    recipe = recipes.load("demo", ["data.options={train: 20, test: 4}", *fields])
    with pytest.raises(LavasegError, match=r"rmp\.weight"):
        train(recipe, tmp_path / "run", progress=False)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unet", {"depth": 9}, "depth 9"),
        ("segnet", {"width": 0}, "width 0"),
        ("mimo_unet", {"base": 1}, "base 1"),
        ("ann_deeplab", {"preset": "published"}, "no option 'preset'; it has width"),
        ("ann_fcn", {"classifier_kernel": 5}, "classifier_kernel"),
    ],
)
def test_a_wrong_option_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LavasegError, match=message):
        models.build(name, Input("input", (3, 32, 32)), 2, **options)
