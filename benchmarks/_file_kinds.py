"""Every kind of file that is read: how a small sound one is written, and how it is read."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import _recordings as recordings
import h5py
import numpy as np
from _damage import damaged
from _hostile import (
    aedat4_bombs,
    array_bombs,
    gif_bombs,
    huge_hdf5,
    idx_bombs,
    json_bombs,
    mat_bombs,
    npy_bombs,
    npz_bombs,
    pickles,
    png_bombs,
    text_bombs,
    tiff_bombs,
    yaml_bombs,
)
from PIL import Image

from lavaseg import netx, recipes
from lavaseg.data.ade20k import COUNT, read_classes
from lavaseg.data.ddd17 import read_histograms
from lavaseg.data.dsec import read_before, rectified_places
from lavaseg.data.event_files import read_recording
from lavaseg.data.idx import read_idx
from lavaseg.data.mnist_cifar10 import _read_pictures
from lavaseg.data.pictures import read_label_map, read_picture
from lavaseg.data.voc import _stems, read_mat
from lavaseg.deploy.cloud import spikes
from lavaseg.deploy.cloud.archive import write_archive
from lavaseg.deploy.cloud.bundle import FORMAT, Bundle
from lavaseg.deploy.cloud.results import read_results, write_results
from lavaseg.encoders import Poisson
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx.header import HEADER_SIZE, header
from lavaseg.results.activity import Activity
from lavaseg.results.evaluation import Evaluation
from lavaseg.results.membranes import MembraneHistory
from lavaseg.results.recording import LayerRecording, Recording
from lavaseg.runs import formats
from lavaseg.studies import files as studies
from lavaseg.studies.files import load_kept
from lavaseg.studies.results import Results, Value, read_csv, write_csv
from lavaseg.training.checkpoints import newest
from lavaseg.training.transfer.given import read_weights


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Args:
        name: of such a file, which decides how it is read.
        write: writes a sound one.
        read: reads one.
        repair: makes the checksums of damaged content right again, so that readers go past them.
        hostile: contents that were made to do harm.
        sound: a sound file can be written here.
        slow: reading takes a second, so that a tenth of the files has to do.
    """

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], Any]
    repair: Callable[[bytes], bytes] | None = None
    hostile: Callable[[Path], list[bytes]] = lambda path: []
    sound: bool = True
    slow: bool = False


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


def _with_header(content: bytes) -> bytes:
    return header(content[HEADER_SIZE:]) + content[HEADER_SIZE:]


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


def _study(path: Path) -> None:
    path.write_text(studies.dump(studies.load("rmp", "quick")), "utf-8")


def _results_table(path: Path) -> None:
    values = tuple(
        Value({"RMP": rmp, "sigma": sigma}, seed, "miou", 50.0 + seed)
        for rmp in ("off", "all")
        for sigma in ("0", "0.1")
        for seed in range(3)
    )
    write_csv(Results("quick", ("RMP",), ("sigma",), values), path)


def _arrays(path: Path) -> None:
    formats.ARRAYS.write(path, {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(4, np.int64)})


def _checkpoint(path: Path) -> None:
    import torch

    torch.save({"state_dict": {"a": torch.ones(3)}, "optimizer_states": [], "epoch": 1}, path)


