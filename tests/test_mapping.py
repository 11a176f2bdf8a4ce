"""The model of Loihi 2's compiler: public tables, layers of a graph, tiles, what does not fit."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import lavaseg
from lavaseg.chip import BOARDS, CORES_PER_CHIP, Mapping, map_layers, map_net, smallest_board
from lavaseg.chip.known import WIDEST
from lavaseg.chip.layers import weight_bits
from lavaseg.chip.profiles import PROFILES
from lavaseg.chip.published import PUBLISHED, PublishedTable, differences
from lavaseg.chip.resources import fields_of_view, overlaps
from lavaseg.cli import app
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import deployed
from lavaseg.models.systems import find
from lavaseg.network import (
    Conv,
    Current,
    Dense,
    Input,
    Network,
    OneToOne,
    Operator,
    Population,
    Projection,
)
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.interleave import interleave
from lavaseg.netx import write

Networks = Callable[..., st.SearchStrategy[IntegerNetwork]]


def chain(source: tuple[int, int, int], *operators: Operator) -> Network:
    """A network in which each population sends to the next."""
    names = ["input", *(f"p{index}" for index in range(len(operators) - 1)), "out"]
    return Network(
        Input("input", source),
        (*(Population(name) for name in names[1:-1]), Population("out", None)),
        tuple(
            Projection(before, name, operator)
            for before, name, operator in zip(names, names[1:], operators, strict=False)
        ),
        "out",
    )


def integer(network: Network, weight: int = 8, steps: int = 4) -> IntegerNetwork:
    weights = {
        p.name: np.full(network.synapse_shape(p), weight, np.int16) for p in network.projections
    }
    whole = network.replace_nodes(
        {p.name: {"threshold": 10.0} for p in network.populations if p.threshold is not None}
    )
    classes = tuple(f"c{index}" for index in range(network.shape(network.readout)[0]))
    return IntegerNetwork(whole, weights, Poisson(steps), classes)


# --------------------------------------------------------------------------------------------
# What the compiler printed


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.name)
def test_every_register_tile_and_core_of_a_public_table_is_reproduced(
    table: PublishedTable,
) -> None:
    mapping = map_layers(table.layers, profile=table.profile)
    for row in table.rows:
        found = differences(mapping[row.layer], row, PROFILES[table.profile])
        assert not found, (row.layer, found)
    assert mapping.cores == sum(row.cores for row in table.rows)
    assert {row.layer for row in table.rows} == {layer.name for layer in mapping.layers}
    assert mapping.fits


def test_a_table_of_the_other_profile_is_not_reproduced() -> None:
    """The profiles differ where it matters: the comparison above can fail."""
    for table in PUBLISHED:
        other = "2022" if table.profile == "2024" else "2024"
        mapping = map_layers(table.layers, profile=other)
        found = [differences(mapping[row.layer], row, PROFILES[other]) for row in table.rows]
        if any(row.cores > 1 for row in table.rows):
            assert any(found), table.name


def test_pilotnet_has_the_bits_of_its_published_weights() -> None:
    h5py = pytest.importorskip("h5py")
    tests = pytest.importorskip("lava.lib.dl.netx", reason="lava-dl is not installed")
    path = Path(tests.__path__[0]).parents[3] / "tests/lava/lib/dl/netx/gts/pilotnet_lif"
    if not path.exists():
        pytest.skip("lava-dl was installed without its tests")
    with h5py.File(path / "network.net") as file:
        stored = [file["layer"][key] for key in sorted(file["layer"], key=int)]
        weights = [np.asarray(layer["weight"]) for layer in stored if "weight" in layer]
    (table,) = (table for table in PUBLISHED if table.name == "PilotNet, LIF")
    bits = [item.bits for layer in table.layers for item in layer.incoming]
    assert [weight_bits(weight.astype(int)) for weight in weights[1:]] == bits


@settings(deadline=None)  # the first example imports Lava
@given(
    st.lists(st.integers(-127, 127).map(lambda value: 2 * value), min_size=1, max_size=6)
    | st.lists(st.integers(0, 255), min_size=1, max_size=6)
)
def test_bits_of_weights_are_those_that_lava_stores(values: list[int]) -> None:
    from lavaseg.compat import prepare_lava

    prepare_lava()
    from lava.utils.weightutils import determine_sign_mode, optimize_weight_bits

    weights = np.array(values)
    theirs = optimize_weight_bits(weights, determine_sign_mode(weights), loihi2=True)
    assert weight_bits(weights) == max(1, theirs.num_weight_bits)


# --------------------------------------------------------------------------------------------
# Tiles


def test_a_mapping_covers_every_neuron_and_overfills_no_core(graph_networks: Networks) -> None:
    @settings(max_examples=60, deadline=None)
    @given(graph_networks(most_populations=8), st.sampled_from(sorted(PROFILES)))
    def check(net: IntegerNetwork, profile: str) -> None:
        mapping = map_net(net, profile=profile, replay=True)
        for layer in mapping.layers:
            x, y, c = layer.tile
            assert layer.cores * x * y * c >= np.prod(layer.shape)
            assert layer.fits
            assert layer.share <= 1
        ids = sorted(core for layer in mapping.layers for core in layer.core_ids)
        assert ids == list(range(mapping.cores))

    check()


@given(
    st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2),
    st.integers(1, 9), st.integers(1, 9),
)  # fmt: skip
def test_a_tile_names_each_core_whose_field_of_view_it_lies_in(
    size: int, kernel: int, stride: int, padding: int, source: int, target: int
) -> None:
    operator = Conv(1, (kernel, 1), (stride, 1), (padding, 0))
    geometry = operator.geometry((1, size, 1))
    axis = geometry.rows
    if axis.wanted < 1 or kernel < stride:  # between kernels, inputs that nothing sees
        return
    outputs, inputs, _ = axis.links()
    views = [
        (inputs[outputs // target == tile].min(), inputs[outputs // target == tile].max())
        for tile in range(-(-axis.wanted // target))
        if (outputs // target == tile).any()
    ]
    expected = [
        sum(low < begin + source and high >= begin for low, high in views)
        for begin in range(0, size, source)
    ]
    assert overlaps(axis, source, target).tolist() == expected
    first, stop = fields_of_view(axis, target)
    assert ((stop - first)[stop > first] <= size).all()


# --------------------------------------------------------------------------------------------
# What does not fit, boards, clocks


def test_a_layer_that_fits_no_core_is_named_with_register_and_number() -> None:
    wide = map_net(chain((32, 32, 32), Dense(10), Dense(2)))
    assert not wide.fits
    assert wide.misfit is not None
    assert "'p0'" in wide.misfit
    assert "AxonIn would be 32,768" in wide.misfit
    assert "16,000" in wide.misfit


def test_the_network_that_the_compiler_could_not_partition_fits_no_core() -> None:
    """ZHAW's: 4 channels at 130 x 172, 8 at 65 x 86, 8 at 33 x 43, dense 1000, 250, 6."""
    strided = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    network = chain(
        (2, 260, 344), Conv(4, **strided), Conv(8, **strided), Conv(8, **strided),
        Dense(1000), Dense(250), Dense(6),
    )  # fmt: skip
    assert network.shape("p2") == (8, 33, 43)
    mapping = map_net(network)
    assert mapping.misfit is not None
    assert "'p3'" in mapping.misfit
    assert "Total would be 22,7" in mapping.misfit


