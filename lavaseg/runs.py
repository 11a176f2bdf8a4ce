"""A run: the folder that training or conversion writes and every later stage reads."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lavaseg import data, recipes
from lavaseg.data.base import DataSet
from lavaseg.errors import LavasegError
from lavaseg.models.analog import RECTIFIED, AnalogModel
from lavaseg.network import Network, Shape
from lavaseg.system.files import write_atomically

CONVERSION = "conversion.json"
"""In a run that conversion made: of what, and how."""


@dataclass(frozen=True)
class Run:
    """A run on disk: trained, or converted from an artificial network.

    ::

        recipe.yaml         every field of the recipe, as trained
        network.json        the description, class names, ignore index, picture shape
        metrics.csv         one row an epoch: losses, mIoU, spike rates, energy
        model.safetensors   float weights of the best validation epoch
        checkpoints/        for resuming
        tensorboard/

    conversion.json in place of the last three if `lavaseg convert` made it,
    and, from later stages, finetuned.safetensors, net.net, evaluation*.json, verify.json,
    report.html.

    Args:
        path: the folder.
        recipe: as trained.
        model: the description of the float network, spiking or artificial.
        classes: class names, in the order of the read-out's channels.
        ignore_index: label that does not count, or None.
        picture_shape: (channels, height, width) of one picture.
    """

    path: Path
    recipe: recipes.Recipe
    model: Network | AnalogModel
    classes: tuple[str, ...]
    ignore_index: int | None
    picture_shape: Shape

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in folder `path`.

        Raises:
            LavasegError: it is no run, or one of its files cannot be read.
        """
        folder = Path(path)
        if not (folder / "recipe.yaml").is_file() or not (folder / "network.json").is_file():
            raise LavasegError(
                f"{folder} is not a run: expected a folder with recipe.yaml and network.json, "
                "as `lavaseg train` and `lavaseg convert` write"
            )
        recipe = recipes.load(folder / "recipe.yaml")
        try:
            stored = json.loads((folder / "network.json").read_text("utf-8"))
            return cls(
                folder,
                recipe,
                AnalogModel.from_dict(stored["analog"])
                if "analog" in stored
                else Network.from_dict(stored["network"]),
                tuple(stored["classes"]),
                stored["ignore_index"],
                tuple(stored["picture_shape"]),
            )
        except (OSError, ValueError, KeyError, TypeError, LavasegError) as error:
            raise LavasegError(f"{folder / 'network.json'} cannot be read: {error}") from None

    def save(self) -> None:
        """Write recipe.yaml and network.json, creating the folder."""
        kind = "analog" if isinstance(self.model, AnalogModel) else "network"
        stored = {
            kind: self.model.to_dict(),
            "classes": list(self.classes),
            "ignore_index": self.ignore_index,
            "picture_shape": list(self.picture_shape),
        }
        make_folder(self.path)
        write_atomically(self.path / "network.json", json.dumps(stored, indent=1))
        write_atomically(self.path / "recipe.yaml", recipes.dump(self.recipe))

    @property
    def network(self) -> Network:
        """The spiking network.

        Raises:
            LavasegError: the run trained an artificial one.
        """
        if isinstance(self.model, AnalogModel):
            raise LavasegError(
                f"{self.path} holds the artificial network {self.model.name!r}, which has no "
                f"spikes: train a spiking model instead (`lavaseg models` lists them){self._or}"
            )
        return self.model

    @property
    def _or(self) -> str:
        """How an artificial network gets its spikes, if it can."""
        assert isinstance(self.model, AnalogModel)
        if self.model.name not in RECTIFIED:
            return ""
        return f", or make it spiking with `lavaseg convert {self.path} --out FOLDER`"

    @property
    def converted(self) -> bool:
        """Whether conversion made it, and not training."""
        return (self.path / CONVERSION).is_file()

    @cached_property
    def data(self) -> DataSet:
        """The data set that the recipe names."""
        return data.load(self.recipe.data.name, **self.recipe.data.options)

    @property
    def weights(self) -> Path:
        """model.safetensors, which must exist.

        Raises:
            LavasegError: no epoch has finished yet.
        """
        path = self.path / "model.safetensors"
        if not path.is_file() and self.converted:
            raise LavasegError(f"{path} is missing: convert again, into another folder")
        if not path.is_file():
            raise LavasegError(
                f"{self.path} has no trained weights yet: finish its training with "
                f"`lavaseg train {self.recipe.name} --out {self.path} --resume`"
            )
        return path

    def history(self) -> list[dict[str, Any]]:
        """Rows of metrics.csv as numbers, one an epoch; empty before the first."""
        path = self.path / "metrics.csv"
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {key: float(value) for key, value in row.items()} for row in csv.DictReader(file)
            ]


def make_folder(path: Path) -> None:
    """Create an output folder, or say why it cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LavasegError(f"output folder {path} cannot be created: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise LavasegError(f"output folder {path} cannot be written")