def _picture(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def _labels(path: Path) -> None:
    label = Image.fromarray(np.random.default_rng(0).integers(0, 3, (20, 30), np.uint8))
    if path.suffix == ".png":
        label.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
    label.save(path)


def _with_crcs(content: bytes) -> bytes:
    """A PNG whose chunks have right checksums, whatever they hold."""
    found, place = bytearray(content), 8
    while place + 12 <= len(found):
        (length,) = struct.unpack_from(">I", found, place)
        end = place + 8 + length
        if end + 4 > len(found):
            break
        struct.pack_into(">I", found, end, zlib.crc32(found[place + 4 : end]))
        place = end + 4
    return bytes(found)


def _npy(shape: tuple[int, ...], kind: type) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        rng = np.random.default_rng(0)
        np.save(path, rng.integers(0, 2, shape).astype(kind))

    return write


def _mat(path: Path) -> None:
    from scipy.io import savemat

    packed = "packed" in path.name
    savemat(path, {"GTcls": {"Segmentation": np.ones((9, 8), np.uint8)}}, do_compression=packed)


def _idx(path: Path) -> None:
    content = struct.pack(">IIII", 2051, 3, 28, 28) + bytes(range(196)) * 12
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def _gzipped(content: bytes) -> bytes:
    """Damage the content, not its packing: a gzip file of what the damaged bytes unpack to."""
    unpacked = zlib.decompressobj(-15)
    try:
        return gzip.compress(unpacked.decompress(content[10:-8], 2**24))
    except zlib.error:
        return content


def _npz(path: Path) -> None:
    np.savez_compressed(path, x_train=np.zeros((5, 32, 32, 3), np.uint8))


def _batch(path: Path) -> None:
    path.write_bytes(pickles(path)[-1])
    for number in range(2, 6):
        path.with_name(f"data_batch_{number}").write_bytes(pickles(path)[-1])


def _evaluation(path: Path) -> None:
    confusion, counts = np.array([[5, 1], [2, 3]]), {"hidden": np.ones((2, 3, 3), np.int64)}
    Evaluation(confusion, ("a", "b"), counts, samples=2, steps=4).save(path)


def _packed_counts(path: Path) -> list[bytes]:
    import base64

    _evaluation(path)
    data = json.loads(path.read_text("utf-8"))
    found = []
    for shape in ([2**16, 2**16], [2**31], [-1, 3]):
        packed = base64.b64encode(zlib.compress(bytes(2**28))).decode("ascii")
        for key, value in data["counts"]["hidden"].items():
            if isinstance(value, str) and len(value) > 8:
                data["counts"]["hidden"][key] = packed
        data["counts"]["hidden"]["shape"] = shape
        found.append(json.dumps(data).encode("ascii"))
    return [*found, *json_bombs(path)]


def _table(path: Path) -> None:
    formats.TABLE.write(path, [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])


def _verdict(path: Path) -> None:
    formats.VERDICT.write(path, {"ok": True, "rows": []})


def _json(path: Path) -> None:
    formats.JSON.write(path, {"network": net().network.to_dict(), "classes": ["a", "b"]})


def _recording(path: Path) -> None:
    rates, spikes_ = np.array([0.5]), np.ones((1, 2, 1, 3, 4), np.uint8)
    layer = LayerRecording("a", "population", (1, 3, 4), rates, 9, spikes=spikes_)
    readout, pictures = np.ones((1, 2, 3, 4)), np.zeros((1, 1, 3, 4), np.uint8)
    recorded = Recording("float", 2, 0, (0,), {"a": layer}, readout, (), pictures, ("a", "b"))
    recorded.save(path)


def _membranes(path: Path) -> None:
    rows = [(1, {"a": [1] * 100}), (2, {"a": [2] * 100})]
    formats.MEMBRANES.write(path, MembraneHistory.of_counts(rows))


def _stem_list(path: Path) -> None:
    path.write_text("\n".join(f"2007_{number:06d}" for number in range(40)), "utf-8")


def _class_list(path: Path) -> None:
    rows = [f"{k}\t0.1\t1\t1\tname{k}, other" for k in range(COUNT)]
    path.write_text("\n".join(["Idx\tRatio\tTrain\tVal\tName", *rows]), "utf-8")


_read_events = partial(read_recording, sensor=recordings.SENSOR)
_MNIST = partial(read_idx, item=(28, 28))


def _bundle(path: Path) -> None:
    expected = spikes.activity_to_bytes(Activity(np.ones((1, 2, 3, 3), np.int64), {}))
    members = {"network.net": b"net" * 50, "expected.npz": expected}
    write_archive(path, members, {"format": FORMAT, "name": "a"})


def _results(path: Path) -> None:
    _bundle(path)
    bundle = Bundle.open(path)
    folder = path.parent / "results"
    expected = bundle.archive.members["expected.npz"]
    facts = {"backend": "lava", "seconds": 1, "machine": {"node": "a"}}
    write_results(folder, bundle.manifest, expected, bundle.expected(), facts, None)
    shutil.make_archive(str(path.with_suffix("")), "zip", folder)
    shutil.rmtree(folder)


KINDS = (
    Kind("bundle.zip", _bundle, Bundle.open),
    Kind("results.zip", _results, read_results),
    Kind("a.net", _net, netx.read, _with_header),
    Kind("slayer.net", _slayer, partial(netx.read_stock, steps=4, input_shape=(12, 1, 1))),
    Kind("study.yaml", _study, load_kept, hostile=yaml_bombs),
    Kind("results.csv", _results_table, read_csv, hostile=text_bombs),
    Kind("a.yaml", _recipe, recipes.load, hostile=yaml_bombs),
    Kind("a.safetensors", _arrays, formats.ARRAYS.read, hostile=array_bombs),
    Kind("membranes.safetensors", _membranes, formats.MEMBRANES.read, hostile=array_bombs),
    Kind("record.npz", _recording, Recording.load, hostile=npz_bombs),
    Kind("a.ckpt", _checkpoint, newest, hostile=pickles),
    Kind("weights.pt", _checkpoint, read_weights, hostile=pickles),
    Kind("weights.safetensors", _arrays, read_weights, hostile=array_bombs),
    Kind("a.png", _picture, read_picture, _with_crcs, png_bombs),
    Kind("label.png", _labels, read_label_map, _with_crcs, png_bombs),
    Kind("a.jpg", _picture, read_picture),
    Kind("a.tif", _labels, read_label_map, hostile=tiff_bombs),
    Kind("a.bmp", _picture, read_picture),
    Kind("a.gif", _labels, read_label_map, hostile=gif_bombs),
    Kind("a.webp", _picture, read_picture),
    Kind("a.npy", _npy((3, 8, 9), np.uint8), read_picture, hostile=npy_bombs),
    Kind("frames.npy", _npy((200, 346, 6), np.float32), read_histograms, hostile=npy_bombs),
    Kind("packed.mat", _mat, read_mat, hostile=mat_bombs),
    Kind("plain.mat", _mat, read_mat),
    Kind("images-idx3-ubyte", _idx, _MNIST, hostile=idx_bombs),
    Kind("images-idx3-ubyte.gz", _idx, _MNIST, _gzipped, idx_bombs),
    Kind("cifar10.npz", _npz, _read_pictures, hostile=npz_bombs),
    Kind(
        "data_batch_1",
        _batch,
        lambda path: _read_pictures(path.parent),
        hostile=pickles,
        sound=False,
    ),
    Kind("a.aedat4", recordings.aedat4, read_recording, hostile=aedat4_bombs),
    Kind("lz4.aedat4", recordings.aedat4, read_recording),
    Kind("zstd.aedat4", recordings.aedat4, read_recording),
    Kind("a.bin", recordings.orchard, _read_events),
    Kind("evt2.raw", recordings.evt2, read_recording),
    Kind("evt21.raw", recordings.evt21, read_recording),
    Kind("evt3.raw", recordings.evt3, read_recording),
    Kind("a.txt", recordings.text, _read_events, hostile=text_bombs),
    Kind("a.csv", recordings.table, _read_events, hostile=text_bombs),
    Kind(
        "events.h5",
        recordings.dsec,
        partial(read_before, time=69_000, events=100),
        hostile=huge_hdf5("events/t", "events/x", "events/y", "events/p", "ms_to_idx"),
    ),
    Kind(
        "rectify_map.h5", recordings.rectify_map, rectified_places, None, huge_hdf5("rectify_map")
    ),
    Kind("evaluation.json", _evaluation, Evaluation.load, hostile=_packed_counts),
    Kind("network.json", _json, formats.JSON.read, hostile=json_bombs),
    Kind("verify.json", _verdict, formats.VERDICT.read, hostile=json_bombs),
    Kind("metrics.csv", _table, formats.TABLE.read, hostile=text_bombs),
    Kind("trainaug.txt", _stem_list, _stems),
    Kind("objectInfo150.txt", _class_list, read_classes),
)


def contents(
    kind: Kind, path: Path, others: Sequence[bytes], count: int, seed: int, hostile: bool = True
) -> list[bytes]:
    """`count` damaged contents of a kind: empty, hostile, then random ones.

    Args:
        path: where a sound file is written.
        others: contents of sound files of other kinds.
        hostile: those that were made to do harm are among them.
    """
    kind.write(path)
    sound = path.read_bytes()
    if kind.sound:
        kind.read(path)  # it is sound
    rng = np.random.default_rng([seed, *kind.name.encode("utf-8")])
    found = [b"", *(kind.hostile(path) if hostile else ())]
    while len(found) < (count // 10 if kind.slow else count):
        content = damaged(sound, rng, others)
        found.append(kind.repair(content) if kind.repair and rng.integers(2) else content)
    kind.write(path)  # hostile files may have been written there
    return found


def sound_contents(folder: Path) -> list[bytes]:
    """The content of a sound file of each of `KINDS`; they are written into `folder`."""
    found = []
    for kind in KINDS:
        kind.write(folder / kind.name)
        found.append((folder / kind.name).read_bytes())
    return found
