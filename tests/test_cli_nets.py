"""The command line on a `.net` file: info, simulate, run, verify, evaluate; and every bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lavaseg.cli import app
from lavaseg.data.inputs import load_inputs
from lavaseg.deploy import simulate
from lavaseg.encoders import Direct, Poisson
from lavaseg.network import Conv, Dense, Input, Network, OneToOne, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder, with room for its tables."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(scope="module")
def net() -> IntegerNetwork:
    """A small random network for pictures of 3 x 32 x 32, two classes."""
    rng = np.random.default_rng(0)
    network = Network(
        Input("input", (3, 32, 32), 4),
        (Population("hidden", 300, voltage_decay=128), Population("readout", None)),
        (
            Projection("input", "hidden", Conv(4, (3, 3), (2, 2), (1, 1))),
            Projection("hidden", "readout", Conv(2, (1, 1))),
        ),
        "readout",
    )
    weights = {
        p.name: 2 * rng.integers(-40, 41, network.weight_shape(p), np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, Direct(3, bits=4), ("background", "digit"))


@pytest.fixture(scope="module")
def net_file(net: IntegerNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "small.net"
    write(net, path)
    return path


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of 60 x 48 pixels."""
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 60, 3), np.uint8)).save(path)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def call_json(*arguments: object) -> dict[str, object]:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


# -- what works ----------------------------------------------------------------------------------


def test_info_shows_layers_encoder_and_whether_stock_loads_it(net_file: Path) -> None:
    result = call("info", net_file)
    assert result.exit_code == 0
    for expected in ("hidden", "4x16x16", "300", "direct", "3 a sample", "digit", "can load it"):
        assert expected in result.stdout
    found = call_json("info", net_file)
    assert found["steps"] == 3
    assert found["classes"] == ["background", "digit"]
    assert found["stock_loadable"] is True
    assert [row["layer"] for row in found["layers"]] == ["input", "hidden", "readout"]  # type: ignore[attr-defined]


def test_layers_of_a_net_are_recorded_as_simulated(
    net: IntegerNetwork, net_file: Path, picture: Path
) -> None:
    result = call("record", net_file, picture)
    assert result.exit_code == 0, result.output
    assert "integers: 1 sample, 3 steps each" in " ".join(result.stdout.split())
    stimulus = load_inputs(str(picture), net).stimuli
    activity = simulate(net, net.encoder.encode(stimulus), record="all")
    with np.load("record.npz", allow_pickle=False) as file:
        for name, spikes in activity.spikes.items():
            assert np.array_equal(file[f"{name}/spikes"], spikes)
        assert np.array_equal(file["readout"], activity.readout)
        assert np.array_equal(file["hidden/spikes"], file["hidden/membranes"] > 64 * 300)


def test_a_net_outside_of_a_run_is_recorded_on_noise_which_is_said(net_file: Path) -> None:
    result = call("record", net_file, "-n", "2", "--layers", "hidden", "-o", "sub/noise.npz")
    assert result.exit_code == 0, result.output
    assert "noise: no INPUT" in result.stdout
    assert Path("sub/noise.npz").is_file()


def test_more_samples_than_a_command_takes_by_default_are_recorded_if_asked_for(
    net_file: Path,
) -> None:
    found = call_json("record", net_file, "digits-photos", "--set", "test=40", "-n", "20")
    assert found["numbers"] == list(range(20))


def test_files_of_several_inputs_have_draws_of_their_own(net_file: Path, picture: Path) -> None:
    assert call_json("record", net_file, picture, picture)["numbers"] == [0, 1]
    assert call_json("record", net_file, "digits-photos:3", picture)["numbers"] == [3, 1]


