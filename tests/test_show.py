"""Drawings of networks: every node and arrow, nothing over anything else, the same every time."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from levelled import small
from typer.testing import CliRunner

import lavaseg
from lavaseg.cli import app
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import unroll_levels
from lavaseg.models.analog import AnalogModel
from lavaseg.models.systems import SYSTEMS
from lavaseg.network import Conv, Input, Network, OneToOne, Population, Projection
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import write
from lavaseg.report.diagram.boxes import Scheme, scheme
from lavaseg.report.diagram.placing import SMALL, Placed, PlacedBox, letters, place, size
from lavaseg.report.diagram.rails import MARKS, text
from lavaseg.report.diagram.svg import svg

DRAWN = [key for key in SYSTEMS if key not in ("unet", "segnet", "mimo-unet")]
"""Systems that are descriptions; the others are torch modules."""


def of_system(key: str) -> Scheme:
    model = SYSTEMS[key].build(Input("input", (3, 48, 64)), 4)
    rectified = isinstance(model, AnalogModel)
    network = model.description if isinstance(model, AnalogModel) else model
    assert network is not None
    return scheme(network, key, rectified=rectified)


def late_network(name: str = "slow") -> Network:
    """One delay, one for each channel, one that is learned, and a loop."""
    return Network(
        Input("input", (2, 6, 6)),
        (Population("a"), Population(name), Population("b"), Population("out", None)),
        (
            Projection("input", "a", Conv(2, 3, padding=1), 3),
            Projection("a", name, Conv(2, 3, padding=1), (0, 5)),
            Projection("a", "b", Conv(2, 3, padding=1), max_delay=4),
            Projection("b", "b", OneToOne(), 1),
            Projection(name, "out", Conv(2, 1)),
            Projection("b", "out", Conv(2, 1)),
        ),
        "out",
    )


# -- places ----------------------------------------------------------------------------------


def crossed(box: PlacedBox, one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether the straight line between two points passes the inside of a box."""
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(one, other, strict=True))
    return (
        left < box.x + box.width - 1
        and right > box.x + 1
        and top < box.y + box.height - 1
        and bottom > box.y + 1
    )


def check_apart(placed: Placed) -> None:
    """Boxes lie within the drawing and apart; arrows and labels pass no box."""
    for one, other in itertools.combinations(placed.boxes, 2):
        corners = (other.x, other.y), (other.x + other.width, other.y + other.height)
        assert not crossed(one, *corners), (one.box.name, other.box.name)
    for box in placed.boxes:
        assert box.x >= 0 <= box.y
        assert box.x + box.width <= placed.width + 0.2
        assert box.y + box.height <= placed.height + 0.2
        assert (box.width, box.height) == pytest.approx(size(box.box), abs=0.1)
    for arrow in placed.arrows:
        for box in placed.boxes:
            for one, other in itertools.pairwise(arrow.points):
                assert not crossed(box, one, other), (arrow.arrow, box.box.name)
            if arrow.label is not None:
                (x, y), half = arrow.label, SMALL * letters(arrow.arrow.late) / 2
                assert not crossed(box, (x - half, y - 5), (x + half, y + 5))


@pytest.mark.parametrize("key", DRAWN)
def test_no_box_lies_over_another_and_no_arrow_over_a_box(key: str) -> None:
    placed = place(of_system(key))
    check_apart(placed)
    ends = {(arrow.arrow.source, arrow.arrow.target) for arrow in placed.arrows}
    assert len(ends) == len(placed.arrows)


def test_labels_of_delays_have_room_and_loops_are_drawn() -> None:
    made = scheme(late_network(), "late")
    placed = place(made)
    check_apart(placed)
    late = {(a.arrow.source, a.arrow.target): a.arrow.late for a in placed.arrows if a.label}
    assert late == {
        ("input", "a"): "3 steps late",
        ("a", "slow"): "0 to 5 steps late",
        ("a", "b"): "delays learned, up to 4",
    }
    (box,) = (placed.box for placed in placed.boxes if placed.box.name == "b")
    assert box.lines[1] == "one to one of itself, 1 step late"
    assert sum(arrow.arrow.back for arrow in placed.arrows) == 1


