"""Spikes step by step: the frames hold the exact spikes, within the bounds that a page keeps."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from levelled import integers_sent, small
from PIL import Image
from small_data import write_noise
from typer.testing import CliRunner

from lavaseg import recipes
from lavaseg.cli import app
from lavaseg.deploy import Simulator, simulate
from lavaseg.encoders import Direct, Frames
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import unroll_levels
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write
from lavaseg.report import write_report
from lavaseg.report.animation import moving_picture, page, player, recorded
from lavaseg.report.animation.frames import FRAMES, Spikes
from lavaseg.report.animation.sheets import chosen_sheets, sent
from lavaseg.report.animation.sprites import FITS, shaded, sprite_of
from lavaseg.report.sources import NetSource, Wanted
from lavaseg.report.sources.networks import first_steps
from lavaseg.results.metrics import predict
from lavaseg.runs import Run

SIDE = 12


def net(steps: int = 5, side: int = SIDE, layers: int = 2, channels: int = 6) -> IntegerNetwork:
    """A chain of convolutions with random weights, then a read-out of two classes."""
    names = [f"conv{k}" for k in range(1, layers + 1)]
    shape, rng = (3, side, side), np.random.default_rng(5)
    network = Network(
        Input("input", shape, 4),
        (*(Population(name, 300) for name in names), Population("readout", None)),
        (
            *(
                Projection(source, name, Conv(channels, (3, 3), padding=(1, 1)))
                for source, name in zip(["input", *names], names, strict=False)
            ),
            Projection(names[-1], "readout", Conv(2, (1, 1))),
        ),
        "readout",
    )
    weights = {
        p.name: 2 * rng.integers(-30, 60, network.weight_shape(p), np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, Direct(steps, bits=4), ("background", "thing"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def spikes_of(found: IntegerNetwork, photo: Path, **options: Any) -> Spikes:
    return recorded(NetSource(found, "net"), Wanted((str(photo),), 1), **options)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_first_steps_of_any_network_are_those_of_the_whole_one(
    graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
    random_spikes: Callable[..., np.ndarray],
    data: st.DataObject,
) -> None:
    found = data.draw(graph_networks())
    steps = data.draw(st.integers(1, found.steps))
    messages = random_spikes(found, 1)
    whole = Simulator(found).run(messages, record="all")
    part = Simulator(first_steps(found, steps)).run(messages[:, :steps], record="all")
    for name, expected in whole.spikes.items():
        np.testing.assert_array_equal(part.spikes[name], expected[:, :steps], name)


def test_frames_hold_every_spike_of_the_simulator(photo: Path) -> None:
    found = net()
    spikes = spikes_of(found, photo)
    source = NetSource(found, "net")
    seen = source.scenes(Wanted((str(photo),), 1))
    activity = simulate(found, found.encoder.encode(seen.stimuli, seed=0), record="all")
    assert [track.name for track in spikes.tracks] == ["input", "conv1", "conv2"]
    assert spikes.frames == (*(f"step {k}" for k in range(1, 6)), "all steps")
    for track in spikes.tracks[1:]:
        exact = activity.spikes[track.name][0]
        assert exact.any()
        np.testing.assert_array_equal(track.total[:-1], exact.sum(1))
        np.testing.assert_array_equal(track.maps[:-1], exact[:, list(track.channels)])
        assert track.counts == (*exact.sum((1, 2, 3)), exact.sum())
        most = exact.sum((0, 2, 3))[list(track.channels)]
        assert list(most) == sorted(exact.sum((0, 2, 3)), reverse=True)[: len(most)]
    last = predict(found.logits(activity.readout), (SIDE, SIDE))[0]
    np.testing.assert_array_equal(spikes.predictions[-1], last)
    for step, shown in enumerate(spikes.predictions, 1):
        at = found.with_steps(step)
        readout = simulate(at, at.encoder.encode(seen.stimuli, seed=0)).readout
        np.testing.assert_array_equal(shown, predict(at.logits(readout), (SIDE, SIDE))[0])


@pytest.mark.parametrize("form", ["binary", "graded"])
@pytest.mark.parametrize("steps", [1, 2])
def test_integer_neurons_are_one_sheet_and_one_step_shows_their_levels(
    form: Any, steps: int, tmp_path: Path
) -> None:
    found = unroll_levels(small(3, steps), form)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 6), np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    source, wanted = NetSource(found, "net"), Wanted((str(tmp_path / "x.npy"),), 1)
    seen = source.scenes(wanted)
    activity = simulate(found, found.encoder.encode(seen.stimuli, seed=0), record="all")
    exact = integers_sent(found, activity)
    sheets = chosen_sheets(source, None)
    assert [(sheet.name, sheet.levels) for sheet in sheets] == [("a", 3), ("b", 3)]
    assert any(values.max() > 1 for values in exact.values())
    for sheet, values in sent(source, sheets, seen, wanted):
        np.testing.assert_array_equal(values, exact[sheet.name][0])
    spikes = recorded(source, wanted)
    names = ("at least 1", "at least 2", "at least 3", "all levels")
    assert spikes.frames == (names if steps == 1 else ("step 1", "step 2", "all steps"))
    for track in spikes.tracks[1:]:
        if steps == 1:
            np.testing.assert_array_equal(track.total[:-1].sum(0), exact[track.name][0, 0].sum(0))
        assert track.counts[-1] == exact[track.name].sum()


def test_many_steps_share_frames_and_none_is_lost(photo: Path) -> None:
    spikes = spikes_of(net(steps=50, channels=3), photo)
    assert len(spikes.frames) == FRAMES + 1
    for track in spikes.tracks[1:]:
        assert sum(track.counts[:-1]) == track.counts[-1] > 0
    assert len(spikes.predictions) == FRAMES


def test_a_sprite_is_dark_exactly_where_something_was_sent(photo: Path) -> None:
    spikes = spikes_of(net(), photo)
    for track in spikes.tracks:
        frames = shaded(track, FITS[0])
        np.testing.assert_array_equal(frames[:, :, :SIDE] > 0, track.total > 0)
        sprite = sprite_of(track, FITS[0])
        image = Image.open(io.BytesIO(sprite.png))
        assert image.size == (sprite.width, sprite.height * len(spikes.frames))
        np.testing.assert_array_equal(np.asarray(image).reshape(frames.shape), frames)


def test_neurons_without_a_place_are_shown_as_one_map(photo: Path) -> None:
    network = Network(
        Input("input", (3, SIDE, SIDE), 4),
        (Population("dense", 100), Population("readout", None)),
        (
            Projection("input", "dense", Conv(10, (SIDE, SIDE))),
            Projection("dense", "readout", Conv(2, (1, 1))),
        ),
        "readout",
    )
    rng = np.random.default_rng(0)
    weights = {
        p.name: 2 * rng.integers(-4, 8, network.weight_shape(p), np.int16)
        for p in network.projections
    }
    found = IntegerNetwork(network, weights, Direct(3, bits=4), ("background", "thing"))
    track = spikes_of(found, photo).tracks[1]
    assert track.total.shape == (4, 3, 4)
    assert track.channels == ()
    assert track.total[:-1].sum() == track.counts[-1] > 0


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Spikes:
    """Spikes of 12 layers of noise."""
    path = tmp_path_factory.mktemp("many") / "large.png"
    pixels = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return spikes_of(net(steps=10, side=96, layers=12), path)


@pytest.mark.parametrize("bound", [20_000, 60_000, 140_000, 1_000_000])
def test_a_page_keeps_its_bound_and_says_what_it_left_out(bound: int, many: Spikes) -> None:
    made = player(many, bound)
    uris = re.findall(r"data:image/png;base64,[\w+/=]+", made)
    picture = max(map(len, uris[:1]))  # noise, which no file holds smaller
    assert sum(map(len, uris)) <= max(bound, picture + 12_000)
    assert len(made) - sum(map(len, uris)) < 16_000
    shown = sum(f"<b>conv{k}</b>" in made for k in range(1, 13))
    assert shown == 12 or f"{12 - shown} further layers that fire are not shown" in made


def test_a_page_loads_nothing_runs_nothing_and_escapes_names(photo: Path) -> None:
    hostile = photo.with_name('x"><script>alert(1)<.png')
    hostile.write_bytes(photo.read_bytes())
    made = page(spikes_of(net(), hostile))
    assert "<script" not in made
    assert not re.search(r"url\((?!data:image/png;base64,)", made)
    assert "http" not in re.sub(r'http-equiv="[\w-]+"', "", made)
    assert "prefers-reduced-motion" in made
    assert made == page(spikes_of(net(), hostile))
    for name in ("step 1", "step 5", "all steps", "conv2"):
        assert name in made


def test_moving_pictures_have_every_frame(photo: Path, tmp_path: Path) -> None:
    spikes = spikes_of(net(), photo)
    for name in ("a.gif", "a.png"):
        moving_picture(spikes, tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert image.n_frames == len(spikes.frames)
            frames = []
            for number in range(image.n_frames):
                image.seek(number)
                frames.append(np.asarray(image.convert("RGB")))
        assert all((one != other).any() for one, other in itertools.pairwise(frames))


def test_unknown_layers_are_refused_by_name(photo: Path) -> None:
    with pytest.raises(LavasegError, match="has no layer 'conv9' that fires: did you mean"):
        spikes_of(net(), photo, layers=["conv9"])
    assert [t.name for t in spikes_of(net(), photo, layers=["conv2"]).tracks] == ["input", "conv2"]


# -- runs ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of random integers, on ten random pictures in a folder."""
    folder = tmp_path_factory.mktemp("animation")
    write_noise(folder / "data", 10, (SIDE, SIDE))
    found = net()
    recipe = recipes.load(
        "demo",
        [
            "data.name=folder",
            f"data.options={{root: {folder / 'data'}, classes: [background, thing]}}",
            "encoder={kind: direct, steps: 5, bits: 4}",
        ],
    )
    made = Run(folder / "run", recipe, found.network, found.classes, None, (3, SIDE, SIDE))
    made.save()
    write(found, made.files.net.path)
    return made


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_a_run_shows_a_test_sample_with_its_label(run: Run, tmp_path: Path) -> None:
    code, output = call("show", run.path, "--picture", 1)
    assert code == 0, output
    assert f"spikes: {run.files.animation.path}" in output
    made = run.files.animation.load()
    assert "<b>label</b>" in made
    assert "folder-1" in made
    for name in ("spikes.gif", "spikes.png"):
        code, output = call("show", run.path, "--picture", 0, "-o", tmp_path / name)
        assert code == 0, output
        assert (tmp_path / name).stat().st_size > 1000
    code, output = call("show", run.path, "--picture", 99)
    assert code == 2
    assert "there are test samples 0 to" in output
    code, output = call("show", run.path, "--picture", 0, "-o", run.files.net.path)
    assert code == 2


def test_a_report_holds_drawing_and_animation_and_stays_small(run: Run) -> None:
    made = write_report(run).read_text("utf-8")
    assert '<svg class="lvs-svg" role="img"' in made
    assert not re.search(r"url\((?!data:image/png;base64,)|https?://", made)
    start = made.index('<div class="spk">')
    assert "<b>label</b>" in made[start:]
    drawing = made[made.index("<svg ") : made.index("</svg>")]
    animation = made[start : made.index("</section>", start)]
    assert len(drawing) + len(animation) < 300_000
    assert "<script" not in made[start : made.index("</section>", start)]
    assert made.count("<script") == 1  # that of the slider over T


def test_frames_that_are_the_steps_of_a_sample_are_shown_one_by_one(tmp_path: Path) -> None:
    found = dataclasses.replace(net(steps=4), encoder=Frames(4, bits=4))
    np.save(tmp_path / "x.npy", np.random.default_rng(2).integers(0, 256, (12, 12, 12), np.uint8))
    spikes = spikes_of(found, tmp_path / "x.npy")
    assert len(spikes.predictions) == 4
    first = spikes.tracks[0].maps[:4, spikes.tracks[0].channels.index(0)]
    assert len({part.tobytes() for part in first}) == 4
