"""Digits on photographs: the rule, its sources and its files."""

from __future__ import annotations

import gzip
import hashlib
import pickle
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lavaseg import data
from lavaseg.data import compose
from lavaseg.data.compose import PARTS
from lavaseg.data.idx import read_idx
from lavaseg.errors import LavasegError

DIGITS = "train-images-idx3-ubyte"


def idx(images: np.ndarray) -> bytes:
    """An idx file of uint8 (N, 28, 28)."""
    return np.array([2051, *images.shape], ">u4").tobytes() + images.tobytes()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with 20 random digits and 30 random pictures in the real formats."""
    rng = np.random.default_rng(5)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / f"{DIGITS}.gz").write_bytes(
        gzip.compress(idx(rng.integers(0, 256, (20, 28, 28), np.uint8)))
    )
    pictures = rng.integers(0, 256, (30, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "cifar10_small.npz", x_train=pictures)
    return tmp_path


@pytest.fixture(params=["digits-photos", "mnist-cifar10"])
def load(request: pytest.FixtureRequest, small: Path) -> Callable[..., data.DataSet]:
    options = {"root": str(small)} if request.param == "mnist-cifar10" else {}
    return lambda **more: data.load(request.param, **options, **more)


def assert_follows_rule(samples: compose.Composed, numbers: range) -> None:
    """The rule in the papers' own float arithmetic, for the sources that each sample names."""
    for k in numbers:
        picture, label = samples[k]
        digit = samples.digits[samples.digit_index[k]] / 255
        mask = digit > 0.3
        row, column = samples.rows[k], samples.columns[k]
        height, width = mask.shape
        expected = samples.pictures[samples.picture_index[k]].astype(np.float64)
        expected[row : row + height, column : column + width] += 200 * (digit * mask)[..., None]
        expected_label = np.zeros((32, 32))
        expected_label[row : row + height, column : column + width] = mask
        assert picture.dtype == label.dtype == np.uint8
        np.testing.assert_array_equal(label, expected_label)
        np.testing.assert_array_equal(picture, np.rint(expected.clip(0, 255)).transpose(2, 0, 1))


def test_samples_follow_the_rule_of_the_papers(load: Callable[..., data.DataSet]) -> None:
    found = load(train=20, test=10)
    assert found.classes == ("background", "digit")
    assert found.picture_shape == (3, 32, 32)
    assert (len(found.train), len(found.test)) == (20, 10)
    assert_follows_rule(found.train, range(20))
    assert_follows_rule(found.test, range(10))


def test_composing_leaves_the_sources_as_they_were(load: Callable[..., data.DataSet]) -> None:
    samples = load(train=50, test=1).train
    before = samples.pictures.copy()
    for k in range(50):
        samples[k][0][...] = 7
    np.testing.assert_array_equal(samples.pictures, before)


def test_a_seed_gives_the_same_samples_whatever_the_sizes(
    load: Callable[..., data.DataSet],
) -> None:
    few = load(train=5, test=5, validation=5)
    many, other = load(train=40, test=9, validation=8), load(train=40, test=9, seed=1, validation=8)
    for part in PARTS:
        for k in range(5):
            for a, b in zip(getattr(few, part)[k], getattr(many, part)[k], strict=True):
                np.testing.assert_array_equal(a, b)
        assert any(
            not np.array_equal(getattr(many, part)[k][0], getattr(other, part)[k][0])
            for k in range(5)
        )


def test_draws_are_the_same_on_every_machine_and_numpy_version() -> None:
    drawn = compose.draw(
        np.zeros((100, 32, 32, 3), np.uint8),
        np.zeros((50, 14, 14), np.uint8),
        use_pictures=np.arange(100),
        use_digits=np.arange(50),
        samples=3,
        seed=0,
        stream=2,
    )
    table = np.stack([drawn.picture_index, drawn.digit_index, drawn.rows, drawn.columns], 1)
    assert table.tolist() == [[84, 34, 0, 13], [42, 46, 15, 6], [52, 49, 17, 7]]


def test_no_two_parts_share_a_digit_or_a_picture(load: Callable[..., data.DataSet]) -> None:
    found = load(train=3000, test=3000, validation=3000)
    for one, other in combinations((getattr(found, part) for part in PARTS), 2):
        assert not set(one.picture_index) & set(other.picture_index)
        assert not set(one.digit_index) & set(other.digit_index)


def test_validation_is_a_tenth_of_training_unless_it_is_set(
    load: Callable[..., data.DataSet],
) -> None:
    sizes = [load(train=n, test=1).validation for n in (3, 57)]
    assert [len(part) for part in sizes if part is not None] == [1, 5]


