"""`lavaseg models`: figures of the papers, why a model cannot be deployed, mistakes named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from lavaseg import models
from lavaseg.cli import app
from lavaseg.models.size import size
from lavaseg.models.systems import SYSTEMS
from lavaseg.network import Input


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["models", *words])


def figures(*words: str) -> dict[str, dict[str, Any]]:
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, dict[str, Any]] = json.loads(result.stdout)
    return found


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Function that calls the command on a terminal so many columns wide; text without colours."""

    def show(columns: int, *words: str) -> str:
        monkeypatch.setattr(Console, "is_terminal", property(lambda _: True))
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        shown = call(*words)
        assert shown.exit_code == 0, shown.output
        return re.sub(r"\x1b\[[\d;]*m", "", shown.stdout)

    return show


@pytest.mark.slow
def test_every_system_is_listed_and_every_spiking_one_deploys_or_names_one_that_does() -> None:
    found = figures("--input", "3x32x32", "--classes", "2", "--width", "8", "--steps", "3")
    assert list(found) == list(SYSTEMS)
    for key, row in found.items():
        assert row["parameters"], key
        if not row["deployable"]:
            spiking = row["model"] in models.MODELS
            assert ("soft reset" if spiking else "artificial") in row["obstacles"], key
            assert not spiking or found[row["deployed_as"]]["deployable"], key


def test_energies_of_all_systems_fit_a_terminal_of_80_columns(
    on_terminal: Callable[..., str],
) -> None:
    shown = on_terminal(80, "--energy", "--rate", "0.1", "--steps", "5")
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    rows = {words[0]: words[1:] for line in lines if len(words := line.split()) == 4}
    assert rows.keys() >= set(SYSTEMS)
    for key, system in SYSTEMS.items():
        macs = size(system.build(Input("input", (3, 64, 64)), 21)).kim_macs
        charged = 0.9 * 5 * 0.1 if system.spiking else 4.6
        flops, total, artificial = map(float, rows[key])
        assert flops == pytest.approx(2e-9 * macs, abs=1e-4), key
        assert total == pytest.approx(charged * macs / 1e9, rel=1e-3), key
        assert artificial == pytest.approx(4.6 * macs / 1e9, rel=1e-3), key
    assert "0.1 spikes a neuron and step are assumed" in shown


def test_one_system_shows_its_flops_and_energy_at_a_rate() -> None:
    found = figures("spiking-unet-small", "--rate", "0.5", "--steps", "2")["spiking-unet-small"]
    assert found["flops"] == 2 * found["kim_macs"]
    assert found["total_millijoules"] == pytest.approx(0.9 * 2 * 0.5 * found["kim_macs"] / 1e9)
    shown = call("spiking-unet-small", "--rate", "0.5", "--steps", "2").stdout
    assert f"FLOPs       {found['flops']:,}" in shown
    assert "at 0.5 spikes a neuron and step, assumed" in " ".join(shown.split())
    artificial = call("ann-deeplab").stdout
    assert "energy      6.309 mJ: 4.6 pJ a MAC" in artificial


@pytest.mark.parametrize("words", [("--rate", "1.5"), ("--rate", "-1"), ("unet", "--energy")])
def test_a_rate_that_no_neuron_has_and_energy_of_one_system_are_refused(
    words: tuple[str, ...],
) -> None:
    assert call(*words).exit_code != 0


@pytest.mark.slow
def test_what_a_size_does_not_allow_is_said_in_the_rows_of_a_table_of_100_columns(
    on_terminal: Callable[..., str],
) -> None:
    table = on_terminal(100, "--input", "3x30x30", "--width", "8")
    lines = [line.rstrip() for line in table.splitlines()]
    assert max(map(len, lines)) <= 100
    for key in SYSTEMS:
        assert sum(line.startswith(f" {key} ") for line in lines) == 1, key
    assert "divisible" in table
    (row,) = (line for line in lines if line.startswith(" mfs-seg-efs-res36 "))
    assert row.endswith(("as above", "cannot be built: as"))
    (row,) = (line for line in lines if line.startswith(" spiking-deeplab "))
    assert row.split()[-1] == "yes"


def test_a_terminal_of_80_columns_says_of_every_system_whether_it_runs_and_why_not(
    on_terminal: Callable[..., str],
) -> None:
    table, _, reasons = on_terminal(80, "--width", "8").partition("Cannot run on Lava")
    lines = [line.rstrip() for line in table.splitlines()]
    assert max(map(len, lines)) <= 80
    for key in SYSTEMS:
        (row,) = (line for line in lines if line.startswith(f" {key} "))
        assert row.split()[-1] in ("yes", "no"), key
        assert (f"  {key}  " in reasons) == (row.split()[-1] == "no"), key