def test_at_most_as_many_samples_are_recorded_as_wanted(net_file: Path) -> None:
    result = call("record", net_file, "digits-photos", "--set", "test=6")
    assert result.exit_code == 0, result.output
    assert "the first 4 samples; --samples takes more" in result.stdout
    assert "integers: 4 samples" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--layers", "hiden"), ("no layer 'hiden'", "did you mean 'hidden'?")),
        (("-o", "record.txt"), ("record.txt must end in .npz",)),
        (("nothing.png",), ("'nothing.png' is neither a file",)),
    ],
)
def test_a_mistake_in_what_to_record_is_named_and_nothing_is_written(
    arguments: tuple[str, ...], words: tuple[str, ...], net_file: Path
) -> None:
    refused(call("record", net_file, *arguments), *words)
    assert not list(Path().iterdir())


def test_info_names_what_waits_and_channels_that_round_to_nothing(tmp_path: Path) -> None:
    network = Network(
        Input("input", (2, 6, 6)),
        (Population("a", 9), Population("b", 9), Population("out", None)),
        (
            Projection("input", "a", Conv(2, padding=(1, 1))),
            Projection("a", "b", Conv(2, padding=(1, 1))),
            Projection("b", "out", Conv(2, padding=(1, 1))),
            Projection("a", "out", OneToOne(), name="skip"),
        ),
        "out",
    )
    weights = {p.name: np.full(network.synapse_shape(p), 2, np.int16) for p in network.projections}
    weights["skip"] = np.array([4, 0], np.int16)
    write(IntegerNetwork(network, weights, Poisson(3), ("x", "y")), tmp_path / "a.net")
    output = call("info", tmp_path / "a.net").output
    assert "0 relay neurons and 72 delayed synapses" in output
    assert "skip: 1 of 2 channels are 0" in output


def test_info_takes_a_line_for_many_delays_and_for_many_classes(tmp_path: Path) -> None:
    delays = tuple(range(60))
    network = Network(
        Input("input", (3, 1, 1)),
        (Population("a", 9), Population("out", None)),
        (Projection("input", "a", Dense(60)), Projection("a", "out", Dense(900), delays)),
        "out",
    )
    weights = {p.name: np.full(network.synapse_shape(p), 2, np.int16) for p in network.projections}
    names = tuple(f"word{n}" for n in range(900))
    write(IntegerNetwork(network, weights, Poisson(70), names), tmp_path / "a.net")
    output = call("info", tmp_path / "a.net").output
    assert "dense delays 0 to 59 by channel" in output
    assert "60 relay neurons and 54,000 delayed synapses, for delays\n" in output
    assert "900: word0, word1, word2, ..., word899\n" in output
    assert len(output.splitlines()) < 20


def test_simulate_writes_the_label_map_of_the_network(
    net: IntegerNetwork, net_file: Path, picture: Path
) -> None:
    result = call("simulate", net_file, picture)
    assert result.exit_code == 0, result.output
    for expected in ("hidden", "synaptic operations", "samples/s", "ms a step"):
        assert expected in result.stdout
    image = Image.open("photo-labels.png")
    assert image.mode == "P"
    assert image.size == (60, 48)  # that of the photo

    from lavaseg.data.pictures import read_picture
    from lavaseg.deploy import simulate
    from lavaseg.results.metrics import predict

    pictures = read_picture(picture, (3, 32, 32))[None]
    readout = simulate(net, net.encoder.encode(pictures)).readout
    np.testing.assert_array_equal(np.array(image), predict(net.logits(readout), (48, 60))[0])


def test_simulator_and_lava_print_the_same_spikes(net_file: Path, picture: Path) -> None:
    simulated = call_json("simulate", net_file, picture, "-o", "simulated.png")
    lava = call_json("run", net_file, picture, "--backend", "lava-inprocess", "-o", "lava.png")
    assert simulated["spikes"] == lava["spikes"]
    assert simulated["spikes"]["hidden"] > 0  # type: ignore[index]
    assert simulated["synaptic_operations"] == lava["synaptic_operations"]
    assert Path("simulated.png").read_bytes() == Path("lava.png").read_bytes()


