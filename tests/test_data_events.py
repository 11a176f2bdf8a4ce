"""Data sets of events: real N-MNIST, and DDD17 and DSEC in files that are written here.

Recordings of DDD17 and DSEC are not at hand: these tests write a few in the official layouts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from PIL import Image

from lavaseg import data, recipes
from lavaseg.data import ddd17, dsec, nmnist
from lavaseg.data.pictures import write_label_map
from lavaseg.errors import LavasegError
from lavaseg.events import Events


def counts(events: Events) -> np.ndarray:
    """Events at each pixel."""
    found = np.zeros(events.sensor)
    np.add.at(found, (events.y, events.x), 1)
    return found


# N-MNIST


@pytest.fixture(scope="module")
def real(shared_data: Path) -> data.DataSet:
    return data.load("nmnist", root=str(shared_data))


def test_nmnist_pairs_every_real_recording_with_its_digit(real: data.DataSet) -> None:
    """Loading compares the class of each recording with that of the MNIST digit."""
    assert (len(real.train), len(real.test)) == (1_000, 100)
    assert real.picture_shape == (2, 34, 34)
    assert real.classes == ("background", "digit")
    for samples in (real.train, real.test):
        events, label = samples[7]
        assert isinstance(events, Events)
        assert (label.shape, label.dtype, set(np.unique(label))) == ((34, 34), np.uint8, {0, 1})


def standardised(sheets: np.ndarray) -> np.ndarray:
    """Sheets (N, H, W) as rows of mean 0 and length 1: their products are correlations."""
    rows = sheets.reshape(len(sheets), -1) - sheets.mean((1, 2))[:, None]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def edges(digits: np.ndarray, row: int, column: int) -> np.ndarray:
    """Gradient of digits (N, 28, 28) that stand at a place of the sensor."""
    around = ((0, 0), (row, 6 - row), (column, 6 - column))
    down, across = np.gradient(np.pad(digits.astype(float), around), axis=(1, 2))
    return np.hypot(down, across)


@pytest.mark.parametrize("part", ["train", "test"])
def test_digit_stands_where_its_edges_correlate_best_with_the_events(
    real: data.DataSet, part: str
) -> None:
    samples = getattr(real, part)
    seen = standardised(np.stack([counts(samples[k][0]) for k in range(100)]))
    digits = samples.images[:100]
    found = {
        place: float((seen * standardised(edges(digits, *place))).sum(1).mean())
        for place in np.ndindex(7, 7)
    }
    best = max(found, key=lambda place: found[place])
    assert best == (3, 3)
    assert np.abs(np.subtract(best, nmnist.PLACE[part])).max() < 1
    assert found[best] > 0.7


SACCADES = (
    *((2, 1), (3, 1), (5, 1), (6, 2)),
    *((6, 3), (5, 4), (3, 5), (2, 5)),
    *((2, 4), (2, 3), (2, 1)),
)
"""Where the digit stands one after the other, by the best correlation in pieces of 15 ms."""


@pytest.mark.parametrize("part", ["train", "test"])
def test_edges_along_the_saccades_tell_which_digit_was_recorded(
    real: data.DataSet, part: str
) -> None:
    samples = getattr(real, part)
    seen = standardised(np.stack([counts(samples[k][0]) for k in range(100)]))
    swept = sum(standardised(edges(samples.images[:100], *place)) for place in SACCADES)
    each = seen @ standardised(np.reshape(swept, (100, 34, 34))).T  # recording, digit
    assert np.diag(each).mean() > 0.9
    assert (each.argmax(1) == np.arange(100)).mean() > 0.85, "of 100 digits, its own fits best"
    assert np.rint(np.mean(SACCADES, 0)).tolist() == [3, 3]


def shift_along_saccades(samples: Any, numbers: range) -> np.ndarray:
    """Rows and columns by which the swept edges, moved in Fourier space, fit the events best."""
    seen = standardised(np.stack([counts(samples[k][0]) for k in numbers]))
    digits = samples.images[list(numbers)]
    swept = standardised(
        np.reshape(sum(standardised(edges(digits, *p)) for p in SACCADES), (len(digits), 34, 34))
    )
    spectra = (np.fft.fft2(rows.reshape(-1, 34, 34)) for rows in (seen, swept))
    cross = next(spectra)
    cross = (cross * np.conj(next(spectra))).sum(0)
    shifts = np.arange(-30, 31) / 20
    turn = np.exp(2j * np.pi * np.outer(shifts, np.fft.fftfreq(34)))
    row, column = np.unravel_index((turn @ cross @ turn.T).real.argmax(), (61, 61))
    return np.array([shifts[row], shifts[column]])


def test_camera_stood_differently_when_the_test_part_was_recorded(
    real: data.DataSet,
) -> None:
    train = [shift_along_saccades(real.train, range(k, k + 50)) for k in (0, 450, 900)]
    test = [shift_along_saccades(real.test, range(k, k + 50)) for k in (0, 50)]
    assert np.ptp(train, axis=0).max() < 0.15, "the training part is of one piece"
    assert np.ptp(test, axis=0).max() < 0.2
    measured = np.mean(test, 0) - np.mean(train, 0)
    declared = np.subtract(nmnist.PLACE["test"], nmnist.PLACE["train"])
    assert np.abs(measured - declared).max() < 0.1


def test_label_between_pixels_is_the_mask_of_the_interpolated_digit() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[4, 6] = 255
    assert np.argwhere(nmnist.label_map(image, (3.0, 3.0))).tolist() == [[7, 9]]
    # 0.75 and 0.25 of the light on two rows: only the first is above 0.3
    assert np.argwhere(nmnist.label_map(image, (2.75, 3.0), 7)).tolist() == [[7, 9]]
    assert np.argwhere(nmnist.label_map(image, (2.5, 3.0), 7)).tolist() == [[6, 9], [7, 9]]
    assert nmnist.label_map(image, (2.5, 3.0), 7).max() == 7


def test_most_events_are_beside_the_mask(real: data.DataSet) -> None:
    """Within one pixel of the mask, which is a fifth of the sensor; the digit moves by up to 3."""
    from scipy.ndimage import binary_dilation

    inside = total = area = 0.0
    for k in range(100):
        events, label = real.train[k]
        near = binary_dilation(label > 0, np.ones((3, 3)))
        count = counts(events)
        inside, total, area = inside + count[near].sum(), total + count.sum(), area + near.mean()
    assert inside / total > 0.7
    assert area / 100 < 0.2


def test_nmnist_can_tell_the_digits_apart(shared_data: Path) -> None:
    found = data.load("nmnist", root=str(shared_data), train=3, test=2, digits=True)
    assert (len(found.train), len(found.test), len(found.classes)) == (3, 2, 11)
    assert set(np.unique(found.train[0][1])) == {0, 6}, "the first training digit is a 5"
    assert found.classes[6] == "digit 5"


@pytest.fixture
def official(shared_data: Path, tmp_path: Path) -> Path:
    """A few real recordings in the official layout."""
    small = shared_data / "events" / "nmnist"
    for part, folder, numbers in (("train", "Train", (1, 2, 3)), ("test", "Test", (60001, 60002))):
        listing = (small / ("train1K.txt" if part == "train" else "test100.txt")).read_text()
        classes = dict(line.split() for line in listing.splitlines()[1:])
        for number in numbers:
            target = tmp_path / "N-MNIST" / folder / classes[str(number)]
            for digit in range(10):
                (target.parent / str(digit)).mkdir(parents=True, exist_ok=True)
            name = f"{number % 60000:05d}.bin"
            shutil.copyfile(small / part / f"{number}.bs2", target / name)
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "MNIST" / "raw").symlink_to(shared_data / "MNIST" / "raw")
    return tmp_path


def test_official_layout_gives_the_same_samples(official: Path, real: data.DataSet) -> None:
    found = data.load("nmnist", root=str(official))
    assert (len(found.train), len(found.test)) == (3, 2)
    for part in ("train", "test"):
        for k in range(2):
            (events, label), (expected, mask) = getattr(found, part)[k], getattr(real, part)[k]
            np.testing.assert_array_equal(events.t, expected.t)
            np.testing.assert_array_equal(label, mask)


def test_wrong_nmnist_is_named(official: Path) -> None:
    train = official / "N-MNIST" / "Train"
    (train / "5" / "00001.bin").rename(train / "4" / "00001.bin")
    with pytest.raises(LavasegError, match=r"00001\.bin shows a 4, MNIST's train digit 0 is a 5"):
        data.load("nmnist", root=str(official))
    (train / "4" / "00001.bin").rename(train / "5" / "99999.bin")
    with pytest.raises(LavasegError, match=r"99999\.bin would show digit 99998 of MNIST"):
        data.load("nmnist", root=str(official))
    with pytest.raises(LavasegError, match="N-MNIST not found"):
        data.load("nmnist", root=str(official / "MNIST"))
    with pytest.raises(LavasegError, match="'train' must be a positive number, got 0"):
        data.load("nmnist", root=str(official), train=0)


# DDD17 as Ev-SegNet exports it


def frame(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    array = rng.uniform(-1, 1, (200, 346, 6))
    array[..., :2][rng.random((200, 346, 2)) < 0.8] = -1  # mostly no events
    return array


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Frames 100 to 103 and one other of the test part, 870 to 872 and 0 of the training part."""
    names = {
        "test": [("rec1487417411", n) for n in (99, 100, 101, 102, 103, 1_500)],
        "train": [("rec1487593224", n) for n in (870, 871, 872)] + [("rec1487339175", 0)],
    }
    for part, items in names.items():
        for kind in ("events", "labels"):
            (tmp_path / "DDD17" / kind / part).mkdir(parents=True)
        for recording, n in items:
            name = f"{recording}_export_{n}"
            np.save(tmp_path / "DDD17" / "events" / part / f"{name}.npy", frame(n))
            label = np.random.default_rng(n).choice([0, 1, 2, 3, 4, 5, 255], (200, 346))
            Image.fromarray(label.astype(np.uint8)).save(
                tmp_path / "DDD17" / "labels" / part / f"{name}.png"
            )
    return tmp_path