# -- what is drawn ---------------------------------------------------------------------------


def test_a_box_says_operator_weights_and_shape_and_neurons_that_differ() -> None:
    made = of_system("spiking-aspp")
    boxes = {box.name: box for box in made.boxes}
    assert boxes["conv3"].lines == ("conv 3×3, stride 2, 73,728 weights",)
    assert boxes["branch12"].lines == ("conv 3×3, dilation 12, 589,824 weights",)
    assert boxes["branch12"].shape == "256×12×16"
    sources = "branch1, branch6, branch12, branch18"
    assert boxes["readout"].lines == (f"conv 1×1 of {sources}, 4,096 weights",)
    assert made.remark == "Neurons that say nothing else: threshold 1, batch norm"
    unet = {box.name: box for box in of_system("spiking-unet-31m").boxes}
    assert unet["pool1"].lines[-1] == "voltage decay 4095/4096, no norm"


def test_every_weight_of_a_network_stands_in_one_box() -> None:
    for key in ("mfs-seg-efs-res18", "spike-brgnet", "spiking-resnet"):
        model = SYSTEMS[key].build(Input("input", (3, 48, 64)), 4)
        assert isinstance(model, Network)
        lines = [line for box in scheme(model, key).boxes for line in box.lines]
        counts = [count for line in lines for count in re.findall(r"([\d,]+) weights", line)]
        assert sum(int(count.replace(",", "")) for count in counts) == model.weight_count()


@pytest.mark.parametrize("form", ["binary", "graded"])
def test_integer_neurons_on_hardware_are_one_box_unless_their_parts_are_asked_for(
    form: Any,
) -> None:
    net = unroll_levels(small(3), form)
    drawn = lavaseg.show(net)
    kinds = {box.name: box.kind for box in drawn.scheme.boxes}
    assert kinds == {"input": "input", "a": "integers", "b": "integers", "out": "readout"}
    ends = {(arrow.source, arrow.target) for arrow in drawn.scheme.arrows}
    assert ends == {("input", "a"), ("a", "b"), ("a", "out"), ("b", "out")}
    (box,) = (box for box in drawn.scheme.boxes if box.name == "a")
    how = "in 3 slots" if form == "binary" else "graded"
    assert f"integers 0 to 3, {how}" in box.about
    parts = lavaseg.show(net, slots=True).scheme.boxes
    assert len(parts) == 1 + len(net.network.nodes)


def test_what_waits_on_hardware_for_a_longer_path_says_so() -> None:
    about = {
        (a.source, a.target): a.about
        for a in lavaseg.show(unroll_levels(small(1), "binary")).scheme.arrows
    }
    assert about["a", "out"] == "a to out: conv 1×1, waits 1 step on hardware"
    assert "waits" not in about["a", "b"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_network_is_drawn_whole(
    graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]], data: st.DataObject
) -> None:
    net = data.draw(graph_networks())
    made = scheme(net.network, "any", weights=net.weights, slots=True)
    check_apart(place(made))
    expected = {(p.source, p.target) for p in net.network.projections}
    assert {(arrow.source, arrow.target) for arrow in made.arrows} == expected
    assert [box.name for box in made.boxes] == ["input", *(n.name for n in net.network.ordered)]


# -- SVG -------------------------------------------------------------------------------------


def test_the_same_network_is_the_same_svg_with_title_and_description() -> None:
    drawn = [svg(of_system("spike-brgnet")) for _ in range(2)]
    assert drawn[0] == drawn[1]
    root = ET.fromstring(drawn[0])
    space = "{http://www.w3.org/2000/svg}"
    assert [root[0].tag, root[1].tag] == [f"{space}title", f"{space}desc"]
    assert root[0].text == "spike-brgnet"
    words = "".join(root.itertext())
    for box in of_system("spike-brgnet").boxes:
        assert box.label in words
        assert box.about in (root[1].text or "")
    assert "http" not in drawn[0].replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme:dark" in drawn[0]


