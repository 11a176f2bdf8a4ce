"""A run: what was trained or converted, and what later stages left in its folder."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lavaseg import data, recipes
from lavaseg.data.base import DataSet
from lavaseg.data.colours import class_colours, data_colours
from lavaseg.errors import LavasegError
from lavaseg.models.analog import RECTIFIED, AnalogModel
from lavaseg.network import Network, Shape
from lavaseg.netx.description import parse_network
from lavaseg.runs.folder import RunFolder
from lavaseg.runs.formats import Rows
from lavaseg.system.faults import reading
from lavaseg.system.json_types import fits
from lavaseg.system.shown import html_table
from lavaseg.system.words import command

if TYPE_CHECKING:
    import numpy as np

    from lavaseg.network.integers import IntegerNetwork


@dataclass(frozen=True)
class Run:
    """A run on disk: trained, or converted from an artificial network.

    `files` names all that its folder may hold: `run.files.net.path`, `run.files.net.current()`.

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

    def __repr__(self) -> str:
        chosen = self.recipe
        return f"Run({str(self.path)!r}, {chosen.model.name} on {chosen.data.name})"

    def _repr_html_(self) -> str:
        there = (kind for kind in self.files.kinds() if (self.path / kind.file).exists())
        rows = ((kind.file, kind.about) for kind in there)
        return html_table(f"{self!r}: {self.recipe.title}", ["file", "what it is"], rows)

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in folder `path`.

        Raises:
            LavasegError: it is no run, or one of its files cannot be read.
        """
        files = RunFolder(Path(path))
        if not files.recipe.exists() or not files.description.exists():
            raise LavasegError(
                f"{files.path} is not a run: expected a folder with {files.recipe.kind.file} and "
                f"{files.description.kind.file}, as `lavaseg train` and `lavaseg convert` write"
            )
        recipe, stored = files.recipe.load(), files.description.load()
        with reading(files.description.path, "is damaged"):
            return cls(
                files.path,
                recipe,
                AnalogModel.from_dict(stored["analog"])
                if "analog" in stored
                else parse_network(stored["network"]),
                tuple(_checked(stored, "classes", tuple[str, ...])),
                _checked(stored, "ignore_index", int | None),
                tuple(_checked(stored, "picture_shape", tuple[int, int, int])),
            )

    @classmethod
    def of_net(cls, net: Path) -> Run | None:
        """The run whose current export a `.net` file is; None of any other file."""
        files = RunFolder(net.resolve().parent)
        is_its_own = net.resolve() == files.net.path and files.net.current()
        if not is_its_own or not files.recipe.exists() or not files.description.exists():
            return None
        return cls.open(files.path)

    def with_data_in(self, root: str) -> Run:
        """The same run with its data in another folder (data option `root`), which have moved.

        Raises:
            LavasegError: its data set lies in no folder.
        """
        chosen = self.recipe.data
        data.check_option(chosen.name, "root")
        options = {**chosen.options, "root": root}
        moved = chosen.model_copy(update={"options": options})
        return replace(self, recipe=self.recipe.model_copy(update={"data": moved}))

    def save(self) -> None:
        """Write recipe and description, creating the folder."""
        kind = "analog" if isinstance(self.model, AnalogModel) else "network"
        make_folder(self.path)
        self.files.description.save(
            {
                kind: self.model.to_dict(),
                "classes": list(self.classes),
                "ignore_index": self.ignore_index,
                "picture_shape": list(self.picture_shape),
            }
        )
        self.files.recipe.save(self.recipe)

    @property
    def files(self) -> RunFolder:
        """Everything that the folder may hold, by name."""
        return RunFolder(self.path)

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
    def description(self) -> Network | None:
        """What the model interprets; None of an artificial one that is a torch module."""
        return self.model.description if isinstance(self.model, AnalogModel) else self.model

    @property
    def _or(self) -> str:
        """Advice on how an artificial network gets its spikes, if it can."""
        assert isinstance(self.model, AnalogModel)
        if self.model.name not in RECTIFIED:
            return ""
        return f", or make it spiking with {command('convert', self.path, '--out', 'FOLDER')}"

    @property
    def converted(self) -> bool:
        """Whether conversion made the run, and not training."""
        return self.files.conversion.exists()

    @cached_property
    def data(self) -> DataSet:
        """The data set that the recipe names."""
        return data.load(self.recipe.data.name, **self.recipe.data.options)

    @property
    def weights(self) -> Path:
        """The file of the float weights, which must exist.

        Raises:
            LavasegError: no epoch has finished yet.
        """
        weights = self.files.weights
        if weights.exists():
            return weights.path
        if self.converted:
            raise LavasegError(f"{weights.path} is missing: convert again, into another folder")
        raise LavasegError(
            f"{self.path} has no trained weights yet: finish its training with "
            f"{command('train', self.files.recipe.path, '--out', self.path, '--resume')}"
        )

    def net(self) -> IntegerNetwork:
        """The integer network that export left in the folder.

        Raises:
            LavasegError: there is none, it is older than the float weights, or it is damaged.
        """
        net = self.files.net
        if not net.exists():
            raise LavasegError(
                f"{self.path} holds no exported network: {command('export', self.path)} makes it"
            )
        if not net.current():
            raise LavasegError(
                f"{net.path} is older than the trained weights: make it again with "
                f"{command('export', self.path)}"
            )
        state = net.path.stat()
        version = state.st_mtime_ns, state.st_size
        if version not in self._nets:
            self._nets.clear()
            self._nets[version] = net.load()
        return self._nets[version]

    @cached_property
    def _nets(self) -> dict[tuple[int, int], IntegerNetwork]:
        """The integer network as last read, by time and size of its file."""
        return {}

    @property
    def finished(self) -> bool:
        """Whether training came to its end: all epochs, or as early as the recipe has it stop."""
        plan, rows = self.recipe.training, self.history()
        ended = len(rows) >= plan.epochs or stopped_early(rows, plan.early_stop)
        return ended and self.files.weights.exists()

    @property
    def colours(self) -> np.ndarray:
        """The colour of each class, uint8 (K, 3): the data set's own where it has some."""
        return class_colours(self.classes, data_colours(self.recipe.data))

    def history(self) -> Rows:
        """One row an epoch of training, as numbers; none before the first."""
        return self.files.history.load() if self.files.history.exists() else []


