"""Energies as papers compute them: every spiking system has them, printed figures come out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lavaseg import recipes
from lavaseg.encoders import Poisson
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import countable, described, unrolled
from lavaseg.models.size import size
from lavaseg.models.systems import SYSTEMS, System
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Current,
    Input,
    Network,
    OneToOne,
    Population,
    Projection,
    SumPool,
)
from lavaseg.results.energy import (
    DescribedWork,
    account,
    describe,
    estimates,
    kim_energy,
    kim_picojoules,
    mfs_seg_energy,
    mfs_seg_picojoules,
    same_shape,
)
from lavaseg.training import SpikingNetwork
from lavaseg.training.plan import Plan
from lavaseg.training.segmenter import segmenter

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "models.md"
SPIKING = [system for system in SYSTEMS.values() if system.spiking]


def energy(estimate: Callable[[DescribedWork], object], work: DescribedWork) -> float:
    """The one number of a formula."""
    found = estimate(work)
    least, most = found.picojoules  # type: ignore[attr-defined]
    assert least == most
    return float(most)


def counts_of(network: Network, seed: int = 0) -> dict[str, np.ndarray]:
    """Up to 4 spikes of each neuron that fires, and of the input."""
    rng = np.random.default_rng(seed)
    silent = {p.name for p in network.populations if p.threshold is None}
    sums = {node.name for node in network.nodes if isinstance(node, Current)}
    return {
        name: rng.integers(0, 5, shape)
        for name, shape in network.shapes.items()
        if name not in silent | sums
    }


# -- the formulas --------------------------------------------------------------------------------


def stream(message_bits: int = 0) -> Network:
    """Pooled input into a stream; neurons read it, add to it by a transposed conv, read out."""
    return Network(
        Input("picture", (2, 8, 8), message_bits),
        (
            Current("small"),
            Current("stream"),
            Population("fire"),
            Current("branch"),
            Population("last"),
            Population("out", threshold=None),
        ),
        (
            Projection("picture", "small", SumPool()),
            Projection("small", "stream", Conv(3, 3, padding=1)),
            Projection("stream", "fire", OneToOne()),
            Projection("fire", "branch", ConvTranspose(3, 2, stride=2)),
            Projection("branch", "last", OneToOne()),
            Projection("last", "out", Conv(2, 1)),
        ),
        "out",
    )


def test_a_layer_takes_its_own_spikes_in_kims_formula_or_those_in_front_of_its_sum() -> None:
    network = stream()
    counts = counts_of(network)
    work = describe(network, counts, samples=1, steps=4)
    rate = {name: count.mean() for name, count in counts.items()}
    macs = [2 * 3 * 9 * 16, 3 * 3 * 64, 3 * 2 * 64]  # the transposed one by its outputs, 2x2 each
    macs[1] *= 4
    assert [layer.macs for layer in work.layers] == macs
    own = [rate["picture"], rate["fire"], 0.0]  # a read-out never fires
    assert [layer.own for layer in work.layers] == pytest.approx(own)
    expected = 0.9 * sum(m * r for m, r in zip(macs, own, strict=True))
    assert energy(kim_energy, work) == pytest.approx(expected)
    assert kim_energy(work).reference == pytest.approx(4.6 * sum(macs))


def test_mfs_segs_formula_takes_the_rate_in_front_of_each_layer_and_macs_of_values() -> None:
    counts = counts_of(stream())
    binary = describe(stream(), counts, samples=1, steps=4)
    macs = [layer.macs for layer in binary.layers]
    per_step = [counts[name].mean() / 4 for name in ("picture", "fire", "last")]
    charged = [m * r for m, r in zip(macs, per_step, strict=True)]
    assert energy(mfs_seg_energy, binary) == pytest.approx(0.9 * 4 * sum(charged))
    graded = describe(stream(message_bits=8), counts, samples=1, steps=4)
    assert [layer.graded for layer in graded.layers] == [True, False, False]  # pooled values, too
    expected = 0.9 * 4 * sum(charged[1:]) + 4.6 * macs[0]
    assert energy(mfs_seg_energy, graded) == pytest.approx(expected)


def test_spikes_of_several_samples_are_averaged() -> None:
    network = stream()
    counts = counts_of(network)
    once = describe(network, counts, samples=1, steps=4)
    thrice = describe(network, {name: 3 * count for name, count in counts.items()}, 3, 4)
    assert [layer.own for layer in once.layers] == pytest.approx(
        [layer.own for layer in thrice.layers]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fire": None}, "'fire' are missing"),
        ({"fire": np.full((3, 4, 4), 9)}, r"'fire' add up to 432, possible are 0 to 192"),
        ({"picture": np.full((2, 8, 8), -1)}, "'picture' add up to -128"),
    ],
)
def test_impossible_spikes_are_named(change: dict[str, np.ndarray | None], message: str) -> None:
    network = stream()
    given = {k: v for k, v in {**counts_of(network), **change}.items() if v is not None}
    with pytest.raises(LavasegError, match=message):
        describe(network, given, samples=1, steps=4)


# -- every system --------------------------------------------------------------------------------


def small(system: System) -> Network:
    network = system.build(Input("input", (2, 16, 16)), 3, 4)
    assert isinstance(network, Network)
    return network


@pytest.mark.parametrize("system", SPIKING, ids=lambda s: s.key)
def test_every_spiking_system_has_its_energy_by_every_papers_formula(system: System) -> None:
    network = small(system)
    work = describe(network, counts_of(network), samples=1, steps=5)
    macs = size(network).kim_macs
    assert work.macs == macs
    for estimate in estimates(work):
        assert estimate.picojoules is not None
        assert estimate.picojoules[0] > 0, estimate.name
        if estimate.name != "ann":
            assert estimate.reference == pytest.approx(4.6 * macs)
    assert energy(same_shape, work) == pytest.approx(4.6 * macs)
    assert (work.real_pass is None) == any(p.operator.trains_only for p in network.projections)


@pytest.mark.parametrize("key", [system.key for system in SPIKING])
def test_every_spiking_system_has_its_energy_in_the_trainers_metrics(key: str) -> None:
    torch.manual_seed(0)
    model = SpikingNetwork(small(SYSTEMS[key]), steps=2)
    fit = segmenter(model, Plan(recipes.load("demo").training, Poisson(2), 0, 2.0), 3)
    logged: dict[str, float] = {}
    fit.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign]
    fit.eval()
    with torch.no_grad():
        fit.watch((torch.rand(2, 2, 16, 16, 2) < 0.5).float())
    fit.log_activity()
    for name in ("energy_kim_uj", "energy_mfs_seg_uj"):
        assert logged[name] > 0, name
    rates = {n.removeprefix("rate/"): v for n, v in logged.items() if n.startswith("rate/")}
    assert rates.keys() == {p.name for p in model.network.populations if p.threshold is not None}


def test_residual_streams_are_counted_as_described_not_as_unrolled() -> None:
    """Unrolled, each block reads all blocks before it: papers do not count that."""
    trained = small(SYSTEMS["mfs-seg-efs-res36"])
    counts = counts_of(trained)
    deployed, reason = countable(trained, counts)
    assert deployed is not None, reason
    work = describe(trained, counts, samples=1, steps=5)
    assert describe(deployed, counts, samples=1, steps=5).macs > 1.5 * work.macs
    exact = account(deployed, counts, samples=1, steps=5)
    found = {e.name: e for e in estimates(work, exact)}
    assert found["cmos-45nm"].title.startswith("Deployed")
    assert found["cmos-45nm"].picojoules[1] == pytest.approx(0.9 * exact.accumulates)  # type: ignore[index]
    assert found["cmos-45nm"].reference == work.real_pass < 4.6 * work.macs  # type: ignore[operator]
    assert found["mfs-seg"].reference == pytest.approx(4.6 * work.macs)


def test_an_exported_network_is_counted_as_the_description_it_was_trained_as() -> None:
    trained = small(SYSTEMS["mfs-seg-efs-res18"])
    without = trained.without_auxiliaries()
    deployed = unrolled(without)
    measured = counts_of(deployed)
    assert described(deployed, trained, measured) == (without, "")
    found, remark = described(deployed, None, measured)
    assert found == deployed
    assert "not beside it" in remark
    renamed = {f"other_{name}": count for name, count in measured.items()}
    assert described(deployed, trained, renamed)[0] == deployed  # another network's description


# -- printed figures -----------------------------------------------------------------------------


def millijoules(gigamacs: float, rate: float, steps: int) -> float:
    """Equation 7 of Su et al. 2024 as their tables use it: one mean rate, no second term."""
    return mfs_seg_picojoules([(1e9 * gigamacs, rate)], steps) / 1e9


def test_su_et_al_s_equation_7_gives_the_rows_that_follow_it() -> None:
    assert round(millijoules(30.18, 0.244, 5), 2) == 33.14  # SNN U-Net, CamVid
    assert round(millijoules(54.34, 1.0, 1), 2) == 48.91  # Spiking-DeepLab, DDD17: no rate, no T
    assert round(millijoules(104.81, 0.200, 2), 2) == 37.73  # Spiking-FCN, DSEC: 0.204 is printed
    assert round(mfs_seg_picojoules([], 5, 24.45e9) / 1e9, 2) == 112.47  # ANN MFS-MS, CamVid


def test_su_et_al_s_efs_row_fits_the_artificial_rows_gflops_and_not_its_own() -> None:
    printed = 10.00
    assert millijoules(8.85, 0.243, 5) == pytest.approx(printed, rel=0.04)
    assert millijoules(4.43, 0.243, 5) < 0.5 * printed
    assert round(5 * 0.179 * 24.45, 2) == pytest.approx(21.88, abs=0.01)  # MFS-MS: without 0.9
    assert round(4.6 * 30.22, 2) == 139.01  # U-Net: 130.01 is printed, from which 13x comes
    assert round(130.01 / printed) == 13
    assert round(31.04 / 1.11) == 28  # 31x fewer parameters are claimed


PRINTED_RATIOS = [
    ("spiking-deeplab-published", 3, 21, 2.75, 1.86),
    ("spiking-deeplab-published", 2, 6, 1.15, 4.44),
    ("spiking-fcn-published", 3, 21, 2.37, 2.16),
    ("spiking-fcn-published", 2, 6, 1.04, 4.91),
]
"""System, channels and classes (VOC, DDD17), ratio of Kim et al., spikes of a neuron it implies."""


@pytest.mark.parametrize(("key", "channels", "classes", "ratio", "spikes"), PRINTED_RATIOS)
def test_kims_ratios_come_out_of_their_formula_at_the_spikes_that_they_imply(
    key: str, channels: int, classes: int, ratio: float, spikes: float
) -> None:
    network = SYSTEMS[key].build(Input("input", (channels, 64, 64)), classes)
    assert isinstance(network, Network)
    total = 10_000  # samples, so that whole spikes come close to a mean of two digits
    counts = {
        name: np.array(round(spikes * network.neurons(name) * total)) for name in counts_of(network)
    }
    work = describe(network, counts, samples=total, steps=20)
    found = kim_energy(work)
    assert found.ratio == pytest.approx(ratio, rel=0.006)  # the read-out is not charged: 0.4 %
    implied = 4.6 / (0.9 * ratio)
    assert spikes == pytest.approx(implied, abs=0.01)
    uniform = kim_picojoules((layer.macs, implied) for layer in work.layers)
    assert 4.6 * work.macs / uniform == pytest.approx(ratio)


def test_energies_of_kims_artificial_networks_follow_from_their_size() -> None:
    for key, expected in (("ann-deeplab", 6.31), ("ann-fcn", 7.13)):
        found = size(SYSTEMS[key].build(Input("input", (3, 64, 64)), 21))
        assert round(found.ann_millijoules, 2) == expected


def test_the_documented_rows_of_su_et_al_are_what_the_equation_gives() -> None:
    section = DOCUMENT.read_text("utf-8").partition("## Energies that papers print")[2]
    rows = re.findall(
        r"^\| [^|]+ \| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", section, re.M
    )
    assert len(rows) >= 5
    for steps, rate, macs, _, ours in rows:
        assert f"{millijoules(float(macs), float(rate), int(steps)):.2f}" == ours