def test_official_frames_of_ddd17_are_as_many_as_published() -> None:
    sizes = [
        sum(stop - first for spans in part.values() for first, stop in spans)
        for part in (ddd17.TRAIN, ddd17.TEST)
    ]
    assert sizes == [15_950, 3_890]


def test_ddd17_gives_the_official_frames_and_their_levels(exported: Path) -> None:
    found = data.load("ddd17", root=str(exported), complete=False)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [1, 3, 4]  # type: ignore[arg-type]
    picture, label = found.test[0]
    assert isinstance(picture, np.ndarray)
    assert (picture.shape, picture.dtype, label.shape) == ((2, 200, 346), np.uint8, (200, 346))
    expected = (frame(100)[..., :2] + 1) / 2 * 255
    assert np.abs(picture - np.moveaxis(expected, -1, 0)).max() <= 0.5
    assert (picture == 0).mean() > 0.7, "no event is level 0"
    assert found.ignore_index == 255


def test_frames_before_an_official_range_are_empty(exported: Path) -> None:
    found = data.load("ddd17", root=str(exported), complete=False, frames=3)
    single = data.load("ddd17", root=str(exported), complete=False)
    stack = found.test[1][0]
    assert isinstance(stack, np.ndarray)
    assert stack.shape == (6, 200, 346)
    assert not stack[:2].any(), "frame 99 exists, and lies before the range"
    np.testing.assert_array_equal(stack[2:4], single.test[0][0])
    np.testing.assert_array_equal(stack[4:], single.test[1][0])


