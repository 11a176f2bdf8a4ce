"""The whole chain on events: train, export, verify, evaluate, report; recordings as INPUT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lavaseg import data
from lavaseg.cli import app
from lavaseg.data.event_files import read_recording
from lavaseg.deploy import evaluate, simulate, verify
from lavaseg.encoders import Direct, EventHistogram, EventPresence, EventVoxelGrid
from lavaseg.errors import LavasegError
from lavaseg.events import Events
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import read, write
from lavaseg.results.metrics import predict
from lavaseg.training.batches import loader

SENSOR = (34, 34)


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def small_net(encoder: EventPresence | EventHistogram | EventVoxelGrid) -> IntegerNetwork:
    """A random network of two layers for the code of an encoder."""
    rng = np.random.default_rng(0)
    network = Network(
        Input("input", encoder.shape((2, *encoder.sensor)), encoder.message_bits),
        (Population("hidden", 120), Population("readout", None)),
        (
            Projection("input", "hidden", Conv(4, padding=(1, 1))),
            Projection("hidden", "readout", Conv(2, 1)),
        ),
        "readout",
    )
    weights = {
        p.name: 2 * rng.integers(-40, 41, network.weight_shape(p), np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, encoder, ("background", "digit"))


ENCODERS = (
    EventPresence(3, SENSOR, crop=(1, 2, 30, 32), factor=2),
    EventHistogram(3, SENSOR, slicing="count", bits=3),
    EventVoxelGrid(3, SENSOR, size=20_000, anchor="start", bins=2, levels=2, bits=3),
)


@pytest.fixture(scope="module")
def recordings(shared_data: Path) -> Path:
    return shared_data / "events" / "nmnist" / "test"


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda e: e.kind)
def test_network_of_events_is_verified_evaluated_and_survives_its_file(
    encoder: EventPresence, shared_data: Path, tmp_path: Path
) -> None:
    write(small_net(encoder), tmp_path / "a.net")
    net = read(tmp_path / "a.net")
    assert net.encoder == encoder
    samples = data.load("nmnist", root=str(shared_data), train=3, test=3).test
    stimuli = [samples[k][0] for k in range(3)]
    verdict = verify(net, stimuli, backends=("torch", "lava-inprocess"), progress=False)
    assert verdict.ok
    assert all(row.spikes > 0 for row in verdict.rows if row.population == "hidden")
    # pixels that the crop leaves out do not count
    top, left, height, width = encoder.crop or (0, 0, *SENSOR)
    result = evaluate(net, samples, progress=False)
    labels = np.stack([samples[k][1] for k in range(3)])[:, top : top + height, left : left + width]
    assert result.confusion.sum() == 3 * height * width
    logits = net.logits(simulate(net, net.encoder.encode(stimuli)).readout)
    right = (predict(logits, (height, width)) == labels).sum()
    assert np.trace(result.confusion) == right


def test_dropped_events_and_other_slices_are_said(shared_data: Path, tmp_path: Path) -> None:
    write(small_net(ENCODERS[2]), tmp_path / "a.net")
    own = ("evaluate", "a.net", "--data", "nmnist", "--set", f"root={shared_data}", "--limit", "2")
    clean, fewer, none = (
        json.loads(call(*own, "--json", *noise).stdout)["populations"]["input"]["spikes"]
        for noise in ((), ("--noise", "drop-events:0.5"), ("--noise", "drop-events:1"))
    )
    assert clean > fewer > none == 0
    result = call(*own, "--noise", "drop-events:0.5", "--steps", "6")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "50 % of the events dropped, before they are sliced" in said
    assert "of each recording the first 6 slices of 20,000 microseconds are seen" in said


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda e: e.kind)
def test_training_batches_are_the_code_of_deployment(
    encoder: EventPresence, shared_data: Path
) -> None:
    samples = data.load("nmnist", root=str(shared_data), train=4, test=2).train
    messages, labels = next(iter(loader(samples, encoder, batch_size=4, seed=0, shuffle=False)))
    expected = encoder.encode([samples[k][0] for k in range(4)])
    np.testing.assert_array_equal(messages.permute(0, 4, 1, 2, 3).numpy(), expected)
    _, _, height, width = encoder.crop or (0, 0, *SENSOR)
    assert tuple(labels.shape) == (4, height, width)


def label_map(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_recording_is_a_sample_and_its_label_map_has_the_size_seen(
    recordings: Path, tmp_path: Path
) -> None:
    net = small_net(ENCODERS[0])
    write(net, tmp_path / "a.net")
    result = call("simulate", "a.net", recordings / "60001.bs2", "-o", "a.png")
    assert result.exit_code == 0, result.output
    spikes = net.encoder.encode([read_recording(recordings / "60001.bs2", SENSOR)])
    logits = net.logits(simulate(net, spikes).readout)
    np.testing.assert_array_equal(label_map(tmp_path / "a.png"), predict(logits, (30, 32))[0])


def test_long_recording_is_cut_into_parts_of_as_many_slices_as_there_are_steps(
    recordings: Path, tmp_path: Path
) -> None:
    net = small_net(EventPresence(3, SENSOR, size=20_000))
    write(net, tmp_path / "a.net")
    events = read_recording(recordings / "60001.bs2", SENSOR)
    start = events.span[0]
    parts = [events.between(start + 60_000 * k, start + 60_000 * (k + 1)) for k in range(5)]
    logits = net.logits(simulate(net, net.encoder.encode(parts)).readout)
    expected = predict(logits, SENSOR)
    for words, numbers in (("", range(5)), (":2", (2,)), (":1-4", range(1, 4))):
        Path("maps").mkdir()
        result = call("simulate", "a.net", f"{recordings / '60001.bs2'}{words}", "-o", "maps")
        assert result.exit_code == 0, result.output
        for number in numbers:
            found = label_map(next(Path("maps").glob(f"60001-{number}-labels.png")))
            np.testing.assert_array_equal(found, expected[number])
        shutil.rmtree("maps")


def test_unit_of_a_text_recording_is_said_unless_it_is_given(tmp_path: Path) -> None:
    write(small_net(EventPresence(3, SENSOR, size=20)), tmp_path / "a.net")
    (tmp_path / "a.csv").write_text("".join(f"{k % 34},{k % 30},1,{k}\n" for k in range(100)))
    columns = ("--set", "columns=x y p t")
    result = call("simulate", "a.net", "a.csv", "-o", "a.png", *columns)
    assert result.exit_code == 0, result.output
    assert "taken for microseconds" in result.stdout
    result = call(
        "simulate", "a.net", "a.csv", "-o", "b.png", *columns, "--set", "unit=nanoseconds"
    )
    assert result.exit_code == 0, result.output
    assert "taken for" not in result.stdout
    result = call("simulate", "a.net", "a.csv", "-o", "c.png", "--set", "unit=hours")
    assert result.exit_code == 2
    assert "'unit' must be one of" in result.stderr


def test_folder_of_recordings_is_run(recordings: Path, tmp_path: Path) -> None:
    write(small_net(ENCODERS[1]), tmp_path / "a.net")
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in (60001, 60002):
        shutil.copyfile(recordings / f"{number}.bs2", folder / f"{number}.bs2")
    result = call("simulate", "a.net", folder, "-o", "maps")
    assert result.exit_code == 0, result.output
    assert len(list(Path("maps").iterdir())) == 2


def test_verify_without_data_makes_noise_of_events(tmp_path: Path) -> None:
    for encoder in ENCODERS:
        write(small_net(encoder), tmp_path / "a.net")
        result = call("verify", "a.net", "-n", 2, "--backend", "torch")
        assert result.exit_code == 0, result.output


def test_wrong_input_of_an_event_network_is_named(recordings: Path, tmp_path: Path) -> None:
    write(small_net(EventPresence(3, SENSOR, size=20_000)), tmp_path / "a.net")
    Image.new("RGB", (34, 34)).save("photo.png")
    Path("cut.bs2").write_bytes((recordings / "60001.bs2").read_bytes()[:-2])
    Path("none").mkdir()
    Path("other.txt").write_text("64 48\n1 2 3 1\n")
    for source, words in (
        ("photo.png", "photo.png is no recording of events"),
        ("cut.bs2", "cut.bs2 is truncated"),
        ("none", "folder none has no recordings"),
        ("other.txt", "other.txt is of a sensor of 48 x 64 pixels, expected 34 x 34"),
        (f"{recordings / '60001.bs2'}:9", "the recording has 5 parts, numbered from 0"),
        (f"{recordings / '60001.bs2'}:2-1", "STOP must be larger than START"),
        (f"{recordings / '60001.bs2'}:x", "expected NAME, NAME:INDEX or NAME:START-STOP"),
        ("digits-photos:0", "is of another kind: the network takes events"),
        ("nowhere.raw", "neither a file, a folder nor a data set"),
    ):
        result = call("simulate", "a.net", source)
        assert (result.exit_code, result.stdout) == (2, ""), source
        assert words in result.stderr.replace("\n", " ")


def test_recording_for_a_network_of_pictures_is_named(recordings: Path, tmp_path: Path) -> None:
    net = small_net(EventPresence(3, SENSOR))
    pictures = IntegerNetwork(
        Network(
            Input("input", (2, *SENSOR), 4),
            net.network.nodes,
            net.network.projections,
            net.network.readout,
        ),
        net.weights,
        Direct(3, bits=4),
        net.classes,
    )
    write(pictures, tmp_path / "a.net")
    result = call("simulate", "a.net", recordings / "60001.bs2")
    assert result.exit_code == 2
    assert "is a recording of events, and the network takes pictures" in result.stderr
    with pytest.raises(LavasegError, match="direct encoder takes pictures and got events"):
        verify(pictures, [read_recording(recordings / "60001.bs2", SENSOR)])


def test_no_events_are_no_spikes() -> None:
    silent = Events([], [], [], [], SENSOR, (0, 1_000))
    for encoder in ENCODERS:
        assert not encoder.encode([silent]).any()


@pytest.mark.slow
def test_recipe_nmnist_goes_the_whole_way(shared_data: Path, tmp_path: Path) -> None:
    options = f"data.options={{train: 24, test: 4, root: {json.dumps(str(shared_data))}}}"
    tiny = (
        "model.options={channels: [4, 4, 4, 4, 4, 4, 4, 4]}",
        "encoder.steps=2",
        "training.epochs=1",
        "training.batch_size=8",
        "augment.flip=true",
        "finetune.epochs=0",
    )
    words = [word for item in (options, *tiny) for word in ("--set", item)]
    for command in (
        ("train", "nmnist", *words, "--out", "run"),
        ("evaluate", "run"),
        ("verify", "run", "-n", 2),
        ("evaluate", "run/net.net"),
        ("simulate", "run/net.net", "nmnist:0-2"),
        ("report", "run"),
    ):
        result = call(*command)
        assert result.exit_code == 0, (command, result.output)
    assert json.loads(Path("run/verify.json").read_text())["ok"]
    assert "data:image/png" in Path("run/report.html").read_text()
