"""NetX files of other writers than SLAYER: read right, or named as what they are and lack."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from lavaseg.cli import app
from lavaseg.deploy import simulate
from lavaseg.errors import LavasegError
from lavaseg.netx import read_stock

STEPS = 6
Change = Callable[[h5py.File], None]


def dense_weights(odd: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(-20, 40, (o, i)) * 2 + odd for i, o in ((12, 6), (6, 3))]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A network of two dense layers as another writer has it: sizes and flags without data."""
    return write(tmp_path / "other.net", dense_weights())


def write(path: Path, weights: list[np.ndarray], **neuron: int) -> Path:
    with h5py.File(path, "w") as file:
        file["layer/0/type"], file["layer/0/shape"] = "input", (weights[0].shape[1],)
        for index, weight in enumerate(weights, 1):
            layer = file.create_group(f"layer/{index}")
            layer["type"], layer["shape"] = "dense", (len(weight),)
            layer.create_dataset("inFeatures", dtype="i4")
            layer.create_dataset("outFeatures", dtype="i4")
            layer["weight"] = weight.astype("f4")
            layer.create_dataset("neuron/gradedSpike", dtype="b1")
            fields = {"iDecay": 4096, "vDecay": 0, "vThMant": 60, "refDelay": 0, **neuron}
            for name, value in {"type": "CUBA", **fields}.items():
                layer[f"neuron/{name}"] = value
    return path


def spikes_of(weights: list[np.ndarray], threshold: int, x: np.ndarray) -> np.ndarray:
    """Spikes of the last layer by the equations, without leak and current memory: (N, T, C)."""
    for weight in weights:
        v, fired = np.zeros((len(x), len(weight)), int), []
        for step in range(x.shape[1]):
            v = v + x[:, step] @ weight.T
            fired.append(v > threshold)
            v = np.where(fired[-1], 0, v)
        x = np.stack(fired, 1).astype(int)
    return x


def inputs(count: int = 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.random((5, STEPS, count, 1, 1)) < 0.4).astype(np.uint8)


@pytest.mark.parametrize("odd", [False, True])
def test_fields_without_data_and_odd_weights_give_the_spikes_of_the_equations(
    odd: bool, tmp_path: Path
) -> None:
    weights = dense_weights(odd)
    said: list[str] = []
    net = read_stock(write(tmp_path / "o.net", weights), steps=STEPS, remark=said.append)
    expected = spikes_of(weights, 60, inputs()[..., 0, 0])
    assert 0 < expected.mean() < 1
    found = simulate(net, inputs(), record="all")
    np.testing.assert_array_equal(found.spikes["dense2"][..., 0, 0], expected)
    np.testing.assert_array_equal(net.logits(found.readout)[..., 0, 0], expected.mean(1, "f4"))
    assert len(said) == (2 if odd else 0)
    assert all("doubled, which gives the same spikes" in sentence for sentence in said)


def test_odd_weights_under_a_leak_are_said_to_round_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "o.net", dense_weights(odd=True), vDecay=200)
    with pytest.warns(UserWarning, match="layer/1 has odd weights.*single spikes may differ"):
        read_stock(path, steps=STEPS)