def test_per_column_scaling_is_off_unless_asked_for(exported: Path) -> None:
    found = data.load("ddd17", root=str(exported), complete=False, per_column=True)
    picture = found.test[0][0]
    values = np.moveaxis(frame(100)[..., :2], -1, 0)
    low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
    assert np.abs(picture - 255 * (values - low) / (high - low)).max() <= 0.5


def test_ddd17_is_resized_if_asked_for(exported: Path) -> None:
    picture, label = data.load("ddd17", root=str(exported), complete=False, size=64).test[0]
    assert (picture.shape, label.shape) == ((2, 64, 64), (64, 64))
    assert set(np.unique(label)) <= {0, 1, 2, 3, 4, 5, 255}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "holds 1 of the 14630 official frames .* complete=false"),
        ({"complete": False, "frames": 0}, "'frames' must be 1 to 100"),
        ({"complete": False, "size": [1, 2, 3]}, "'size' must be"),
        ({"complete": False, "validation": "rec1"}, "'validation' must be one of rec1487339175"),
        ({"root": "nowhere"}, "DDD17 not found in nowhere"),
    ],
)
def test_wrong_option_of_ddd17_is_named(
    exported: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(LavasegError, match=message):
        data.load("ddd17", **{"root": str(exported), **options})


class Trap:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((200, 346, 2)), "must hold floats"),
        (np.zeros((200, 346, 6), int), "must hold floats"),
        (np.full((200, 346, 6), 1.5), "outside of -1 to 1"),
        (np.full((200, 346, 6), np.nan), "outside of -1 to 1"),
        (np.array([Trap()], object), "no .npy file"),
        (b"\x93NUMPY", "no .npy file"),
    ],
)
def test_wrong_frame_of_ddd17_is_named(tmp_path: Path, array: Any, message: str) -> None:
    path = tmp_path / "a.npy"
    if isinstance(array, bytes):
        path.write_bytes(array)
    else:
        np.save(path, array, allow_pickle=True)
    with pytest.raises(LavasegError, match=rf"a\.npy .*{message}"):
        ddd17.read_histograms(path)