def test_the_smallest_board_holds_the_cores() -> None:
    assert [smallest_board(cores).name for cores in (1, 120, 121, 960, 961, 1921)] == [  # type: ignore[union-attr]
        "Oheo Gulch", "Oheo Gulch", "Kapoho Point", "Kapoho Point", "VPX", "Hala Point",
    ]  # fmt: skip
    assert smallest_board(BOARDS[-1].cores + 1) is None


def test_replayed_input_and_clocks_take_cores_of_their_own() -> None:
    network = Network(
        Input("input", (2, 16, 16)),
        (Population("a", clock=True), Population("out", None)),
        (Projection("input", "a", Conv(4, (3, 3))), Projection("a", "out", Conv(2, (3, 3)))),
        "out",
    )
    without, with_input = (map_net(network, steps=9, replay=replay) for replay in (False, True))
    assert [layer.kind for layer in without.layers] == ["clock", "population", "population"]
    assert with_input.cores == without.cores + with_input["input"].cores
    clock = without["a clock"]
    assert clock.shape == (9, 14, 14)
    assert clock.registers.neurons == np.prod(clock.tile) * 2, "9 steps of 8 bits are two words"
    assert not clock.tabled
    assert without["out"].tabled
    assert not without["a"].tabled, "two kinds of synapses"


def test_fewer_bits_of_weights_take_less_memory() -> None:
    network = chain((8, 16, 16), Conv(32, (3, 3)), Conv(2, (1, 1)))
    small, large = integer(network, 8), integer(network, 8)
    large.weights["input_to_p0"].flat[:3] = 254, -256, 2
    found = [map_net(net)["p0"].registers.syn_mem for net in (small, large)]
    assert found[0] < found[1] == map_net(network)["p0"].registers.syn_mem


def test_a_current_is_refused() -> None:
    network = Network(
        Input("input", (1, 4, 4)),
        (Current("sum"), Population("out", None)),
        (Projection("input", "sum", OneToOne()), Projection("sum", "out", Conv(1, (1, 1)))),
        "out",
    )
    with pytest.raises(LavasegError, match="current 'sum'"):
        map_net(network)


# --------------------------------------------------------------------------------------------
# The command, the picture


