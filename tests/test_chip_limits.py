"""Limits of Loihi 2: each is found in a network that breaks it, and not in one just inside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from lavaseg.chip import BOARDS, LIMITS, Finding, find_limits, legal, map_net
from lavaseg.chip.known import LARGEST_COMPILED, WIDEST
from lavaseg.chip.limits import grouped
from lavaseg.chip.period import padded
from lavaseg.cli import app
from lavaseg.encoders import Direct, Poisson
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Dense,
    Input,
    Network,
    NetworkError,
    OneToOne,
    Operator,
    Population,
    Projection,
    Relay,
    SumPool,
    Upsample,
)
from lavaseg.network.base import Shape
from lavaseg.network.delays import plan
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.interleave import interleave
from lavaseg.netx import read, write


def chain(shape: Shape, *operators: Operator, bits: int = 0) -> Network:
    """Populations p0, p1, ... in a row; the last one is the read-out."""
    names = ["input", *(f"p{i}" for i in range(len(operators)))]
    return Network(
        Input("input", shape, bits),
        tuple(
            Population(name, None if name == names[-1] else 10 + i)
            for i, name in enumerate(names[1:])
        ),
        tuple(
            Projection(source, target, operator)
            for source, target, operator in zip(names, names[1:], operators, strict=False)
        ),
        names[-1],
    )


def integers(network: Network, value: int = 2, steps: int = 4) -> IntegerNetwork:
    weights = {
        p.name: np.full(network.synapse_shape(p), value, np.int16) for p in network.projections
    }
    classes = tuple(f"c{i}" for i in range(network.shape(network.readout)[0]))
    bits = network.input.message_bits
    encoder = Direct(steps, bits=bits) if bits else Poisson(steps)
    return IntegerNetwork(network, weights, encoder, classes)


def kinds(found: tuple[Finding, ...], severity: str | None = None) -> list[str]:
    return [item.kind for item in found if severity in (None, item.severity)]


SMALL = chain((1, 8, 8), Conv(2, 3, 1, 1), Conv(2, 1))


def test_a_small_network_meets_no_limit() -> None:
    found = find_limits(integers(SMALL))
    assert found == ()
    assert legal(found)


@pytest.mark.parametrize(("steps", "period"), [(1, 1), (2, 2), (3, 4), (5, 8), (20, 32), (32, 32)])
def test_a_reset_interval_that_is_no_power_of_two_is_padded(steps: int, period: int) -> None:
    assert padded(steps) == period
    found = find_limits(integers(SMALL, steps=steps))
    assert kinds(found) == (["reset interval"] if steps != period else [])
    if found:
        assert found[0].severity == "repaired"
        assert f"{period} steps there, of which {period - steps} are silent" in found[0].remedy
        assert legal(found)


def test_columns_beyond_the_last_safe_one_are_refused_where_a_convolution_reads_them() -> None:
    assert "columns" not in kinds(find_limits(chain((1, 4, WIDEST), Conv(2, 3, 1, 1), Conv(2, 1))))
    assert "columns" in kinds(find_limits(chain((1, 4, WIDEST + 1), Conv(2, 3, 1, 1), Conv(2, 1))))
    wide = chain((1, 4, WIDEST + 2), Conv(2, 3, 1, 1), Conv(2, 1))
    found = [item for item in find_limits(wide) if item.kind == "columns"]
    assert [item.layer for item in found] == ["input", "p0"]  # the read-out sends nothing
    assert {item.severity for item in found} == {"refuses"}
    assert "--widest 254` of `lavaseg export` or `import` makes 128 columns of 2 channels" in str(
        found[0]
    )
    assert not legal(tuple(found))
    dense = chain((1, 4, WIDEST + 2), Dense(3), Dense(2))
    assert "columns" not in kinds(find_limits(dense))


def test_what_is_interleaved_breaks_no_limit_of_columns() -> None:
    net = integers(chain((1, 4, 346), Conv(2, 3, 1, 1), Conv(3, 3, 2, 1), Conv(2, 1)))
    assert kinds(find_limits(net)).count("columns") == 2
    narrow, _ = interleave(net, WIDEST)
    assert kinds(find_limits(narrow)) == []


def test_widths_that_hardly_divide_are_told_to_be_cropped() -> None:
    found = find_limits(chain((1, 4, 347), Conv(2, 3, 1, 1), Conv(2, 1)))
    assert "crop or pad the input so that these are a multiple of 2, such as 346" in str(found[0])


def test_sheets_that_cannot_be_interleaved_alike_say_which_projection() -> None:
    network = chain((1, 4, 259), Conv(1, 3, 1, 1), Conv(1, 3, 2, 1), Conv(2, 1))
    found = [item for item in find_limits(network) if item.kind == "columns"]
    assert "projection 'p0_to_p1' leads from 259 to 130 columns" in found[0].remedy


@pytest.mark.parametrize(
    ("shape", "profile", "expected"),
    [
        ((2, 57, 200), "2022", None),
        ((2, 58, 58), "2022", "refuses"),
        ((2, 58, 58), "2024", None),
        (LARGEST_COMPILED, "2024", None),
        ((17, 224, 224), "2024", "warns"),
    ],
)
def test_convolutions_beyond_what_compiled_are_named(
    shape: Shape, profile: str, expected: str | None
) -> None:
    network = chain((1, *shape[1:]), Conv(shape[0], 1), Dense(2))
    found = find_limits(network, map_net(network, profile=profile))
    assert [i.severity for i in found if i.kind == "convolution"] == [expected] * bool(expected)


def test_sums_beyond_24_bits_are_refused() -> None:
    inside = chain((1, 16, 16), Dense(2))
    assert "ranges" not in kinds(find_limits(integers(inside, 254)))
    found = find_limits(integers(chain((1, 23, 23), Dense(2)), 254))
    assert kinds(found, "refuses") == ["ranges"]
    assert found[0].layer == "population 'p0'"
    assert "24-bit current wraps" in found[0].remedy


def test_a_layer_whose_smallest_tile_fills_more_than_a_core_is_refused() -> None:
    inside, beyond = (chain((c, 64, 128), Dense(10), Dense(2)) for c in (1, 2))
    assert "core" not in kinds(find_limits(inside))
    found = [item for item in find_limits(beyond) if item.kind == "core"]
    assert found[0].layer == "p0"
    assert found[0].severity == "refuses"
    assert "16,000 a core (compiler of 2024)" in str(found[0])


def test_more_cores_than_the_board_has_are_refused() -> None:
    network = chain((3, 128, 128), Conv(32, 3, 1, 1), Conv(2, 1))
    mapping = map_net(network)
    assert BOARDS[0].cores < mapping.cores <= BOARDS[1].cores
    assert "cores" not in kinds(find_limits(network, mapping))
    found = find_limits(network, mapping, board=BOARDS[0])
    assert kinds(found, "refuses") == ["cores"]
    named = next(item for item in found if item.kind == "cores")
    assert named.layer == "p0"
    assert "Oheo Gulch" in str(named)
    assert "Kapoho Point" in named.remedy


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (Upsample(2), ["port views"]),
        (ConvTranspose(2, 2, 2), ["port views"]),
        (ConvTranspose(2, 3, 1, 1), []),
        (ConvTranspose(2, 3, 2), []),  # 17 columns are no whole number of phases
    ],
    ids=str,
)
def test_phases_behind_a_view_are_remarked(operator: Operator, expected: list[str]) -> None:
    assert kinds(find_limits(chain((2, 8, 8), Conv(2, 1), operator, Conv(2, 1)))) == expected


def test_processes_that_might_fall_back_to_the_host_are_remarked() -> None:
    network = Network(
        Input("input", (1, 8, 8)),
        (
            Population("a", 10, clock=True),
            Population("b", 10),
            Relay("r"),
            Relay("s"),
            Population("loop", 10),
            Population("out", None),
        ),
        (
            Projection("input", "a", Conv(2, 1)),
            Projection("a", "b", Conv(2, 1), 1),
            Projection("b", "r", SumPool(2)),
            Projection("b", "s", SumPool(2)),
            Projection("r", "loop", OneToOne()),
            Projection("s", "loop", OneToOne()),
            Projection("loop", "loop", OneToOne(), 1),
            Projection("b", "out", Dense(2), name="skip"),
            Projection("loop", "out", Dense(2)),
        ),
        "out",
    )
    found = [item for item in find_limits(network) if item.kind == "host processes"]
    assert [(item.layer, item.number) for item in found] == [
        ("r", "Lava's GradedVec"),
        ("s", "Lava's GradedVec"),
    ]
    assert [item.layer for item in grouped(found)] == ["r, s"]
    assert {item.severity for item in found} == {"warns"}


@pytest.mark.parametrize(("bits", "limit"), [(0, 15_300), (8, 10_251)])
def test_input_that_would_limit_the_step_is_remarked(bits: int, limit: int) -> None:
    for neurons, expected in ((limit, []), (limit + 1, ["host input"])):
        network = chain((neurons, 1, 1), Conv(2, 1), bits=bits)
        assert kinds(find_limits(network), "warns") == expected


def test_waits_longer_than_a_synapse_can_hold_take_relays() -> None:
    with pytest.raises(NetworkError, match="delay must be 0 to 62 steps"):
        Projection("a", "b", Dense(2), 63)
    for wait, synapses in ((62, {"skip": 62}), (63, {})):
        network = chain((1, 1, 1), *[Dense(1)] * (wait + 1), Dense(2))
        skip = Projection("p0", network.readout, Dense(2), name="skip")
        projections = (*network.projections, skip)
        long = Network(network.input, network.nodes, projections, network.readout)
        assert long.waits["skip"] == wait
        found = plan(long, 4)
        assert found.synapses == synapses
        assert found.chains == ({} if synapses else {("p0", 0): 63})


def zhaw() -> Network:
    """The network of Glüge's public report: it did not converge in lava-loihi 0.5.0."""
    return chain(
        (2, 260, 344),
        Conv(4, 3, 2, 1),
        Conv(8, 3, 2, 2, 2),
        Conv(8, 3, 2, 2, 2),
        Dense(1000),
        Dense(250),
        Dense(6),
    )