def _checked(stored: Mapping[str, Any], field: str, hint: Any) -> Any:
    """A field of a description; LavasegError unless it has the type that is annotated."""
    if not fits(stored[field], hint):
        raise LavasegError(f"{field} is {stored[field]!r}, which is not what a run holds there")
    return stored[field]


def best_epoch(rows: Rows) -> int | None:
    """The epoch whose weights are kept: the first of the best, or the last where none is judged.

    None where there is no epoch.
    """
    if not rows:
        return None
    scores = _scores(rows)
    best = max(scores)
    return int(rows[-1 if best < 0 else scores.index(best)]["epoch"])


def _scores(rows: Rows) -> list[float]:
    """Validation mIoU of each epoch; -1 where there is none."""
    found = [row.get("val_miou", math.nan) for row in rows]
    return [-1.0 if math.isnan(miou) else miou for miou in found]


def stopped_early(rows: Rows, patience: int) -> bool:
    """Whether the last `patience` epochs gave no better validation mIoU than those before; 0: no.

    Args:
        rows: one an epoch; of the first one, whatever it has counts.
    """
    scores = _scores(rows)
    return 0 < patience < len(rows) and max(scores[-patience:]) <= max(scores[:-patience])


def make_folder(path: Path) -> None:
    """Create an output folder, or say why it cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LavasegError(f"output folder {path} cannot be created: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise LavasegError(f"output folder {path} cannot be written")