# DDD17 as ESS cuts it


@pytest.fixture
def sliced(tmp_path: Path) -> Path:
    """Seven recordings of 1,000 events, one each millisecond, with labels at 0.5 s and 0.9 s."""
    for k in range(7):
        folder = tmp_path / "ddd17_seg" / f"dir{k}"
        (folder / "index").mkdir(parents=True)
        (folder / "segmentation_masks").mkdir()
        rng = np.random.default_rng(k)
        t = np.arange(1_000, dtype="<i8") * 1_000_000
        xyp = np.stack(
            [rng.integers(0, 346, 1_000), rng.integers(0, 260, 1_000), rng.integers(0, 2, 1_000)], 1
        )
        t.tofile(folder / "events.dat.t")
        xyp.astype("<i2").tofile(folder / "events.dat.xyp")
        moments = np.array([100, 500, 700, 900])
        for window in (10, 50, 250):
            rows = np.stack([moments * 1_000_000, moments, moments - window], 1)
            np.save(folder / "index" / f"index_{window}ms.npy", rows)
        for number in (2, 4):
            label = np.random.default_rng(number).choice([0, 3, 5, 255], (200, 346))
            path = folder / "segmentation_masks" / f"segmentation_{number:08d}.png"
            Image.fromarray(label.astype(np.uint8)).save(path)
    return tmp_path


def test_ess_parts_are_those_of_its_folders(sliced: Path) -> None:
    found = data.load("ddd17-events", root=str(sliced))
    assert found.validation is not None
    assert [len(part) for part in (found.train, found.validation, found.test)] == [10, 2, 2]
    assert found.test.items[0][0].name == "dir4"  # type: ignore[attr-defined]
    assert found.picture_shape == (2, 200, 352)


@pytest.mark.parametrize("window", [0, 10, 250])
@pytest.mark.parametrize("width", [346, 352])
def test_ess_sample_has_the_events_before_its_label(sliced: Path, window: int, width: int) -> None:
    found = data.load("ddd17-events", root=str(sliced), events=120, window=window, width=width)
    events, label = found.test[1]
    assert isinstance(events, Events)
    first = 900 - (window or 120)
    folder = sliced / "ddd17_seg" / "dir4"
    xyp = np.fromfile(folder / "events.dat.xyp", "<i2").reshape(-1, 3)[first:900]
    kept = xyp[xyp[:, 1] < 200]
    np.testing.assert_array_equal(events.t, 1_000 * np.arange(first, 900)[xyp[:, 1] < 200])
    np.testing.assert_array_equal(events.y, kept[:, 1])
    np.testing.assert_array_equal(events.polarity, kept[:, 2] == 1)
    np.testing.assert_array_equal(events.x, np.floor((kept[:, 0] + 0.5) * width / 346))
    assert events.span == (first * 1_000, 900_000)
    assert label.shape == events.sensor == (200, width)
    np.testing.assert_array_equal(np.unique(label), [0, 3, 5, 255])


