"""Batches: shuffled, encoded and replayable, whatever was interrupted before."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from lavaseg.data.augment import augmented
from lavaseg.data.base import Samples
from lavaseg.encoders import Direct, Encoder, Noise
from lavaseg.events import Stimulus
from lavaseg.recipes import Augment

TRAINING_SEED = 2**32
"""Added to the seed of training draws: evaluation uses the plain seed and never replays them."""

Batch = tuple[torch.Tensor, torch.Tensor]
"""Messages (N, C, H, W, T) float32 and labels (N, H, W) int64."""


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


class _Keyed(Dataset):
    """Samples, changed if asked for, with the number that keys the random draws of their code.

    That number is epoch * length + index; what changes a sample follows from seed, epoch, index.
    """

    def __init__(
        self, samples: Samples, augment: Augment | None, seed: int, ignore_index: int | None
    ) -> None:
        self.samples, self.augment = samples, augment
        self.seed, self.ignore_index = seed, ignore_index

    def __getitem__(self, key: tuple[int, int]) -> tuple[Stimulus, np.ndarray, int]:
        epoch, index = key
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
) -> DataLoader:
    """Batches of `samples`; shuffled, without the last smaller one, while training.

    Args:
        augment: how training samples are changed at random; None: not at all.
        ignore_index: label of what lies beyond the border of a changed picture.
        noise: noise on the input; None: none.
    """
    draws = seed + TRAINING_SEED if shuffle else seed
    if not shuffle or augment == Augment():
        augment = None

    def collate(items: list[tuple[Stimulus, np.ndarray, int]]) -> Batch:
        stimuli, labels, numbers = zip(*items, strict=True)
        seen = [label[encoder.window(label.shape)] for label in labels]
        encoded = messages(stimuli, encoder, draws, numbers, noise)
        return encoded, torch.from_numpy(np.stack(seen).astype(np.int64))

    return DataLoader(
        _Keyed(samples, augment, draws, ignore_index),
        batch_size=batch_size,
        sampler=_Order(len(samples), seed, shuffle),
        collate_fn=collate,
        drop_last=shuffle and len(samples) >= batch_size,
    )
