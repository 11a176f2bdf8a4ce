"""Training that begins with other weights: what is taken, what is new, what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_durable_runs import FIELDS, assert_equal_runs, small
from typer.testing import CliRunner

from lavaseg import models
from lavaseg.cli import app
from lavaseg.deploy import Simulator
from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.export import export
from lavaseg.export.lowering import Choice, choose_quantisation, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.models.delays import learning_delays
from lavaseg.network import Input, Network
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.levels import integer_neurons
from lavaseg.netx import read, write
from lavaseg.recipes import Init
from lavaseg.report.gather import collect
from lavaseg.report.page import render
from lavaseg.runs import Run
from lavaseg.training import SpikingNetwork, evaluate, train
from lavaseg.training.batches import messages
from lavaseg.training.models import untrained
from lavaseg.training.segmenter import Segmenter
from lavaseg.training.transfer import Begun, begin
from lavaseg.training.transfer.taking import heads
from lavaseg.training.weights import arrays_of

CHANNELS = (4, 4, 4, 4, 4, 4, 4, 8)
DEMO = {"channels": CHANNELS, "output_stride": 1, "dilations": (1, 1, 2, 2, 4, 4, 1, 1)}
CLASSES = ("background", "digit")
CONVOLUTIONS = tuple(f"conv{k}" for k in range(1, 9))
LAYERS = (*CONVOLUTIONS, "readout")
HEAD = "synapses.conv8_to_readout.synapse.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two epochs, and its export beside it."""
    folder = tmp_path_factory.mktemp("base") / "run"
    run = train(small("finetune.epochs=0", epochs=2), folder, progress=False)
    export(run, calibration=0, progress=False)
    return run