def test_ess_keeps_the_whole_sensor_if_asked_for_and_ignores_its_lower_rows(sliced: Path) -> None:
    cut = data.load("ddd17-events", root=str(sliced), events=120)
    whole = data.load("ddd17-events", root=str(sliced), events=120, height=260)
    (events, label), (fewer, above) = whole.test[1], cut.test[1]
    assert isinstance(events, Events)
    assert isinstance(fewer, Events)
    assert label.shape == events.sensor == (260, 352)
    assert len(events) == 120 > len(fewer) == (events.y < 200).sum()
    np.testing.assert_array_equal(label[:200], above)
    assert (label[200:] == whole.ignore_index).all()
    encoder = recipes.load("mfs-efs-260x352-ddd17").encoder_object
    assert encoder.shape(whole.picture_shape) == (2, 260, 352)
    with pytest.raises(LavasegError, match="'height' must be 200 or 260, got 240"):
        data.load("ddd17-events", root=str(sliced), height=240)


def test_wrong_ess_file_is_named(sliced: Path) -> None:
    folder = sliced / "ddd17_seg" / "dir4"
    found = data.load("ddd17-events", root=str(sliced), events=50)
    content = (folder / "events.dat.xyp").read_bytes()
    (folder / "events.dat.xyp").write_bytes(content[:-1])
    with pytest.raises(LavasegError, match=r"events\.dat\.xyp is truncated"):
        found.test[0]
    (folder / "events.dat.xyp").write_bytes(content[:-6])
    with pytest.raises(LavasegError, match=r"events\.dat\.t has 1000 events, .*xyp 999"):
        found.test[0]
    (folder / "events.dat.xyp").write_bytes(content)
    times = np.arange(1_000)[::-1].astype("<i8") * 1_000_000
    times.tofile(folder / "events.dat.t")
    with pytest.raises(LavasegError, match=r"xyp: time runs backwards"):
        found.test[0]
    np.save(folder / "index" / "index_50ms.npy", np.array([[Trap()] * 3]), allow_pickle=True)
    with pytest.raises(LavasegError, match=r"index_50ms\.npy cannot be read"):
        data.load("ddd17-events", root=str(sliced))
    np.save(folder / "index" / "index_50ms.npy", np.zeros((1, 3)))
    with pytest.raises(LavasegError, match=r"segmentation_00000002\.png has no row"):
        data.load("ddd17-events", root=str(sliced))
    shutil.rmtree(folder)
    with pytest.raises(LavasegError, match="holds 6 folders"):
        data.load("ddd17-events", root=str(sliced))


# DSEC

OFFSET = 50_000_000_000


