"""A source of figures: what can be asked of a network, or of what was recorded of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lavaseg.data.colours import class_colours
from lavaseg.errors import LavasegError
from lavaseg.network import Network, Shape, Size
from lavaseg.network.interleave import restored
from lavaseg.report.sources.scenes import Scenes
from lavaseg.results.levels import LevelView
from lavaseg.results.recording import LayerRecording, Recording
from lavaseg.runs import Run
from lavaseg.system.words import or_like

if TYPE_CHECKING:
    from lavaseg.results.evaluation import Evaluation

Sheets: TypeAlias = "dict[str, np.ndarray]"
"""Spikes or messages of layers over one sample, (T, C, h, w) each."""


@dataclass(frozen=True)
class Wanted:
    """Which samples, and how they are run.

    Args:
        inputs: what `lavaseg simulate` takes as INPUT; without any, test data of the run.
        samples: at most this many.
        options: of the data set that an input names.
        seed: of the encoder's draws; None: the recipe's, 0 for integers.
        steps: another T than the network's own.
        chosen: whether the user chose the number of samples.
    """

    inputs: tuple[str, ...] = ()
    samples: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    steps: int | None = None
    chosen: bool = False


class Source:
    """A network, or what was recorded of one.

    Args:
        title: how legends call it.
        classes: class names; () where they are not known.
        steps: T of its own.
        run: the run that it belongs to, if any.
    """

    title: str
    classes: tuple[str, ...]
    steps: int
    run: Run | None = None

    @property
    def view(self) -> LevelView:
        """Which layers send integers, and what hardware made of them."""
        return LevelView()

    def fired(self, name: str, sheets: np.ndarray) -> np.ndarray:
        """Spikes that sheets of a layer count for: an integer as many as it says, a message one."""
        return sheets if name in self.view.levels else sheets != 0

    def scenes(self, wanted: Wanted) -> Scenes:
        """The samples, as pictures and as the network takes them."""
        raise NotImplementedError

    def spikes(self, names: Sequence[str], seen: Scenes, wanted: Wanted) -> Iterator[Sheets]:
        """For each sample, the spikes (messages) of layers: (T, C, h, w) each."""
        raise NotImplementedError

    def recordings(
        self, seen: Scenes, wanted: Wanted, layers: Sequence[str] | None, membranes: bool
    ) -> Iterator[Recording]:
        """For each sample, what `lavaseg.record` gives."""
        raise NotImplementedError

    def logits(self, seen: Scenes, wanted: Wanted) -> np.ndarray:
        """The read-out, (N, K, h, w), of which the largest is the class."""
        raise NotImplementedError

    def readouts(self, seen: Scenes, wanted: Wanted, steps: Sequence[int]) -> list[np.ndarray]:
        """The read-out after each of `steps` of one run of all T, (N, K, h, w) each."""
        raise NotImplementedError

    def evaluation(self) -> Evaluation | None:
        """A kept evaluation on the whole test set."""
        return None

    def described(self, counts: Mapping[str, object]) -> Network:
        """The description whose dense MACs papers would count, of spikes of these nodes.

        Raises:
            LavasegError: an artificial network, or a recording, which holds no description.
        """
        raise NotImplementedError

    def auxiliaries(self, seen: Scenes, wanted: Wanted) -> dict[str, np.ndarray]:
        """The auxiliary read-outs over the samples, (N, K, h, w) each, from the first to the last.

        Raises:
            LavasegError: there are none.
        """
        raise LavasegError(
            f"{self.title} has no auxiliary read-outs: only runs of models that have them do, such "
            "as MFS-Seg, since export leaves them out"
        )

    @property
    def colours(self) -> np.ndarray:
        """The colour of each class, uint8 (K, 3): the data set's own where it is known."""
        return class_colours(self.classes) if self.run is None else self.run.colours

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shapes of the layers with spikes, from the input on.

        Raises:
            LavasegError: an artificial network.
        """
        raise NotImplementedError

    @property
    def firing(self) -> list[str]:
        """Names of the populations that fire."""
        raise NotImplementedError

    @property
    def interleaved(self) -> bool:
        """Whether sheets were made narrower, with more channels."""
        return False

    def chosen(self, layers: Sequence[str] | None, default: Sequence[str]) -> list[str]:
        """The layers that were asked for, in the network's order.

        Raises:
            LavasegError: one of them is none that has spikes; names those that have.
        """
        if layers is None:
            return list(default)
        known = list(self.shapes)
        for name in layers:
            if name not in known:
                raise LavasegError(
                    f"{self.title} has no layer {name!r} with spikes"
                    f"{or_like(name, known, 'it has')}"
                )
        return [name for name in known if name in layers]

    def chosen_firing(self, layers: Sequence[str] | None) -> list[str]:
        """The populations that fire: those that were asked for, or all, in the network's order.

        Raises:
            LavasegError: one of them is none that fires; names those that do.
        """
        known = self.firing
        for name in layers or ():
            if name not in known:
                raise LavasegError(
                    f"{self.title} has no layer {name!r} that fires{or_like(name, known, 'it has')}"
                )
        return [name for name in known if layers is None or name in layers]


def sent(layer: LayerRecording) -> np.ndarray:
    """Spikes or messages of a layer, (N, T, C, h, w); of a float relay, the sums that it sends."""
    found = layer.spikes if layer.spikes is not None else layer.values
    assert found is not None
    return found


def at_the_picture(sheets: np.ndarray, picture: Size, interleaved: bool) -> np.ndarray:
    """Sheets (..., C, h, w) with the columns that interleaving made channels put back."""
    *_, channels, height, width = sheets.shape
    if not interleaved or width * picture[0] == height * picture[1]:
        return sheets
    factor = max(round(height * picture[1] / picture[0] / width), 1)
    return restored(sheets, factor) if channels % factor == 0 else sheets