def samples(size: tuple[int, int], channels: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """A few random pictures without labels."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (channels, *size), np.uint8) for _ in range(6)]
    return [(picture, np.zeros(size, np.uint8)) for picture in pictures]


def begun(
    weights: str | Path,
    *,
    model: str = "spiking_deeplab",
    classes: tuple[str, ...] = CLASSES,
    size: tuple[int, int] = (32, 32),
    inputs: int = 3,
    steps: int = 2,
    delay: int = 0,
    init: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[Any, Begun]:
    """A drawn model after it has begun with other weights, and what it took."""
    if model == "spiking_deeplab":
        options = {**DEMO, **options}
    source = Input("input", (inputs, *size), 8)
    built = models.build(model, source, len(classes), **options)
    torch.manual_seed(5)
    module: SpikingNetwork | AnalogNetwork
    if isinstance(built, Network):
        module = SpikingNetwork(learning_delays(built, delay), steps=steps)
    else:
        module = built.module()
    recipe = small(f"encoder={{kind: direct, steps: {steps}}}").model_copy(
        update={"init": Init(weights=str(weights), **(init or {}))}
    )
    found = begin(module, recipe, classes, lambda: samples(size, inputs))
    assert found is not None
    return module, found


def assert_taken(model: torch.nn.Module, run: Run, *layers: str) -> None:
    """Assert that the values of some layers are those of a run, bit for bit."""
    here, there = model.state_dict(), load_file(run.weights)
    owners = {name: name.split(".")[1].rpartition("_to_")[2] for name in there}
    for layer in layers:
        names = [n for n, owner in owners.items() if owner == layer and "neurons" not in n]
        assert names
        for name in names:
            assert torch.equal(here[name], there[name]), name


def test_without_a_step_of_training_the_network_is_the_one_it_began_with(
    base: Run, tmp_path: Path
) -> None:
    recipe = small(f"init.weights={base.path}", "seed=7")
    run = Run(tmp_path, recipe, base.model, base.classes, base.ignore_index, base.picture_shape)
    run.save()
    run.files.weights.save(arrays_of(untrained(run)))
    found = load_file(run.weights)
    assert all(torch.equal(found[name], value) for name, value in load_file(base.weights).items())
    one, other = (evaluate(Run.open(r.path), progress=False) for r in (run, base))
    assert np.array_equal(one.confusion, other.confusion)
    assert one.loss == other.loss


def test_other_classes_get_a_new_read_out_and_all_else_is_taken(base: Run) -> None:
    model, found = begun(base.path, classes=tuple("abcde"))
    assert found.taken.layers == CONVOLUTIONS
    assert found.taken.new == {"readout": "5 x 8 x 1 x 1 here, 2 x 8 x 1 x 1 there"}
    assert_taken(model, base, *CONVOLUTIONS)
    assert "8 of 9 layers taken" in str(found)
    assert "new: readout (5 x 8 x 1 x 1 here" in str(found)


def test_as_many_classes_of_other_names_get_a_new_read_out_unless_names_are_not_known(
    base: Run,
) -> None:
    kept = load_file(base.weights)[HEAD]
    model, found = begun(base.path, classes=("road", "sky"))
    assert found.taken.new == {"readout": "other classes"}
    assert not torch.equal(model.state_dict()[HEAD], kept)
    model, found = begun(base.weights, classes=("road", "sky"))
    assert not found.taken.new
    assert torch.equal(model.state_dict()[HEAD], kept)


@pytest.mark.parametrize("changes", [{"size": (48, 20)}, {"steps": 5}, {"levels": 3}])
def test_pictures_of_another_size_other_steps_and_levels_take_all_layers(
    base: Run, changes: dict[str, Any]
) -> None:
    model, found = begun(base.path, **changes)
    assert not found.taken.new
    assert not found.taken.partly
    assert_taken(model, base, *LAYERS)
    assert "all 9 layers taken" in str(found)


@pytest.mark.parametrize("norm", ["bntt", "bntt_shift"])
@pytest.mark.parametrize("steps", [2, 6])
def test_what_has_values_for_each_step_takes_those_of_the_steps_that_there_are(
    norm: str, steps: int, tmp_path: Path
) -> None:
    source = Input("input", (3, 8, 8), 8)
    built = models.build("spiking_deeplab", source, 2, channels=CHANNELS, norm=norm)
    assert isinstance(built, Network)
    given = SpikingNetwork(built, steps=4)
    for tensor in given.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    file = tmp_path / "a.safetensors"
    save_file({name: value.contiguous() for name, value in given.state_dict().items()}, file)
    model, found = begun(file, size=(8, 8), steps=steps, norm=norm, output_stride=4)
    assert not found.taken.new
    assert not found.taken.partly
    given.set_steps(steps)
    for name, value in given.state_dict().items():
        if not name.startswith("neurons."):
            assert torch.equal(model.state_dict()[name], value), name


def test_of_another_kind_of_norm_nothing_is_taken(tmp_path: Path) -> None:
    source = Input("input", (3, 32, 32), 8)
    built = models.build("spiking_deeplab", source, 2, **DEMO, norm="bntt")
    assert isinstance(built, Network)
    given = SpikingNetwork(built, steps=2)
    given.norms["conv2"].running_mean.fill_(3.0)
    torch.save(given.state_dict(), tmp_path / "a.pt")
    model, found = begun(tmp_path / "a.pt", norm="bntt_shift")
    assert found.taken.partly == dict.fromkeys(CONVOLUTIONS, "without its norm")
    assert "conv1 without its norm" in str(found)
    assert float(model.norm("conv2").running_mean.abs().max()) == 0
    assert torch.equal(
        model.synapse("conv1_to_conv2").weight, given.synapse("conv1_to_conv2").weight
    )


def test_a_layer_of_another_shape_is_new_with_its_norm_and_the_rest_is_taken(base: Run) -> None:
    model, found = begun(base.path, inputs=1)
    assert found.taken.new == {"conv1": "4 x 1 x 3 x 3 here, 4 x 3 x 3 x 3 there"}
    assert float(model.norm("conv1").running_mean.abs().max()) == 0
    assert_taken(model, base, *LAYERS[1:])


def test_what_the_description_says_is_not_taken(base: Run) -> None:
    """Decays stand in SLAYER's state dict, too, but the recipe decides them."""
    model, _ = begun(base.path, voltage_decay=300)
    assert model.neuron("conv1").voltage_decay.item() == 300


def test_learned_delays_are_taken_within_what_the_recipe_allows(tmp_path: Path) -> None:
    built = models.build("spiking_deeplab", Input("input", (3, 32, 32), 8), 2, **DEMO)
    assert isinstance(built, Network)
    given = SpikingNetwork(learning_delays(built, 3), steps=2)
    for value in given.delays.parameters():
        value.data.uniform_(1.5, 3)
    torch.save(given.state_dict(), tmp_path / "a.pt")
    same, found = begun(tmp_path / "a.pt", delay=3)
    assert not found.taken.partly
    for name, value in given.state_dict().items():
        assert torch.equal(same.state_dict()[name], value), name
    fewer, _ = begun(tmp_path / "a.pt", delay=2)
    assert max(max(fewer.delay(name)) for name in fewer.delays) == 2


def test_nothing_in_common_is_refused_with_names_of_both_sides(base: Run) -> None:
    with pytest.raises(
        LavasegError,
        match=r"no layer that fits the network: conv1 \(6 x 3 x 3 x 3 here, 4 x 3 x 3 x 3 there\)",
    ):
        begun(base.path, classes=tuple("abc"), channels=(6, 6, 6, 6, 6, 6, 6, 6))
    with pytest.raises(LavasegError, match=r"\(not there\).*; what is there is called conv1"):
        begun(base.path, model="unet", width=2)


def test_layers_that_the_network_does_not_have_are_named(base: Run, tmp_path: Path) -> None:
    arrays = dict(load_file(base.weights))
    arrays["synapses.conv8_to_extra.synapse.weight"] = torch.ones(2, 2, 1, 1, 1)
    save_file(arrays, tmp_path / "a.safetensors")
    _, found = begun(tmp_path / "a.safetensors")
    assert found.taken.unused == ("extra",)
    assert "left unused: extra" in str(found)


def test_layers_are_drawn_anew_where_the_recipe_says_so(base: Run) -> None:
    model, found = begun(base.path, init={"new": ("conv[78]", "readout")})
    assert set(found.taken.new) == {"conv7", "conv8", "readout"}
    assert not torch.equal(model.state_dict()[HEAD], load_file(base.weights)[HEAD])
    with pytest.raises(LavasegError, match=r"init.new names 'redout', .* did you mean 'readout'"):
        begun(base.path, init={"new": ("redout",)})


def test_a_spiking_network_takes_what_its_artificial_twin_has_learned(tmp_path: Path) -> None:
    built = models.build("ann_deeplab", Input("input", (3, 32, 32), 8), 2, **DEMO, affine=True)
    twin = built.module()  # type: ignore[union-attr]
    torch.save({"state_dict": twin.state_dict()}, tmp_path / "a.ckpt")
    model, found = begun(tmp_path / "a.ckpt")
    assert found.taken.layers == LAYERS
    weight = twin.body.convolutions["conv1_to_conv2"].weight
    assert torch.equal(model.synapse("conv1_to_conv2").weight, weight)


# --------------------------------------------------------------------------------------------
# From integers


def exported(path: Path, levels: int | None, form: Choice) -> IntegerNetwork:
    """A network whose weights were drawn and whose norms have seen pictures, as a `.net` file."""
    built = models.build(
        "spiking_deeplab", Input("input", (3, 32, 32), 8), 2, **DEMO, levels=levels
    )
    assert isinstance(built, Network)
    torch.manual_seed(1)
    model = SpikingNetwork(built, steps=2)
    pictures = [picture for picture, _ in samples((32, 32))]
    with torch.no_grad():
        for _ in range(60):
            model(messages(pictures, Direct(2), 0, range(len(pictures))))
    weighted = lower(WeightedNetwork.from_model(model.eval()))
    net = quantise(weighted, choose_quantisation(weighted), Direct(2), CLASSES, form)
    write(net, path)
    return read(path)


@pytest.mark.parametrize(("levels", "form"), [(None, "auto"), (3, "binary"), (3, "graded")])
def test_each_layer_of_a_net_file_sends_what_its_integers_send(
    levels: int | None, form: Choice, tmp_path: Path
) -> None:
    """Given the same spikes, but for membranes that lie at a threshold, which floats round."""
    net = exported(tmp_path / "a.net", levels, form)
    model, found = begun(tmp_path / "a.net", levels=levels)
    assert found.taken.layers == LAYERS
    assert found.measured == 6
    spikes = net.encoder.encode([p for p, _ in samples((32, 32))], seed=0, samples=range(6))
    populations = [p.name for p in net.network.populations]
    activity = Simulator(net).run(spikes, record=populations)
    slots = {n.sum.removesuffix("_sum"): n.slots for n in integer_neurons(net.network)}
    assert len(slots) == (8 if levels else 0)
    sent = {"input": torch.from_numpy(spikes).float() / 255}
    for name in CONVOLUTIONS:
        parts = [activity.spikes[slot].astype(np.float32) for slot in slots.get(name, (name,))]
        sent[name] = torch.from_numpy(sum(parts, np.zeros_like(parts[0])))
    sent = {name: x.permute(0, 2, 3, 4, 1) for name, x in sent.items()}
    model.eval()
    with torch.no_grad():
        for name in CONVOLUTIONS:
            here, _ = model.respond(model.network[name], sent)
            assert float((sent[name] != 0).float().mean()) > 0.01
            assert float((here != sent[name]).float().mean()) < 0.002, name
        _, membrane = model.respond(model.network["readout"], sent)
    expected = net.logits(activity.readout)
    assert np.abs(membrane[..., -1].numpy() / 2 - expected).max() < 0.01 * np.abs(expected).max()


def test_norms_that_were_folded_add_their_shift_and_normalise_as_before(base: Run) -> None:
    """In eval mode x + shift; in training the same for a batch of the measured statistics."""
    model, _ = begun(base.files.net.path)
    norm = model.norm("conv1")
    net = base.net()
    unit = 1 / net.scales["conv1"]
    shift = torch.from_numpy(net.bias("conv1") / 64 * unit).float()
    spread = (norm.running_var + norm.eps).sqrt().view(-1, 1, 1, 1)
    x = spread * torch.randn(8, 4, 16, 16, 2) + norm.running_mean.view(-1, 1, 1, 1)
    wanted = x + shift.view(-1, 1, 1, 1)
    with torch.no_grad():
        assert (norm.eval()(x) - wanted).abs().max() < 1e-2 * spread.max()
        assert (norm.train()(x) - wanted).abs().mean() < 0.1 * spread.max()


def test_layers_that_export_merges_are_new_and_said_to_be(tmp_path: Path) -> None:
    recipe = small("model.options.branches=true", "finetune.epochs=0", epochs=1)
    run = train(recipe, tmp_path / "run", progress=False)
    export(run, calibration=0, progress=False)
    _, found = begun(run.files.net.path, branches=True)
    assert found.taken.layers == ("readout",)
    assert found.taken.new["conv2_wide"] == "merged with other layers by export"


def test_an_interleaved_net_and_one_for_an_artificial_network_are_refused(
    base: Run, tmp_path: Path
) -> None:
    export(base, tmp_path / "a.net", calibration=0, widest=16, progress=False)
    with pytest.raises(LavasegError, match="was exported with --widest"):
        begun(tmp_path / "a.net")
    with pytest.raises(LavasegError, match="spiking network in integers"):
        begun(base.files.net.path, model="unet", width=2)


# --------------------------------------------------------------------------------------------
# Files


def test_files_of_torch_are_read_as_others_write_them(base: Run, tmp_path: Path) -> None:
    state = load_file(base.weights)
    half = {name: v.bfloat16() if v.is_floating_point() else v for name, v in state.items()}
    prefixed = {f"module.model.{name}": value for name, value in state.items()}
    for content in (state, {"state_dict": prefixed, "epoch": 3}, {"model": half, "meta": None}):
        torch.save(content, tmp_path / "a.pth")
        _, found = begun(tmp_path / "a.pth")
        assert found.taken.layers == LAYERS
    _, found = begun(base.files.checkpoints.path / "metrics.ckpt")  # the last epoch
    assert found.taken.layers == LAYERS


class _Dangerous:
    def __reduce__(self) -> Any:
        return print, ("run",)


def test_wrong_files_are_refused_in_a_sentence(
    base: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("no weights")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(_Dangerous()))
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    broken = {name: value.clone() for name, value in load_file(base.weights).items()}
    broken[HEAD].fill_(torch.nan)
    save_file(broken, tmp_path / "nan.safetensors")
    for name, fault in {
        "nowhere": "there is no run, .net file or file of weights",
        "empty": "is not a run",
        "a.txt": "is no file of weights that can be read",
        "a.pkl": "is no file of weights that can be read",
        "none.pt": "holds no weights",
        "list.pt": "is no file of weights that can be read",
        "nan.safetensors": r"'conv8_to_readout' \(weight\) that are no finite numbers",
    }.items():
        with pytest.raises(LavasegError, match=fault):
            begun(tmp_path / name)
    assert "run" not in capsys.readouterr().out


# --------------------------------------------------------------------------------------------
# Frozen layers


IN_FRONT = "body.convolutions.input_to_conv1."
FROZEN = (
    ("spiking_deeplab", "conv[1-3]", "synapses.input_to_conv1.", "norms.conv3.", "norms.conv4."),
    ("ann_deeplab", "conv[1-3]", IN_FRONT, "body.norms.conv3.", "body.norms.conv4."),
    ("unet", "down.0*", "body.down.0.0.", "body.down.0.4.", "body.down.1.1."),
)


@pytest.mark.parametrize(("model", "frozen", "first", "norm", "free"), FROZEN)
def test_a_frozen_layer_does_not_change_by_a_bit_and_the_others_learn(
    model: str, frozen: str, first: str, norm: str, free: str, tmp_path: Path
) -> None:
    options = "{width: 4}" if model == "unet" else f"{{channels: {list(CHANNELS)}}}"
    fields = (
        f"model={{name: {model}, options: {options}}}",
        "training.weight_decay=0.1",
        "encoder.steps=1",
    )
    begin_with = train(small(*fields, epochs=1), tmp_path / "base", progress=False)
    run = train(
        small(*fields, f"init.frozen={frozen}", "seed=3", epochs=2),
        tmp_path / "run",
        init=begin_with,
        progress=False,
    )
    before, after = (load_file(r.weights) for r in (begin_with, run))
    for part, same in ((first, True), (norm, True), (free, False)):
        names = [name for name in before if name.startswith(part)]
        assert names
        for name in names:
            assert torch.equal(before[name], after[name]) == same, name


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"frozen": ("con1",)}, r"init.frozen names 'con1', .* did you mean 'conv1'"),
        ({"frozen": ("block*",)}, r"init.frozen names 'block\*', .*; the layers are conv1, conv2"),
        ({"frozen": ("*",)}, "names every layer, so that there is nothing to train"),
        ({"frozen": ("conv8",), "new": ("conv8",)}, r"layer 'conv8' is new \(as init.new says\)"),
    ],
)
def test_layers_that_cannot_be_frozen_are_named(
    base: Run, fields: dict[str, Any], fault: str
) -> None:
    with pytest.raises(LavasegError, match=fault):
        begun(base.path, init=fields)


