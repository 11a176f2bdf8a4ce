"""Random changes of training samples: pictures and labels alike, and replayable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter, minimum_filter

from lavaseg import recipes
from lavaseg.data.augment import augmented
from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.recipes import Augment, RecipeError
from lavaseg.training.batches import loader

IGNORE = 255
SHAPE = (12, 20)


def sample(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A label map of blocks of classes 0 .. 4, and a picture in which class k has grey 50 k + 5."""
    label = np.random.default_rng(seed).integers(0, 5, (3, 5)).repeat(4, 0).repeat(4, 1)
    label = label.astype(np.uint8)
    return np.stack([50 * label + 5] * 3), label


def change(
    augment: Augment, seed: int, ignore: int | None = IGNORE
) -> tuple[np.ndarray, np.ndarray]:
    return augmented(*sample(), augment, np.random.default_rng(seed), ignore)


def test_flipping_mirrors_picture_and_label_half_of_the_time() -> None:
    picture, label = sample()
    mirrored = 0
    for seed in range(200):
        new_picture, new_label = change(Augment(flip=True), seed)
        if not np.array_equal(new_label, label):
            mirrored += 1
            np.testing.assert_array_equal(new_label, label[:, ::-1])
            np.testing.assert_array_equal(new_picture, picture[..., ::-1])
        else:
            np.testing.assert_array_equal(new_picture, picture)
    assert 70 < mirrored < 130


@pytest.mark.parametrize("scale", [(2.0, 2.0), (0.5, 0.5), (0.6, 2.5)])
def test_a_zoomed_label_stays_on_its_picture(scale: tuple[float, float]) -> None:
    shapes, compared = set(), 0
    for seed in range(60):
        picture, label = change(Augment(scale=scale), seed)
        assert picture.shape == (3, *SHAPE)
        assert label.shape == SHAPE
        assert picture.dtype == label.dtype == np.uint8
        assert set(np.unique(label)) <= {*range(5), IGNORE}
        beyond = label == IGNORE
        assert (picture[:, beyond] == 0).all()
        shapes.add(beyond.sum())
        # two pixels from any border, a picture still shows what its label says
        inner = maximum_filter(label, 5) == minimum_filter(label, 5)
        inner[:2] = inner[-2:] = inner[:, :2] = inner[:, -2:] = False
        error = np.abs(picture[0].astype(int) - (50 * label.astype(int) + 5))
        assert error[inner & ~beyond].max(initial=0) <= 1
        compared += (inner & ~beyond).sum()
    assert compared > 0 or scale[1] <= 0.5
    if scale[1] <= 0.5:
        assert shapes == {SHAPE[0] * SHAPE[1] * 3 // 4}
    if scale[0] >= 1:
        assert shapes == {0}


def test_every_place_of_the_window_occurs() -> None:
    places = set()
    for seed in range(300):
        _, label = change(Augment(scale=(0.5, 0.5)), seed)
        rows, columns = np.nonzero(label != IGNORE)
        places.add((rows.min(), columns.min()))
    assert {row for row, _ in places} == set(range(7))
    assert {column for _, column in places} == set(range(11))


def test_colours_change_and_labels_do_not() -> None:
    picture, label = sample()
    picture[0] //= 2
    for name in ("brightness", "contrast", "saturation", "hue"):
        augment = Augment(**{name: 0.4})
        rng = np.random.default_rng(1)
        new_picture, new_label = augmented(picture, label, augment, rng, None)
        assert not np.array_equal(new_picture, picture), name
        np.testing.assert_array_equal(new_label, label)


def test_a_sample_that_is_kept_in_memory_is_not_touched() -> None:
    picture, label = sample()
    before = picture.copy(), label.copy()
    picture.flags.writeable = label.flags.writeable = False
    for augment in (Augment(flip=True), Augment(scale=(0.5, 2.0)), Augment(brightness=1.0)):
        for seed in range(4):
            for array in augmented(picture, label, augment, np.random.default_rng(seed), IGNORE):
                array[...] = 99
    np.testing.assert_array_equal(picture, before[0])
    np.testing.assert_array_equal(label, before[1])


def test_what_cannot_be_done_is_said() -> None:
    with pytest.raises(LavasegError, match=r"'augment\.scale' below 1 needs .* ignore index"):
        change(Augment(scale=(0.5, 0.5)), 0, ignore=None)
    two = np.zeros((2, *SHAPE), np.uint8)
    with pytest.raises(LavasegError, match="3 channels, got 2"):
        augmented(two, sample()[1], Augment(hue=0.1), np.random.default_rng(0), None)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("augment.scale=[2, 1]", r"'augment\.scale': .*two factors"),
        ("augment.scale=[0, 1]", r"'augment\.scale': .*two factors"),
        ("augment.hue=0.7", r"'augment\.hue'"),
        ("augment.flipp=true", r"no field 'augment\.flipp': did you mean 'flip'"),
        ("training.class_weights=median", r"class_weights"),
        ("training.class_weights=[1]", r"class_weights"),
    ],
)
def test_a_wrong_field_is_named(field: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipes.load("demo", [field])


def test_a_recipe_with_augmentation_and_weights_is_read_back_equal(tmp_path: Path) -> None:
    fields = ["augment={flip: true, scale: [0.5, 2]}", "training.class_weights=[1, 2.5]"]
    recipe = recipes.load("demo", fields)
    (tmp_path / "recipe.yaml").write_text(recipes.dump(recipe))
    assert recipes.load(tmp_path / "recipe.yaml") == recipe


def test_only_training_batches_change_and_each_epoch_anew() -> None:
    samples = [sample(seed) for seed in range(8)]
    augment = Augment(flip=True, scale=(0.5, 2.0), brightness=0.3)

    def batches(shuffle: bool, epoch: int, seed: int = 0) -> list[torch.Tensor]:
        found = loader(
            samples,
            Direct(steps=1),
            batch_size=4,
            seed=seed,
            shuffle=shuffle,
            augment=augment,
            ignore_index=IGNORE,
        )
        found.batch_sampler.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        return [tensor for batch in found for tensor in batch]

    def equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
        return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

    first = batches(True, 3)
    assert equal(first, batches(True, 3))
    assert not equal(first, batches(True, 4))
    assert not equal(first, batches(True, 3, seed=1))
    labels = torch.cat(batches(False, 0)[1::2])
    assert torch.equal(labels, torch.from_numpy(np.stack([s[1] for s in samples])).long())
