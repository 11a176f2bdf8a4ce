"""Predictions at a picture's own size: how it comes to the network, and its read-out back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import lavaseg
from lavaseg.data.photos import Photo
from lavaseg.data.pictures import is_own_output, read_picture, resize_picture
from lavaseg.encoders import Direct, EventPresence, Poisson
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.inference.engines import NAMES, Answer
from lavaseg.inference.fitting import Fit
from lavaseg.inference.predictor import Item, Predictor
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results import metrics

RNG = np.random.default_rng
CLASSES = ("background", "road", "sky")


def small_net(
    size: tuple[int, int] = (8, 12),
    channels: int = 3,
    kernel: int = 3,
    classes: tuple[str, ...] = CLASSES,
    encoder: Direct | Poisson | None = None,
) -> IntegerNetwork:
    """A random network; with a kernel of 1 each pixel's scores depend on that pixel alone."""
    rng = RNG(3)
    encoder = encoder or Direct(2, bits=4)
    network = Network(
        Input("input", (channels, *size), encoder.message_bits),
        (Population("hidden", 90), Population("readout", None)),
        (
            Projection("input", "hidden", Conv(6, kernel, padding=(kernel // 2,) * 2)),
            Projection("hidden", "readout", Conv(len(classes), 1)),
        ),
        "readout",
    )
    weights = {
        p.name: 2 * rng.integers(-40, 41, network.weight_shape(p)).astype(np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, encoder, classes)


def photo(size: tuple[int, int], seed: int = 1, channels: int = 3) -> np.ndarray:
    """Patches of random colours, of 6 x 6 pixels."""
    patches = RNG(seed).integers(0, 256, (channels, size[0] // 6 + 1, size[1] // 6 + 1), np.uint8)
    return patches.repeat(6, 1).repeat(6, 2)[:, : size[0], : size[1]]


def scores(found: lavaseg.Prediction) -> np.ndarray:
    """All logits at the picture's size."""
    return np.concatenate([part for _, part in found.placement.bands(found.readouts)], axis=1)


# -- back to the picture's size ------------------------------------------------------------------


@given(
    before=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    after=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    ends=st.tuples(st.integers(0, 39), st.integers(1, 40)),
)
def test_bands_of_a_resized_read_out_are_the_rows_of_the_whole(
    before: tuple[int, int], after: tuple[int, int], ends: tuple[int, int]
) -> None:
    logits = RNG(0).normal(size=(1, 3, *before)).astype(np.float32)
    first, stop = min(ends[0], after[0] - 1), min(ends[1], after[0])
    if first >= stop:
        return
    whole = metrics.resize(logits, after)
    np.testing.assert_array_equal(
        metrics.resize_band(logits, after, first, stop), whole[:, :, first:stop]
    )


@pytest.mark.parametrize("size", [(8, 12), (50, 31), (1, 1), (3, 200)])
def test_a_resized_picture_has_the_labels_of_its_read_out_at_its_own_size(
    size: tuple[int, int],
) -> None:
    net, picture = small_net(), photo(size)
    found = lavaseg.predict(net, picture)
    seen = resize_picture(picture, (8, 12))[None]
    logits = net.logits(lavaseg.simulate(net, net.encoder.encode(seen)).readout)
    assert found.labels.shape == size
    np.testing.assert_array_equal(found.labels, metrics.predict(logits, size)[0])
    exponentials = np.exp(metrics.resize(logits, size)[0].astype(np.float64))
    expected = exponentials / exponentials.sum(0)
    np.testing.assert_allclose(found.probabilities(), expected, atol=1e-6)
    first, second = np.sort(metrics.resize(logits, size)[0], axis=0)[:-3:-1]
    np.testing.assert_array_equal(found.margins(), first - second)


@settings(deadline=None, max_examples=100)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    network=st.tuples(st.integers(3, 16), st.integers(3, 16)),
    how=st.sampled_from(["resize", "letterbox", "windows"]),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.9]),
    scale=st.sampled_from([0.3, 1, 1.7]),
)
def test_every_pixel_of_any_picture_gets_scores_once_and_constant_scores_stay_so(
    size: tuple[int, int], network: tuple[int, int], how: str, overlap: float, scale: float
) -> None:
    placement = Fit(how, overlap, scale).place(size, network)  # type: ignore[arg-type]
    views = list(placement.views(photo(size)))
    assert {view.shape for view in views} == {(3, *network)}
    assert len(views) == len(placement.windows)
    constant = [np.full((2, 3, 2), 0.75, np.float32) for _ in views]
    rows: list[int] = []
    for where, part in placement.bands(constant):
        rows += range(where.start, where.stop)
        assert part.shape == (2, where.stop - where.start, size[1])
        np.testing.assert_allclose(part, 0.75, rtol=1e-5)
    assert rows == list(range(size[0]))


@pytest.mark.parametrize("size", [(20, 30), (8, 13), (9, 12), (40, 12)])
def test_windows_of_a_network_without_neighbourhood_give_what_a_larger_network_gives(
    size: tuple[int, int],
) -> None:
    picture = photo(size)
    found = lavaseg.predict(small_net(kernel=1), picture, fit="windows", overlap=0.5)
    large = lavaseg.predict(small_net(size, kernel=1), picture)
    assert len(found.readouts) > 1
    np.testing.assert_allclose(scores(found), scores(large), rtol=1e-5, atol=1e-5)


def test_windows_overlap_as_asked_and_weigh_less_towards_their_edges() -> None:
    placement = Fit("windows", 0.5).place((8, 100), (8, 12))
    starts = [columns.start for _, columns in placement.windows]
    assert starts[0] == 0
    assert starts[-1] == 88
    assert max(np.diff(starts)) <= 6
    assert min(np.diff(starts)) >= 5
    two = Fit("windows", 0.5).place((8, 18), (8, 12))
    ((_, part),) = two.bands([np.full((1, 8, 12), value, np.float32) for value in (0, 1)])
    assert (np.diff(part[0, 0]) >= 0).all()
    assert part[0, 0, 0] == 0
    assert part[0, 0, 9] > 0.5 > part[0, 0, 8]
    assert part[0, 0, -1] == 1


def test_a_letterboxed_picture_keeps_its_proportions_and_the_rest_is_its_mean() -> None:
    picture = np.zeros((3, 30, 10), np.uint8)
    picture[0] = 200
    (view,) = Fit("letterbox").place((30, 10), (8, 12)).views(picture)
    assert (view[0] == 200).all()  # filled with the mean of a picture of one colour
    assert (view[1:] == 0).all()
    striped = photo((16, 6))
    placement = Fit("letterbox").place((16, 6), (8, 12))
    assert placement.inner == (slice(0, 8), slice(4, 7))
    (view,) = placement.views(striped)
    np.testing.assert_array_equal(view[:, :, 4:7], resize_picture(striped, (8, 3)))
    means = np.rint(resize_picture(striped, (8, 3)).mean((1, 2)))
    assert (view[:, :, 0] == means[:, None]).all()
    ramp = np.broadcast_to(np.arange(12, dtype=np.float32), (1, 8, 12))
    ((_, part),) = placement.bands([ramp])
    assert part.shape == (1, 16, 6)
    np.testing.assert_array_equal(part[0, 0, [0, -1]], [4, 6])


@pytest.mark.parametrize(
    "wrong", [{"how": "stretch"}, {"overlap": 1}, {"overlap": -0.1}, {"scale": 0}, {"scale": 99}]
)
def test_a_fit_that_there_is_not_is_named(wrong: dict[str, object]) -> None:
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(LavasegError, match=f"{'fit' if name == 'how' else name} must be .*{value}"):
        Fit(**wrong)  # type: ignore[arg-type]


# -- what runs it --------------------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["resize", "letterbox", "windows"])
def test_torch_simulator_and_lava_predict_the_same_bits(fit: str) -> None:
    net, picture = small_net(), photo((20, 17))
    found = {
        name: lavaseg.predict(net, picture, backend=name, fit=fit)  # type: ignore[arg-type]
        for name in ("simulator", "torch", "lava-inprocess")
    }
    for other in ("torch", "lava-inprocess"):
        for one, two in zip(found["simulator"].readouts, found[other].readouts, strict=True):
            np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(found["simulator"].labels, found[other].labels)


def test_many_predictions_in_batches_are_those_of_single_pictures_with_the_same_numbers() -> None:
    net = small_net(encoder=Poisson(3))
    pictures = [photo((10 + 5 * k, 30), k) for k in range(4)]
    one = Predictor(net, fit="windows", warm=False)
    alone = [one.predict(picture, number) for number, picture in enumerate(pictures)]
    for batch in (1, 3, 50):
        many = Predictor(net, fit="windows", batch=batch, warm=False)
        items = [Item(str(k), k, partial(Photo.of, picture)) for k, picture in enumerate(pictures)]
        answers: list[Answer] = []
        for (_, found), expected in zip(
            many.predict_all(items, answers.append), alone, strict=True
        ):
            assert isinstance(found, lavaseg.Prediction)
            np.testing.assert_array_equal(scores(found), scores(expected))
        assert max(len(answer.logits) for answer in answers) <= batch


def test_windows_of_a_picture_have_random_draws_of_their_own() -> None:
    net = small_net(encoder=Poisson(3))
    grey = np.full((3, 8, 24), 128, np.uint8)
    found = lavaseg.predict(net, grey, fit="windows", overlap=0)
    assert (found.readouts[0] != found.readouts[1]).any()
    whole = lavaseg.predict(net, grey[:, :, :12])
    np.testing.assert_array_equal(whole.readouts[0], found.readouts[0])


def test_an_item_that_cannot_be_read_gives_its_error_and_the_others_are_done() -> None:
    def broken() -> Events:
        raise LavasegError("it is damaged")

    many = Predictor(small_net(), batch=8, warm=False)
    items = [
        Item("bad", 0, broken),
        Item("good", 1, partial(Photo.of, photo((9, 9)))),
        Item("worse", 2, broken),
    ]
    found = [(item.name, type(result)) for item, result in many.predict_all(items)]
    assert found == [
        ("bad", LavasegError),
        ("good", lavaseg.Prediction),
        ("worse", LavasegError),
    ]


def test_latencies_are_warm_and_start_up_is_told_apart() -> None:
    predictor = Predictor(small_net())
    assert predictor.timings.startup > 0
    assert not predictor.timings.network
    for seed in range(3):
        predictor.predict(photo((30, 40), seed))
    timings = predictor.timings
    assert len(timings.network) == len(timings.whole) == 3
    assert all(0 < n <= w for n, w in zip(timings.network, timings.whole, strict=True))
    figures = timings.percentiles()
    for values in figures.values():
        assert list(values) == ["p50", "p90", "p99"]
        assert values["p50"] <= values["p90"] <= values["p99"]
    assert figures["network"]["p50"] == np.median(timings.network)


def test_a_network_of_events_labels_the_part_of_the_sensor_that_it_sees() -> None:
    encoder = EventPresence(2, (20, 24), crop=(2, 4, 16, 20), factor=2)
    network = Network(
        Input("input", encoder.shape((2, 20, 24))),
        (Population("hidden", 20), Population("readout", None)),
        (
            Projection("input", "hidden", Conv(3, 3, padding=(1, 1))),
            Projection("hidden", "readout", Conv(2, 1)),
        ),
        "readout",
    )
    weights = {
        p.name: 2 * RNG(0).integers(-40, 41, network.weight_shape(p)).astype(np.int16)
        for p in network.projections
    }
    net = IntegerNetwork(network, weights, encoder, ("background", "thing"))
    rng = RNG(3)
    t, x, y = np.sort(rng.integers(0, 500, 300)), rng.integers(0, 24, 300), rng.integers(0, 20, 300)
    events = Events(t, x, y, rng.random(300) < 0.5, (20, 24))
    found = lavaseg.predict(net, events)
    logits = net.logits(lavaseg.simulate(net, encoder.encode([events])).readout)
    np.testing.assert_array_equal(found.labels, metrics.predict(logits, (16, 20))[0])
    assert found.overlay().shape == (3, 16, 20)
    with pytest.raises(LavasegError, match="takes recordings"):
        lavaseg.predict(net, photo((20, 24)))
    with pytest.raises(LavasegError, match="takes pictures"):
        lavaseg.predict(small_net(), events)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((3, 4, 5)), "must be uint8 .3, height, width., got float64 .3, 4, 5."),
        (np.zeros((4, 5, 3), np.uint8), "got uint8 .4, 5, 3."),
        (np.zeros((3, 0, 5), np.uint8), "got uint8 .3, 0, 5."),
        (np.zeros((4, 5), np.uint8), "got uint8 .4, 5."),
        ("nowhere.png", "there is no picture nowhere.png"),
    ],
)
def test_what_is_no_picture_is_named(picture: object, words: str) -> None:
    with pytest.raises(LavasegError, match=words):
        lavaseg.predict(small_net(), picture)  # type: ignore[arg-type]