def write_dsec(folder: Path, seed: int, labels: int) -> None:
    """A sequence of 20,000 events in 0.5 s, with a label every 50 ms, Blosc as in the original."""
    rng = np.random.default_rng(seed)
    left = folder / "events" / "left"
    left.mkdir(parents=True)
    t = np.sort(rng.integers(0, 500_000, 20_000))
    blosc = hdf5plugin.Blosc(cname="zstd", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE)
    with h5py.File(left / "events.h5", "w") as file:
        for name, values, kind in (
            ("t", t, "u4"),
            ("x", rng.integers(0, 640, len(t)), "u2"),
            ("y", rng.integers(0, 480, len(t)), "u2"),
            ("p", rng.integers(0, 2, len(t)), "u1"),
        ):
            file.create_dataset(f"events/{name}", data=values.astype(kind), chunks=True, **blosc)
        index = np.searchsorted(t, 1_000 * np.arange(501)).astype("u8")
        file.create_dataset("ms_to_idx", data=index)
        file.create_dataset("t_offset", data=OFFSET)
    rows, columns = np.mgrid[:480, :640].astype("f4")
    with h5py.File(left / "rectify_map.h5", "w") as file:
        file["rectify_map"] = np.stack([columns + 2.4, rows - 1.6], -1)
    masks = folder / "semantic" / "left" / "11classes" / "data"
    masks.mkdir(parents=True)
    for k in range(labels):
        label = np.full((440, 640), k % 11, np.uint8)
        label[0, 0] = 255
        Image.fromarray(label).save(masks / f"{k:06d}.png")
    stamps = "".join(f"{OFFSET + 50_000 * k + 123}\n" for k in range(labels))
    (folder / "semantic" / "left" / "timestamps.txt").write_text(stamps)


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dsec")
    for part, names in (("train", dsec.TRAIN), ("test", dsec.TEST)):
        for seed, name in enumerate(names):
            write_dsec(root / "DSEC_Semantic" / part / name, seed, 10 if part == "test" else 7)
    return root


def raw_events(root: Path, name: str) -> tuple[np.ndarray, ...]:
    with h5py.File(root / "DSEC_Semantic" / "test" / name / "events" / "left" / "events.h5") as f:
        return tuple(f[f"events/{field}"][()].astype(int) for field in "txyp")


def test_dsec_leaves_out_six_labels_and_then_every_other_one(driven: Path) -> None:
    found = data.load("dsec", root=str(driven))
    assert found.validation is not None
    assert [len(part) for part in (found.train, found.validation, found.test)] == [7, 1, 6]
    assert found.picture_shape == (2, 440, 640)
    labels = [found.test[k][1] for k in range(2)]
    assert [label[1, 1] for label in labels] == [6, 8]
    assert labels[0][0, 0] == found.ignore_index == 255
    assert len(found.classes) == 11
    assert len(data.load("dsec", root=str(driven), validation=None).train) == 8


@pytest.mark.parametrize(("options", "size"), [({"events": 700}, 700), ({"window": 30_000}, None)])
def test_dsec_sample_has_the_events_before_its_label(
    driven: Path, options: dict[str, int], size: int | None
) -> None:
    found = data.load("dsec", root=str(driven), rectify=False, **options)
    events, _ = found.test[1]
    assert isinstance(events, Events)
    t, x, y, p = raw_events(driven, "zurich_city_13_a")
    moment = 50_000 * 8 + 123
    stop = np.searchsorted(t, moment)
    first = stop - size if size else np.searchsorted(t, moment - 30_000)
    kept = np.arange(first, stop)[y[first:stop] < 440]
    np.testing.assert_array_equal(events.t, t[kept] + OFFSET)
    np.testing.assert_array_equal(events.x, x[kept])
    np.testing.assert_array_equal(events.polarity, p[kept] == 1)
    assert events.span[1] == OFFSET + moment


def test_dsec_events_go_where_the_rectified_camera_has_them(driven: Path) -> None:
    plain, _ = data.load("dsec", root=str(driven), rectify=False, events=700).test[0]
    moved, _ = data.load("dsec", root=str(driven), events=700).test[0]
    assert isinstance(plain, Events)
    assert isinstance(moved, Events)
    inner = moved.y < 438  # what the lower 40 rows give is only in `moved`
    stays = (plain.x + 2 < 640) & (plain.y - 2 >= 0)
    np.testing.assert_array_equal(moved.x[inner], plain.x[stays] + 2)
    np.testing.assert_array_equal(moved.y[inner], plain.y[stays] - 2)


