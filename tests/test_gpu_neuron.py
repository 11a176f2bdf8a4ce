"""The neuron's kernels for GPUs: the CPU's spikes and membranes bit for bit, and its gradients.

Without a GPU they run in Triton's interpreter, which has to be chosen before Triton is imported: a
test of its own starts these tests in another process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from lavaseg.kernels import fused, levels, neuron_torch
from lavaseg.kernels.neuron_torch import triton_kernels
from lavaseg.network import Population
from lavaseg.recipes import Surrogate
from lavaseg.training.slayer import integer, neurons
from lavaseg.training.slayer.neurons import FusedNeuron

ROOT = Path(__file__).parent.parent
GPU = torch.cuda.is_available()
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if GPU else "cpu"

on_a_device = pytest.mark.skipif(
    not (GPU or INTERPRETED), reason="runs in Triton's interpreter, started by the test below"
)


def currents(seed: int, steps: int, count: int) -> torch.Tensor:
    """Random input, half of it on whole state units, where v meets the threshold exactly."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, count, generator=generator) * 2
    return torch.where(torch.rand(x.shape, generator=generator) < 0.5, (x * 64).round() / 64, x)


SIZES = [(1, 1), (1, 700), (5, 513), (20, 1024)]


@on_a_device
@pytest.mark.parametrize(("steps", "count"), SIZES)
def test_filter_and_spikes_are_the_cpu_s(steps: int, count: int) -> None:
    kernels = triton_kernels()
    assert kernels is not None
    x = currents(steps, steps, count)
    for decay in (0, 1, 41, 3072, 4095, 4096):
        expected = fused.filter_current(x.numpy(), decay=decay, scale=64)
        found = kernels.filter_current(x.to(DEVICE), decay, 64).cpu().numpy()
        assert np.array_equal(found, expected)
        for threshold, soft in product((None, 0.5, 1.0), (False, True)):
            spikes, membrane, _ = fused.fire(
                x.numpy(), threshold=threshold, voltage_decay=decay, soft_reset=soft, scale=64
            )
            fired, potential = kernels.fire(x.to(DEVICE), threshold, decay, soft, 64)
            assert np.array_equal(fired.cpu().numpy(), spikes)
            assert np.array_equal(potential.cpu().numpy(), membrane)


@on_a_device
@pytest.mark.parametrize("kind", ["slayer", "triangle", "rectangle"])
@pytest.mark.parametrize("steps", [1, 6])
def test_gradients_are_those_of_the_torch_operations(
    kind: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(7)

    def drawn(count: int) -> torch.Tensor:
        return torch.randn(count, 2, 3, 3, 4, generator=generator).to(DEVICE)

    membrane, grad_spikes = drawn(steps) + 0.5, drawn(steps)
    for reset, gate, threshold, seen in product(
        ("hard", "soft"), ("ignore", "gate"), (None, 0.75), (None, 1, steps)
    ):
        surrogate = Surrogate(kind=kind, width=0.7, height=0.6, reset=gate)
        population = Population("p", threshold=threshold, voltage_decay=41, reset=reset)
        neuron = FusedNeuron(population, surrogate)
        arguments = (
            None if threshold is None else grad_spikes,
            None if seen is None else drawn(seen),
            membrane,
            neuron,
        )
        if arguments[0] is None and arguments[1] is None:
            continue
        found = neurons._backward_steps(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr(neurons, "triton_kernels", lambda: None)
            expected = neurons._backward_steps(*arguments)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@on_a_device
@pytest.mark.parametrize(("steps", "count"), SIZES)
def test_levels_are_the_cpu_s(steps: int, count: int) -> None:
    kernels = triton_kernels()
    assert kernels is not None
    x = currents(steps, steps, count)
    x[0, 0] = 1e6
    for count, threshold in product((1, 4, 15), (0.5, 1.0)):
        starts = torch.from_numpy(levels.level_starts(threshold, count))
        expected = levels.levels_sent(x.numpy().reshape(-1), starts.numpy()).reshape(x.shape)
        found = kernels.levels_sent(x.to(DEVICE), starts.to(DEVICE)).cpu().numpy()
        assert np.array_equal(found, expected)
        plain = neuron_torch.levels_sent(x.to(DEVICE), starts.to(DEVICE)).cpu().numpy()
        assert np.array_equal(plain, expected)


@on_a_device
@pytest.mark.parametrize("kind", ["slayer", "triangle", "rectangle"])
@pytest.mark.parametrize("width", [0.7, 1.0])
def test_gradients_of_levels_are_the_cpu_s(kind: str, width: float) -> None:
    kernels = triton_kernels()
    assert kernels is not None
    x, drawn = currents(1, 3, 700), currents(2, 3, 700)
    for sent, seen, count in product((False, True), (None, 1, 3), (1, 4)):
        surrogate = Surrogate(kind=kind, width=width, height=0.6)
        neuron = FusedNeuron(Population("p", 0.75, levels=count), surrogate, scale=64)
        settings = integer._settings(neuron)
        gradients = drawn if sent else None, None if seen is None else drawn[:seen]
        expected = integer._backward(x, *gradients, neuron)
        arguments = (None if g is None else g.to(DEVICE) for g in gradients)
        found = kernels.levels_backward(x.to(DEVICE), *arguments, **settings).cpu()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        plain = integer._backward_torch(x, *gradients, neuron)
        torch.testing.assert_close(plain, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(GPU or INTERPRETED, reason="the tests above run here")
def test_kernels_do_so_in_triton_s_interpreter() -> None:
    pytest.importorskip("triton", reason="this torch comes without Triton")
    words = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", __file__]
    ended = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout
    assert "20 passed, 2 skipped" in ended.stdout, ended.stdout


@pytest.mark.skipif(not GPU, reason="needs an NVIDIA GPU")
def test_a_network_spikes_on_a_gpu_as_on_the_cpu() -> None:
    x = currents(3, 8, 2 * 3 * 4 * 5).reshape(8, 2, 4, 5, 3).permute(1, 4, 2, 3, 0)
    leaky, integers = (
        Population("p", current_decay=300, voltage_decay=41),
        Population("p", levels=4),
    )
    for population in (leaky, integers):
        neuron, there = (FusedNeuron(population, Surrogate()) for _ in range(2))
        assert torch.equal(there.cuda()(x.cuda()).cpu(), neuron(x))