def test_the_public_network_that_did_not_compile_is_refused_in_one_sentence() -> None:
    network = zhaw()
    assert network.shape("p0") == (4, 130, 172)
    assert network.shape("p1") == (8, 65, 86)
    assert network.shape("p2") == (8, 33, 43)
    old = find_limits(network, map_net(network, profile="2022"), board=BOARDS[0])
    sentences = {item.kind: str(item) for item in old if item.severity == "refuses"}
    assert sentences.keys() == {"columns", "convolution", "cores"}
    assert "172 columns of 4 channels of them, spike for spike the same" in sentences["columns"]
    assert sentences["cores"].startswith("p3: ")  # the dense layer of 1,000 neurons
    new = find_limits(network)
    assert {(item.kind, item.layer) for item in new if item.severity == "refuses"} == {
        ("columns", "input"),
        ("core", "p3"),
    }
    for item in (*old, *new):
        assert "\n" not in str(item)
        assert item.source == LIMITS[item.kind].source


def test_documentation_has_a_row_for_every_limit_in_the_words_of_the_code() -> None:
    page = (Path(__file__).parents[1] / "docs" / "loihi2.md").read_text("utf-8")
    for name, limit in LIMITS.items():
        row = f"| {name} | {limit.title} | {limit.bound} | {limit.action} | {limit.source} |"
        assert row in page, row
        assert f"- **{name}**: {limit.known}.\n" in page, name