def test_text_from_files_is_escaped_and_long_names_are_cut() -> None:
    title = 'x"><script>alert(1)</script>&\x00\x1b[2J'
    name = "n" * 300
    drawn = lavaseg.show(late_network(name), title)
    root = ET.fromstring(drawn.svg)
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert "\x1b" not in drawn.svg
    assert title[:28] in (root[0].text or "")
    check_apart(place(drawn.scheme))
    shown = [element.text or "" for element in root.iter() if element.get("class") == "lvs-name"]
    assert max(map(len, shown)) <= 32
    assert "\x1b" not in drawn.text()
    assert all(len(line) <= 80 for line in drawn.text(80).splitlines()[3:])


# -- terminal --------------------------------------------------------------------------------


def read_back(drawn: str) -> dict[str, set[str]]:
    """What each node reads, as a reader follows the rails of a drawing."""
    lanes: dict[int, str] = {}
    found: dict[str, set[str]] = {}
    lines = drawn.split("\n\n", 1)[1].splitlines()
    width = max(
        next(k for k, c in enumerate(line) if c.isalnum()) for line in lines if is_node(line)
    )
    for line in lines:
        rails = f"{line[:width]:<{width}}"
        marks = [k for k in range(0, width, 2) if rails[k] in MARKS.values()]
        if not marks:
            continue
        (own,) = marks
        for lane in [k for k in lanes if rails[k] in " ─"]:
            del lanes[lane]
        joined = [own] if own in lanes else []
        for step in (-1, 1):
            k = own + step
            while 0 <= k < width and rails[k] != " ":
                joined += [k] if rails[k] in "├┤╰╯" else []
                k += step
        name = line[width:].split()[0]
        found[name] = {lanes[k] for k in joined}
        for k in joined:
            if rails[k] in "╰╯":
                del lanes[k]
        lanes[own] = name
    return found


def is_node(line: str) -> bool:
    return any(mark in line for mark in MARKS.values())


@pytest.mark.parametrize("key", ["spiking-aspp", "spike-brgnet", "mfs-seg-efs-res54"])
def test_rails_lead_from_each_node_to_what_reads_it(key: str) -> None:
    made = of_system(key)
    expected: dict[str, set[str]] = {box.name: set() for box in made.boxes}
    for arrow in made.arrows:
        expected[arrow.target].add(arrow.source)
    assert read_back(text(made, 400)) == expected


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_rails_of_any_network_can_be_read_back(
    graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]], data: st.DataObject
) -> None:
    made = scheme(data.draw(graph_networks()).network, "any")
    expected: dict[str, set[str]] = {box.name: set() for box in made.boxes}
    for arrow in made.arrows:
        if not arrow.back:
            expected[arrow.target].add(arrow.source)
    assert read_back(text(made, 400)) == expected


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_fit_the_terminal_and_no_word_or_number_is_split(columns: int) -> None:
    for key in ("spiking-unet-31m", "mfs-seg-efs-res54", "spiking-deeplab-levels"):
        made = of_system(key)
        drawn = text(made, columns)
        shape, mark = made.boxes[0].shape, MARKS["input"]
        head = next(ln for ln in drawn.splitlines() if ln.startswith(mark) and shape in ln)
        least = head.index(shape) + 12 + 24  # rails, names and shapes are kept whole
        assert all(len(line) <= max(columns, least) for line in drawn.splitlines())
        words = {word.rstrip(";") for word in drawn.split()}
        for box in made.boxes:
            assert {word.rstrip(";") for line in box.lines for word in line.split()} <= words


def test_a_terminal_without_line_drawing_gets_plain_signs() -> None:
    for key in ("spike-brgnet", "ann-deeplab", "spiking-unet-levels"):
        drawn = text(of_system(key), 80, ascii_only=True)
        assert drawn.isascii()


# -- Python and the command line -------------------------------------------------------------


