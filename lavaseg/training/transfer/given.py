"""Where weights come from: the folder of a run, a `.net` file, or a file of weights."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lavaseg.errors import LavasegError
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network import Network
from lavaseg.netx import read as read_net
from lavaseg.runs import Run
from lavaseg.runs.run import best_epoch
from lavaseg.system.faults import DAMAGED, reading
from lavaseg.training.transfer.integers import values_of
from lavaseg.training.transfer.layers import Key, Model, key_of

_HDF5 = b"\x89HDF"
"""How the HDF5 part of a file begins."""
_HEADER = 4096
"""Bytes of a `.net` file within which its HDF5 part begins."""
_NESTED = ("state_dict", "model_state_dict", "model")
"""Under which of its entries a training of others keeps its weights."""


@dataclass(frozen=True)
class Given:
    """Values that a model may take.

    Args:
        title: what they are, for the user: 'runs/base (epoch 12)'.
        file: that they were read from.
        sha256: of this file's content.
        values: arrays by what they are.
        network: the description that they belong to, if it is known.
        classes: names of the read-out's channels, if they are known.
        epoch: of training that they are from, if it is known.
        folded: whether norms are folded into weights and biases.
        merged: layers that export has merged with others, so that nothing fits there.
        others: layers that are there and of which `values` holds nothing.
    """

    title: str
    file: Path
    sha256: str
    values: Mapping[Key, np.ndarray]
    network: Network | None = None
    classes: tuple[str, ...] | None = None
    epoch: int | None = None
    folded: bool = False
    merged: frozenset[str] = field(default_factory=frozenset)
    others: tuple[str, ...] = ()


def opened(source: str, model: Model) -> Given:
    """What a run, a `.net` file or a file of weights gives to a model.

    Args:
        source: the folder of a run, of which the best epoch is taken; or the path of a file.

    Raises:
        LavasegError: it is missing, damaged or something else; or it holds integers, and the
            model is artificial.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _of_run(source, Run.open(path))
    if not path.exists():
        raise LavasegError(
            f"init.weights: there is no run, .net file or file of weights {source}: expected the "
            "folder of a run, or a .net, .safetensors, .pt, .pth or .ckpt file"
        )
    with reading(path), path.open("rb") as file:
        begins = file.read(_HEADER)
    if path.suffix == ".net" or _HDF5 in begins:
        return _of_net(source, path, model)
    return Given(source, path, digest(path), read_weights(path))


def read_weights(path: Path) -> dict[Key, np.ndarray]:
    """The values in a file of weights, by what they are.

    Args:
        path: a .safetensors file; any other is taken for one that torch wrote.

    Raises:
        LavasegError: it is damaged or something else, or holds no weights.
    """
    if path.suffix != ".safetensors":
        return _keyed(path, _of_torch(path))
    from safetensors.torch import load_file

    with reading(path):
        return _keyed(path, {name: _array(value) for name, value in load_file(path).items()})


def digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with reading(path):
        return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_run(source: str, run: Run) -> Given:
    file, epoch = run.weights, best_epoch(run.history())
    return Given(
        source if epoch is None else f"{source} (epoch {epoch})",
        file,
        digest(file),
        _keyed(file, run.files.weights.load()),
        run.description,
        run.classes,
        epoch,
    )


def _of_net(source: str, path: Path, model: Model) -> Given:
    if isinstance(model, AnalogNetwork):
        raise LavasegError(
            f"init.weights: {source} holds a spiking network in integers, from which an artificial "
            "one cannot begin: expected a run, or a file of weights"
        )
    net = read_net(path)
    if net.encoder.interleave != 1:
        raise LavasegError(
            f"init.weights: {source} was exported with --widest, so its sheets are interleaved and "
            "fit no network that trains: export it without, or give the run"
        )
    floats = values_of(net, model)
    return Given(
        source,
        path,
        digest(path),
        floats.values,
        model.network,
        net.classes,
        folded=True,
        merged=floats.merged,
        others=floats.others,
    )


def _of_torch(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a file that torch wrote: a state dict, or one among other things."""
    fault = (
        "is no file of weights that can be read: expected the state_dict of a model, as "
        "safetensors or by torch.save, without Python objects, which could run code"
    )
    with reading(path, fault):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums
                if archive.testzip() is not None:
                    raise LavasegError(f"{path} {DAMAGED}; make or fetch it again")
        found = torch.load(path, map_location="cpu", weights_only=True)
    for name in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping):
        raise LavasegError(f"{path} {fault}")
    return {str(name): _array(value) for name, value in found.items() if torch.is_tensor(value)}


def _array(value: torch.Tensor) -> np.ndarray:
    """A tensor as an array; NumPy knows no bfloat16."""
    value = value.detach()
    if value.is_floating_point():
        value = value.float()
    found: np.ndarray = value.numpy()
    return found


def _keyed(path: Path, arrays: Mapping[str, Any]) -> dict[Key, np.ndarray]:
    found = {key: arrays[name] for name in arrays if (key := key_of(name)) is not None}
    if not found:
        raise LavasegError(f"init.weights: {path} holds no weights")
    for (kind, owner), array in found.items():
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise LavasegError(
                f"init.weights: {path} holds values of {owner!r} ({kind}) that are no finite "
                "numbers: give an earlier epoch"
            )
    return found
