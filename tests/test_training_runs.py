"""Training a recipe: resumed equals uninterrupted, the loss falls, wrong use is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lavaseg import models, recipes
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.recipes import Recipe, Rmp
from lavaseg.results.evaluation import Evaluation
from lavaseg.runs import Run
from lavaseg.training import SpikingNetwork, evaluate, train
from lavaseg.training.loss import (
    class_weights,
    rmp_layers,
    rmp_loss,
    rmp_mean,
    rmp_weight,
    segmentation_loss,
)
from lavaseg.training.plan import learning_rate
from lavaseg.training.segmenter import Segmenter
from lavaseg.training.weights import draw_weights


def small(**changes: Any) -> Recipe:
    """The demo at toy size: 60 samples, eight narrow layers, two epochs."""
    fields = [
        "data.options={train: 60, test: 10}",
        "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
        "training.epochs=3",
        "training.batch_size=10",
        "finetune.epochs=1",
        *(f"{key.replace('__', '.')}={value}" for key, value in changes.items()),
    ]
    return recipes.load("demo", fields)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def without_time(run: Run) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history()]


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder": "{kind: direct, steps: 2}"},
        {"encoder": "{kind: poisson, steps: 3}"},
        {
            "encoder": "{kind: direct, steps: 2}",
            "augment": "{flip: true, scale: [1, 2], contrast: 0.3}",
            "training__class_weights": "median_frequency",
        },
        {
            "encoder": "{kind: direct, steps: 1}",
            "model__options__levels": "3",
            "rmp__weight": "0.1",
        },
    ],
    ids=["direct", "poisson", "augmented", "integer"],
)
def test_a_resumed_run_equals_one_that_was_never_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    recipe = small(**changes)
    whole = train(recipe, tmp_path / "whole", progress=False)
    honest = Segmenter.training_step

    def interrupted(self: Segmenter, batch: Any, index: int) -> torch.Tensor:
        if self.trainer.current_epoch == 1 and index == 2:
            raise KeyboardInterrupt
        return honest(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "parts", progress=False)
    assert len(Run.open(tmp_path / "parts").history()) == 1
    resumed = train(recipe, tmp_path / "parts", resume=True, progress=False)
    assert without_time(resumed) == without_time(whole)
    expected, found = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def test_training_lowers_the_loss_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    recipe = small(training__epochs=4, data__options={"train": 200, "test": 10})
    run = train(recipe, tmp_path / "run", progress=False)
    rows = run.history()
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    best = max(row["val_miou"] for row in rows)
    result = evaluate(run, split="validation", progress=False)
    assert result.miou == pytest.approx(best, abs=1e-5)
    assert {"rate/conv1", "rate/conv8", "energy_uj", "synaptic_operations"} <= rows[0].keys()


def test_integer_neurons_learn_and_what_is_measured_of_them_is_theirs(tmp_path: Path) -> None:
    recipe = small(
        data__options={"train": 200, "test": 10},
        model__options__levels=4,
        encoder="{kind: direct, steps: 1, bits: 6}",
        training__epochs=4,
        training__membrane_histograms="true",
    )
    run = train(recipe, tmp_path / "run", progress=False)
    rows = run.history()
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    result = evaluate(run, progress=False)
    assert result.counts["conv1"].max() > 10  # samples: with one step, only integers reach it
    assert Evaluation.load(tmp_path / "run" / "evaluation.json").rates == result.rates
    again = evaluate(run, steps=3, progress=False)  # all three steps are alike
    assert np.array_equal(again.confusion, result.confusion)
    assert again.rates_per_step == pytest.approx(result.rates_per_step)
    histograms = run.files.membranes.load().histograms
    assert histograms["conv1"][-1].counts.sum() == 8 * run.network.neurons("conv1")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("voltage_decay: 100", "'conv1': levels 2 .* voltage_decay must be 4096, got 100"),
        ("reset: soft", "'conv1': levels 2 .* reset must be 'hard', got 'soft'"),
    ],
)
def test_levels_beside_a_memory_are_refused_before_anything_is_written(
    option: str, message: str, tmp_path: Path
) -> None:
    recipe = small(model__options=f"{{width: 1, levels: 2, {option}}}")
    with pytest.raises(LavasegError, match=message):
        train(recipe, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    recipe = small(training__epochs=1)
    train(recipe, tmp_path / "run", progress=False)
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    with pytest.raises(LavasegError, match="already holds a run"):
        train(recipe, tmp_path / "run", progress=False)
    with pytest.raises(LavasegError, match="other settings"):
        train(small(training__epochs=5), tmp_path / "run", resume=True, progress=False)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before


def test_nothing_to_resume_and_no_run_are_said(tmp_path: Path) -> None:
    with pytest.raises(LavasegError, match="no run to resume"):
        train(small(), tmp_path / "none", resume=True, progress=False)
    with pytest.raises(LavasegError, match="is not a run"):
        Run.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(LavasegError, match="cannot be created"):
        train(small(), tmp_path / "file" / "run", progress=False)


def test_the_seed_decides_the_run(tmp_path: Path) -> None:
    runs = [
        train(small(training__epochs=1, seed=seed), tmp_path / str(i), progress=False)
        for i, seed in enumerate((1, 1, 2))
    ]
    tables = [without_time(run) for run in runs]
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]


@pytest.mark.parametrize("target", ["spike", "nearest", "centred"])
@pytest.mark.parametrize("time", ["all", "last"])
def test_rmp_draws_membranes_to_their_targets(target: str, time: str) -> None:
    """Gradient descent on the regulariser alone brings each membrane to a target."""
    rmp = Rmp(weight=0.1, target=target, time=time)
    population = Population("p", threshold=1.0, voltage_decay=4096)
    membrane = torch.linspace(-0.4, 2.4, 60).reshape(1, 1, 3, 10, 2).requires_grad_()
    first = None
    for _ in range(300):
        spikes = (membrane > 1).float()
        loss = rmp_loss(rmp, population, spikes, membrane)
        first = first if first is not None else float(loss)
        (gradient,) = torch.autograd.grad(loss, membrane)
        assert bool((gradient[..., 0] == 0).all()) == (time == "last")
        membrane = (membrane - 5 * gradient).detach().requires_grad_()
    levels = torch.tensor([0.0, 2.0 if target == "centred" else 1.0])
    last = membrane.detach()[..., -1:]
    assert float((last[..., None] - levels).abs().amin(-1).max()) < 1e-3
    assert float(loss) < 1e-5 < (first or 0)


@pytest.mark.parametrize("membrane", ["pre_reset", "post_reset"])
def test_the_steady_state_reading_is_the_variance_over_time_and_so_is_its_gradient(
    membrane: str,
) -> None:
    """Equation 1 of Yadolahi & Abolmaali 2025 in NumPy: 1/M sum over i, 1/T sum over t."""
    rmp = Rmp(weight=0.1, target="steady_state", membrane=membrane)
    v = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0)).double()
    v.requires_grad_()
    spikes = (v > 1).double()
    loss = rmp_loss(rmp, Population("p"), spikes, v)
    (gradient,) = torch.autograd.grad(loss, v)
    kept = 1 - spikes.numpy() if membrane == "post_reset" else np.ones(v.shape)
    p = v.detach().numpy() * kept
    steady = p.mean(-1, keepdims=True)
    expected = np.square(p - steady).mean(-1).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient.numpy(), 2 * (p - steady) * kept / p.size, atol=1e-15)
    assert float(rmp_loss(rmp, Population("p"), torch.zeros(1, 1, 1, 1, 6), torch.ones(1, 6))) == 0


def test_a_single_step_has_no_variance_that_could_be_a_loss(tmp_path: Path) -> None:
    recipe = small(rmp__weight=0.1, rmp__target="steady_state", encoder__steps=1)
    with pytest.raises(LavasegError, match=r"rmp\.target: steady_state .* a single step"):
        train(recipe, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_the_mean_over_neurons_is_that_of_all_membranes_together() -> None:
    """1/M of equation 1, over the neurons of all layers; over layers it is another number."""
    sheets = [(2, 8, 8), (4, 4, 4), (5, 1, 1)]
    generator = torch.Generator().manual_seed(1)
    membranes = [torch.randn(3, *sheet, 2, generator=generator).double() for sheet in sheets]
    spikes = [(v > 1).double() for v in membranes]
    targets = [s.numpy() for s in spikes]
    errors = [np.square(v.numpy() - t) for v, t in zip(membranes, targets, strict=True)]
    by_layer = [
        rmp_loss(Rmp(), Population("p"), s, v) for s, v in zip(spikes, membranes, strict=True)
    ]
    neurons = [int(np.prod(sheet)) for sheet in sheets]
    found = {
        mean: float(rmp_mean(Rmp(mean=mean), by_layer, neurons)) for mean in ("layers", "neurons")
    }
    together = np.concatenate([e.ravel() for e in errors]).mean()
    assert found["neurons"] == pytest.approx(together, rel=1e-12)
    assert found["layers"] == pytest.approx(np.mean([e.mean() for e in errors]), rel=1e-12)
    assert abs(found["neurons"] - found["layers"]) > 1e-3


def test_rmp_sees_membranes_after_reset_if_asked() -> None:
    rmp = Rmp(weight=0.1, membrane="post_reset")
    membrane = torch.tensor([0.5, 1.5]).reshape(1, 1, 1, 1, 2)
    spikes = (membrane > 1).float()
    hard = rmp_loss(rmp, Population("p"), spikes, membrane)
    assert float(hard) == pytest.approx((0.5**2 + 1.0**2) / 2)  # 0.5 -> 0, and 0 -> 1
    soft = rmp_loss(rmp, Population("p", reset="soft"), spikes, membrane)
    assert float(soft) == pytest.approx((0.5**2 + 0.5**2) / 2)


def test_median_frequency_weights_of_an_example_by_hand() -> None:
    picture = np.zeros((3, 1, 4), np.uint8)
    labels = ([[0, 0, 0, 1]], [[0, 0, 9, 9]])
    samples = [(picture, np.array(label, np.uint8)) for label in labels]
    # class 0: 5 of 6 pixels; class 1: 1 of the 4 of its picture; class 2 is nowhere
    shares = np.array([5 / 6, 1 / 4])
    expected = (*(np.median(shares) / shares), 0.0)
    assert class_weights("median_frequency", samples, 3, 9) == pytest.approx(expected)
    root = class_weights("root_median_frequency", samples, 3, 9)
    assert root == pytest.approx(np.sqrt(expected))
    assert class_weights("none", samples, 3, 9) is None
    assert class_weights([1, 2, 3], samples, 3, 9) == (1, 2, 3)
    with pytest.raises(LavasegError, match="2 weights for 3 classes"):
        class_weights([1, 2], samples, 3, 9)


def test_class_weights_weigh_pixels_by_their_class() -> None:
    logits, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    each = [
        segmentation_loss(logits, torch.where(labels == k, labels, 7), ignore_index=7)
        for k in range(3)
    ]
    counts = [int((labels == k).sum()) for k in range(3)]
    weights = (1.0, 0.0, 5.0)
    parts = [w * n * float(loss) for w, n, loss in zip(weights, counts, each, strict=True)]
    whole = sum(w * n for w, n in zip(weights, counts, strict=True))
    found = segmentation_loss(logits, labels, ignore_index=7, class_weights=weights)
    assert float(found) == pytest.approx(sum(parts) / whole, rel=1e-5)


def test_lambda_schedules_have_their_shapes() -> None:
    at = [0.0, 0.25, 0.5, 0.75, 1.0]
    shapes = {
        "triangle": [0.0, 0.5, 1.0, 0.5, 0.0],
        "ramp": [0.0, 0.25, 0.5, 0.75, 1.0],
        "cosine": [1.0, 0.853553, 0.5, 0.146447, 0.0],
        "constant": [1.0] * 5,
    }
    for schedule, expected in shapes.items():
        rmp = Rmp(weight=0.1, schedule=schedule)
        found = [rmp_weight(rmp, p) for p in at]
        assert found == pytest.approx([0.1 * e for e in expected], abs=1e-6)


def test_rmp_layers_are_the_spiking_ones() -> None:
    nodes = (*(Population(f"p{i}") for i in range(4)), Population("out", None))
    names = ["input", *(n.name for n in nodes)]
    edges = tuple(Projection(a, b, Conv(2)) for a, b in pairwise(names))
    net = Network(Input("input", (2, 12, 12)), nodes, edges, "out")
    assert rmp_layers(Rmp(), net) == ("p0", "p1", "p2", "p3")
    assert rmp_layers(Rmp(layers="inner"), net) == ("p1", "p2")


def test_rmp_reaches_the_loss_of_a_run(tmp_path: Path) -> None:
    found = {}
    for mean in ("layers", "neurons"):
        changes = {"rmp__mean": mean, "rmp__target": "steady_state", "rmp__schedule": "constant"}
        recipe = small(rmp__weight=0.1, training__epochs=1, **changes)
        found[mean] = train(recipe, tmp_path / mean, progress=False).history()[0]["rmp"]
    assert 0 < found["layers"] != found["neurons"] > 0


def test_the_papers_schedule_drops_at_half_and_four_fifths() -> None:
    plan = recipes.Training(epochs=1, schedule="step")
    factor = learning_rate(plan, 100)
    assert [round(factor(s), 6) for s in (0, 49, 50, 79, 80, 99)] == [1, 1, 0.1, 0.1, 0.01, 0.01]
    own = recipes.Training(epochs=1, schedule="step", milestones=(0.6,), decay=0.5)
    assert [learning_rate(own, 100)(s) for s in (59, 60, 99)] == [1, 0.5, 0.5]
    cycle = learning_rate(recipes.Training(epochs=1, schedule="one_cycle"), 100)
    assert max(range(101), key=cycle) == 20
    assert cycle(100) == pytest.approx(0)


@pytest.mark.parametrize("model", ["spiking_fcn", "ann_fcn"])
def test_kim_s_initial_weights_are_xavier_with_gain_2(model: str) -> None:
    plan = recipes.load("kim-fcn-voc").training
    built = models.build(model, Input("input", (3, 16, 16)), 4, width=4)
    torch.manual_seed(0)
    net = SpikingNetwork(built) if isinstance(built, Network) else built.module()
    before = {name: value.clone() for name, value in net.named_parameters()}
    draw_weights(net, recipes.load("demo").training)
    assert all(torch.equal(before[name], value) for name, value in net.named_parameters())
    draw_weights(net, plan)
    for name, value in net.named_parameters():
        if value.ndim < 4:
            assert torch.equal(before[name], value), name
            continue
        outputs, inputs, *kernel = value.shape
        bound = 2 * np.sqrt(6 / ((outputs + inputs) * np.prod(kernel)))
        assert 0.9 * bound < value.abs().max() <= bound or value.numel() < 40, name


@pytest.mark.parametrize(
    ("name", "kind", "field", "value"),
    [
        ("adam", torch.optim.Adam, "amsgrad", False),
        ("amsgrad", torch.optim.Adam, "amsgrad", True),
        ("sgd", torch.optim.SGD, "momentum", 0.9),
    ],
)
def test_a_recipe_chooses_the_optimiser(
    name: str, kind: type[torch.optim.Optimizer], field: str, value: object, tmp_path: Path
) -> None:
    recipe = small(training__optimiser=name, training__weight_decay=0.01, training__epochs=1)
    seen: list[torch.optim.Optimizer] = []
    original = Segmenter.configure_optimizers

    def spy(self: Segmenter) -> Any:
        found = original(self)
        seen.extend(found[0])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Segmenter, "configure_optimizers", spy)
        train(recipe, tmp_path / "run", progress=False)
    assert type(seen[0]) is kind
    assert seen[0].param_groups[0][field] == value
    assert seen[0].param_groups[0]["weight_decay"] == 0.01


def test_the_published_preset_trains(tmp_path: Path) -> None:
    """Average pooling between spikes, soft reset and leak 0.99: trainable, if not deployable."""
    changes = {"model.options.preset": "published", "model.options.output_stride": 4}
    recipe = recipes.load(
        "demo",
        [
            "data.options={train: 40, test: 10}",
            "model.options.channels=[4, 4, 4, 4, 4, 4, 4, 8]",
            "training.epochs=2",
            *(f"{k}={v}" for k, v in changes.items()),
        ],
    )
    run = train(recipe, tmp_path / "run", progress=False)
    rows = run.history()
    assert rows[1]["loss"] < rows[0]["loss"]
    assert SpikingNetwork(run.network).network.shape("readout") == (2, 8, 8)