@pytest.mark.parametrize("side", [14, 20, 28, 32])
def test_digits_have_the_size_that_is_asked_for_and_keep_the_rule(small: Path, side: int) -> None:
    found = data.load("mnist-cifar10", root=str(small), train=20, test=5, digit_size=side)
    assert isinstance(found.train, compose.Composed)
    original = data.load("mnist-cifar10", root=str(small), train=20, test=5)
    assert isinstance(original.train, compose.Composed)
    assert found.train.digits.shape[1:] == (side, side)
    np.testing.assert_array_equal(found.train.digit_index, original.train.digit_index)
    assert found.train.rows.max() < max(32 - side, 1)
    assert_follows_rule(found.train, range(20))


def test_a_digit_of_32_fills_the_picture_and_looks_like_itself(shared_data: Path) -> None:
    found = data.load("mnist-cifar10", root=str(shared_data), train=20, test=5, digit_size=32)
    half = data.load("mnist-cifar10", root=str(shared_data), train=20, test=5)
    assert isinstance(found.train, compose.Composed)
    assert not found.train.rows.any()
    assert not found.train.columns.any()
    shares = [np.mean([part.train[k][1].mean() for k in range(20)]) for part in (found, half)]
    assert shares[0] == pytest.approx(shares[1] * (32 / 14) ** 2, rel=0.15)


@pytest.mark.parametrize("side", [13, 33, True, "large"])
def test_a_digit_of_another_size_is_refused(small: Path, side: object) -> None:
    with pytest.raises(LavasegError, match="'digit_size' must be a"):
        data.load("mnist-cifar10", root=str(small), digit_size=side)


def test_a_seed_gives_the_same_pictures_on_every_machine(shared_data: Path) -> None:
    found = data.load("mnist-cifar10", root=str(shared_data), train=50, test=20)
    digest = hashlib.sha256()
    for part in PARTS:
        samples = getattr(found, part)
        for k in range(len(samples)):
            for array in samples[k]:
                digest.update(array.tobytes())
    assert digest.hexdigest() == "7a744462402d0ab2229e705225b5471d0b771c455fd51d54292a6eafbea92aab"


def test_mnist_cifar10_uses_every_source_and_every_offset_but_the_last(small: Path) -> None:
    found = data.load("mnist-cifar10", root=str(small), train=4000, test=4000, validation=4000)
    parts = [getattr(found, part) for part in PARTS]
    assert set().union(*(p.picture_index for p in parts)) == set(range(30))
    assert set().union(*(p.digit_index for p in parts)) == set(range(20))
    for part in parts:
        assert set(part.rows) == set(part.columns) == set(range(18))


def test_training_and_test_crops_come_from_regions_that_do_not_overlap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photo = np.zeros((427, 640, 3), np.uint8)
    photo[..., 0] = np.arange(640) // 4  # two columns at half resolution have the same number
    photos = SimpleNamespace(images=[photo, photo])
    monkeypatch.setattr("sklearn.datasets.load_sample_images", lambda: photos)
    found = data.load("digits-photos", train=1000, test=1000, validation=1000)
    columns = {}
    for part in PARTS:
        samples = getattr(found, part)
        shown = samples.pictures[samples.picture_index][..., 0]
        columns[part] = (shown.min(), shown.max())
    assert columns == {"test": (0, 59), "train": (60, 137), "validation": (138, 159)}


def test_no_crop_is_so_bright_that_a_digit_would_vanish() -> None:
    found = data.load("digits-photos", train=1, test=1)
    assert found.train.pictures.mean(axis=(1, 2, 3)).max() <= 170