# -- the command ---------------------------------------------------------------------------------


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def wide_file(tmp_path: Path) -> Path:
    """A network of 300 columns and T = 5."""
    path = tmp_path / "wide.net"
    write(integers(chain((1, 4, 300), Conv(2, 3, 1, 1), Conv(2, 1)), steps=5), path)
    return path


def test_the_check_exits_with_1_where_a_limit_is_broken_and_says_what_to_do(
    wide_file: Path, tmp_path: Path
) -> None:
    result = call("map", wide_file, "--check")
    assert result.exit_code == 1, result.output
    lines = result.output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Loihi 2"))
    assert "2 known limits are broken, 1 repaired, 0 remarks" in lines[start]
    assert [line.split()[0] for line in lines[start + 1 :]] == ["repaired", "refuses", "refuses"]
    narrow, _ = interleave(read(wide_file), WIDEST)
    write(narrow, tmp_path / "narrow.net")
    result = call("map", tmp_path / "narrow.net", "--check")
    assert result.exit_code == 0, result.output
    assert "no known limit is broken, 1 repaired" in result.output


def test_the_check_as_json_has_every_field(wide_file: Path) -> None:
    result = call("map", wide_file, "--check", "--json")
    assert result.exit_code == 1
    limits = json.loads(result.stdout)["limits"]
    assert [item["kind"] for item in limits] == ["reset interval", "columns", "columns"]
    assert limits[1].keys() == {
        "kind", "layer", "number", "limit", "severity", "remedy", "source",
    }  # fmt: skip


def test_a_board_is_checked_by_name(wide_file: Path, tmp_path: Path) -> None:
    write(integers(chain((3, 128, 128), Conv(32, 3, 1, 1), Conv(2, 1))), tmp_path / "many.net")
    result = call("map", tmp_path / "many.net", "--board", "oheo-gulch")
    assert result.exit_code == 1
    assert "120 cores, all that Oheo Gulch has: spare " in result.output
    assert call("map", tmp_path / "many.net", "--board", "Kapoho Point").exit_code == 0
    result = call("map", wide_file, "--board", "breadboard")
    assert result.exit_code == 2
    assert "there is no board 'breadboard'; there are Oheo Gulch, Kapoho Point" in result.output
