"""TensorBoard's file of a training: what it shows, in which colours, and that it stays small."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_data import DEMO
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lavaseg import recipes
from lavaseg.runs import Run
from lavaseg.system.shown import spread
from lavaseg.training import train
from lavaseg.training.curves import LAYERS, PICTURES, SAMPLES, _is_due, _thinned

FIELDS = (
    *DEMO,
    "training.max_delay=1",
    "rmp={weight: 0.1, schedule: constant}",
)
EVERYTHING = {"scalars": 0, "images": 0, "histograms": 0, "compressedHistograms": 1, "tensors": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = recipes.load("demo", FIELDS)
    return train(recipe, tmp_path_factory.mktemp("run") / "run", progress=False)


@pytest.fixture(scope="module")
def shown(run: Run) -> EventAccumulator:
    return accumulated(run.path)


def accumulated(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard" / "metrics"), EVERYTHING)
    found.Reload()
    return found


def test_scalars_are_learning_rates_terms_of_the_loss_and_iou_of_each_class(
    run: Run, shown: EventAccumulator
) -> None:
    tags = shown.Tags()["scalars"]
    rates = {"learning rate/weights", "learning rate/delays"}
    losses = {"losses/cross_entropy", "losses/rmp", "losses/total"}
    assert {*rates, *losses, "IoU/background", "loss", "val_miou", "rate/conv1"} <= {*tags}
    rows = run.history()
    total, entropy, rmp = (
        np.array([event.value for event in shown.Scalars(f"losses/{name}")])
        for name in ("total", "cross_entropy", "rmp")
    )
    assert len(total) == 3
    assert np.allclose(total, entropy + rmp, rtol=1e-4)
    assert np.allclose(rmp, [0.1 * row["rmp"] for row in rows], rtol=1e-4)
    last = shown.Scalars("learning rate/weights")[-1].value
    assert last == pytest.approx(rows[-1]["learning_rate"])


def test_mean_of_the_classes_iou_is_the_miou_of_each_epoch(
    run: Run, shown: EventAccumulator
) -> None:
    by_class = [shown.Scalars(tag) for tag in shown.Tags()["scalars"] if tag.startswith("IoU/")]
    steps = sorted({event.step for events in by_class for event in events})
    found = [
        np.mean([e.value for events in by_class for e in events if e.step == s]) for s in steps
    ]
    assert found == pytest.approx([row["val_miou"] for row in run.history()], abs=1e-5)


def test_pictures_labels_and_predictions_are_those_of_the_data_in_its_colours(
    run: Run, shown: EventAccumulator
) -> None:
    from lavaseg.training.preparing import training_parts

    validation = training_parts(run.recipe, run.data)[1]
    assert validation is not None
    stimulus, label = validation[0]

    def pictures(tag: str) -> list[np.ndarray]:
        events = shown.Images(tag)
        return [np.asarray(Image.open(io.BytesIO(e.encoded_image_string))) for e in events]

    (seen,), (drawn,) = pictures("sample 0/1 input"), pictures("sample 0/2 label")
    assert np.array_equal(np.moveaxis(seen, -1, 0), stimulus)
    assert np.array_equal(drawn, run.colours[label])
    predicted = pictures("sample 0/3 prediction")
    assert len(predicted) == 3
    allowed = {tuple(colour) for colour in run.colours.tolist()}
    assert {tuple(c) for p in predicted for c in p.reshape(-1, 3).tolist()} <= allowed


def test_histograms_hold_every_membrane_of_the_samples(run: Run, shown: EventAccumulator) -> None:
    firing = {f"membranes/conv{k}" for k in range(1, 9)}
    assert {*shown.Tags()["histograms"]} == firing
    from lavaseg.training.preparing import training_parts

    validation = training_parts(run.recipe, run.data)[1]
    assert validation is not None
    samples = min(SAMPLES, len(validation))
    for event in shown.Histograms("membranes/conv1"):
        assert event.histogram_value.num == samples * run.network.neurons("conv1") * 2
        assert sum(event.histogram_value.bucket) == event.histogram_value.num


def test_the_file_is_small_and_pictures_are_few_however_long_the_training(run: Run) -> None:
    (file,) = (run.path / "tensorboard" / "metrics").glob("events*")
    assert file.stat().st_size < 3 * 40_000
    for epochs in (1, 2, 19, 20, 21, 100, 1000):
        trainer = type("Trainer", (), {"max_epochs": epochs, "current_epoch": 0})
        due = []
        for epoch in range(epochs):
            trainer.current_epoch = epoch
            if _is_due(trainer):
                due.append(epoch)
        assert due[0] == 0
        assert due[-1] == epochs - 1
        assert len(due) <= PICTURES
        assert len(due) >= min(epochs, PICTURES // 2)
    assert max(_thinned(np.zeros((3, 1000, 700))).shape) <= 256
    names = [f"layer{k}" for k in range(100)]
    kept = [*spread(names, LAYERS)]
    assert (kept[0], kept[-1], len(kept)) == ("layer0", "layer99", LAYERS)
    assert [*spread([], LAYERS)] == []


def test_an_artificial_network_without_validation_has_pictures_and_no_membranes(
    tmp_path: Path,
) -> None:
    fields = (
        *(FIELDS[0], *FIELDS[2:5], "training.epochs=1", "training.train_on_all=true"),
        "model={name: ann_fcn, options: {width: 4}}",
    )
    train(recipes.load("demo", fields), tmp_path / "run", progress=False)
    tags = accumulated(tmp_path / "run").Tags()
    assert "sample 0/3 prediction" in tags["images"]
    assert tags["histograms"] == []
    assert not [tag for tag in tags["scalars"] if tag.startswith("IoU/")]