def test_mask_is_the_bright_part_of_every_second_pixel_of_real_mnist(shared_data: Path) -> None:
    found = data.load("mnist-cifar10", root=str(shared_data), train=200, test=50)
    with gzip.open(shared_data / "MNIST" / "raw" / f"{DIGITS}.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(60_000, 28, 28)
    for samples in (found.train, found.test):
        assert_follows_rule(samples, range(50))
        for k in range(50):
            mask = images[samples.digit_index[k], ::2, ::2] / 255 > 0.3
            row, column = samples.rows[k], samples.columns[k]
            label = samples[k][1]
            np.testing.assert_array_equal(label[row : row + 14, column : column + 14], mask)
            assert label.sum() == mask.sum() > 0


def test_plain_and_gzipped_files_in_either_place_are_read_alike(small: Path) -> None:
    packed = small / "MNIST" / "raw" / f"{DIGITS}.gz"
    content = gzip.decompress(packed.read_bytes())
    expected = read_idx(packed, (28, 28))
    assert expected.shape == (20, 28, 28)
    assert expected.tobytes() == content[16:]
    packed.unlink()
    (small / DIGITS).write_bytes(content)
    np.testing.assert_array_equal(read_idx(small / DIGITS, (28, 28)), expected)
    assert len(data.load("mnist-cifar10", root=str(small), train=3, test=1).train) == 3


def test_files_are_found_through_the_environment_and_in_data(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAVASEG_DATA", str(small))
    assert len(data.load("mnist-cifar10", train=2, test=1).train) == 2
    monkeypatch.delenv("LAVASEG_DATA")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(LavasegError, match=r"MNIST and CIFAR-10 not found in data.*download=true"):
        data.load("mnist-cifar10")
    (tmp_path / "elsewhere" / "data").symlink_to(small)
    assert len(data.load("mnist-cifar10", train=2, test=1).train) == 2


def test_download_fetches_only_what_is_missing(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    fetched = []

    def fetch(root: Path, download: bool) -> None:
        assert download
        fetched.append(Path(root))
        np.savez(Path(root) / "cifar10.npz", x_train=np.zeros((4, 32, 32, 3), np.uint8))

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading\n no route")

    monkeypatch.setattr(datasets, "CIFAR10", fetch)
    monkeypatch.setattr(datasets, "MNIST", refuse)
    (small / "cifar10_small.npz").unlink()
    assert len(data.load("mnist-cifar10", root=str(small), download=True, train=2, test=1).train)
    assert fetched == [small]
    (small / "MNIST" / "raw" / f"{DIGITS}.gz").unlink()
    with pytest.raises(LavasegError, match=r"download into .* failed: Error downloading no route"):
        data.load("mnist-cifar10", root=str(small), download=True)


def test_pickled_batches_that_are_not_the_owners_are_never_opened(small: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return Path.touch, (small / "opened",)

    folder = small / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(LavasegError, match="MD5"):
        data.load("mnist-cifar10", root=str(small))
    assert not (small / "opened").exists()


def damage_gzip(folder: Path) -> None:
    path = folder / "MNIST" / "raw" / f"{DIGITS}.gz"
    path.write_bytes(path.read_bytes()[:-200])


def shorten_idx(folder: Path) -> None:
    (folder / "MNIST" / "raw" / f"{DIGITS}").write_bytes(idx(np.zeros((9, 28, 28), np.uint8))[:-1])


def foreign_idx(folder: Path) -> None:
    (folder / "MNIST" / "raw" / DIGITS).write_bytes(b"PK and so on, sixteen bytes and more")


def damage_npz(folder: Path) -> None:
    path = folder / "cifar10_small.npz"
    path.write_bytes(path.read_bytes()[:-500])


def objects_npz(folder: Path) -> None:
    np.savez(folder / "cifar10_small.npz", x_train=np.array([{}, {}], object))


def floats_npz(folder: Path) -> None:
    np.savez(folder / "cifar10_small.npz", x_train=np.zeros((4, 32, 32, 3)))


def nameless_npz(folder: Path) -> None:
    np.savez(folder / "cifar10_small.npz", np.zeros(3))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_gzip, "cannot be read"),
        (shorten_idx, "truncated: it promises 9 images and holds 8"),
        (foreign_idx, "no MNIST image file"),
        (damage_npz, "cannot be read"),
        (objects_npz, "x_train must be uint8"),
        (floats_npz, "x_train must be uint8"),
        (nameless_npz, "no array x_train"),
    ],
)
def test_a_damaged_file_is_named(small: Path, damage: Callable[[Path], None], words: str) -> None:
    damage(small)
    with pytest.raises(LavasegError, match=words) as caught:
        data.load("mnist-cifar10", root=str(small))
    assert DIGITS in str(caught.value) or "cifar10_small.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("mnist", {}, "no data set 'mnist': did you mean 'nmnist' or 'mnist-cifar10'"),
        ("digits-photos", {"trian": 3}, "no option 'trian': did you mean 'train'"),
        ("digits-photos", {"train": 0}, "'train' must be a whole number of at least 1, got 0"),
        ("digits-photos", {"test": "many"}, "'test' must be a whole number"),
        ("digits-photos", {"seed": -1}, "'seed' must be a whole number of at least 0"),
        ("digits-photos", {"seed": 2**64}, "'seed' must be below"),
        ("mnist-cifar10", {"train": True}, "'train' must be a whole number"),
        ("folder", {}, "data set 'folder' needs the option 'root'"),
    ],
)
def test_a_wrong_name_or_option_is_named(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(LavasegError, match=words):
        data.load(name, **options)
