"""Compensation: rounding errors of weights that see alike inputs cancel."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from lavaseg.deploy import simulate
from lavaseg.encoders import Direct
from lavaseg.export.calibration import calibrate, fitted
from lavaseg.export.compensation import Compensation, compensable
from lavaseg.export.lowering import quantise
from lavaseg.export.lowering.quantise import diffuse_weight, quantise_weight
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network import Conv, Input, Network, OneToOne, Population, Projection
from lavaseg.network.operators import Operator
from lavaseg.training.batches import messages

STEPS = 3
KERNEL = Conv(6, (3, 3), padding=(1, 1))
POINT = Conv(6, (1, 1))


def smooth(seed: int, count: int = 4) -> np.ndarray:
    """Pictures whose neighbouring pixels are alike, uint8 (count, 3, 16, 16)."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (count, 3, 4, 4)))
    return functional.interpolate(coarse, size=(16, 16), mode="bilinear").numpy().astype(np.uint8)


def sent(seed: int) -> torch.Tensor:
    """Their 6-bit messages, (4, 3, 16, 16, T)."""
    return messages(list(smooth(seed)), Direct(STEPS, bits=6), 0, range(4))


def made(seed: int) -> tuple[dict[Projection, torch.Tensor], dict[str, np.ndarray]]:
    """Two convolutions of the same input, and their weights."""
    read = [Projection("input", "a", KERNEL), Projection("input", "a", POINT, name="point")]
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 1, (6, 3, *op.kernel)) for op in (KERNEL, POINT)]
    x = sent(seed)
    return dict.fromkeys(read, x), {p.name: w for p, w in zip(read, weights, strict=True)}


def currents(
    read: dict[Projection, torch.Tensor], weights: dict[str, np.ndarray], scale: float = 1
) -> np.ndarray:
    """The current that the convolutions give with weights times `scale`, (N * T, 6, 16, 16)."""
    total = 0
    for p, x in read.items():
        assert isinstance(p.operator, Conv)
        steps = x.permute(0, 4, 1, 2, 3).flatten(0, 1).double()
        weight = torch.from_numpy(weights[p.name] * scale).double()
        total = total + functional.conv2d(steps, weight, padding=p.operator.padding)
    assert isinstance(total, torch.Tensor)
    return total.numpy()


@pytest.mark.parametrize("seed", range(4))
def test_currents_are_closer_than_rounded_to_the_nearest_or_diffused(seed: int) -> None:
    read, weights = made(seed)
    scale = 40.0
    found, _ = Compensation(read, bias=True).rounded(weights, scale)
    exact = currents(read, weights, scale)

    def spread(rounded: dict[str, np.ndarray]) -> float:
        left = exact - currents(read, rounded)
        return float(np.square(left - left.mean((0, 2, 3), keepdims=True)).mean())

    nearest = {name: quantise_weight(weight, scale) for name, weight in weights.items()}
    diffused = {name: diffuse_weight(weight, scale) for name, weight in weights.items()}
    assert spread(found) < min(spread(nearest), spread(diffused)) / 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [3.0, 40.0, 400.0])
def test_rounded_weights_are_even_in_range_and_the_mean_they_lack_is_known(
    seed: int, scale: float
) -> None:
    read, weights = made(seed)
    found, lacking = Compensation(read, bias=True).rounded(weights, scale)
    for name, array in found.items():
        assert array.dtype == np.int16
        assert array.shape == weights[name].shape
        assert not (array & 1).any()
        assert array.min() >= -256
        assert array.max() <= 254
    left = currents(read, weights, scale) - currents(read, found)
    np.testing.assert_allclose(lacking * scale, left.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bias", [True, False])
def test_inputs_that_are_never_there_leave_whole_weights_as_they_are(bias: bool) -> None:
    read, weights = made(0)
    silent = {p: torch.zeros_like(x) for p, x in read.items()}
    whole = {name: 2 * np.round(weight * 20) for name, weight in weights.items()}
    found, lacking = Compensation(silent, bias).rounded(whole, 1.0)
    for name, array in found.items():
        np.testing.assert_array_equal(array, whole[name])
    np.testing.assert_array_equal(lacking, 0)


@pytest.mark.parametrize(
    ("operator", "fields", "expected"),
    [
        (KERNEL, {}, True),
        (Conv(6, (3, 3), groups=3), {}, False),
        (OneToOne(), {}, False),
        (KERNEL, {"delay": 1}, False),
        (KERNEL, {"delay": (0, 2, 0)}, False),
    ],
)
def test_projections_whose_inputs_are_otherwise_are_left(
    operator: Operator, fields: dict[str, object], expected: bool
) -> None:
    projection = dataclasses.replace(Projection("input", "a", operator), **fields)  # type: ignore[arg-type]
    assert compensable(projection) == expected


@pytest.mark.parametrize("current_decay", [4096, 3600])
def test_a_bias_makes_up_for_the_rest_and_what_was_measured_is_what_is_written(
    current_decay: int,
) -> None:
    """Through the current filter, too; the error of a calibration is that of its integers."""
    rng = np.random.default_rng(1)
    net = Network(
        Input("input", (3, 16, 16), 6),
        (
            Population("seen", 1.0, current_decay=current_decay, bias=True),
            Population("out", None),
        ),
        (
            Projection("input", "seen", Conv(6, (8, 8), stride=(2, 2), padding=(3, 3))),
            Projection("seen", "out", Conv(2, (1, 1))),
        ),
        "out",
    )
    values = {
        "input_to_seen": np.kron(rng.normal(0, 1, (6, 3, 2, 2)), np.ones((4, 4))) / 16 / 63,
        "seen_to_out": rng.normal(0, 1, (2, 6, 1, 1)),
    }
    weighted = WeightedNetwork(net, values, {"seen": rng.normal(0.1, 0.1, 6)})
    encoder = Direct(STEPS, bits=6)
    quantisation, fits = calibrate(weighted, sent(0))
    assert (quantisation, fits) == calibrate(weighted, sent(0))
    (fit,) = fits
    assert fit.compensated
    assert fit.bias is not None
    assert fit.bias != weighted.biases["seen"].tolist()
    whole = quantise(fitted(weighted, quantisation.scales, fits), quantisation, encoder, ("a", "b"))
    np.testing.assert_array_equal(
        whole.weights["input_to_seen"].ravel(), fit.weights["input_to_seen"]
    )

    spikes = encoder.encode(smooth(0), seed=0)
    expected = weighted.to_model().run(spikes).spikes["seen"]
    found = simulate(whole, spikes, record="all").spikes["seen"]
    assert float((found != expected).sum() / expected.sum()) == pytest.approx(fit.error_after)
