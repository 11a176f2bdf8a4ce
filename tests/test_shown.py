"""What Python and notebooks show of the objects of the API: a line, and a small table."""

from __future__ import annotations

import importlib
import pkgutil
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lavaseg
from lavaseg import data as data_sets
from lavaseg import recipes, studies
from lavaseg.data.base import samples_in_short
from lavaseg.encoders import Direct
from lavaseg.events import Events
from lavaseg.models import MODELS
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.evaluation import Evaluation
from lavaseg.system.shown import html_picture, html_table

LONGEST = 300
"""Characters of a repr: a few lines of a terminal."""


class Reader(HTMLParser):
    """Checks that tags are closed, and collects the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def net() -> IntegerNetwork:
    network = Network(
        Input("input", (3, 8, 8), message_bits=6),
        (Population("conv", 1024), Population("out", None)),
        (
            Projection("input", "conv", Conv(4, 3, padding=1)),
            Projection("conv", "out", Conv(2, 1)),
        ),
        "out",
    )
    rng = np.random.default_rng(0)
    weights = {
        p.name: (2 * rng.integers(-20, 20, network.weight_shape(p))).astype(np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, Direct(4, 6), ("background", "object"))


def shown(thing: Any) -> str:
    """A repr, after what holds of all of them."""
    text = repr(thing)
    assert len(text) < LONGEST
    assert "\n" not in text
    assert "array(" not in text
    return text


def test_networks_recordings_and_activities_are_a_line_and_a_table(net: IntegerNetwork) -> None:
    pictures = [np.zeros((3, 8, 8), np.uint8) + 99] * 2
    assert shown(net.network).startswith(
        "Network(input 3x8x8, 1 spiking population, read-out 'out'"
    )
    assert "T = 4" in shown(net)
    recorded = lavaseg.record(net, pictures)
    assert shown(recorded) == "Recording(integer, 2 samples, T = 4, 3 layers)"
    assert all(shown(layer) for layer in recorded.layers.values())
    activity = lavaseg.simulate(net, net.encoder.encode(pictures))
    assert shown(activity).startswith("Activity(2 samples, read-out 2x2x8x8")
    verdict = lavaseg.verify(net, pictures, backends=("torch",), progress=False)
    assert shown(verdict).startswith("Verdict(equal, 2 samples of 4 steps on torch")
    mapping = lavaseg.map_net(net)
    assert shown(mapping).startswith("Mapping(2 cores on 1 chip")
    for thing in (net, net.network, recorded, activity, verdict, mapping):
        text = Reader(thing._repr_html_()).text
        assert "conv" in text
        assert len(thing._repr_html_()) < 4000


@pytest.mark.parametrize("name", MODELS)
def test_models_are_a_line_however_deep(name: str) -> None:
    model = lavaseg.build_model(name, Input("input", (3, 64, 64), 0), 3)
    assert isinstance(model, Network)
    assert shown(model).startswith("Network(input 3x64x64")
    names = {node.name for node in model.nodes}
    assert names <= {*Reader(model._repr_html_()).text}


def test_a_data_set_is_a_line_and_shows_its_first_samples() -> None:
    found = data_sets.load("digits-photos", train=12, test=6)
    assert shown(found) == "DataSet('digits-photos', train 12, validation 1, test 6, 2 classes)"
    assert shown(found.train) == "Composed(12 samples)"
    html = found._repr_html_()
    assert Reader(html).text.count("train") == 1
    assert len(re.findall("data:image/png", html)) == 8
    assert len(html) < 200_000


def test_a_data_set_of_damaged_files_is_shown_all_the_same(tmp_path: Path) -> None:
    for kind in ("pictures", "labels"):
        (tmp_path / kind).mkdir()
        for number in range(4):
            image = Image.fromarray(np.zeros((8, 8), np.uint8))
            image.save(tmp_path / kind / f"{number}.png")
    found = data_sets.load("folder", root=str(tmp_path), classes=2)
    for file in (tmp_path / "labels").iterdir():
        file.write_bytes(b"damaged")
    assert "data:image" not in found._repr_html_()
    assert shown(found.train) == "Subset(3 samples)"


def test_samples_of_every_data_set_are_a_line() -> None:
    classes = [
        thing
        for module in pkgutil.iter_modules(data_sets.__path__)
        for thing in vars(importlib.import_module(f"lavaseg.data.{module.name}")).values()
        if isinstance(thing, type) and {"__len__", "__getitem__"} <= vars(thing).keys()
    ]
    assert len(classes) >= 8
    lengthy = [c.__name__ for c in classes if c.__repr__ is not samples_in_short]
    assert lengthy == ["Samples"] * lengthy.count("Samples"), "give these a short __repr__"


def test_events_and_evaluations_are_a_line() -> None:
    many = np.arange(10_000)
    events = Events(many, many % 30, many % 20, many % 2 > 0, (20, 30))
    assert shown(events) == "Events(10,000 events, sensor 20x30, 0 to 10,000 µs)"
    counts = {"input": np.ones((3, 8, 8), np.int64)}
    found = Evaluation(np.eye(3) * 5, ("a<b", "b", "c"), counts, 4, 2)
    assert shown(found) == "Evaluation(mIoU 100.00%, 100.00% of pixels right, 4 samples, T = 2)"
    assert "a<b" in Reader(found._repr_html_()).text


def test_recipes_and_studies_are_a_line_and_a_table() -> None:
    for name in recipes.names():
        recipe = recipes.load(name)
        assert shown(recipe) == str(recipe)
        text = Reader(recipe._repr_html_()).text
        assert {"training.epochs", str(recipe.training.epochs)} <= {*text}
        assert not any("\n" in cell for cell in text)
    for name in studies.names():
        study = lavaseg.load_study(name)
        assert shown(study) == str(study)
        assert {*study.axes} <= {*Reader(study._repr_html_()).text}


def test_predictions_are_a_line_a_picture_and_the_pixels_of_each_class(
    net: IntegerNetwork,
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (3, 900, 1200), np.uint8)
    predictor = lavaseg.Predictor(net)
    assert shown(predictor) == "Predictor(simulator, resize, 2 classes, T = 4)"
    predicted = lavaseg.predict(net, photo)
    assert shown(predicted) == "<Prediction 900 x 1200, 2 classes, views: 1>"
    html = predicted._repr_html_()
    text = Reader(html).text
    assert any(word in text for word in ("background", "object"))
    assert html.count("data:image/png") == 1
    assert len(html) < 1_000_000  # smaller than the photo


def test_html_is_escaped_and_pictures_are_enlarged() -> None:
    assert "<script>" not in html_table("<script>", ["<script>"], [["<script>"]])
    assert html_picture(np.zeros((4, 4, 3), np.uint8), 'a"b').count("&quot;") == 1
