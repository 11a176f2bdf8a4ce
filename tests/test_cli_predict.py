"""`lavaseg predict`: photos and streams of all kinds in, label maps and overlays out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import lavaseg
from lavaseg.cli import app
from lavaseg.data.pictures import is_own_output
from lavaseg.encoders import Direct, EventPresence
from lavaseg.network import Conv, Input, Network, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write

RNG = np.random.default_rng
SIZE = (8, 12)


@pytest.fixture(autouse=True)
def _somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def small_net(encoder: Direct | EventPresence, shape: tuple[int, int, int]) -> IntegerNetwork:
    network = Network(
        Input("input", shape, encoder.message_bits),
        (Population("hidden", 90), Population("readout", None)),
        (
            Projection("input", "hidden", Conv(6, 3, padding=(1, 1))),
            Projection("hidden", "readout", Conv(3, 1)),
        ),
        "readout",
    )
    weights = {
        p.name: 2 * RNG(3).integers(-40, 41, network.weight_shape(p)).astype(np.int16)
        for p in network.projections
    }
    return IntegerNetwork(network, weights, encoder, ("background", "road", "sky"))


@pytest.fixture
def net(tmp_path: Path) -> IntegerNetwork:
    made = small_net(Direct(2, bits=4), (3, *SIZE))
    write(made, tmp_path / "small.net")
    return made


def pixels(seed: int, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    """Patches of random colours, of 6 x 6 pixels."""
    patches = RNG(seed).integers(0, 256, (size[0] // 6 + 1, size[1] // 6 + 1, 3), np.uint8)
    return patches.repeat(6, 0).repeat(6, 1)[: size[0], : size[1]]


def draw(path: str | Path, seed: int = 0, size: tuple[int, int] = (20, 30)) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, size)).save(path)
    return path


def call(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["predict", "small.net", *map(str, arguments)], input=stdin)


def done(*arguments: object, stdin: bytes | None = None) -> Result:
    result = call(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: object, stdin: bytes | None = None) -> str:
    """The one sentence that the command ends with."""
    result = call(*arguments, stdin=stdin)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ")
    return result.stderr


def written(folder: str | Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def labels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


# -- where outputs go ----------------------------------------------------------------------------


def test_one_photo_gets_label_map_and_overlay_at_its_own_size(net: IntegerNetwork) -> None:
    draw("a photo.jpg", 1, (33, 50))
    result = done("a photo.jpg")
    assert written(".") == ["a photo-labels.png", "a photo-overlay.png", "a photo.jpg", "small.net"]
    found = lavaseg.predict(net, "a photo.jpg")
    assert found.labels.shape == (33, 50)
    np.testing.assert_array_equal(labels("a photo-labels.png"), found.labels)
    overlay = np.asarray(Image.open("a photo-overlay.png")).transpose(2, 0, 1)
    np.testing.assert_array_equal(overlay, found.overlay())
    said = " ".join(result.stdout.split())
    for words in (
        "pictures are resized to the network's 8 x 12 pixels",
        "33 x 50 pixels",
        "start-up",
        "p50",
        "p90",
        "p99",
    ):
        assert words in said
    done("a photo.jpg", "-o", "map.png", "--write", "labels")
    assert Path("map.png").read_bytes() == Path("a photo-labels.png").read_bytes()
    done("a photo.jpg", "-o", "made/here")
    assert written("made") == ["here/a photo-labels.png", "here/a photo-overlay.png"]


def test_a_folder_is_walked_its_tree_is_kept_and_outputs_are_no_inputs(net: IntegerNetwork) -> None:
    for number, name in enumerate(("a.png", "day 1/a.png", "day 1/deep/b.JPG", "night/a.bmp")):
        draw(Path("photos") / name, number)
    draw("photos/.thumbnails/a.png")
    Path("photos/notes.txt").write_text("no photo")
    expected = [
        f"{name}-{kind}.png"
        for name in ("a", "day 1/a", "day 1/deep/b", "night/a")
        for kind in ("labels", "overlay")
    ]
    done("photos")
    assert written("predictions") == sorted(expected)
    for _ in range(2):  # into the folder itself, twice
        result = done("photos", "-o", "photos")
    assert "left out: 8 pictures that lavaseg wrote" in result.stdout
    assert len(written("photos")) == 4 + 2 + 8
    one = labels("photos/day 1/deep/b-labels.png")
    np.testing.assert_array_equal(one, labels("predictions/day 1/deep/b-labels.png"))
    draw("other/c.png")
    done("other", "other/c.png", "-o", "x")  # named twice, and done once
    assert written("x") == ["c-labels.png", "c-overlay.png"]


def test_links_that_lead_back_end_and_are_walked_once(net: IntegerNetwork) -> None:
    draw("photos/a.png")
    Path("photos/back").symlink_to("..", target_is_directory=True)
    Path("photos/itself").symlink_to(".", target_is_directory=True)
    draw("elsewhere/b.png", 1)
    Path("photos/linked").symlink_to("../elsewhere", target_is_directory=True)
    done("photos", "-o", "out", "--write", "labels")
    names = written("out")
    assert "a-labels.png" in names
    assert sum(name.endswith("b-labels.png") for name in names) == 1
    assert len(names) == 2


def test_no_input_is_overwritten_and_no_two_share_an_output(net: IntegerNetwork) -> None:
    draw("photos/a-labels.png", 1)
    draw("photos/a.png", 2)
    before = {name: Path("photos", name).read_bytes() for name in written("photos")}
    sentence = refused("photos", "-o", "photos")
    assert "would overwrite the input photos/a-labels.png" in sentence
    assert {name: Path("photos", name).read_bytes() for name in written("photos")} == before
    sentence = refused("small.net", "-o", "small.net")
    draw("one/c.png")
    draw("two/c.png")
    sentence = refused("one", "two", "-o", "out")
    assert "one/c.png and two/c.png would both write out/c-labels.png" in sentence
    assert not Path("out").exists()
    assert "is a file" in refused("one", "-o", "all.png")
    assert "must end in .png" in refused("one/c.png", "-o", "c.jpg")


def test_every_output_is_written_if_asked_for_and_what_there_is_not_is_named(
    net: IntegerNetwork,
) -> None:
    draw("a.png")
    done("a.png", "-o", "out", "--write", "probabilities,margins")
    assert written("out") == ["a-margins.npz", "a-probabilities.npz"]
    assert "no output 'masks'" in refused("a.png", "--write", "masks")
    assert "nothing to write" in refused("a.png", "--write", ",")
    assert "--overlap and --scale are of --fit windows" in refused("a.png", "--scale", "0.5")
    assert "fit must be resize, letterbox, windows" in refused("a.png", "--fit", "crop")


@pytest.mark.parametrize("fit", ["letterbox", "windows"])
def test_json_says_how_photos_came_to_the_network_and_how_long_it_took(
    net: IntegerNetwork, fit: str
) -> None:
    draw("in/a.png", 0, (40, 30))
    draw("in/b.png", 1, (9, 9))
    found = json.loads(done("in", "--fit", fit, "--json").stdout)
    assert (found["fit"], found["backend"]) == (fit, "simulator")
    assert [row["size"] for row in found["pictures"]] == [[40, 30], [9, 9]]
    assert sum(found["pictures"][0]["pixels"].values()) == 1200
    assert found["samples"] == sum(row["views"] for row in found["pictures"])
    assert (found["samples"] > 2) == (fit == "windows")
    assert set(found["latency_seconds"]) == {"network", "whole"}
    assert found["startup_seconds"] > 0
    assert found["classes"] == ["background", "road", "sky"]
    for row in found["pictures"]:
        np.testing.assert_array_equal(
            labels(row["labels"]), lavaseg.predict(net, row["input"], fit=fit).labels
        )


def test_predict_simulate_and_run_write_the_same_label_maps(net: IntegerNetwork) -> None:
    draw("in/a.png", 0)
    draw("in/b.png", 1, (50, 7))
    words = ["in", "--fit", "windows"]
    done(*words, "-o", "predicted", "--write", "labels")
    for command, more in (("simulate", []), ("run", ["--backend", "lava-inprocess"])):
        result = CliRunner().invoke(app, [command, "small.net", *words, "-o", command, *more])
        assert result.exit_code == 0, result.output
        assert "synaptic operations" in result.stdout
        assert written(command) == written("predicted")
        for name in written(command):
            assert Path(command, name).read_bytes() == Path("predicted", name).read_bytes()
    lava = done(*words, "-o", "lava", "--backend", "lava-inprocess")
    assert "streamed" in lava.stdout
    assert Path("lava/b-labels.png").read_bytes() == Path("predicted/b-labels.png").read_bytes()


# -- colours -------------------------------------------------------------------------------------


def test_colours_are_the_users_and_black_is_for_background(net: IntegerNetwork) -> None:
    draw("a.png")
    done("a.png", "--colours", "{road: '#0a141e', sky: [1, 2, 3]}")
    with Image.open("a-labels.png") as image:
        palette = np.reshape(image.getpalette()[:9], (3, 3)).tolist()
    assert palette == [[0, 0, 0], [10, 20, 30], [1, 2, 3]]
    Path("mine.yaml").write_text("road: '#ffffff'\n")
    found = json.loads(done("a.png", "--colours", "mine.yaml", "--json").stdout)
    assert found["colours"] == ["#000000", "#ffffff", "#56b4e9"]
    assert "no class 'car'; there are background, road, sky" in refused(
        "a.png", "--colours", "{car: '#000000'}"
    )
    assert "must be a colour" in refused("a.png", "--colours", "{road: blue}")
    assert "nowhere.yaml cannot be read" in refused("a.png", "--colours", "nowhere.yaml")
    assert "must hold a colour for each class" in refused("a.png", "--colours", "- {}")


# -- files of every kind -------------------------------------------------------------------------


def saved(name: str, image: Image.Image, **options: object) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    image.save(name, **options)  # type: ignore[arg-type]


def animated(name: str) -> None:
    frames = [Image.fromarray(pixels(k)) for k in range(3)]
    saved(name, frames[0], save_all=True, append_images=frames[1:])


def turned(name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    saved(name, Image.fromarray(pixels(1)), exif=exif)


RGB = Image.fromarray(pixels(1))
KINDS: dict[str, tuple[Callable[[str], None], tuple[int, int]]] = {
    "turned.jpg": (turned, (30, 20)),
    "rgba.png": (lambda name: saved(name, RGB.convert("RGBA")), (20, 30)),
    "grey.png": (lambda name: saved(name, RGB.convert("L")), (20, 30)),
    "bits.png": (lambda name: saved(name, RGB.convert("1")), (20, 30)),
    "palette.gif": (lambda name: saved(name, RGB.quantize(16)), (20, 30)),
    "cmyk.jpg": (lambda name: saved(name, RGB.convert("CMYK")), (20, 30)),
    "cmyk.tif": (lambda name: saved(name, RGB.convert("CMYK")), (20, 30)),
    "deep.png": (
        lambda name: saved(name, Image.fromarray(pixels(1)[..., 0].astype(np.uint16) * 257)),
        (20, 30),
    ),
    "deep.tif": (
        lambda name: saved(name, Image.fromarray(pixels(1)[..., 0].astype(np.uint16) * 257)),
        (20, 30),
    ),
    "photo.webp": (lambda name: saved(name, RGB, lossless=True), (20, 30)),
    "one.png": (lambda name: saved(name, Image.new("RGB", (1, 1))), (1, 1)),
    "line.png": (lambda name: saved(name, Image.new("RGB", (900, 1))), (1, 900)),
    "moves.gif": (animated, (20, 30)),
    "moves.webp": (animated, (20, 30)),
    "new\nline.png": (lambda name: saved(name, RGB), (20, 30)),
    " blanks .png": (lambda name: saved(name, RGB), (20, 30)),
}
"""How to write files that can be read, and the size of their label maps."""


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("fit", ["resize", "windows"])
def test_photos_of_every_kind_get_a_label_map_of_their_size(
    net: IntegerNetwork, name: str, fit: str
) -> None:
    make, size = KINDS[name]
    make(name)
    result = done(name, "--fit", fit, "-o", "out")
    found = labels(Path("out", f"{Path(name).stem}-labels.png"))
    assert found.shape == size
    with Image.open(Path("out", f"{Path(name).stem}-overlay.png")) as image:
        assert (image.height, image.width) == size
    several = "several frames or pages in 1 file" in " ".join(result.stdout.split())
    assert several == name.startswith("moves")


def test_sixteen_bits_of_grey_are_seen_as_their_upper_eight(net: IntegerNetwork) -> None:
    grey = pixels(4)[..., 0]
    saved("deep.png", Image.fromarray(grey.astype(np.uint16) * 256 + 77))
    saved("flat.png", Image.fromarray(grey))
    done("deep.png", "flat.png", "-o", "out")
    for kind in ("labels", "overlay"):
        assert (
            Path(f"out/deep-{kind}.png").read_bytes() == Path(f"out/flat-{kind}.png").read_bytes()
        )


def test_files_that_cannot_be_read_are_named_in_a_sentence_each_and_the_others_are_done(
    net: IntegerNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw("in/good.png", 1)
    whole = draw("whole.jpg", 2, (40, 50)).read_bytes()
    Path("in/cut.jpg").write_bytes(whole[: len(whole) // 2])
    Path("in/empty.png").write_bytes(b"")
    Path("in/text.png").write_text("no picture")
    Path("in/gone.png").symlink_to("nowhere.png")
    Path("in/round.png").symlink_to("round.png")
    saved("in/float.tif", Image.fromarray(np.zeros((5, 5), np.float32)))
    np.save("in/array.npy", np.zeros((3, 5, 5)))
    os.mkfifo("in/pipe.png")
    Path("in/bad\nname.png").write_bytes(b"")
    draw("in/huge.png", 3, (60, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3_000)
    result = call("in", "-o", "out")
    assert result.exit_code == 2
    assert written("out") == ["good-labels.png", "good-overlay.png"], result.stderr
    lines = result.stderr.splitlines()
    bad = ("cut.jpg", "empty.png", "text.png", "gone.png", "round.png", "float.tif", "array.npy")
    bad += ("pipe.png", r"bad\nname.png", "huge.png")
    for name in bad:
        assert sum(f"in/{name}" in sentence for sentence in lines) == 1, name
    assert len(lines) == len(bad) + 1
    assert lines[-1] == (
        f"error: {len(bad)} inputs of {len(bad) + 1} could not be read; the others are done"
    )
    assert any("in/huge.png has more than 3,000 pixels" in sentence for sentence in lines)
    assert "is truncated or damaged" in refused("in/cut.jpg")


def test_a_folder_that_cannot_be_written_is_one_sentence(net: IntegerNetwork) -> None:
    draw("a.png")
    Path("file").write_text("no folder")
    assert "cannot write into the folder file" in refused("a.png", "-o", "file/below")
    if Path("/proc").is_dir():
        assert "cannot write into the folder /proc" in refused("a.png", "-o", "/proc/out")
    Path("out/a-labels.png").mkdir(parents=True)
    assert "out/a-labels.png cannot be written" in refused("a.png", "-o", "out")


def test_a_full_disk_is_one_sentence_and_leaves_no_part_of_a_file(net: IntegerNetwork) -> None:
    noise = RNG(0).integers(0, 256, (300, 300, 3), np.uint8)
    saved("in/a.png", Image.fromarray(noise))
    script = (
        "import resource, sys; from lavaseg.cli import app; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY)); app()"
    )
    command = [sys.executable, "-c", script, "predict", "small.net", "in", "-o", "out"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    (sentence,) = ended.stderr.splitlines()
    assert "cannot be written" in sentence
    assert all(name.endswith(("-labels.png", "-overlay.png")) for name in written("out"))


# -- streams -------------------------------------------------------------------------------------


def stream_of(*kinds: str) -> tuple[bytes, list[np.ndarray]]:
    """Pictures of these formats one after the other, and what each holds once decoded."""
    content, decoded = b"", []
    for seed, kind in enumerate(kinds):
        buffer = io.BytesIO()
        options = {"progressive": True, "quality": 90} if kind == "JPEG" and seed % 2 else {}
        Image.fromarray(pixels(seed, (20 + seed, 31))).save(buffer, kind, **options)
        content += buffer.getvalue()
        buffer.seek(0)
        decoded.append(np.asarray(Image.open(buffer).convert("RGB")).transpose(2, 0, 1))
    return content, decoded


def test_frames_of_standard_input_are_predicted_one_by_one(net: IntegerNetwork) -> None:
    content, decoded = stream_of("PPM", "PNG", "JPEG", "JPEG", "PPM")
    result = done("-", "-o", "out", stdin=content)
    assert len(written("out")) == 10
    for number, picture in enumerate(decoded):
        found = labels(f"out/stream-{number:06}-labels.png")
        np.testing.assert_array_equal(found, lavaseg.predict(net, picture).labels)
        assert f"stream-{number:06}" in result.stderr
    assert "5 inputs" in result.stdout


def test_a_stream_that_breaks_off_is_named_and_what_came_before_is_done(
    net: IntegerNetwork,
) -> None:
    content, _ = stream_of("PNG", "PPM", "JPEG")
    for cut, count in ((len(content) - 20, 2), (40, 0)):
        result = call("-", "-o", f"out{cut}", stdin=content[:cut])
        assert result.exit_code == 2
        assert f"standard input ends within stream-00000{count}" in result.stderr
        assert len(written(f"out{cut}")) == 2 * count
    assert "is no PNG, JPEG or PPM picture" in call("-", stdin=b"RIFF1234").stderr
    assert "nothing arrived" in done("-", stdin=b"").stdout
    assert "'-', standard input, stands alone" in refused("-", "small.net", stdin=b"")


def test_a_frame_that_is_damaged_inside_is_named_and_the_next_one_is_done(
    net: IntegerNetwork,
) -> None:
    content, _ = stream_of("PNG", "PNG")
    broken = bytearray(content)
    broken[60] ^= 0xFF  # in the first picture's data
    result = call("-", "-o", "out", stdin=bytes(broken))
    assert result.exit_code == 2
    assert "standard input, stream-000000" in result.stderr
    assert written("out") == ["stream-000001-labels.png", "stream-000001-overlay.png"]


def test_events_of_standard_input_are_cut_into_samples(tmp_path: Path) -> None:
    encoder = EventPresence(2, (16, 20), size=50)
    made = small_net(encoder, (2, 16, 20))
    write(made, tmp_path / "small.net")
    rng = RNG(0)
    rows = [f"{t} {rng.integers(20)} {rng.integers(16)} {t % 2}" for t in range(0, 1000, 2)]
    Path("events.txt").write_text("\n".join(rows) + "\n")
    content = Path("events.txt").read_bytes()
    done("-", "-o", "streamed", "--set", "unit=us", stdin=content)
    assert len(written("streamed")) == 18  # nine parts of 100 microseconds, and a rest
    done("events.txt", "-o", "whole", "--set", "unit=us")
    for number in range(9):
        np.testing.assert_array_equal(
            labels(f"streamed/stream-{number:06}-labels.png"),
            labels(f"whole/events-{number}-labels.png"),
        )
    assert "must hold a line 't x y p'" in call("-", stdin=b"1 2 3 4\nno event\n").stderr


def test_a_folder_that_fills_is_watched_until_nothing_comes_any_more(net: IntegerNetwork) -> None:
    draw("inbox/first.png", 1)
    whole = draw("later.png", 2, (60, 60)).read_bytes()

    def fill() -> None:
        time.sleep(0.7)
        Path("inbox/new").mkdir()
        with Path("inbox/new/slow.png").open("wb") as file:  # written in pieces
            for start in range(0, len(whole), len(whole) // 4 + 1):
                file.write(whole[start : start + len(whole) // 4 + 1])
                file.flush()
                time.sleep(0.1)
        draw("inbox/first.jpg", 3)  # would be written to the files of first.png

    thread = threading.Thread(target=fill)
    thread.start()
    result = call("inbox", "--watch", "--idle", "2.5", "-o", "inbox/out")
    thread.join()
    assert result.exit_code == 2  # for first.jpg alone
    assert "inbox/first.png and inbox/first.jpg would both write" in result.stderr
    assert written("inbox/out") == [
        f"{name}-{kind}.png" for name in ("first", "new/slow") for kind in ("labels", "overlay")
    ]
    assert labels("inbox/out/new/slow-labels.png").shape == (60, 60)
    before = Path("inbox/out/first-labels.png").stat().st_mtime_ns
    Path("inbox/first.jpg").unlink()
    again = done("inbox", "--watch", "--idle", "0.5", "-o", "inbox/out")
    assert "nothing arrived" in again.stdout  # all outputs are newer than their inputs
    assert Path("inbox/out/first-labels.png").stat().st_mtime_ns == before
    assert is_own_output("inbox/out/first-overlay.png")


def test_ctrl_c_is_the_usual_end_of_watching(net: IntegerNetwork) -> None:
    draw("inbox/a.png", 1)
    command = [sys.executable, "-m", "lavaseg", "predict", "small.net", "inbox", "--watch"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not Path("predictions/a-overlay.png").exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "labels, overlay of 1 input" in output


def test_options_of_watching_alone_are_refused(net: IntegerNetwork) -> None:
    draw("a.png")
    assert "--idle says when --watch ends" in refused("a.png", "--idle", "1")
    assert "--watch takes a folder, and a.png is none" in refused("a.png", "--watch")
    assert "--watch takes one folder" in refused("a.png", ".", "--watch")


def test_a_class_that_is_there_is_not_shown_as_no_share() -> None:
    from lavaseg.cli.labelling_shown import _share

    assert [_share(part / 1e6) for part in (1, 49, 50, 123456)] == [
        "<0.01%",
        "<0.01%",
        "0.01%",
        "12.35%",
    ]