def test_wrong_dsec_file_is_named(driven: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(driven, root)
    folder = root / "DSEC_Semantic" / "test" / "zurich_city_13_a"
    found = data.load("dsec", root=str(root), events=100)
    file = folder / "events" / "left" / "events.h5"
    content = bytearray(file.read_bytes())
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(LavasegError, match=r"events\.h5 is no events.h5 of DSEC, or damaged"):
        found.test[0]
    file.write_bytes(b"")
    with pytest.raises(LavasegError, match=r"events\.h5 is no events.h5 of DSEC, or damaged"):
        found.test[0]
    with h5py.File(file, "w") as other:
        other["t_offset"] = 0
    with pytest.raises(LavasegError, match=r"events\.h5 .*damaged: .*ms_to_idx"):
        found.test[0]
    with h5py.File(file, "w") as other:
        other["t_offset"] = OFFSET
        other["ms_to_idx"] = np.zeros(1, int)
        for name, values in (("t", [5, 3]), ("x", [1, 1]), ("y", [1, 1]), ("p", [1, 0])):
            other[f"events/{name}"] = np.array(values)
    with pytest.raises(LavasegError, match=r"events\.h5: time runs backwards"):
        found.test[0]
    with h5py.File(file, "a") as other:
        del other["events/t"], other["events/x"]
        other["events/t"], other["events/x"] = np.array([3, 5]), np.array([1, 640])
    with pytest.raises(LavasegError, match=r"events\.h5: event 1 has x = 640 on a sensor of 480"):
        found.test[0]
    file.write_bytes(content)
    with h5py.File(folder / "events" / "left" / "rectify_map.h5", "w") as other:
        other["rectify_map"] = np.zeros((4, 4, 2))
    with pytest.raises(LavasegError, match=r"rectify_map is float64 \(4, 4, 2\), expected"):
        found.test[0]
    (folder / "semantic" / "left" / "timestamps.txt").write_text("1\n2\n")
    with pytest.raises(LavasegError, match="has 2 times for 10 label maps"):
        data.load("dsec", root=str(root))
    with pytest.raises(LavasegError, match="'validation' must be one of"):
        data.load("dsec", root=str(root), validation="zurich_city_13_a")
    with pytest.raises(LavasegError, match="'events' must be 1 or more"):
        data.load("dsec", root=str(root), events=0)


# recordings of one's own


@pytest.fixture
def own(shared_data: Path, tmp_path: Path) -> Path:
    for kind in ("recordings", "labels"):
        (tmp_path / kind).mkdir()
    for number in range(1, 6):
        source = shared_data / "events" / "nmnist" / "train" / f"{number}.bs2"
        shutil.copyfile(source, tmp_path / "recordings" / f"{number}.bs2")
        label = np.zeros((34, 34), np.uint8)
        label[number] = 1
        write_label_map(label, tmp_path / "labels" / f"{number}.png")
    return tmp_path


def test_recordings_of_ones_own_are_read_with_their_labels(own: Path) -> None:
    found = data.load("event-folder", root=str(own), classes=["rest", "line"], sensor=[34, 34])
    assert (len(found.train), len(found.test)) == (4, 1)
    for samples in (found.train, found.test):
        for k in range(len(samples)):
            events, label = samples[k]
            assert isinstance(events, Events)
            assert events.sensor == label.shape == (34, 34)
            assert label.sum() == 34


def test_wrong_folder_of_recordings_is_named(own: Path) -> None:
    options: dict[str, Any] = {"root": str(own), "classes": 2, "sensor": [34, 34]}
    with pytest.raises(LavasegError, match="'sensor' must be"):
        data.load("event-folder", **{**options, "sensor": 34})
    found = data.load("event-folder", **{**options, "sensor": [36, 34]})
    with pytest.raises(LavasegError, match=r"png is 34 x 34, the sensor 36 x 34"):
        found.test[0]
    (own / "recordings" / "6.bs2").write_bytes(b"")
    with pytest.raises(LavasegError, match=r"6\.bs2 has no label map"):
        data.load("event-folder", **options)
    write_label_map(np.zeros((34, 34), np.uint8), own / "labels" / "6.png")
    found = data.load("event-folder", **options)
    everything = [
        (samples, k) for samples in (found.train, found.test) for k in range(len(samples))
    ]
    with pytest.raises(LavasegError, match=r"6\.bs2 holds no events"):
        [samples[k] for samples, k in everything]
