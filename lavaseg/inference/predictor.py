"""Predicts many pictures or recordings with one network that is made ready once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL.Image import Image

from lavaseg.data.colours import Colours, class_colours, data_colours
from lavaseg.data.inputs import stimulus_shape
from lavaseg.data.photos import Photo, photo_of_image, read_photo
from lavaseg.errors import LavasegError
from lavaseg.events import Events, Stimulus
from lavaseg.inference.engines import Answer, Target, blank, engine, is_of_events
from lavaseg.inference.fitting import Fit, How, Placement
from lavaseg.inference.prediction import Prediction
from lavaseg.system.limits import check_memory
from lavaseg.system.words import counted

if TYPE_CHECKING:
    from lavaseg.deploy.loihi2 import System
    from lavaseg.network import Size
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.runs import Run

Picture: TypeAlias = "str | Path | np.ndarray | Image | Events"
"""A file, uint8 (channels, height, width) or (height, width), an image of PIL, or a recording."""

_WINDOWS = 2**40
"""Added to the number that keys a picture's draws for each window after its first."""


@dataclass(frozen=True)
class Item:
    """One input, not read yet.

    Args:
        name: what it is called, and its outputs after it: "drive/0001".
        number: keys the encoder's draws.
        read: a photo or a recording; a LavasegError if it cannot be read.
        file: the one it is read from, or None.
    """

    name: str
    number: int
    read: Callable[[], Photo | Events]
    file: Path | None = None


@dataclass
class Timings:
    """Times of predictions on this machine, in seconds.

    Args:
        startup: of what is done once, or for each run of Lava.
        network: of each input, all of its windows together.
        whole: of each input, from reading to the label map; writing included if a command writes.
    """

    startup: float = 0.0
    network: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """The 50th, 90th and 99th percentile of both latencies; none without an input."""
        return {
            name: dict(zip(("p50", "p90", "p99"), np.percentile(values, (50, 90, 99)), strict=True))
            for name, values in (("network", self.network), ("whole", self.whole))
            if values
        }