def test_python_and_notebooks_show_a_drawing(tmp_path: Path) -> None:
    drawn = lavaseg.show("spiking_deeplab")
    assert repr(drawn).startswith("<Diagram of spiking_deeplab: input 3×64×64, 9 nodes, ")
    assert len(repr(drawn)) < 120
    assert drawn._repr_svg_() == drawn.svg
    assert drawn.svg in drawn._repr_html_()
    assert drawn.save(tmp_path / "x.svg").read_text("utf-8") == drawn.svg


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_the_drawing_is_written_beside_what_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = unroll_levels(small(3), "binary")
    write(net, tmp_path / "some.net")
    code, output = call("show", "some.net")
    assert code == 0, output
    assert "drawing: some.svg" in output
    assert (tmp_path / "some.svg").read_text("utf-8") == lavaseg.show(
        tmp_path / "some.net", "some.net"
    ).svg
    code, output = call("show", "mfs-seg-efs-res18", "--classes", 5, "--input", "2x32x32")
    assert code == 0, output
    assert "input 2×32×32" in output
    assert (tmp_path / "mfs-seg-efs-res18.svg").exists()
    code, output = call("show", "spiking_deeplab", "--set", "aspp=[1, 2]", "--text", "--width", 4)
    assert code == 0, output
    assert "branch2" in output
    assert not (tmp_path / "spiking_deeplab.svg").exists()


def test_a_recipe_is_drawn_for_its_data_or_for_a_size_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAVASEG_DATA", raising=False)
    code, output = call("show", "demo-levels", "--text")
    assert code == 0, output
    assert "3×32×32" in output
    assert "integers 0 to 4" in output
    code, output = call("show", "brgnet-dsec", "--text")
    assert code == 0, output
    assert "the data are not at hand" in output
    code, output = call("show", "camvid", "--text", "--input", "3x24x32", "--classes", 12)
    assert code == 0, output
    assert "not at hand" not in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.net"], "there is no file nothing.net"),
        (["spiking_deplab"], "did you mean 'spiking_deeplab'"),
        (["qzx"], "there is no run, .net file, recipe, system or model 'qzx'"),
        (["unet"], "'unet' is a torch module"),
        (["demo", "-o", "x.pdf"], "--out x.pdf must end in .svg"),
        (["demo", "--text", "-o", "x.svg"], "--text writes no file"),
        (["demo", "--width", "3"], "a recipe has model.options"),
        (["some.net", "--width", "3"], "--width changes a recipe or a model"),
        (["some.net", "-o", "some.net"], "must end in .svg"),
        (["spiking_deeplab", "--set", "aspp"], "expected option=value"),
        (["spiking_deeplab", "--set", "asp=1"], "has no option 'asp'"),
        (["spiking_deeplab", "--input", "3x"], "CHANNELSxHEIGHTxWIDTH"),
        (["demo", "--layers", "conv1"], "--layers goes with --picture"),
        (["demo", "--picture", "0"], "there is no run folder and no .net file demo"),
        (["some.net", "--picture", "0"], "give a file"),
        (["some.net", "--picture", "no.png"], "neither a file, a folder nor a data set"),
        (["some.net", "--picture", "0", "--text"], "--text is of drawings"),
        (["some.net", "--picture", "x.png", "-o", "x.avi"], "spikes are written as .html, .gif"),
        (["bad.net"], "is not a lavaseg network"),
        (["folder"], "is not a run"),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, list) else "",
)
def test_a_mistake_is_one_sentence_and_leaves_no_file(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(unroll_levels(small(2), "graded"), tmp_path / "some.net")
    (tmp_path / "bad.net").write_text("hello")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    code, output = call("show", *words)
    assert code == 2, output
    assert said in " ".join(output.split())
    assert len([line for line in output.splitlines() if line.startswith("error:")]) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_what_intel_ships_is_drawn_or_refused_by_its_name() -> None:
    netx = pytest.importorskip("lava.lib.dl.netx", reason="lava-dl is not installed")
    folder = Path(netx.__path__[0]).parents[3] / "tests/lava/lib/dl/netx"
    if not folder.exists():
        pytest.skip("lava-dl was installed without its tests")
    drawn = lavaseg.show(folder / "gts" / "ntidigits" / "ntidigits.net")
    late = {arrow.late for arrow in drawn.scheme.arrows if arrow.late}
    assert late == {"0 to 62 steps late"}
    check_apart(place(drawn.scheme))
    check_apart(place(lavaseg.show(folder / "gts" / "pilotnet_lif" / "network.net").scheme))
    with pytest.raises(LavasegError, match="is 'SDNN', only CUBA neurons can be read"):
        lavaseg.show(folder / "gts" / "pilotnet_sdnn" / "network.net")
