"""Label maps and folders as tools write them: names, suffixes, formats, values, colours, parts."""

from __future__ import annotations

import re
import shlex
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lavaseg import data
from lavaseg.cli import app
from lavaseg.data.pictures import palette, read_label_samples
from lavaseg.errors import LavasegError

COLOURS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [224, 224, 192]], np.uint8)


def ids(seed: int, classes: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, classes, (6, 8), np.uint8)


def make(
    root: Path,
    save: Callable[[np.ndarray, Path], object] = lambda label, path: Image.fromarray(label).save(
        path
    ),
    picture: str = "p{}.jpg",
    label: str = "p{}.png",
    count: int = 4,
    classes: int = 3,
) -> Path:
    """A folder of random pictures, and of label maps as `save` writes them."""
    for name in ("pictures", "labels"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for k in range(count):
        Image.new("RGB", (8, 6), (k, 9, 9)).save(root / "pictures" / picture.format(k))
        save(ids(k, classes), root / "labels" / label.format(k))
    return root


def labels_of(root: Path, **options: object) -> list[np.ndarray]:
    """Labels of all samples in the order of the pictures."""
    found = data.load("folder", **{"root": str(root), "classes": 3, **options})
    samples = [part[k] for part in (found.train, found.test) for k in range(len(part))]
    return [label for _, label in sorted(samples, key=lambda sample: int(sample[0][0].mean()))]


def check(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", "check", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def low_bits(bits: int) -> Callable[[np.ndarray, Path], object]:
    """Writes a grey PNG of few bits, whose levels Pillow scales to 255 when it reads them."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    def write(label: np.ndarray, path: Path) -> None:
        places = 1 << np.arange(bits)[::-1]
        rows = np.packbits((label[..., None] & places > 0).reshape(len(label), -1), axis=1)
        lines = b"".join(b"\0" + row.tobytes() for row in rows)
        header = struct.pack(">IIBBBBB", label.shape[1], len(label), bits, 0, 0, 0, 0)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
        )  # fmt: skip

    return write


def with_palette(label: np.ndarray, path: Path) -> None:
    image = Image.fromarray(label)
    image.putpalette(palette(3).tobytes())
    image.save(path)


FORMS: dict[str, tuple[Callable[[np.ndarray, Path], object], str]] = {
    "1 bit": (lambda a, p: Image.fromarray(a.astype(bool)).save(p), "png"),
    "1 bit TIFF": (lambda a, p: Image.fromarray(a.astype(bool)).save(p), "tif"),
    "2 bits": (low_bits(2), "png"),
    "4 bits": (low_bits(4), "png"),
    "16 bits": (lambda a, p: Image.fromarray(a.astype(np.uint16)).save(p), "png"),
    "16 bits TIFF": (lambda a, p: Image.fromarray(a.astype(np.uint16)).save(p), "tiff"),
    "32 bits TIFF": (lambda a, p: Image.fromarray(a.astype(np.int32)).save(p), "tif"),
    "floats": (lambda a, p: Image.fromarray(a.astype(np.float32)).save(p), "tif"),
    "palette": (with_palette, "png"),
    "palette BMP": (with_palette, "bmp"),
    "grey BMP": (lambda a, p: Image.fromarray(a).save(p), "bmp"),
    "grey GIF": (lambda a, p: Image.fromarray(a).save(p), "gif"),
    "equal channels": (lambda a, p: Image.fromarray(np.stack([a] * 3, -1)).save(p), "png"),
    "opaque": (lambda a, p: Image.fromarray(a).convert("LA").save(p), "png"),
    "alpha": (lambda a, p: Image.merge("LA", [Image.fromarray(a)] * 2).save(p), "png"),
}


@pytest.mark.parametrize("form", FORMS)
def test_ids_are_read_as_they_are_stored_in_every_lossless_format(
    tmp_path: Path, form: str
) -> None:
    save, ending = FORMS[form]
    classes = 2 if form.startswith("1 bit") else 3
    make(tmp_path, save, label="p{}." + ending, classes=classes)
    for k, label in enumerate(labels_of(tmp_path, classes=classes)):
        np.testing.assert_array_equal(label, ids(k, classes))


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("p{}.jpg", "p{}_mask.png"),
        ("p{}.jpg", "p{}-mask.tif"),
        ("p{}.jpg", "p{}_label.bmp"),
        ("p{}.jpg", "p{}_gt.png"),
        ("p{}.JPG", "p{}_Mask.PNG"),
        ("p{}.jpg", "p{}.mask.png"),
        ("p{}.png", "p{}_labelIds.png"),
        ("a_{}_leftImg8bit.png", "a_{}_gtFine_labelTrainIds.png"),
        ("a{}_sat.jpg", "a{}_mask.png"),
        (
            unicodedata.normalize("NFD", "Fähre {}.jpg"),
            unicodedata.normalize("NFC", "Fähre {}.png"),
        ),
        (
            unicodedata.normalize("NFC", "Fähre {}.jpg"),
            unicodedata.normalize("NFD", "Fähre {}.png"),
        ),
    ],
)
def test_label_maps_are_paired_as_tools_name_them(tmp_path: Path, picture: str, label: str) -> None:
    make(tmp_path, picture=picture, label=label)
    for k, found in enumerate(labels_of(tmp_path)):
        np.testing.assert_array_equal(found, ids(k))
    remarks = data.load("folder", root=str(tmp_path), classes=3).remarks
    usual = Path(picture).stem == Path(label).stem or "hre" in picture
    assert any("behind it" in remark for remark in remarks) != usual


def test_an_unusual_suffix_is_proposed_and_then_taken(tmp_path: Path) -> None:
    make(tmp_path, label="p{}_wahr.png")
    with pytest.raises(LavasegError, match=r"give the data option label_suffix=_wahr$"):
        labels_of(tmp_path)
    np.testing.assert_array_equal(labels_of(tmp_path, label_suffix="_wahr")[2], ids(2))
    Image.new("L", (8, 6)).save(tmp_path / "labels" / "p0_instance.png")
    found = data.load("folder", root=str(tmp_path), classes=3, label_suffix="_wahr")
    assert any("1 label maps" in remark and "'_wahr'" in remark for remark in found.remarks)


def test_thousands_of_files_without_partner_are_a_short_message(tmp_path: Path) -> None:
    make(tmp_path, count=1)
    for k in range(3000):
        (tmp_path / "pictures" / f"lonely{k}.jpg").write_bytes(b"")
    with pytest.raises(LavasegError, match="and 2,997 more such files") as caught:
        labels_of(tmp_path)
    assert len(str(caught.value)) < 1500


def test_files_of_other_kinds_are_named_as_left_out(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "pictures" / "notes.heic").write_bytes(b"")
    remarks = data.load("folder", root=str(tmp_path), classes=3).remarks
    assert any(
        re.search(r"1 other files in .*pictures were left out \(\.heic\)", r) for r in remarks
    )


def test_several_pictures_in_one_label_map_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(ids(k)) for k in range(2)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(LavasegError, match=r"a\.tif holds 2 pictures"):
        read_label_samples(tmp_path / "a.tif")


def test_a_turned_picture_says_so_where_it_does_not_fit_its_label_map(tmp_path: Path) -> None:
    make(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "pictures" / "p1.jpg", exif=exif)
    with pytest.raises(LavasegError, match=r"p1\.jpg is 8 x 6 .* turned by its EXIF tag"):
        labels_of(tmp_path)


# values and colours that stand for classes


def coloured(label: np.ndarray, path: Path) -> None:
    Image.fromarray(COLOURS[label]).save(path)


def indexed(label: np.ndarray, path: Path) -> None:
    """A palette whose indices are not the ids."""
    image = Image.fromarray(3 - label)
    image.putpalette(COLOURS[::-1].tobytes())
    image.save(path)


NAMED = {"rest": [0, 0, 0], "road": "#800000", "car": [0, 128, 0]}


def test_a_label_map_that_is_to_be_turned_is_refused(tmp_path: Path) -> None:
    tag = Image.Exif()
    tag[0x0112] = 3  # upside down: height and width stay

    def save(label: np.ndarray, path: Path) -> None:
        Image.fromarray(label).save(path, exif=tag)

    make(tmp_path, save)
    with pytest.raises(LavasegError, match=r"labels/p\d\.png has an orientation tag"):
        labels_of(tmp_path)


def test_a_class_whose_id_does_not_count_is_named(tmp_path: Path) -> None:
    make(tmp_path)
    names = ["void", "road", "sky"]
    found = data.load("folder", root=str(tmp_path), classes=names, ignore=0)
    assert "pixels of 'void' do not count: its id is the option ignore" in found.remarks
    border = data.load("folder", root=str(tmp_path), classes=names, ignore=255)
    assert not any("do not count" in remark for remark in border.remarks)


@pytest.mark.parametrize("save", [coloured, indexed])
def test_colours_become_the_classes_that_the_option_gives(
    tmp_path: Path, save: Callable[[np.ndarray, Path], object]
) -> None:
    make(tmp_path, save)
    for k, label in enumerate(labels_of(tmp_path, classes=NAMED)):
        np.testing.assert_array_equal(label, ids(k))


def test_a_border_has_a_colour_that_does_not_count(tmp_path: Path) -> None:
    make(tmp_path, coloured, classes=4)
    with pytest.raises(LavasegError, match=r"\(224, 224, 192\), which stands for no class"):
        labels_of(tmp_path, classes=NAMED)
    options = {"classes": NAMED, "ignore": [224, 224, 192]}
    assert data.load("folder", root=str(tmp_path), **options).ignore_index == 255
    for k, label in enumerate(labels_of(tmp_path, **options)):
        np.testing.assert_array_equal(label, np.where(ids(k, 4) == 3, 255, ids(k, 4)))


def test_values_become_classes_and_several_may_be_one(tmp_path: Path) -> None:
    values = np.array([0, 255, 7, 9], np.uint8)
    make(tmp_path, lambda a, p: Image.fromarray(values[a]).save(p), classes=4)
    found = labels_of(
        tmp_path, classes={"rest": 0, "thing": [[128, 0, 0], "#ffffff"], "x": 7}, ignore=9
    )
    for k, label in enumerate(found):
        np.testing.assert_array_equal(label, np.array([0, 1, 2, 255], np.uint8)[ids(k, 4)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": {"a": 0, "b": 0}}, "0 stands for 'b' and for another class"),
        ({"classes": {"a": 0, "b": [0, 1]}}, r"class 'b' .*must be a value, or a colour"),
        ({"classes": {"a": 0, "b": "red"}}, r"class 'b' .*'red'"),
        ({"classes": {"a": 0, "b": 1}, "ignore": 1}, "1 stands for 'ignore'"),
        ({"classes": {"a": 0}}, "2 to 255 different names"),
        ({"classes": [False, True]}, "names that are text, got False: write it in quotes"),
        ({"classes": [1, 2]}, "names that are text, got 1"),
        ({"ignore": [1, 2, 3]}, "'ignore' must be a label"),
        ({"label_suffix": 3}, "'label_suffix' must be text"),
    ],
)
def test_wrong_option_of_labels_is_named(
    tmp_path: Path, options: dict[str, object], words: str
) -> None:
    make(tmp_path)
    with pytest.raises(LavasegError, match=words):
        labels_of(tmp_path, **options)


PROPOSED: dict[str, tuple[Callable[[np.ndarray, Path], object], int, object]] = {
    "colours": (coloured, 3, 3),
    "more colours than classes": (coloured, 4, 3),
    "0 and 255": (lambda a, p: Image.fromarray(a * 255).save(p), 2, 2),
    "a border": (
        lambda a, p: Image.fromarray(np.where(a == 2, 255, a).astype(np.uint8)).save(p),
        3,
        2,
    ),
    "more ids": (lambda a, p: Image.fromarray(a).save(p), 5, 3),
    "scattered": (lambda a, p: Image.fromarray(a * 40 + 3).save(p), 3, 3),
    "16 bits": (lambda a, p: Image.fromarray(a.astype(np.uint16) * 1000).save(p), 3, 3),
    "names that need quotes": (coloured, 3, "[it's, on, 'a: b']"),
}


@pytest.mark.parametrize("case", PROPOSED)
def test_check_proposes_the_option_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    save, values, classes = PROPOSED[case]
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "own", save, count=60, classes=values)
    call = ("folder", "own", "--set", f"classes={classes}")
    code, _, complaint = check(*call)
    assert code == 2
    assert complaint.count("\n") == 4
    # the first option that the last line gives, as a shell would read it
    proposed = complaint.splitlines()[-1].partition(" --set ")[2]
    quoted = re.match(r"'classes=.*}'|\S+", proposed)
    assert quoted is not None
    code, _, complaint = check(*call, "--set", shlex.split(quoted[0].rstrip(","))[0])
    assert code == 0, complaint


def test_check_proposes_to_ignore_what_no_class_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "own", coloured, classes=4)
    call = (
        "folder",
        "own",
        "--set",
        "classes={rest: [0, 0, 0], road: '#800000', car: [0, 128, 0]}",
    )
    code, _, complaint = check(*call)
    assert code == 2
    option = re.search(r"--set '(ignore=.*)' if they do not count", complaint)
    assert option is not None
    code, _, complaint = check(*call, "--set", option[1])
    assert code == 0, complaint


def test_what_a_proposal_lists_is_in_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Black is in one file alone, which by itself could be one of ids."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "own", lambda a, p: Image.new("RGB", (8, 6), (0, 9, 0)).save(p))
    Image.new("RGB", (8, 6)).save(tmp_path / "own" / "labels" / "p2.png")
    _, _, complaint = check("folder", "own", "--set", "classes=2")
    assert "'classes={class 0: [0, 0, 0], class 1: [0, 9, 0]}'" in complaint


def test_a_photograph_for_a_label_map_is_no_proposal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    make(
        tmp_path / "own",
        lambda a, p: Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).save(p),
    )
    code, _, complaint = check("folder", "own", "--set", "classes=3")
    assert code == 2
    assert "colours: they were resized or saved with loss" in complaint
    assert len(complaint) < 1500


# parts


@pytest.mark.parametrize("name", ["val", "validation", "valid", "Val"])
def test_the_validation_part_may_be_called_val(tmp_path: Path, name: str) -> None:
    for part, count in (("train", 4), (name, 3), ("test", 2)):
        make(tmp_path / part, count=count)
    found = data.load("folder", root=str(tmp_path), classes=3)
    assert found.validation is not None
    assert [len(p) for p in (found.train, found.validation, found.test)] == [4, 3, 2]
    assert found.remarks == (f"train from train/, validation from {name}/, test from test/",)


def test_a_missing_test_part_is_held_out_of_train_and_that_is_said(tmp_path: Path) -> None:
    make(tmp_path / "train", count=5)
    found = data.load("folder", root=str(tmp_path), classes=3)
    assert (len(found.train), len(found.test), found.validation) == (4, 1, None)
    assert "test is held out of train: 1 at random, seed 0" in found.remarks
    make(tmp_path / "val", count=3)
    found = data.load("folder", root=str(tmp_path), classes=3)
    assert found.validation is not None
    assert [len(p) for p in (found.train, found.validation, found.test)] == [4, 3, 1]


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("train", "test", "dev"), "dev holds samples and is no part: expected pictures/"),
        (("train", "val", "validation"), "would both be the part 'validation'"),
        (("val", "test"), "there is no train/ beside it"),
        (("train", "."), "pictures?/? lies beside|labels lies beside"),
        ((".", "extra"), "extra holds samples and is no part"),
    ],
)
def test_no_folder_of_samples_is_ignored(
    tmp_path: Path, folders: tuple[str, ...], words: str
) -> None:
    for folder in folders:
        make(tmp_path / folder)
    with pytest.raises(LavasegError, match=words):
        data.load("folder", root=str(tmp_path), classes=3)


def test_another_folder_is_named_as_left_out(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "documents").mkdir()
    remarks = data.load("folder", root=str(tmp_path), classes=3).remarks
    assert any("documents left out" in remark for remark in remarks)
