"""Damaged, truncated and empty files of every kind give a right result or one sentence.

LAVASEG_MUTATIONS is the number of damaged files of each kind (make test-full: 500).
"""

from __future__ import annotations

import gzip
import os
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from lavaseg import netx, recipes
from lavaseg.data.event_files import read_recording
from lavaseg.data.idx import read_idx
from lavaseg.data.mnist_cifar10 import _read_pictures
from lavaseg.data.pictures import read_label_map, read_picture
from lavaseg.data.voc import read_mat
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.results.evaluation import Evaluation
from lavaseg.runs import formats
from lavaseg.training.checkpoints import newest

FEW, MANY = 25, int(os.environ.get("LAVASEG_MUTATIONS", "500"))
LONGEST = 10
"""Seconds that the reader of one damaged file may take."""


def net() -> IntegerNetwork:
    network = Network(
        Input("input", (2, 6, 5)),
        (Population("hidden", 60), Population("out", None)),
        (
            Projection("input", "hidden", Conv(3, (3, 3), padding=(1, 1))),
            Projection("hidden", "out", Conv(2, (1, 1))),
        ),
        "out",
    )
    rng = np.random.default_rng(1)
    weights = {
        p.name: (2 * rng.integers(-30, 40, network.weight_shape(p))).astype(np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, Poisson(4), ("a", "b"))


def _net(path: Path) -> None:
    netx.write(net(), path)


def _slayer(path: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for i, (inputs, outputs) in enumerate(((12, 6), (6, 3))):
            layer = file.create_group(f"layer/{i}")
            layer.create_dataset("type", (1,), "S10", [b"dense"])
            layer["shape"] = [outputs]
            layer["inFeatures"], layer["outFeatures"] = inputs, outputs
            layer["weight"] = (rng.integers(-10, 20, (outputs, inputs)) * 2).astype("f4")
            neuron = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1}
            for key, value in {**neuron, "gradedSpike": False}.items():
                layer[f"neuron/{key}"] = value


def _recipe(path: Path) -> None:
    path.write_text(recipes.dump(recipes.load("demo")), "utf-8")


def _arrays(path: Path) -> None:
    formats.ARRAYS.write(path, {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(4, np.int64)})


def _checkpoint(path: Path) -> None:
    import torch

    torch.save({"state_dict": {"a": torch.ones(3)}, "optimizer_states": [], "epoch": 1}, path)


def _picture(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def _labels(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 3, (20, 30), np.uint8)).save(path)


def _npy(path: Path) -> None:
    np.save(path, np.random.default_rng(0).integers(0, 256, (3, 8, 9), np.uint8))


def _mat(path: Path) -> None:
    from scipy.io import savemat

    savemat(path, {"GTcls": {"Segmentation": np.ones((9, 8), np.uint8)}}, do_compression=True)


def _idx(path: Path) -> None:
    content = struct.pack(">IIII", 2051, 3, 28, 28) + bytes(range(196)) * 12
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def _npz(path: Path) -> None:
    np.savez_compressed(path, x_train=np.zeros((5, 32, 32, 3), np.uint8))


def _events(path: Path) -> None:
    rng = np.random.default_rng(0)
    t, x, y, p = np.sort(rng.integers(0, 20_000, 400)), *rng.integers(0, 30, (2, 400)), t_on(rng)
    if path.suffix == ".bin":
        rows = np.stack([x, y, p * 128 + (t >> 16), t >> 8 & 255, t & 255], axis=1)
        path.write_bytes(rows.astype(np.uint8).tobytes())
    elif path.suffix == ".txt":
        np.savetxt(path, np.stack([t, x, y, p], axis=1), "%d")
    else:
        words = np.stack([8 << 28 | t >> 6, p << 28 | (t & 63) << 22 | x << 11 | y], axis=1)
        path.write_bytes(b"% evt 2.0\n% geometry 34x34\n" + words.astype("<u4").tobytes())


def t_on(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2, 400)


def _evt3(path: Path) -> None:
    rng = np.random.default_rng(0)
    words = []
    for step in range(200):
        words += [8 << 12 | step // 40, 6 << 12 | step, 0 << 12 | rng.integers(34)]
        words += [2 << 12 | rng.integers(2) << 11 | rng.integers(34)]
    head = b"% evt 3.0\n% format EVT3;height=34;width=34\n% geometry 34x34\n% end\n"
    path.write_bytes(head + np.array(words, "<u2").tobytes())


def _evaluation(path: Path) -> None:
    confusion, counts = np.array([[5, 1], [2, 3]]), {"hidden": np.ones((2, 3, 3), np.int64)}
    Evaluation(confusion, ("a", "b"), counts, samples=2, steps=4).save(path)


def _table(path: Path) -> None:
    formats.TABLE.write(path, [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])


def _verdict(path: Path) -> None:
    formats.VERDICT.write(path, {"ok": True, "rows": []})


def _json(path: Path) -> None:
    formats.JSON.write(path, {"network": net().network.to_dict(), "classes": ["a", "b"]})


@dataclass(frozen=True)
class Kind:
    """A file's name, how a sound one is written, and how it is read."""

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], Any]


