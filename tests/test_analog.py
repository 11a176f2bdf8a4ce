"""Artificial baselines: the same loop and report as spiking ones, and a clear no to export."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lavaseg import export, models, recipes
from lavaseg.errors import LavasegError
from lavaseg.models.analog import ANALOG, RECTIFIED, AnalogModel, Layer
from lavaseg.models.size import size
from lavaseg.network import Input
from lavaseg.report import write_report
from lavaseg.runs import Run
from lavaseg.training import evaluate, train
from lavaseg.training.experiment import trained_model

VOC = Input("input", (3, 64, 64)), 21

SMALL: dict[str, dict[str, Any]] = {
    "ann_deeplab": {"width": 4},
    "ann_fcn": {"width": 4},
    "unet": {"width": 4, "depth": 2},
    "segnet": {"width": 4},
    "mimo_unet": {"base": 4, "n": 1},
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
        [sides[1] // 4, sides[1] // 2] if name == "mimo_unet" else []
    )
    sum((x.square().mean() for x in [logits, *further]), torch.zeros(())).backward()
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None, label
        assert parameter.grad.isfinite().all(), label


@pytest.mark.parametrize("name", ANALOG)
@pytest.mark.parametrize("options", [{}, {"affine": True}, {"further": 2}])
def test_a_plan_has_the_layers_that_torch_runs(name: str, options: dict[str, Any]) -> None:
    more = {"unet": "depth", "mimo_unet": "n"}.get(name)
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


@pytest.mark.parametrize("name", ["ann_deeplab", "mimo_unet"])
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