def test_a_membrane_read_out_of_doubled_weights_keeps_the_units_of_the_file(
    tmp_path: Path,
) -> None:
    weights = dense_weights(odd=True)
    with h5py.File(write(tmp_path / "o.net", weights), "a") as file:
        file["layer/2/neuron/vThMant"][()] = 2**16
    with pytest.raises(LavasegError, match=r"vThMant is 65536, which doubled.*--readout membrane"):
        read_stock(tmp_path / "o.net", steps=STEPS, remark=lambda _: None)
    net = read_stock(tmp_path / "o.net", steps=STEPS, readout="membrane", remark=lambda _: None)
    hidden = spikes_of(weights[:1], 60, inputs()[..., 0, 0])
    expected = (hidden @ weights[1].T).sum(1) / STEPS
    found = net.logits(simulate(net, inputs()).readout)[..., 0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_last_layer_that_cannot_fire_is_named(other: Path) -> None:
    with h5py.File(other, "a") as file:
        file["layer/2/neuron/vThMant"][()] = 2**16
    result = CliRunner().invoke(app, ["import", str(other), "-o", str(other.with_name("own.net"))])
    assert result.exit_code == 0, result.output
    assert "threshold of 65536 is beyond what 20 steps can reach" in result.stdout
    assert "--readout membrane" in result.stdout


def _replace(name: str, value: Any, **options: Any) -> Change:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file.create_dataset(name, data=value, **options)

    return change


def _delete(*names: str) -> Change:
    def change(file: h5py.File) -> None:
        for name in names:
            del file[name]

    return change


SAME: dict[str, Change] = {
    "sizes given": _replace("layer/1/inFeatures", 12),
    "sizes missing": _delete("layer/1/inFeatures", "layer/1/outFeatures", "layer/1/shape"),
    "length of zero": _replace("layer/1/shape", np.zeros(0, "i8")),
    "no refDelay": _delete("layer/1/neuron/refDelay"),
    "refDelay 1": _replace("layer/1/neuron/refDelay", 1),
    "delays of zero": _replace("layer/1/delay", np.zeros((6, 12), "i4")),
    "doubles": _replace("layer/1/neuron/vThMant", 60.0),
    "big-endian": _replace("layer/1/neuron/vThMant", np.array(60, ">i2")),
    "wide weights": _replace("layer/1/weight", dense_weights()[0].astype("i8")),
    "padded text": _replace("layer/1/type", np.array(b"dense   ")),
    "array of text": _replace("layer/1/type", np.array([b"dense"])),
    "unicode text": _replace("layer/1/type", "dense", dtype=h5py.string_dtype()),
    "no message bits": _replace("layer/1/neuron/messageBits", 0),
    "shape in a scalar": _replace("layer/1/shape", 6),
}


@pytest.mark.parametrize("case", SAME)
def test_variations_that_mean_the_same_are_the_same_network(case: str, other: Path) -> None:
    expected = read_stock(other, steps=STEPS)
    with h5py.File(other, "a") as file:
        SAME[case](file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_stock(other, steps=STEPS)
    assert found.network == expected.network
    for name, weight in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], weight)


def _move(old: str, new: str) -> Change:
    return lambda file: file.move(old, new)