def test_a_backend_or_network_that_there_is_not_is_named(tmp_path: Path) -> None:
    assert NAMES[0] == "float"
    for backend, words in (("gpu", "no backend 'gpu'"), ("float", "no floats: take its run")):
        with pytest.raises(LavasegError, match=words):
            lavaseg.predict(small_net(), photo((8, 12)), backend=backend)
    with pytest.raises(LavasegError, match=r"no run folder and no \.net file"):
        lavaseg.predict(tmp_path / "gone.net", photo((8, 12)))


# -- what becomes of it --------------------------------------------------------------------------


def test_outputs_are_known_again_and_hold_what_the_prediction_says(tmp_path: Path) -> None:
    found = lavaseg.predict(small_net(), photo((30, 20)))
    files = found.save(tmp_path / "a.b", ("margins", "overlay", "labels", "probabilities"))
    assert [file.name for file in files] == [
        "a.b-labels.png",
        "a.b-overlay.png",
        "a.b-probabilities.npz",
        "a.b-margins.npz",
    ]
    with Image.open(files[0]) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), found.labels)
        np.testing.assert_array_equal(np.reshape(image.getpalette()[:9], (3, 3)), found.colours)
    np.testing.assert_array_equal(read_picture(files[1]), found.overlay())
    assert is_own_output(files[0])
    assert is_own_output(files[1])
    with np.load(files[2], allow_pickle=False) as stored:
        np.testing.assert_array_equal(
            stored["probabilities"], found.probabilities().astype(np.float16)
        )
        assert tuple(stored["classes"]) == CLASSES
        assert (stored["probabilities"].argmax(0) == found.labels).mean() > 0.9
    with np.load(files[3], allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["margins"], found.margins())
    with pytest.raises(LavasegError, match="no output 'mask'; there are labels, overlay"):
        found.save(tmp_path / "b", ["mask"])
    assert len(repr(found)) < 100


def test_an_overlay_shows_the_picture_where_the_class_is_background() -> None:
    picture = photo((30, 40))
    found = lavaseg.predict(small_net(), picture, colours={"road": (10, 200, 30)})
    assert set(np.unique(found.labels)) == {0, 1, 2}
    half = found.overlay()
    background, road = found.labels == 0, found.labels == 1
    np.testing.assert_array_equal(half[:, background], picture[:, background])
    mixed = (picture[:, road].astype(int) + np.array([[10], [200], [30]])) / 2
    assert np.abs(half[:, road] - mixed).max() <= 0.5
    np.testing.assert_array_equal(found.overlay(0), picture)
    assert (found.overlay(1)[:, road] == [[10], [200], [30]]).all()
    with pytest.raises(LavasegError, match="opacity must be a share"):
        found.overlay(1.5)
