"""Batches: shuffled, encoded and replayable, whatever was interrupted before."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from lavaseg.data.augment import augmented
from lavaseg.data.base import Samples
from lavaseg.encoders import Direct, Encoder, Noise
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus
from lavaseg.recipes import Augment
from lavaseg.training.ranks import ALONE, Rank

TRAINING_SEED = 2**32
"""Added to the seed of training draws: evaluation uses the plain seed and never replays them."""

Batch = tuple[torch.Tensor, torch.Tensor]
"""Messages (N, C, H, W, T) float32 and labels (N, H, W) int64."""
TrainingBatch = Batch | tuple[torch.Tensor, torch.Tensor, Sequence[torch.Tensor]]
"""A batch; with accumulated gradients or several processes also the labels of each batch of its
step."""


def messages(
    stimuli: Sequence[Stimulus],
    encoder: Encoder,
    seed: int,
    numbers: Sequence[int],
    noise: Noise | None = None,
) -> torch.Tensor:
    """Encoded pictures or events as a network takes them: float32 (N, C, H, W, T).

    A direct code is the same at every step: it is encoded once and expanded without a copy.
    """
    steps = encoder.steps
    if isinstance(encoder, Direct):
        encoder = dataclasses.replace(encoder, steps=1)
    spikes = torch.from_numpy(encoder.encode(stimuli, seed=seed, samples=numbers, noise=noise))
    return spikes.float().permute(0, 2, 3, 4, 1).expand(-1, -1, -1, -1, steps)


_Item = tuple[Stimulus, np.ndarray, int]


class _Keyed(Dataset):
    """Samples, changed if asked for, with the number that keys the random draws of their code.

    That number is epoch * length + index; what changes a sample follows from seed, epoch, index.
    """

    def __init__(
        self, samples: Samples, augment: Augment | None, seed: int, ignore_index: int | None
    ) -> None:
        self.samples, self.augment = samples, augment
        self.seed, self.ignore_index = seed, ignore_index

    def __getitem__(self, key: tuple[int, int]) -> _Item | LavasegError:
        """A sample; or why it cannot be read, which a worker could not raise in these words."""
        try:
            return self._drawn(*key)
        except LavasegError as error:
            return error

    def _drawn(self, epoch: int, index: int) -> _Item:
        stimulus, label = self.samples[index]
        if self.augment is not None:
            rng = np.random.default_rng([self.seed, epoch, index])
            stimulus, label = augmented(stimulus, label, self.augment, rng, self.ignore_index)
        return stimulus, label, epoch * len(self.samples) + index


class _Order(Sampler[tuple[int, int]]):
    """(epoch, index) pairs: each epoch's order follows from the seed and its number alone."""

    def __init__(self, length: int, seed: int, shuffle: bool) -> None:
        self.length, self.seed, self.shuffle, self.epoch = length, seed, shuffle, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if not self.shuffle:
            return ((0, index) for index in range(self.length))
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        return ((self.epoch, int(index)) for index in order)


class _Shares(Sampler[list[tuple[int, int]]]):
    """One process's share of each batch, in an order; groups of batches that fill no step are left.

    A batch is cut from the samples of all processes, so that it is the same however many share it.

    Args:
        sampler: the order.
        batch_size: samples of a batch, of all processes together.
        group: batches of one step of the optimiser; what fills no group is left out, unless there
            is nothing else. None: all samples, a last smaller batch included.
        rank: of this process.
    """

    def __init__(self, sampler: _Order, batch_size: int, group: int | None, rank: Rank) -> None:
        self.sampler, self.batch_size = sampler, batch_size
        self.group, self.rank = group, rank
        self.ends = self._ends(len(sampler))

    def _ends(self, total: int) -> list[int]:
        """Where each batch ends."""
        size = self.batch_size
        if self.group is not None:
            whole = total - total % (size * self.group)
            if not whole:  # one step of all samples, each process with some of each batch
                count = max(1, min(-(-total // size), total // self.rank.count))
                return [total * (k + 1) // count for k in range(count)]
            total = whole
        return [min(start + size, total) for start in range(0, total, size)]

    def __len__(self) -> int:
        starts = [0, *self.ends]
        sizes = [end - start for start, end in zip(starts, self.ends, strict=False)]
        return sum(size > self.rank.number for size in sizes)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        keys, start = list(self.sampler), 0
        for end in self.ends:
            if share := self.rank.share(keys[start:end]):
                yield share
            start = end


@dataclass(frozen=True)
class _Collate:
    """Samples as a batch; a class, since workers on some systems are sent it."""

    encoder: Encoder
    seed: int
    noise: Noise | None

    def __call__(self, items: list[_Item | LavasegError]) -> Batch | LavasegError:
        sound = [item for item in items if not isinstance(item, LavasegError)]
        if len(sound) < len(items):
            return next(item for item in items if isinstance(item, LavasegError))
        stimuli, labels, numbers = zip(*sound, strict=True)
        seen = [label[self.encoder.window(label.shape)] for label in labels]
        encoded = messages(stimuli, self.encoder, self.seed, numbers, self.noise)
        return encoded, torch.from_numpy(np.stack(seen).astype(np.int64))


class Batches(DataLoader):
    """Batches; if `group` is given, each with the labels of all batches of its step.

    Raises:
        LavasegError: a sample cannot be read, or a worker has ended.
    """

    group: int | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = self._sound()
        if self.group is None:
            yield from batches
            return
        while batch := list(islice(batches, self.group)):
            labels = [part[1] for part in batch]
            for encoded, own in batch:
                yield encoded, own, labels

    def _sound(self) -> Iterator[Batch]:
        try:
            for found in super().__iter__():
                if isinstance(found, LavasegError):
                    raise found
                yield found
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            what = str(error).partition("(pid")[2].partition(")")[2].strip(" .") or "unknown"
            raise LavasegError(
                f"one of machine.workers, which read samples, ended before its time ({what}): "
                "expected fewer workers, for which there is memory"
            ) from None


def loader(
    samples: Samples,
    encoder: Encoder,
    *,
    batch_size: int,
    seed: int,
    shuffle: bool,
    augment: Augment | None = None,
    ignore_index: int | None = None,
    noise: Noise | None = None,
    accumulate: int | None = None,
    rank: Rank = ALONE,
    workers: int = 0,
) -> Batches:
    """Batches of `samples`; shuffled, without the last smaller one, while training.

    Args:
        augment: how training samples are changed at random; None: not at all.
        ignore_index: label of what lies beyond the border of a changed picture.
        noise: noise on the input; None: none.
        accumulate: batches of one step of the optimiser; what fills no step is left out, and each
            batch comes with the labels of all of its step. None: batches alone.
        rank: the process that takes its share of each batch.
        workers: processes that read and encode; they change no sample.
    """
    draws = seed + TRAINING_SEED if shuffle else seed
    if not shuffle or augment == Augment():
        augment = None
    group = (accumulate or 1) if shuffle else None
    order = _Order(len(samples), seed, shuffle)
    made = Batches(
        _Keyed(samples, augment, draws, ignore_index),
        batch_sampler=_Shares(order, batch_size, group, rank),
        collate_fn=_Collate(encoder, draws, noise),
        num_workers=workers,
    )
    made.group = accumulate
    return made