WRONG: dict[str, tuple[Change, str]] = {
    "no type": (_delete("layer/1/type"), "layer/1 has no type .expected one of input, flatten"),
    "type without data": (
        lambda f: (_delete("layer/1/type")(f), f["layer/1"].create_dataset("type", dtype="S5")),
        "layer/1 has no type",
    ),
    "number as type": (_replace("layer/1/type", 3), "layer/1/type is not a text"),
    "input without shape": (_delete("layer/0/shape"), "layer/0/shape is missing"),
    "weights without data": (_replace("layer/1/weight", np.zeros((0, 12))), "weight is empty"),
    "no neuron type": (_delete("layer/1/neuron/type"), "layer/1/neuron/type is missing"),
    "decay without data": (
        lambda f: (
            _delete("layer/1/neuron/iDecay")(f),
            f.create_dataset("layer/1/neuron/iDecay", dtype="i4"),
        ),
        "layer/1/neuron/iDecay is empty",
    ),
    "no neurons inside": (_delete("layer/1/neuron"), "never fires"),
    "delay of each synapse": (
        _replace("layer/1/delay", np.arange(72, dtype="i4").reshape(6, 12) % 5),
        "a delay for each synapse",
    ),
    "threshold of each neuron": (
        _replace("layer/1/neuron/vThMant", np.full(6, 60)),
        "each channel or neuron",
    ),
    "refractory": (_replace("layer/1/neuron/refDelay", 3), "refDelay is 3, expected 0 to 1"),
    "message bits": (_replace("layer/1/neuron/messageBits", 8), "spikes .* are binary"),
    "sizes that contradict": (_replace("layer/1/outFeatures", 7), "layer/1"),
    "fraction as size": (_replace("layer/1/inFeatures", 12.5), "not whole"),
    "wide odd weights": (_replace("layer/1/weight", np.full((6, 12), 129.0)), "holds odd numbers"),
    "axes": (_replace("layer/1/weight", np.full(72, 2.0)), r"shape \(72,\), expected 2 axes"),
    "names of layers": (_move("layer/1", "layer/hidden"), "layer/hidden is unknown.*0 to 2"),
    "nested": (_move("layer", "network/layer"), "NetX has layers as layer/0.*holds network"),
    "NIR": (_move("layer", "node"), "looks like NIR"),
    "nothing": (_delete("layer"), "this is empty"),
    "compressed": (
        _replace("layer/1/weight", np.full((6, 12), 2.0), compression="gzip"),
        "h5repack",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_nearly_netx_is_named_with_what_is_missing(case: str, other: Path) -> None:
    change, message = WRONG[case]
    with h5py.File(other, "a") as file:
        change(file)
    with pytest.raises(LavasegError, match=f"other.net: .*{message}") as caught:
        read_stock(other, steps=STEPS)
    assert "damaged" not in str(caught.value)


def test_sizes_of_a_convolution_are_those_of_its_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = {"inChannels": 4, "outChannels": 6, "kernelSize": (3, 2), "groups": 2}
    for kind, shape in (("conv", (6, 2, 3, 2)), ("convT", (4, 3, 3, 2))):
        path = tmp_path / f"{kind}.net"
        with h5py.File(path, "w") as file:
            file["layer/0/type"], file["layer/0/shape"] = "input", (4, 8, 7)
            layer = file.create_group("layer/1")
            layer["type"], layer["weight"] = kind, rng.integers(-9, 20, shape) * 2
            for name, value in {"stride": 2, "padding": (1, 0), "dilation": 1, **sizes}.items():
                layer[name] = value
            neuron = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80}
            for name, value in neuron.items():
                layer[f"neuron/{name}"] = value
        expected = read_stock(path, steps=STEPS)
        with h5py.File(path, "a") as file:
            for name in sizes if kind == "conv" else ("inChannels", "outChannels", "kernelSize"):
                del file[f"layer/1/{name}"]
        found = read_stock(path, steps=STEPS)
        assert found.network == expected.network, kind


def test_the_read_out_is_one_of_two(other: Path) -> None:
    with pytest.raises(LavasegError, match="readout must be membrane or spikes, got 'mean'"):
        read_stock(other, steps=STEPS, readout="mean")
    with h5py.File(other, "a") as file:
        del file["layer/2/neuron"]
    with pytest.raises(LavasegError, match="layer/2 never fires"):
        read_stock(other, steps=STEPS, readout="spikes")


def test_a_delay_of_all_that_a_neuron_sees_is_its_own(other: Path) -> None:
    late = np.array([0, 3, 1, 1, 0, 2])
    with h5py.File(other, "a") as file:
        file["layer/1/delay"] = late
    expected = read_stock(other, steps=STEPS)
    with h5py.File(other, "a") as file:
        del file["layer/1/delay"]
        file["layer/1/delay"] = np.repeat(late[:, None], 12, 1)
    assert read_stock(other, steps=STEPS).network == expected.network
    with h5py.File(other, "a") as file:
        file["layer/1/bias"] = np.full(6, 4.0)
    with pytest.raises(LavasegError, match=r"a delay for each synapse.*DelayDense"):
        read_stock(other, steps=STEPS)


def test_a_delay_of_all_that_a_neuron_sends_is_that_of_its_channel(other: Path) -> None:
    """As stock NetX has it: one for each input, or for each synapse."""
    late = np.array([0, 3, 1, 1, 0, 2])
    for stored in (late, np.repeat(late[None], 3, 0)):
        with h5py.File(other, "a") as file:
            file["layer/2/delay"] = stored
            file["layer/2/bias"] = np.full(3, 4.0)
        found = read_stock(other, steps=STEPS).network
        assert found.projection("dense1_to_dense2").delay == tuple(late.tolist())
        assert found.projection("dense2_to_readout").delay == 0
        with h5py.File(other, "a") as file:
            del file["layer/2/delay"], file["layer/2/bias"]
    with h5py.File(other, "a") as file:
        file["layer/1/delay"], file["layer/2/delay"] = (
            np.full(6, 40),
            np.repeat(late[None] * 9, 3, 0),
        )
    with pytest.raises(
        LavasegError, match=r"layer/2/delay adds up .* to 67 steps, expected 0 to 62"
    ):
        read_stock(other, steps=STEPS)
