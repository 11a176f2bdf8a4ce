"""A folder of one's own pictures, single pictures and label maps, and holding samples out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lavaseg import data
from lavaseg.data.pictures import palette, read_label_map, read_picture, write_label_map
from lavaseg.data.split import hold_out
from lavaseg.errors import LavasegError


def pair(folder: Path, stem: str, seed: int, size: tuple[int, int] = (6, 8)) -> None:
    """Writes a random picture and a label map of classes 0 .. 2 and 255."""
    rng = np.random.default_rng(seed)
    for name in ("pictures", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    picture = rng.integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(picture).save(folder / "pictures" / f"{stem}.png")
    write_label_map(rng.choice([0, 1, 2, 255], size).astype(np.uint8), label_file(folder, stem))


def label_file(folder: Path, stem: str) -> Path:
    return folder / "labels" / f"{stem}.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    for number in range(5):
        pair(root, f"p{number}", number)
    return root


def load(folder: Path, **options: object) -> data.DataSet:
    return data.load("folder", **{"root": str(folder), "classes": 3, "ignore": 255, **options})


def read_all(folder: Path, **options: object) -> None:
    found = load(folder, **options)
    for part in (found.train, found.test):
        for k in range(len(part)):
            part[k]


@pytest.mark.parametrize("cache", [1, 0])
def test_pictures_and_labels_arrive_as_they_are_in_the_files(folder: Path, cache: float) -> None:
    found = load(folder, cache=cache, classes=["sky", "road", "car"])
    assert found.classes == ("sky", "road", "car")
    assert found.ignore_index == 255
    assert (len(found.train), len(found.test)) == (4, 1)
    seen = [found.train[k] for k in range(4)] + [found.test[0]]
    expected = [
        np.asarray(Image.open(folder / "pictures" / f"p{k}.png")).transpose(2, 0, 1)
        for k in range(5)
    ]
    labels = [np.asarray(Image.open(label_file(folder, f"p{k}"))) for k in range(5)]
    for picture, label in seen:
        number = [np.array_equal(picture, e) for e in expected].index(True)
        np.testing.assert_array_equal(label, labels[number])


def test_official_parts_are_kept_apart(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "train", "test", "validation")):
        pair(tmp_path / part, f"p{number}", number)
    found = load(tmp_path)
    assert (len(found.train), len(found.test)) == (2, 1)
    assert found.validation is not None
    assert len(found.validation) == 1
    (tmp_path / "test").rename(tmp_path / "tset")
    with pytest.raises(LavasegError, match="tset holds samples and is no part"):
        load(tmp_path)


def test_everything_is_resized_and_no_new_label_arises(folder: Path) -> None:
    pair(folder, "big", 9, (13, 21))
    found = load(folder, size=[5, 4])
    for part in (found.train, found.test):
        for k in range(len(part)):
            picture, label = part[k]
            assert picture.shape == (3, 5, 4)
            assert label.shape == (5, 4)
            assert set(np.unique(label)) <= {0, 1, 2, 255}
    assert load(folder, size=7).picture_shape == (3, 7, 7)


def cut(folder: Path) -> None:
    path = folder / "pictures" / "p3.png"
    path.write_bytes(path.read_bytes()[:100])


def cut_label(folder: Path) -> None:
    path = label_file(folder, "p3")
    path.write_bytes(path.read_bytes()[:-40])


def no_picture(folder: Path) -> None:
    (folder / "pictures" / "p3.png").write_text("hello")


def other_label_size(folder: Path) -> None:
    write_label_map(np.zeros((6, 7), np.uint8), label_file(folder, "p3"))


def other_size(folder: Path) -> None:
    pair(folder, "p3", 3, (7, 8))


def strange_label(folder: Path) -> None:
    write_label_map(np.full((6, 8), 3, np.uint8), label_file(folder, "p3"))


def coloured_label(folder: Path) -> None:
    Image.new("RGB", (8, 6), (9, 0, 0)).save(label_file(folder, "p3"))


def lost_label(folder: Path) -> None:
    label_file(folder, "p3").unlink()


def lost_picture(folder: Path) -> None:
    (folder / "pictures" / "p3.png").unlink()


def twins(folder: Path) -> None:
    Image.new("RGB", (8, 6)).save(folder / "pictures" / "p3.jpg")


def no_labels(folder: Path) -> None:
    (folder / "labels").rename(folder / "lables")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "p3.png is truncated or damaged"),
        (cut_label, "p3.png is truncated or damaged"),
        (no_picture, "p3.png is no picture"),
        (other_label_size, "p3.png is 6 x 8 and its label map .*p3.png is 6 x 7"),
        (other_size, "p3.png is 7 x 8, the first picture 6 x 8 .*'size'"),
        (strange_label, "p3.png has the label 3: expected 0 to 2, or 255"),
        (coloured_label, r"p3.png holds colours, \(9, 0, 0\): .*'classes'"),
        (lost_label, "p3.png has no label map"),
        (lost_picture, "p3.png has no picture"),
        (twins, "same stem"),
        (no_labels, "there is no folder .*labels"),
    ],
)
def test_a_wrong_file_is_named_when_it_is_read(
    folder: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(folder)
    with pytest.raises(LavasegError, match=words):
        read_all(folder)


def test_all_files_without_a_partner_are_named_at_once(folder: Path) -> None:
    label_file(folder, "p1").unlink()
    (folder / "pictures" / "p3.png").unlink()
    with pytest.raises(LavasegError, match=r"p1.png has no label map.*; .*p3.png has no picture"):
        load(folder)


def test_the_ignore_index_is_a_label_only_where_it_is_declared(folder: Path) -> None:
    with pytest.raises(LavasegError, match="has the label 255: expected 0 to 2"):
        read_all(folder, ignore=None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 1}, "'classes'"),
        ({"classes": "road"}, "'classes'"),
        ({"classes": ["road", "road"]}, "'classes'"),
        ({"ignore": 300}, "'ignore'"),
        ({"size": [4]}, "'size'"),
        ({"size": 0}, "'size'"),
        ({"size": "big"}, "'size'"),
        ({"test": 1.5}, "fraction"),
        ({"seed": -1}, "'seed'"),
        ({"root": "/nowhere/at/all"}, "there is no folder"),
    ],
)
def test_a_wrong_option_is_named(folder: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(LavasegError, match=words):
        load(folder, **options)


def test_a_picture_is_brought_to_the_shape_that_a_network_takes(tmp_path: Path) -> None:
    red = np.zeros((10, 20, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(tmp_path / "red.png")
    assert read_picture(tmp_path / "red.png").shape == (3, 10, 20)
    small = read_picture(tmp_path / "red.png", (3, 5, 6))
    assert small.shape == (3, 5, 6)
    assert (small[0] == 200).all()
    assert not small[1:].any()
    grey = read_picture(tmp_path / "red.png", (1, 10, 20))
    assert grey.shape == (1, 10, 20)
    assert (grey == round(0.299 * 200)).all()
    Image.fromarray(red).convert("P").save(tmp_path / "indexed.png")
    assert read_picture(tmp_path / "indexed.png").shape == (3, 10, 20)


def test_an_array_file_is_taken_as_it_is(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (6, 4, 5), np.uint8)
    np.save(tmp_path / "events.npy", array)
    np.testing.assert_array_equal(read_picture(tmp_path / "events.npy", (6, 4, 5)), array)
    np.testing.assert_array_equal(read_picture(tmp_path / "events.npy"), array)


@pytest.mark.parametrize(
    ("name", "content", "shape", "words"),
    [
        ("gone.png", None, None, "there is no picture"),
        ("text.jpg", b"no image", None, "no picture that can be read"),
        ("empty.png", b"", None, "no picture that can be read"),
        ("text.npy", b"no array", None, "no .npy file"),
        ("empty.npy", b"", None, "no .npy file"),
        ("object.npy", np.array([{}], object), None, "no .npy file"),
        ("float.npy", np.zeros((3, 4, 5)), None, "uint8"),
        ("flat.npy", np.zeros((4, 5), np.uint8), None, "channels, height, width"),
        ("other.npy", np.zeros((3, 4, 5), np.uint8), (3, 5, 5), r"\(3, 5, 5\)"),
        ("two.png", np.zeros((4, 5), np.uint8), (2, 4, 5), "takes 2 channels"),
        ("deep.tif", np.zeros((4, 5), np.int32), None, "8 or 16 bits a channel"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(
    tmp_path: Path,
    name: str,
    content: bytes | np.ndarray | None,
    shape: tuple[int, int, int] | None,
    words: str,
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None and path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    elif content is not None:
        Image.fromarray(content).save(path)
    with pytest.raises(LavasegError, match=words) as caught:
        read_picture(path, shape)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_map_is_read_back_equal_and_shown_in_its_colours(tmp_path: Path) -> None:
    label = np.array([[0, 1, 2], [20, 255, 0]], np.uint8)
    write_label_map(label, tmp_path / "out.png", palette(21))
    np.testing.assert_array_equal(read_label_map(tmp_path / "out.png"), label)
    colours = np.asarray(Image.open(tmp_path / "out.png").convert("RGB"))
    np.testing.assert_array_equal(colours[1, 0], palette(21)[20])
    assert (colours[0, 0] == 0).all()
    assert (colours[1, 1] == 224).all()
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("name", ["out.jpg", "nowhere/out.png"])
def test_a_label_map_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(LavasegError, match=r"out\.(jpg|png)"):
        write_label_map(np.zeros((2, 2), np.uint8), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_every_class_has_a_colour_of_its_own() -> None:
    colours = palette(255)
    assert colours.shape == (255, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == 255


def test_holding_out_splits_all_samples_by_seed_alone() -> None:
    samples = [(np.full((1, 1, 1), k, np.uint8), np.zeros((1, 1), np.uint8)) for k in range(40)]

    def numbers(part: data.Samples) -> list[int]:
        return [int(part[k][0][0, 0, 0]) for k in range(len(part))]

    rest, held = hold_out(samples, 0.25, seed=3)
    assert len(held) == 10
    assert sorted(numbers(rest) + numbers(held)) == list(range(40))
    assert numbers(held) == numbers(hold_out(samples, 0.25, seed=3)[1])
    assert numbers(held) != numbers(hold_out(samples, 0.25, seed=4)[1])
    assert numbers(held) != list(range(10))
    assert [len(p) for p in hold_out(samples[:2], 0.01, seed=0)] == [1, 1]


@pytest.mark.parametrize(("count", "fraction"), [(10, 0.0), (10, 1.0), (1, 0.5), (0, 0.5)])
def test_holding_out_nothing_or_all_is_refused(count: int, fraction: float) -> None:
    samples = [(np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1), np.uint8))] * count
    with pytest.raises(LavasegError, match="hold"):
        hold_out(samples, fraction, seed=0)