def test_one_model_shows_the_layers_that_its_figures_sum_up() -> None:
    row = figures("spiking_deeplab")["spiking_deeplab"]
    assert row["weights"] == row["memory"] == 4_115_136
    layers = row["layers"]
    assert isinstance(layers, list)
    assert sum(layer["macs"] for layer in layers) == row["macs"] == 1_371_537_408
    assert round(float(str(row["ann_millijoules"])), 2) == 6.31
    table = call("spiking_deeplab").stdout
    assert "4,119,488" in table
    assert "1,371,537,408" in table


def test_a_system_is_its_model_with_its_options_and_what_a_user_sets() -> None:
    wide = ["--width", "4", "--set", "reset=hard"]
    row = figures("spiking-deeplab-published", *wide)["spiking-deeplab-published"]
    assert row["options"] == {
        "preset": "published",
        "norm": "bntt",
        "width": 4,
        "reset": "hard",
    }
    assert list(row["obstacles"]) == ["norm bntt"]
    text = call("spiking-deeplab-published", "--width", "4").stdout
    assert "no: soft reset, norm bntt; spiking-deeplab is" in text
    assert "resets to 0: train with reset 'hard'" in text
    assert "synapses are static: train with norm 'bntt_shift'" in text


@pytest.mark.parametrize("steps", [1, 7])
def test_steps_count_values_of_each_step_and_the_clocks_that_bring_them(steps: int) -> None:
    words = ["--width", "4", "--steps", str(steps), "--input", "3x16x16"]
    published, shift, plain = (
        figures(key, *words)[key]
        for key in (
            "spiking-deeplab-published",
            "spiking-deeplab-bntt-shift",
            "spiking-deeplab",
        )
    )
    channels = 2_176 * 4 // 64
    assert published["parameters"] == published["weights"] + steps * channels
    assert shift["parameters"] == shift["weights"] + (1 + steps) * channels
    assert shift["memory"] == plain["memory"] + steps * channels


def test_cores_and_chips_are_those_of_the_map() -> None:
    words = ("--input", "3x32x32", "--classes", "2", "--steps", "3")
    row = figures("spiking-unet-small", *words)["spiking-unet-small"]
    mapped = CliRunner().invoke(app, ["map", "spiking-unet-small", *words, "--json"])
    found = json.loads(mapped.stdout)
    assert (row["cores"], row["chips"], row["board"]) == tuple(
        found[name] for name in ("cores", "chips", "board")
    )
    assert row["cores"] > 1
    assert row["misfit"] is None
    assert f"{row['cores']:,} cores on" in call("spiking-unet-small", *words).stdout


def test_options_and_input_reach_the_model() -> None:
    row = figures(
        "mfs_seg", "--input", "2x16x24", "--classes", "6", "--set", "n=1", "--set", "base=4"
    )
    network = models.build("mfs_seg", Input("input", (2, 16, 24)), 6, n=1, base=4)
    assert row["mfs_seg"]["macs"] == size(network).macs
    assert row["mfs_seg"]["latency"] == network.latency


def test_what_stands_against_deploying_is_said() -> None:
    row = figures("spiking_deeplab", "--set", "preset=published", "--set", "width=4")
    assert "soft reset" in row["spiking_deeplab"]["obstacles"]
    assert row["spiking_deeplab"]["memory"] is None
    hard = ["--set", "preset=published", "--set", "width=4", "--set", "reset=hard"]
    row = figures("spiking_fcn", *hard)
    assert "resizes bilinearly" in row["spiking_fcn"]["obstacles"]["bilinear resize"]
    row = figures("spiking_fcn", *hard, "--set", "resize=crop")
    assert list(row["spiking_fcn"]["obstacles"]) == ["current 'score'"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("vnet",), "no system or model 'vnet'"),
        (("unet", "--width", "4", "--set", "width=8"), "both choose the channels"),
        (("unet", "--input", "64"), "--input must be"),
        (("unet", "--set", "width"), "expected option=value"),
        (("unet", "--set", "colour=3"), "no option 'colour'"),
        (("--set", "width=3"), "name it"),
        (("mfs_seg", "--input", "3x30x30"), "divisible by 4"),
    ],
)
def test_a_mistake_is_one_sentence(words: tuple[str, ...], message: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