def test_folder_of_pictures_gives_a_folder_of_label_maps(net_file: Path, picture: Path) -> None:
    folder = Path("pictures")
    folder.mkdir()
    for name in ("b.png", "a.png"):
        (folder / name).write_bytes(picture.read_bytes())
    np.save(folder / "c.npy", np.zeros((3, 32, 32), np.uint8))
    (folder / "notes.txt").write_text("no picture")
    found = call_json("simulate", net_file, folder, "--out", "maps")
    assert found["samples"] == 3
    assert sorted(p.name for p in Path("maps").iterdir()) == [
        "a-labels.png",
        "b-labels.png",
        "c-labels.png",
    ]


def test_sample_of_a_data_set_gets_the_same_spikes_alone_and_among_others(net_file: Path) -> None:
    few = ("--set", "train=10", "--set", "test=8")
    alone = call_json("simulate", net_file, "digits-photos:3", *few)
    among = call_json("simulate", net_file, "digits-photos:2-5", *few)
    assert among["samples"] == 3
    assert among["pictures"][1]["pixels"] == alone["pictures"][0]["pixels"]  # type: ignore[index]
    assert Path("digits-photos-3-labels.png").read_bytes() == (
        Path("predictions/digits-photos-3-labels.png").read_bytes()
    )


def test_verify_passes_on_random_pictures_and_says_so(net_file: Path) -> None:
    result = call("verify", net_file, "--backend", "lava-inprocess", "--samples", "2")
    assert result.exit_code == 0, result.output
    assert "every spike and every read-out is equal" in result.stdout
    found = call_json("verify", net_file, "--backend", "torch", "-n", "2")
    assert found["ok"] is True
    assert found["first_difference"] is None