class Predictor:
    """A network that is ready to predict.

    Args:
        net: a network in integers, a run, or the path of a run's folder or of a .net file.
        backend: "float", a run's network as trained; or integers on "simulator", "torch",
            "lava-inprocess", "lava" or "loihi2". By default float for runs, else simulator.
        fit: "resize", "letterbox" or "windows", see `Fit`; overlap, scale: of windows.
        colours: (red, green, blue) by class name, before those of the data set.
        seed: of the encoder's draws; by default the recipe's of a run, else 0.
        device: "cpu" or "cuda", of the simulator and float networks.
        timeout, system: of Lava, see `lavaseg.deploy.run`.
        batch: samples that are run at a time; by default as suits the backend.
        warm: run a blank picture first, so that no latency holds start-up; not done on Lava.

    Raises:
        LavasegError: no such run or network, backend, fit or device; something is not installed.
    """

    def __init__(
        self,
        net: Run | IntegerNetwork | str | Path,
        *,
        backend: str | None = None,
        fit: How | Fit = "resize",
        overlap: float = 0.25,
        scale: float = 1.0,
        colours: Colours | None = None,
        seed: int | None = None,
        device: str = "cpu",
        timeout: float | None = None,
        system: System | None = None,
        batch: int | None = None,
        warm: bool = True,
    ) -> None:
        started = time.perf_counter()
        self.fit = fit if isinstance(fit, Fit) else Fit(fit, overlap, scale)
        self.target = Target.of(net, backend)
        self.taker = self.target.taker
        self.backend, self.engine = engine(
            self.target, backend, seed=seed, device=device, timeout=timeout, system=system
        )
        self.batch = batch or self.engine.batch
        self.classes = self.taker.classes
        self.recolour(colours or {})
        self.shape = stimulus_shape(self.taker)
        self.timings = Timings()
        self.timings.startup += time.perf_counter() - started
        if warm:
            self.warm()

    def __repr__(self) -> str:
        classes, steps = counted(len(self.classes), "class", "classes"), self.target.steps
        return f"Predictor({self.backend}, {self.fit.how}, {classes}, T = {steps})"

    def recolour(self, colours: Colours) -> None:
        """Give classes other colours, (red, green, blue) by name."""
        self.colours = class_colours(self.classes, data_colours(self.target.data), colours)

    def warm(self) -> None:
        """Run a blank picture, so that no latency holds start-up; nothing is done on Lava."""
        if self.engine.batch > 1:
            return
        started = time.perf_counter()
        self.engine.run([blank(self.taker)], [0])
        self.timings.startup += time.perf_counter() - started

    def predict(self, picture: Picture, number: int = 0) -> Prediction:
        """The prediction of one picture or recording.

        Args:
            picture: a file, an array uint8 (channels, height, width) or (height, width), an image
                of PIL, or `lavaseg.events.Events`.
            number: keys the encoder's draws.

        Raises:
            LavasegError: it cannot be read, or the network takes no such thing.
        """
        item = Item("picture", number, lambda: self._opened(picture))
        _, found = next(self.predict_all([item]))
        if isinstance(found, LavasegError):
            raise found
        return found

    def predict_all(
        self, items: Iterable[Item], seen: Callable[[Answer], None] | None = None
    ) -> Iterator[tuple[Item, Prediction | LavasegError]]:
        """Predict one item after the other; those that cannot be read give their error.

        Args:
            seen: called with every answer of the network.

        Raises:
            LavasegError: the network cannot be run.
        """
        opened: deque[_Opened] = deque()
        views = self._views(items, opened)
        answers: deque[tuple[np.ndarray, float]] = deque()

        def fill() -> bool:
            """Run the next views; False if there are none."""
            batch = list(islice(views, self.batch))
            if not batch:
                return False
            answer = self.engine.run([v for v, _ in batch], [n for _, n in batch])
            self.timings.startup += answer.startup
            if seen is not None:
                seen(answer)
            each = answer.seconds / len(batch)
            answers.extend((logits, each) for logits in answer.logits)
            return True

        while opened or fill() or opened:
            now = opened.popleft()
            if now.error is not None:
                yield now.item, now.error
                continue
            while len(answers) < now.views and fill():
                pass
            found = [answers.popleft() for _ in range(now.views)]
            yield now.item, self._finished(now, found)

    def _views(
        self, items: Iterable[Item], opened: deque[_Opened]
    ) -> Iterator[tuple[Stimulus, int]]:
        """The network's stimuli of all items, each with the number that keys its draws."""
        for item in items:
            started = time.perf_counter()
            try:
                now, views = self._placed(item)
            except LavasegError as error:
                opened.append(_Opened(item, error=error))
                continue
            now.seconds = time.perf_counter() - started
            opened.append(now)
            for index, view in enumerate(views):
                yield view, item.number + index * _WINDOWS

    def _placed(self, item: Item) -> tuple[_Opened, Iterable[Stimulus]]:
        found = item.read()
        if isinstance(found, Events):
            if not is_of_events(self.taker.encoder):
                raise LavasegError(f"{item.name} is a recording, and the network takes pictures")
            self.taker.encoder.shape(found.shape)  # refuses another sensor
            rows, columns = self.taker.encoder.window(found.sensor)
            shown = found.frame()[:, rows, columns]
            size: Size = (shown.shape[1], shown.shape[2])
            return _Opened(item, shown, Fit().place(size, size)), [found]
        if is_of_events(self.taker.encoder):
            raise LavasegError(f"{item.name} is a picture, and the network takes recordings")
        height, width = found.picture.shape[1:]
        placement = self.fit.place((height, width), (self.shape[1], self.shape[2]))
        now = _Opened(item, found.shown, placement)
        self._check_memory(now)
        return now, placement.views(found.picture)

    def _check_memory(self, now: _Opened) -> None:
        """Refuse more windows than memory has room for the read-outs of."""
        assert now.placement is not None
        if now.views > 1:
            needed = 4 * now.views * len(self.classes) * self.shape[1] * self.shape[2]
            what = f"{now.item.name}: {now.views:,} windows"
            check_memory(needed // 4, what, "take a smaller --scale, or --fit resize")

    def _finished(self, now: _Opened, found: Sequence[tuple[np.ndarray, float]]) -> Prediction:
        assert now.shown is not None
        assert now.placement is not None
        started = time.perf_counter()
        network = sum(seconds for _, seconds in found)
        prediction = Prediction(
            now.shown,
            now.placement,
            [logits for logits, _ in found],
            self.classes,
            self.colours,
            network,
        )
        _ = prediction.labels
        spent = time.perf_counter() - started
        self.timings.network.append(network)
        self.timings.whole.append(now.seconds + network + spent)
        return prediction

    def _opened(self, picture: Picture) -> Photo | Events:
        """A picture of any kind that `predict` takes."""
        if isinstance(picture, Events):
            return picture
        if isinstance(picture, (str, Path)):
            if is_of_events(self.taker.encoder):
                from lavaseg.data.event_files import read_recording

                return read_recording(picture, (self.shape[1], self.shape[2]))
            return read_photo(picture, self.shape[0])
        if is_of_events(self.taker.encoder):
            raise LavasegError("the input is a picture, and the network takes recordings")
        if isinstance(picture, Image):
            return photo_of_image(picture, self.shape[0])
        array = np.asarray(picture)
        array = array[None] if array.ndim == 2 else array
        channels = self.shape[0]
        if array.dtype != np.uint8 or array.ndim != 3 or len(array) != channels or not array.size:
            raise LavasegError(
                f"a picture must be uint8 ({channels}, height, width), got {array.dtype} "
                f"{np.shape(picture)}"
            )
        return Photo.of(array)


@dataclass
class _Opened:
    """An item that was read, or what kept it from that."""

    item: Item
    shown: np.ndarray | None = None
    placement: Placement | None = None
    error: LavasegError | None = None
    seconds: float = 0.0

    @property
    def views(self) -> int:
        return 0 if self.placement is None else len(self.placement.windows)


def predict(
    net: Run | IntegerNetwork | str | Path,
    picture: Picture,
    *,
    backend: str | None = None,
    fit: How | Fit = "resize",
    overlap: float = 0.25,
    scale: float = 1.0,
    colours: Colours | None = None,
    seed: int | None = None,
    device: str = "cpu",
) -> Prediction:
    """Label map and scores of one picture or recording, at the size that it has itself.

    `Predictor` predicts many with a network that is made ready once.

    Args:
        net: a network in integers, a run, or the path of a run's folder or of a .net file.
        picture: a file, an array uint8 (channels, height, width) or (height, width), an image
            of PIL, or `lavaseg.events.Events`.
        backend: "float", a run's network as trained; or integers on "simulator", "torch",
            "lava-inprocess", "lava" or "loihi2". By default float for runs, else simulator.
        fit: how a picture of another size comes to the network: "resize", "letterbox" or
            "windows" (docs/predict.md).
        overlap, scale: of windows: the share that neighbours see, too, and a factor on the
            picture's size.
        colours: (red, green, blue) by class name, before those of the data set.
        seed: of the encoder's draws; by default the recipe's of a run, else 0.
        device: "cpu" or "cuda", of the simulator and float networks.

    Raises:
        LavasegError: a picture that cannot be read, or something that there is not.
    """
    predictor = Predictor(
        net,
        backend=backend,
        fit=fit,
        overlap=overlap,
        scale=scale,
        colours=colours,
        seed=seed,
        device=device,
        warm=False,
    )
    return predictor.predict(picture)