def test_frozen_layers_without_weights_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(LavasegError, match=r"init\.frozen names layers, but init\.weights"):
        train(small("init.frozen=[conv1]"), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_read_outs_of_artificial_networks_are_found() -> None:
    for name, found in (
        ("unet", ("score",)),
        ("segnet", ("up.0.1",)),
        ("mimo_unet", ("scores.0", "scores.1", "scores.2")),
        ("ann_deeplab", ("readout",)),
    ):
        built = models.build(name, Input("input", (3, 32, 32), 8), 5)
        assert heads(built.module(), 5) == found  # type: ignore[union-attr]


# --------------------------------------------------------------------------------------------
# Runs


def test_the_run_says_where_it_began_and_its_recipe_makes_it_again(
    base: Run, tmp_path: Path
) -> None:
    recipe = small("init.frozen=[conv1]", epochs=1)
    run = train(recipe, tmp_path / "run", init=base, progress=False)
    assert run.recipe == Run.open(run.path).recipe
    assert run.recipe.init.weights == str(base.path)
    assert run.recipe.init.sha256 == base.files.weights.sha256()
    account = run.files.begun.load()
    assert account["sha256"] == run.recipe.init.sha256
    assert account["taken"] == list(LAYERS)
    assert account["frozen"] == ["conv1"]
    assert account["epoch"] in (1, 2)
    again = train(run.recipe, tmp_path / "again", progress=False)
    assert_equal_runs(again, run)


def test_the_report_and_the_export_say_what_it_began_with_and_what_tuning_does_to_it(
    base: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(
        small("init.frozen=[conv1]", "init.new=readout", epochs=1),
        tmp_path / "run",
        init=base,
        progress=False,
    )
    said = collect(run).begun
    assert said.startswith(f"{base.weights} (epoch ")
    assert run.recipe.init.sha256[:12] in said
    assert "8 of 9 layers taken; new: readout (as init.new says)" in said
    assert said.endswith("kept as they were while training: conv1")
    assert said in unescape(render(collect(run)))
    assert collect(base).begun == ""
    capsys.readouterr()
    export(run, calibration=0)
    told = " ".join(capsys.readouterr().err.split())
    assert "fine-tuning changes all layers, also those that training left as they are" in told
    assert f"(conv1): with finetune.epochs 0 in {run.files.recipe.path}" in told
    export(run, calibration=0, finetune=False)
    assert "fine-tuning changes" not in capsys.readouterr().err
    run.files.begun.path.write_text('{"taken": 1}')
    with pytest.raises(LavasegError, match=r"init\.json"):
        collect(run)


def test_no_account_is_left_of_a_training_that_another_one_replaces(
    base: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> torch.Tensor:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(small(epochs=1), tmp_path / "run", init=base, progress=False)
    assert Run.open(tmp_path / "run").files.begun.exists()
    run = train(small(epochs=1), tmp_path / "run", progress=False)
    assert not run.files.begun.exists()


def test_a_dry_run_goes_on_with_the_run_that_began_with_other_weights(
    base: Run, tmp_path: Path
) -> None:
    fields = [word for field in (*FIELDS, "init.frozen=[conv1]") for word in ("--set", field)]
    train(small("init.frozen=[conv1]", epochs=1), tmp_path / "run", init=base, progress=False)
    words = ["train", "demo", "--out", str(tmp_path / "run"), *fields, "--threads", "1"]
    words += ["--set", "training.epochs=3"]
    tried = CliRunner().invoke(app, [*words, "--dry-run", "--resume"])
    assert tried.exit_code == 0, tried.output
    assert "other settings" not in tried.stdout
    command = tried.stdout.strip().splitlines()[-1]
    assert command.endswith(f"--threads 1 --out {tmp_path / 'run'} --resume")
    began = CliRunner().invoke(
        app, [*words, "--dry-run", "--init", str(base.path), "--devices", "2", "--device", "cpu"]
    )
    assert began.exit_code == 0, began.output
    command = began.stdout.strip().splitlines()[-1]
    assert command.endswith(f"--out {tmp_path / 'run-2'} --init {base.path}")
    assert "--device cpu --devices 2 --threads 1" in command
    assert "whole ones on one of 2 devices" in began.stdout


def test_weights_that_have_changed_since_are_refused(base: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    shutil.copy(base.weights, file)
    run = train(small(epochs=1), tmp_path / "run", init=file, progress=False)
    arrays = load_file(file)
    arrays[HEAD][0] += 1
    save_file(arrays, file)
    with pytest.raises(LavasegError, match="is not what it was when"):
        train(run.recipe, tmp_path / "again", progress=False)


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_run_that_began_with_weights_resumes_to_the_same_bits(
    base: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """Also where no epoch was finished; later the weights that it began with may be gone."""
    shutil.copytree(base.path, tmp_path / "base")
    recipe = small("init.frozen=[conv1]", epochs=2)
    whole = train(recipe, tmp_path / "whole", init=tmp_path / "base", progress=False)
    honest = Segmenter.training_step

    def interrupted(self: Segmenter, batch: Any, index: int) -> torch.Tensor:
        if self.trainer.current_epoch == epoch and index == 1:
            raise KeyboardInterrupt
        return honest(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "parts", init=tmp_path / "base", progress=False)
    if epoch:
        shutil.rmtree(tmp_path / "base")
    with pytest.raises(LavasegError, match="leave one of them out"):
        train(recipe, tmp_path / "parts", init=base, resume=True, progress=False)
    resumed = train(recipe, tmp_path / "parts", resume=True, progress=False)
    assert_equal_runs(resumed, whole)
    assert resumed.recipe == whole.recipe


def test_the_command_says_in_a_line_what_it_began_with(base: Run, tmp_path: Path) -> None:
    words = ["train", "demo", "--out", str(tmp_path / "run"), "--init", str(base.path)]
    for field in ("training.epochs=1", "data.options={train: 40, test: 10}", "rmp.weight=0"):
        words += ["--set", field]
    words += ["--set", f"model.options.channels={list(CHANNELS)}", "--set", "init.new=readout"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert f"weights of {base.path} (epoch " in said
    assert "8 of 9 layers taken (conv1, conv2" in said
    assert "new: readout (as init.new says)" in said
    assert json.loads((tmp_path / "run" / "init.json").read_text())["new"]
    both = CliRunner().invoke(app, [*words, "--resume"])
    assert both.exit_code == 2
    assert "--init begins with others: leave one of them out" in " ".join(both.stderr.split())