def test_verify_exits_1_and_names_the_first_difference(
    net_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lavaseg.deploy import simulate
    from lavaseg.results.activity import Activity

    def wrong(net: IntegerNetwork, spikes: np.ndarray, **_: object) -> Activity:
        activity = simulate(net, spikes, record="all")
        activity.spikes["hidden"][1, 2, 3, 4, 5] ^= 1
        return activity

    monkeypatch.setattr("lavaseg.deploy.lava.run_multiprocess", wrong)
    arguments = ("verify", net_file, "--backend", "lava", "-n", "2")
    result = call(*arguments)
    assert result.exit_code == 1
    assert "sample 1, step 2, population 'hidden', neuron (3, 4, 5)" in result.stdout
    as_json = call(*arguments, "--json")
    assert as_json.exit_code == 1
    difference = json.loads(as_json.stdout)["first_difference"]
    assert (difference["population"], difference["step"]) == ("hidden", 2)


def test_evaluate_measures_a_net_on_the_data_that_is_named(net_file: Path) -> None:
    arguments = ("evaluate", net_file, "--data", "digits-photos", "--set", "train=10")
    found = call_json(*arguments, "--set", "test=6", "--limit", "4")
    assert found["samples"] == 4
    assert 0 <= found["miou"] <= 1  # type: ignore[operator]
    assert found["energy"]["synaptic_operations"] > 0  # type: ignore[index]
    result = call(*arguments, "--set", "test=6")
    assert result.exit_code == 0, result.output
    for expected in ("mIoU", "digit", "hidden", "synaptic operations", "45 nm"):
        assert expected in result.stdout


def test_json_is_all_that_reaches_stdout_while_lava_runs_its_processes(
    net_file: Path, picture: Path
) -> None:
    command = [sys.executable, "-m", "lavaseg", "run", str(net_file), str(picture), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["backend"] == "lava"
    assert found["spikes"] == call_json("simulate", net_file, picture)["spikes"]


# -- mistakes ------------------------------------------------------------------------------------


def refused(result: Result, *words: str) -> None:
    """Exit code 2, one sentence on stderr that holds `words`, nothing on stdout."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


COMMANDS = {
    "info": (),
    "simulate": ("digits-photos:0",),
    "run": ("digits-photos:0",),
    "verify": (),
    "evaluate": ("--data", "digits-photos"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_missing_net_is_named(command: str) -> None:
    refused(call(command, "nowhere.net", *COMMANDS[command]), "nowhere.net", "lavaseg export")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_corrupt_net_is_named(command: str, damage: str, net_file: Path) -> None:
    content = {
        "truncated": net_file.read_bytes()[:-100],
        "empty": b"",
        "foreign": b"\x89HDF\r\n\x1a\n" + bytes(2000),
    }[damage]
    Path("bad.net").write_bytes(content)
    refused(call(command, "bad.net", *COMMANDS[command]), "bad.net")


@pytest.mark.parametrize("command", ["info", "simulate", "run"])
def test_folder_is_no_net(command: str) -> None:
    refused(call(command, ".", *COMMANDS[command]), "is a folder, expected a .net file")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("nowhere.png", ("'nowhere.png'", "neither a file", "digits-photos")),
        ("digits-photos:many", ("'digits-photos:many'", "NAME:START-STOP")),
        ("digits-photos:5-2", ("test samples 0 to 499",)),
        ("digits-photos:500", ("test samples 0 to 499",)),
        ("broken.png", ("broken.png",)),
        ("float.npy", ("float.npy", "uint8", "float64")),
        ("grey.npy", ("grey.npy", "(3, height, width)", "(1, 8, 8)")),
        ("empty", ("empty", "no pictures")),
    ],
)
@pytest.mark.parametrize("command", ["simulate", "run"])
def test_wrong_picture_is_named(
    command: str, source: str, words: tuple[str, ...], net_file: Path
) -> None:
    Path("broken.png").write_bytes(b"no picture at all")
    np.save("float.npy", np.zeros((3, 32, 32)))
    np.save("grey.npy", np.zeros((1, 8, 8), np.uint8))
    Path("empty").mkdir()
    refused(call(command, net_file, source), *words)
    assert not list(Path().glob("*-labels.png"))


@pytest.mark.parametrize("command", ["simulate", "run"])
def test_output_that_cannot_be_written_is_named(
    command: str, net_file: Path, picture: Path
) -> None:
    Path("file").write_text("no folder")
    refused(call(command, net_file, picture, "-o", "file/labels.png"), "cannot write", "file")
    refused(call(command, net_file, picture, "-o", "labels.gif"), "labels.gif", ".png")
    assert Path("file").read_text() == "no folder"


def test_net_outside_a_run_needs_the_name_of_its_data(net_file: Path) -> None:
    refused(call("evaluate", net_file), "--data NAME")
    refused(call("evaluate", net_file, "--data", "mnist-cifar"), "did you mean 'mnist-cifar10'?")
    refused(
        call("evaluate", net_file, "--data", "digits-photos", "--set", "colour=red"), "'colour'"
    )
    refused(call("evaluate", net_file, "--data", "digits-photos", "--set", "test"), "field=value")


def test_debug_shows_the_traceback_of_an_error() -> None:
    result = call("--debug", "info", "nowhere.net")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.rstrip().splitlines()[-1].startswith("error: ")


def test_fault_of_the_program_is_no_success_and_hides_its_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: str) -> list[str]:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("lavaseg.recipes.names", broken)
    result = call("recipes")
    assert result.exit_code == 3
    assert "ZeroDivisionError: oh" in result.stderr
    assert "Traceback" not in result.stderr


def test_interrupt_exits_130(net_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lavaseg.deploy.simulator.Simulator.run", interrupted)
    result = call("simulate", net_file, "digits-photos:0", "--set", "test=1", "--set", "train=1")
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted"
    assert not list(Path().glob("*-labels.png"))


EVERY = ("demo", "recipes", "train", "report", "export", *COMMANDS)


@pytest.mark.parametrize("command", ["", *EVERY])
def test_help_teaches_with_an_example(command: str) -> None:
    result = call(*([command] if command else []), "--help")
    assert result.exit_code == 0
    assert "lavaseg demo" in result.stdout if not command else "Example: lavaseg" in result.stdout


def test_version_is_printed() -> None:
    result = call("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("lavaseg ")


def test_no_command_leaves_files_of_its_own_in_the_current_folder(net_file: Path) -> None:
    call("info", net_file)
    call("verify", net_file, "--backend", "torch", "-n", "1")
    assert os.listdir() == []