SENSOR = (34, 34)
KINDS = [
    Kind("a.net", _net, netx.read),
    Kind(
        "slayer.net", _slayer, lambda path: netx.read_stock(path, steps=4, input_shape=(12, 1, 1))
    ),
    Kind("a.yaml", _recipe, recipes.load),
    Kind("a.safetensors", _arrays, formats.ARRAYS.read),
    Kind("a.ckpt", _checkpoint, newest),
    Kind("a.png", _picture, read_picture),
    Kind("a.jpg", _picture, read_picture),
    Kind("label.png", _labels, read_label_map),
    Kind("a.npy", _npy, read_picture),
    Kind("a.mat", _mat, read_mat),
    Kind("images-idx3-ubyte", _idx, partial(read_idx, item=(28, 28))),
    Kind("images-idx3-ubyte.gz", _idx, partial(read_idx, item=(28, 28))),
    Kind("cifar10.npz", _npz, _read_pictures),
    Kind("a.bin", _events, partial(read_recording, sensor=SENSOR)),
    Kind("a.txt", _events, partial(read_recording, sensor=SENSOR)),
    Kind("evt2.raw", _events, read_recording),
    Kind("evt3.raw", _evt3, read_recording),
    Kind("evaluation.json", _evaluation, Evaluation.load),
    Kind("network.json", _json, formats.JSON.read),
    Kind(
        "verify.json",
        lambda p: formats.JSON.write(p, {"ok": True, "rows": []}),
        formats.VERDICT.read,
    ),
    Kind("metrics.csv", _table, formats.TABLE.read),
]


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """`content` cut off, with bytes changed, with a piece lost, doubled or replaced, or empty."""
    found = bytearray(content)
    place = int(rng.integers(len(found)))
    length = int(rng.integers(1, 64))
    match int(rng.integers(6)):
        case 0:
            return bytes(found[:place])
        case 1:
            for at in rng.integers(len(found), size=int(rng.integers(1, 9))):
                found[at] ^= 1 << int(rng.integers(8))
        case 2:
            del found[place : place + length]
        case 3:
            found[place:place] = found[place : place + length]
        case 4:
            found[place : place + length] = rng.bytes(length)
        case 5:
            found[place : place + length] = bytes(len(found[place : place + length]))
    return bytes(found)


@pytest.fixture
def limited() -> Iterator[None]:
    """A reader that takes longer than `LONGEST` fails."""

    def late(*_: object) -> None:
        raise AssertionError(f"a damaged file took more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def try_damaged(read: Callable[[Path], Any], content: bytes, path: Path, count: int) -> None:
    rng = np.random.default_rng(len(path.name))
    for changed in [b"", *(damaged(content, rng) for _ in range(count))]:
        path.write_bytes(changed)
        signal.alarm(LONGEST)
        sentence = None
        try:
            read(path)
        except LavasegError as error:
            sentence = str(error)
        finally:
            signal.alarm(0)
        assert sentence is None or (path.name in sentence and "\n" not in sentence)


def try_kind(kind: Kind, path: Path, count: int) -> None:
    kind.write(path)
    kind.read(path)
    try_damaged(kind.read, path.read_bytes(), path, count)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.usefixtures("limited")
def test_damaged_file_gives_a_result_or_a_sentence_that_names_it(
    kind: Kind, tmp_path: Path
) -> None:
    try_kind(kind, tmp_path / kind.name, FEW)


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.usefixtures("limited")
def test_many_damaged_files_give_a_result_or_a_sentence_that_names_them(
    kind: Kind, tmp_path: Path
) -> None:
    try_kind(kind, tmp_path / kind.name, MANY)


@pytest.mark.full
@pytest.mark.parametrize("name", ["evlib_sample.aedat4", "expelliarmus_evt3_sample.raw"])
@pytest.mark.usefixtures("limited")
def test_many_damaged_recordings_of_cameras_give_a_result_or_a_sentence(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    content = (shared_data / "events" / name).read_bytes()[:200_000]
    try_damaged(read_recording, content, tmp_path / name, MANY)
