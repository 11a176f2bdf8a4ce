"""`lavaseg recipes new`: a recipe that fits one's own files, and trains at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import lavaseg
from lavaseg.cli import app
from lavaseg.errors import LavasegError
from lavaseg.guide.draft import AREA, Draft, draft, fitting
from lavaseg.recipes import load

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SKY, ROAD, SEAM = (70, 130, 180), (128, 64, 128), (224, 224, 192)


def command(*words: str) -> Any:
    return CliRunner().invoke(app, words)


def write(
    root: Path,
    marks: list[Any],
    count: int = 6,
    size: tuple[int, int] = (32, 40),
    part: str = "",
    seed: int = 0,
) -> Path:
    """Pictures, and label maps of stripes of values or colours, each at least once in each."""
    rng = np.random.default_rng(seed)
    folder = root / part
    for kind in ("pictures", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    table = np.array(marks, np.uint8)
    for number in range(count):
        ids = (np.arange(size[1]) * len(marks) // size[1] + number) % len(marks)
        label = table[np.broadcast_to(ids, size)]
        Image.fromarray(label).save(folder / "labels" / f"{number}.png")
        noise = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(noise).save(folder / "pictures" / f"{number}.jpg")
    return root


def options(found: Draft) -> dict[str, Any]:
    return found.recipe.data.options


@pytest.mark.parametrize(
    ("marks", "classes", "ignore"),
    [
        ([0, 1, 2], ["class 0", "class 1", "class 2"], None),
        ([0, 1, 255], ["class 0", "class 1"], 255),
        ([0, 255], {"background": 0, "object": 255}, None),
        ([0, 38, 75], {"class 0": 0, "class 38": 38, "class 75": 75}, None),
        ([7, 8, 255], {"class 7": 7, "class 8": 8}, 255),
        ([ROAD, SKY], {"class 0": [*SKY], "class 1": [*ROAD]}, None),
        ([ROAD, SKY, SEAM], {"class 0": [*SKY], "class 1": [*ROAD]}, [*SEAM]),
    ],
    ids=str,
)
def test_classes_and_ignore_index_follow_from_label_maps(
    tmp_path: Path, marks: list[Any], classes: Any, ignore: Any
) -> None:
    found = draft(root=str(write(tmp_path, marks)))
    assert options(found)["classes"] == classes
    assert options(found).get("ignore") == ignore
    data = lavaseg.load_data("folder", **options(found))
    _, label = data.train[0]
    counted = label[label != data.ignore_index] if data.ignore_index is not None else label
    assert {*np.unique(counted).tolist()} == {*range(len(classes))}


@pytest.mark.parametrize("marks", [[0, 1, 2], [0, 1, 255], [0, 255], [ROAD, SKY, SEAM]], ids=str)
def test_the_written_recipe_trains_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marks: list[Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine", marks)
    written = command("recipes", "new", "--root", "mine")
    assert written.exit_code == 0, written.stderr
    assert written.stdout.splitlines()[-1] == "Next: `lavaseg train mine.yaml`"
    trained = command("train", "mine.yaml", "--set", "training.epochs=1")
    assert trained.exit_code == 0, trained.stderr
    assert "Next: `lavaseg export runs/mine`" in trained.stdout


def test_parts_of_a_folder_are_kept_and_missing_ones_said(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("val", 2), ("test", 2)):
        write(tmp_path / "parts", [0, 1], count, part=part)
    remarks = " ".join(draft(root=str(tmp_path / "parts")).remarks)
    assert "train from train/, validation from val/, test from test/" in remarks
    assert "held out" not in remarks
    alone = " ".join(draft(root=str(write(tmp_path / "alone", [0, 1]))).remarks)
    assert "test is held out" in alone
    assert "validation is held out" in alone


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "sky\nroad\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nroad:128,64,128::\nsky:70,130,180::\n"),
    ],
)
def test_names_come_from_a_file_beside_the_pictures(tmp_path: Path, file: str, text: str) -> None:
    write(tmp_path, [ROAD, SKY])
    (tmp_path / file).write_text(text)
    assert options(draft(root=str(tmp_path)))["classes"] == {"road": [*ROAD], "sky": [*SKY]}
    own = options(draft(root=str(tmp_path), names=["heaven", "street"]))["classes"]
    assert own == {"heaven": [*SKY], "street": [*ROAD]}


def test_names_of_ids_may_be_more_than_those_that_occur(tmp_path: Path) -> None:
    write(tmp_path, [0, 2])
    names = ["sky", "road", "car"]
    assert options(draft(root=str(tmp_path), names=names))["classes"] == names


def test_rare_classes_get_weights_and_even_ones_none(tmp_path: Path) -> None:
    even = draft(root=str(write(tmp_path / "even", [0, 1])))
    assert even.recipe.training.class_weights == "none"
    rare = draft(root=str(write(tmp_path / "rare", [0] * 9 + [1])))
    assert rare.recipe.training.class_weights == "root_median_frequency"
    assert any("10.00% to 90.00%" in remark for remark in rare.remarks)


def test_large_pictures_are_resized_and_small_ones_left_alone(tmp_path: Path) -> None:
    small = draft(root=str(write(tmp_path / "small", [0, 1])))
    assert "size" not in options(small)
    large = draft(root=str(write(tmp_path / "large", [0, 1], size=(300, 400))))
    assert options(large)["size"] == [96, 128]
    given = draft(root=str(tmp_path / "large"), size=[60, 80])
    assert options(given)["size"] == [60, 80]


@pytest.mark.parametrize("size", [(3000, 4000), (4000, 3000), (100, 2000), (97, 131), (5, 9)])
def test_a_fitting_size_keeps_the_ratio_of_sides(size: tuple[int, int]) -> None:
    rows, columns = fitting({size: 3})
    assert rows % 4 == columns % 4 == 0
    assert rows * columns <= max(AREA, 16)
    assert abs(rows - columns * size[0] / size[1]) <= 4 * max(1, size[0] / size[1])


def test_batches_are_no_larger_than_what_is_left_to_train_on(tmp_path: Path) -> None:
    found = draft(root=str(write(tmp_path, [0, 1], count=3)))
    assert found.recipe.training.batch_size == 1


def test_few_pictures_get_few_epochs_and_small_batches_and_it_is_said(tmp_path: Path) -> None:
    found = {
        count: draft(root=str(write(tmp_path / str(count), [0, 1], count, (8, 8))))
        for count in (6, 60, 300)
    }
    chosen = [one.recipe.training for one in found.values()]
    assert [plan.epochs for plan in chosen] == [20, 43, 93]
    assert [plan.batch_size for plan in chosen] == [2, 5, 8]
    for one, plan in zip(found.values(), chosen, strict=True):
        said = " ".join(one.remarks)
        assert f"{plan.epochs} epochs in batches of {plan.batch_size}, for " in said
        assert "--set training.epochs=N" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: None, "there is no folder"),
        (lambda root: write(root, [0, 1], count=2), "expected 3 or more"),
        (lambda root: write(root, [0, 0]), "expected two classes or more"),
    ],
)
def test_files_that_make_no_data_set_are_refused_in_a_sentence(
    tmp_path: Path, change: Any, said: str
) -> None:
    change(tmp_path / "mine")
    with pytest.raises(LavasegError, match=said):
        draft(root=str(tmp_path / "mine"))


def test_label_maps_saved_with_loss_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [0, 1])
    noise = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "labels" / "0.png")
    with pytest.raises(LavasegError, match="saved with loss"):
        draft(root=str(tmp_path))


def test_names_and_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [ROAD, SKY])
    with pytest.raises(LavasegError, match=r"3 names of classes.*hold 2"):
        draft(root=str(tmp_path), names=["a", "b", "c"])
    with pytest.raises(LavasegError, match="gives no class"):
        draft(root=str(tmp_path), classes={"road": [*ROAD], "car": [0, 0, 142]})
    with pytest.raises(LavasegError, match="did you mean 'root'"):
        draft(rot=str(tmp_path))
    with pytest.raises(LavasegError, match="needs the option 'root'"):
        draft()
    with pytest.raises(LavasegError, match="did you mean 'folder'"):
        draft("foldr", root=str(tmp_path))


def test_a_folder_of_another_layout_is_named_with_what_it_holds(tmp_path: Path) -> None:
    for name in ("images", "masks", ".hidden"):
        (tmp_path / name).mkdir()
    with pytest.raises(LavasegError, match=r"no folder \S+pictures; \S+ holds images, masks$"):
        draft(root=str(tmp_path))


def test_a_recipe_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    root, out = write(tmp_path / "mine", [0, 1]), tmp_path / "mine.yaml"
    assert command("recipes", "new", "--root", str(root), "-o", str(out)).exit_code == 0
    before = out.read_text("utf-8")
    again = command("recipes", "new", "--root", str(root), "-o", str(out))
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    assert out.read_text("utf-8") == before
    assert load(out).data.options["root"] == str(root)


def test_a_data_set_whose_classes_are_known_gets_a_recipe_too() -> None:
    found = draft("digits-photos", train=40, test=16).recipe
    assert found.data.options == {"train": 40, "test": 16}
    assert found.training.class_weights == "root_median_frequency"


@pytest.mark.skipif(not (SHARED / "events" / "nmnist").is_dir(), reason="needs N-MNIST")
def test_recordings_get_an_encoder_of_events() -> None:
    found = draft("nmnist", root=str(SHARED)).recipe
    assert found.encoder["kind"] == "event_presence"
    assert found.encoder["sensor"] == (34, 34)


@pytest.mark.skipif(not (SHARED / "CamVid").is_dir(), reason="needs CamVid")
def test_real_photos_get_a_recipe(tmp_path: Path) -> None:
    for kind, source in (("pictures", "val"), ("labels", "valannot")):
        (tmp_path / kind).symlink_to(SHARED / "CamVid" / source)
    found = draft(root=str(tmp_path))
    assert len(options(found)["classes"]) == 12
    assert options(found)["size"] == [96, 128]
    assert found.recipe.training.class_weights == "root_median_frequency"