def call(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["map", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_shows_what_the_api_gives(tmp_path: Path) -> None:
    net = integer(chain((2, 12, 12), Conv(8, (3, 3)), Conv(3, (1, 1))))
    path = tmp_path / "net.net"
    write(net, path)
    code, text, _ = call(path, "--json")
    assert code == 0
    found = json.loads(text)
    mapping = lavaseg.map_net(net)
    assert found["cores"] == mapping.cores
    assert found["board"] == "Oheo Gulch"
    assert [tuple(layer["tile"]) for layer in found["layers"]] == [
        layer.tile for layer in mapping.layers
    ]
    code, text, _ = call(path, "--cores", "-o", tmp_path / "map.svg")
    assert code == 0
    assert max(map(len, text.splitlines())) <= max(80, len(str(path)) + 30)
    assert "Not run on a chip" in text
    drawn = (tmp_path / "map.svg").read_text()
    assert "<!-- chip 0 -->" in drawn  # texts are outlines, each behind its words


def test_the_table_of_a_system_has_80_columns_and_marks_our_model() -> None:
    code, text, _ = call("spiking-unet-small", "--input", "3x32x32", "--classes", "2")
    assert code == 0
    assert max(map(len, text.splitlines())) <= 80
    (link,) = (line for line in text.splitlines() if " wait 1-3*" in line)
    mapping = json.loads(
        call("spiking-unet-small", "--input", "3x32x32", "--classes", "2", "--json")[1]
    )
    chain_ = [layer for layer in mapping["layers"] if layer["layer"].startswith("down0 wait")]
    assert int(link.split()[-1]) == sum(layer["cores"] for layer in chain_)
    assert all(layer["model"] == "ours" for layer in chain_)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nothing",), "there is no file, run folder or system 'nothing'"),
        (("missing.net",), "there is no file missing.net"),
        (("ann-fcn",), "artificial network"),
        (("spiking-unet-small", "--profile", "2023"), "did you mean '2024' or '2022'?"),
        (("spiking-unet-small", "-o", "map.png"), "ends in .svg"),
        (("spiking-unet-small", "--input", "3x64"), "CHANNELSxHEIGHTxWIDTH"),
        (("spiking-fcn-published", "--width", "4"), "soft reset"),
    ],
)
def test_a_mistake_is_one_sentence(
    words: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = call(*words)
    assert code == 2
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_shown_and_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "net.net"
    write(integer(chain((32, 24, 24), Dense(2))), path)
    code, text, error = call(path, "-o", tmp_path / "map.svg")
    assert code == 2
    assert "layer 'out' fits no core: AxonIn would be 18,432" in error
    assert "out" in text
    assert "board" not in text
    assert not (tmp_path / "map.svg").exists()


@pytest.mark.parametrize("cores", [1, 119, 121, 7_300])
def test_the_picture_has_a_pixel_of_each_layer_and_its_legend(cores: int, tmp_path: Path) -> None:
    from lavaseg.report.chips import chip_map, save_svg

    mapping = _mapping_of(cores)
    figure = chip_map(mapping, "net $x$")
    assert f"{mapping.cores:,} of" in figure._suptitle.get_text()  # type: ignore[attr-defined]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(legend) == len(mapping.layers)
    colours = {patch.get_facecolor()[:3] for patch in figure.legends[0].get_patches()}
    assert len(colours) == len(legend)
    drawn = np.unique(figure.axes[0].images[0].get_array().reshape(-1, 3), axis=0)
    assert all(np.isclose(drawn, colour).all(axis=1).any() for colour in colours)
    chips = [text.get_text() for text in figure.axes[0].texts]
    wanted = [f"chip {chip}" for chip in range(mapping.chips)] if mapping.chips <= 60 else []
    assert chips == wanted
    save_svg(figure, tmp_path / "map.svg")
    assert (tmp_path / "map.svg").stat().st_size > 1000


def _mapping_of(cores: int) -> Mapping:
    """A network whose first layer takes about so many cores."""
    side = 16 * max(1, round((cores / 4) ** 0.5))
    mapping = map_net(chain((1, side, side), Conv(64, (1, 1)), Conv(2, (1, 1))))
    assert mapping.chips == -(-mapping.cores // CORES_PER_CHIP)
    return mapping


# --------------------------------------------------------------------------------------------
# The page


def widened(height: int, columns: int) -> IntegerNetwork:
    """The small U-Net with weights that need all 8 bits, on a sheet of that size."""
    network = deployed(find("spiking-unet-small").build(Input("input", (3, height, columns)), 21))
    net = integer(network, 254, 20)
    for weights in net.weights.values():
        weights.flat[:2] = -256, 2
    return net


@pytest.mark.parametrize(("height", "columns"), [(260, 344), (440, 640)])
def test_interleaving_costs_no_core_where_the_page_says_so(height: int, columns: int) -> None:
    net = widened(height, columns)
    before, after = (map_net(item) for item in (net, interleave(net, WIDEST)[0]))
    assert before.fits
    assert after.fits
    assert before.cores == after.cores
    page = (Path(__file__).resolve().parents[1] / "docs" / "loihi2.md").read_text("utf-8")
    assert f"3x{height}x{columns} ({before.cores:,}" in page


@pytest.mark.slow
def test_the_page_shows_the_tables_that_its_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[1]
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    loihi2 = importlib.import_module("loihi2")
    page = (root / "docs" / "loihi2.md").read_text("utf-8").splitlines()
    for line in [*loihi2.published_lines(), *loihi2.system_lines(), *loihi2.limit_lines()]:
        assert line in page
