"""Systems: the papers' figures, who stands for whom on hardware, and documents that agree."""

from __future__ import annotations

import inspect
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch

from lavaseg import models, recipes
from lavaseg.cli import models as command
from lavaseg.errors import LavasegError
from lavaseg.export.figures import system_figures
from lavaseg.export.lowering import deployed, levels_unrolled, lower
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.models.analog import constructor
from lavaseg.models.size import Size, layers, size, synaptic_memory
from lavaseg.models.systems import SYSTEMS, System, find, width_options
from lavaseg.network import Input, Network
from lavaseg.training import SpikingNetwork

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "models.md"

Task = tuple[Input, int]
VOC = Input("input", (3, 64, 64)), 21
DDD17 = Input("input", (2, 64, 64)), 6
CAMVID = Input("input", (3, 180, 240)), 12
DDD17_MFS = Input("input", (2, 260, 352)), 6


def figures(key: str, task: Task, steps: int = 1) -> Size:
    return size(SYSTEMS[key].build(*task), steps)


# -- what the papers print -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["spiking-deeplab-published", "spiking-deeplab-bntt-shift", "spiking-deeplab", "ann-deeplab"],
)
@pytest.mark.parametrize(
    ("task", "weights", "gmacs"), [(VOC, 4_115_136, 1.3715), (DDD17, 4_099_200, 1.3652)]
)
def test_every_deeplab_has_the_published_size(
    key: str, task: Task, weights: int, gmacs: float
) -> None:
    found = figures(key, task)
    assert found.weights == weights
    assert round(found.macs / 1e9, 4) == gmacs


@pytest.mark.parametrize("key", ["spiking-fcn-published", "mfs-seg-fcn", "ann-fcn"])
@pytest.mark.parametrize(("task", "gmacs"), [(VOC, 1.5494), (DDD17, 1.5196)])
def test_every_fcn_as_published_has_the_published_size(key: str, task: Task, gmacs: float) -> None:
    found = figures(key, task)
    if task is VOC:
        assert round(found.weights / 1e6, 2) == 13.57
    assert round(found.kim_macs / 1e9, 4) == gmacs
    assert found.torchstat_macs < found.macs < found.kim_macs


def test_the_fcn_of_the_papers_table_is_a_fourth_of_that_of_its_code() -> None:
    assert round(figures("spiking-fcn-table1", VOC).weights / 1e6, 2) == 3.09


@pytest.mark.parametrize(
    ("key", "task", "scales", "millions"),
    [
        ("spiking-deeplab-published", VOC, 2_176, 4.159),
        ("spiking-deeplab-published", DDD17, 2_176, 4.143),
        ("spiking-fcn-published", VOC, 3_200, 13.638),
    ],
)
def test_bntt_adds_a_scale_for_each_channel_and_step(
    key: str, task: Task, scales: int, millions: float
) -> None:
    found = [figures(key, task, steps).parameters for steps in (20, 21)]
    assert found[1] - found[0] == scales
    assert round(found[0] / 1e6, 3) == millions


@pytest.mark.parametrize(("key", "millijoules"), [("ann-deeplab", 6.31), ("ann-fcn", 7.13)])
def test_energy_of_the_artificial_networks_is_the_published_one(
    key: str, millijoules: float
) -> None:
    assert round(figures(key, VOC).ann_millijoules, 2) == millijoules


@pytest.mark.parametrize(
    ("key", "task", "millions"),
    [
        ("mfs-seg-efs-res36", DDD17_MFS, 0.74),
        ("mfs-seg-efs-res54", DDD17_MFS, 0.92),
        ("mfs-seg-efs-res54", CAMVID, 0.92),
        ("mfs-seg-efs-res72", CAMVID, 1.11),
        ("mfs-seg-ms-res54", CAMVID, 2.98),
        ("mfs-seg-ms-res72", CAMVID, 3.76),
        ("mfs-seg-no-group", CAMVID, 6.28),
        ("mfs-seg-shuffle", CAMVID, 0.39),
        ("spiking-unet-31m", CAMVID, 31.04),
        ("unet", CAMVID, 31.04),
        ("segnet", CAMVID, 29.45),
        ("mimo-unet", CAMVID, 3.73),
    ],
)
def test_systems_of_mfs_seg_have_the_published_parameters(
    key: str, task: Task, millions: float
) -> None:
    assert figures(key, task).parameters / 1e6 == pytest.approx(millions, abs=0.006)


def test_the_three_branches_have_the_published_parameters_within_a_hundredth() -> None:
    """7.68 M with the gates that stand here otherwise; at the size of DSEC, all windows fit."""
    found = figures("spike-brgnet", (Input("input", (1, 440, 640)), 11))
    assert found.parameters / 1e6 == pytest.approx(7.68, rel=0.01)


@pytest.mark.parametrize("key", ["spiking-unet-31m", "unet"])
def test_both_unets_have_the_published_macs(key: str) -> None:
    found = figures(key, CAMVID)
    assert round(found.torchstat_macs / 1e9, 2) == 30.15
    assert round(found.macs / 1e9, 2) == 31.55


# -- the registry --------------------------------------------------------------------------------

CHANNELS = {"width", "base", "channels", "dilations", "output_stride", "depth"}
"""Options that make a system larger or smaller and leave it what it is."""


def identity(model: str, options: dict[str, Any]) -> tuple[Any, ...]:
    """A model with all its options but those of size, defaults filled in."""
    function = models.MODELS.get(model) or constructor(model)
    defaults = {
        name: parameter.default
        for name, parameter in list(inspect.signature(function).parameters.items())[2:]
    }
    plain = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in {**defaults, **options}.items()
    }
    return model, *sorted((name, repr(v)) for name, v in plain.items() if name not in CHANNELS)


