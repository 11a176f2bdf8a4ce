"""What an option, a device or a network lacks is said before any work, with its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lavaseg import data, models, recipes
from lavaseg.encoders import encoder_from_dict
from lavaseg.errors import LavasegError
from lavaseg.kernels import stopwatch
from lavaseg.network import Input, Network, Population, Projection
from lavaseg.network.operators import Dense
from lavaseg.recipes import RecipeError
from lavaseg.results.activity import silence
from lavaseg.system import limits
from lavaseg.system.faults import explanation
from lavaseg.system.options import wrong_option
from lavaseg.system.words import counted, percent
from lavaseg.training import train


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("spiking_deeplab", {"width": "huge"}, "width must be a whole number or null, got 'huge'"),
        ("spiking_deeplab", {"width": 2.5}, "width must be a whole number or null, got 2.5"),
        ("spiking_deeplab", {"channels": "huge"}, "channels must be a list of whole numbers"),
        ("spiking_deeplab", {"channels": [1, "2"] * 4}, "channels must be a list of whole numbers"),
        ("spiking_deeplab", {"width": 4, "channels": [4] * 8}, "expected one of them"),
        ("spiking_deeplab", {"norm": "layer"}, "norm must be one of none, batch, bntt"),
        ("spiking_fcn", {"threshold": "high"}, "threshold must be a number, got 'high'"),
        ("spiking_unet", {"depth": True}, "depth must be a whole number or null, got True"),
        ("spiking_resnet", {"channels": 4}, "channels must be a list of whole numbers, got 4"),
        ("mfs_seg", {"group": "no"}, "group must be true or false, got 'no'"),
        ("unet", {"width": "huge"}, "width must be a whole number, got 'huge'"),
        ("ann_deeplab", {"aspp": 3}, "aspp must be a list of whole numbers, got 3"),
    ],
)
def test_a_models_option_of_another_kind_is_named(
    name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(LavasegError, match=words.replace(".", r"\.")) as refused:
        models.build(name, Input("input", (3, 32, 32)), 2, **options)
    assert "()" not in str(refused.value)


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ({"kind": "poisson"}, "needs a value for steps"),
        ({"kind": "poisson", "steps": "many"}, "steps must be an integer from 1 to 4096"),
        ({"kind": "event_presence", "steps": 4}, "needs a value for sensor"),
        ({"kind": "event_presence", "steps": 4, "sensor": "big"}, "sensor must be"),
        ({"kind": "onoff_poisson", "steps": 4, "mean": "grey"}, "mean must be a list of numbers"),
        ({"kind": "onoff_poisson", "steps": 4, "gain": "high"}, "gain must be a number"),
        ({"kind": "poisson", "steps": 4, "inverted": "no"}, "inverted must be true or false"),
        ({"steps": 4}, "unknown encoder None"),
    ],
)
def test_an_encoder_without_its_fields_is_refused_in_words(
    encoder: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as refused:
        recipes.parse({**recipes.load("demo").model_dump(), "encoder": encoder})
    assert "__init__" not in str(refused.value)


def test_one_level_of_an_encoder_stands_for_a_list_of_one() -> None:
    found = encoder_from_dict({"kind": "onoff_poisson", "steps": 2, "mean": 100})
    assert found == encoder_from_dict({"kind": "onoff_poisson", "steps": 2, "mean": [100.0]})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": "all"}, "'train' must be a whole number, got 'all'"),
        ({"seed": 1.5}, "'seed' must be a whole number, got 1.5"),
    ],
)
def test_a_data_sets_option_of_another_kind_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(LavasegError, match=words.replace(".", r"\.")):
        data.load("digits-photos", **options)
    with pytest.raises(LavasegError, match="'download' must be true or false, got 'no'"):
        data.load("voc", download="no")


def test_options_of_python_are_taken_as_a_recipes_are() -> None:
    def function(n: int, sides: tuple[int, int], words: list[str] | None = None) -> None: ...

    assert wrong_option(function, {"n": np.int64(3), "sides": np.array([1, 2])}) is None
    assert wrong_option(function, {"n": object()}) is None
    found = wrong_option(function, {"n": 3, "sides": [1, 2, 3], "words": ["a"]})
    assert found == ("sides", "a list of 2 whole numbers, got [1, 2, 3]")


def test_a_network_too_large_for_the_machine_is_refused_with_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = recipes.load(
        "demo",
        ["data.options={train: 8, test: 2}", "model.options={width: 50000}"],
    )
    with pytest.raises(
        LavasegError, match=r"training 'demo' needs at least [\d,]+\.\d GB of memory, and there"
    ):
        train(huge, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(limits, "free_memory", lambda: 2**30)
    limits.check_memory(2**30, "this", "less")
    with pytest.raises(LavasegError, match=r"this needs at least 2\.0 GB .* 1\.0 GB: take less"):
        limits.check_memory(2**31, "this", "take less")
    monkeypatch.setattr(limits, "free_memory", lambda: None)
    limits.check_memory(2**60, "this", "less")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("std::bad_alloc"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("Storage size calculation overflowed with sizes=[99999999999, 99999999]"),
        ValueError("Maximum allowed dimension exceeded"),
        ValueError("array is too big; `arr.size * arr.dtype.itemsize` is larger than possible"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_memory_that_is_not_enough_is_one_sentence_whoever_says_so(error: Exception) -> None:
    sentence = explanation(error)
    assert sentence is not None
    assert sentence.startswith("there is not enough memory: use fewer or smaller samples")
    assert str(error)[:30] in sentence


def test_numpys_own_refusal_says_how_much_it_would_take() -> None:
    with pytest.raises(MemoryError) as caught:
        np.zeros((2**20, 2**20, 2**8))
    assert "PiB" in str(explanation(caught.value))


def test_time_in_which_kernels_are_made_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])

    def passes(seconds: float) -> None:
        now[0] += seconds

    with stopwatch.Stopwatch() as watch:
        passes(1)
        stopwatch.event.start_event("numba:compiler_lock")
        passes(10)
        stopwatch.event.start_event("numba:compiler_lock")  # a second thread waits for it
        passes(20)
        stopwatch.event.end_event("numba:compiler_lock")
        stopwatch.event.end_event("numba:compiler_lock")
        passes(2)
    assert watch.seconds == 3
    with stopwatch.Stopwatch() as watch:
        stopwatch.event.end_event("numba:compiler_lock")  # held since before
        passes(1)
        stopwatch.event.start_event("numba:compiler_lock")
        passes(10)
        stopwatch.event.end_event("numba:compiler_lock")
    assert watch.seconds == 1


def test_silence_is_named_where_no_spike_reaches_the_read_out() -> None:
    network = Network(
        Input("input", (2, 1, 1)),
        (Population("a", 1), Population("b", 1), Population("out", None)),
        (
            Projection("input", "a", Dense(2)),
            Projection("a", "b", Dense(2)),
            Projection("b", "out", Dense(2)),
        ),
        "out",
    )
    assert silence(network, {"input": 9, "a": 0, "b": 0, "out": 0}).startswith("no population")
    assert "'out' (b sent none)" in silence(network, {"input": 9, "a": 3, "b": 0})
    assert silence(network, {"input": 9, "a": 0, "b": 1}) == ""
    assert silence(network, {}) == ""


def test_numbers_in_words() -> None:
    assert (counted(1, "sample"), counted(2000, "step")) == ("1 sample", "2,000 steps")
    assert (percent(0.5), percent(float("nan"))) == ("50.00%", "-")