IDENTITIES = {key: identity(s.model, dict(s.options)) for key, s in SYSTEMS.items()}


def test_no_two_systems_are_the_same_and_every_model_is_one() -> None:
    assert len(set(IDENTITIES.values())) == len(SYSTEMS)
    assert {s.model for s in SYSTEMS.values()} == {*models.MODELS, *models.ANALOG}


PAPERS = [name for name in recipes.names() if recipes.load(name).paper]


@pytest.mark.parametrize("name", PAPERS)
def test_every_recipe_of_a_paper_trains_one_of_the_systems(name: str) -> None:
    chosen = recipes.load(name).model
    assert identity(chosen.name, dict(chosen.options)) in IDENTITIES.values()


@pytest.mark.parametrize("key", SYSTEMS)
@pytest.mark.parametrize("sides", [(64, 64), (32, 48)])
def test_every_system_has_any_width_and_size(key: str, sides: tuple[int, int]) -> None:
    model = SYSTEMS[key].build(Input("input", (3, *sides)), 5, width=8)
    channels, *first = layers(model)[0].shape
    assert channels == 8
    assert tuple(first) in (sides, (sides[0] // 2, sides[1] // 2))  # a stem may halve them
    logits = model.shape(model.readout) if isinstance(model, Network) else model.layers[-1].shape
    assert logits[0] == 5
    assert sides[0] % logits[1] == sides[1] % logits[2] == 0


def runs_on_hardware(system: System) -> bool:
    model = system.build(Input("input", (3, 32, 32)), 4, width=4)
    try:
        return isinstance(model, Network) and bool(deployed(model))
    except LavasegError:
        return False


@pytest.mark.parametrize("key", SYSTEMS)
def test_a_system_runs_on_hardware_or_names_one_that_does(key: str) -> None:
    system = SYSTEMS[key]
    if runs_on_hardware(system):
        assert system.deployed_as is None
    elif system.spiking or system.deployed_as is not None:
        assert runs_on_hardware(SYSTEMS[str(system.deployed_as)])


@pytest.mark.parametrize("key", [key for key, s in SYSTEMS.items() if s.spiking])
def test_a_trial_foretells_what_trained_values_become_on_hardware(key: str) -> None:
    model = SYSTEMS[key].build(Input("input", (3, 16, 32)), 4, width=4)
    assert isinstance(model, Network)
    net = SpikingNetwork(model, steps=3)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    weighted = WeightedNetwork.from_model(net)
    if SYSTEMS[key].deployed_as is None:
        assert deployed(model) == levels_unrolled(lower(weighted).network).network
    else:
        for fails in (lambda: deployed(model), lambda: lower(weighted)):
            with pytest.raises(LavasegError, match="soft reset"):
                fails()


def test_a_trial_holds_no_weights_however_wide_the_network_is() -> None:
    wide = SYSTEMS["spiking-deeplab"].build(Input("input", (3, 16, 16)), 4, width=1_024)
    assert isinstance(wide, Network)
    tracemalloc.start()
    try:
        deployed(wide)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * wide.weight_count() / 1_000


@pytest.mark.parametrize("steps", [1, 20])
def test_clock_axons_of_hardware_are_synaptic_memory(steps: int) -> None:
    found = []
    for key in ("spiking-deeplab-bntt-shift", "spiking-deeplab"):
        model = SYSTEMS[key].build(*VOC, width=8)
        assert isinstance(model, Network)
        found.append(synaptic_memory(deployed(model), steps))
    assert found[0] - found[1] == steps * 2_176 // 8


def test_a_width_replaces_the_channels_and_an_option_the_systems_own() -> None:
    assert width_options("spiking_deeplab", 8) == {"width": 8}
    assert width_options("mfs_seg", 8) == {"base": 8}
    assert width_options("spiking_resnet", 8) == {"channels": [8, 16]}
    system = SYSTEMS["mfs-seg-efs-res36"]
    assert system.all_options(given={"n": 5}) == {"n": 5}
    assert system.all_options(8) == {"n": 2, "base": 8}
    with pytest.raises(LavasegError, match="'base' both choose"):
        system.all_options(8, {"base": 4})


def test_a_name_is_a_system_or_a_model_at_its_defaults() -> None:
    assert find("mfs-seg-fire") is SYSTEMS["mfs-seg-fire"]
    assert find("mfs_seg").options == {}
    with pytest.raises(LavasegError, match="no system or model 'mfs'"):
        find("mfs")


# -- the document --------------------------------------------------------------------------------


def documented() -> dict[str, list[str]]:
    """Cells of the table of systems, by key."""
    section = DOCUMENT.read_text("utf-8").split("## Systems\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_document_has_a_row_for_every_system_in_order() -> None:
    assert list(documented()) == list(SYSTEMS)


@pytest.mark.parametrize("key", SYSTEMS)
def test_the_document_has_the_figures_that_the_command_prints(key: str) -> None:
    title, paper, task, *printed = documented()[key]
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+), (\d+), (\d+)", task)
    assert found
    channels, height, width, classes, steps = map(int, found.groups())
    sheet = Input("input", (channels, height, width))
    row = system_figures(SYSTEMS[key], sheet, classes, steps=steps)
    assert (title, paper) == (row["title"], row["paper"])
    assert printed == [
        command.short(row["parameters"]),
        command.short(row["weights"]),
        f"{row['macs'] / 1e9:.4f} G",
        command.verdict(row),
    ]
