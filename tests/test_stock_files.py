"""Files of real SLAYER blocks, written by their own `export_hdf5`, give the blocks' own spikes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from lava.lib.dl import slayer
from lava.lib.dl.slayer.neuron.norm import MeanOnlyBatchNorm, WgtScaleBatchNorm
from typer.testing import CliRunner

from lavaseg.cli import app
from lavaseg.deploy import simulate
from lavaseg.deploy.lava import run_inprocess
from lavaseg.encoders import Direct
from lavaseg.errors import LavasegError
from lavaseg.network.integers import IntegerNetwork
from lavaseg.netx import read, read_stock, write
from lavaseg.netx.slayer import pools

cuba = slayer.block.cuba
SAMPLES, STEPS = 2, 8
SDNN = {"threshold": 0.1, "activation": torch.relu}
ALIF = {
    "threshold": 1.0,
    "threshold_step": 0.5,
    "current_decay": 1.0,
    "voltage_decay": 0.1,
    "threshold_decay": 0.1,
    "refractory_decay": 0.1,
}
Blocks = list[torch.nn.Module]


def neuron(
    threshold: float = 1.0, current: float = 1.0, voltage: float = 0.1, **options: Any
) -> dict[str, Any]:
    return {
        "threshold": threshold,
        "current_decay": current,
        "voltage_decay": voltage,
        **options,
    }


def spiking_blocks(*blocks: torch.nn.Module, delay_shift: bool = False) -> Blocks:
    """The blocks with random weights of Loihi's range and Loihi's strict threshold."""
    generator = torch.Generator().manual_seed(len(blocks))
    for block in blocks:
        if getattr(block, "neuron", None) is not None:
            block.neuron.threshold_eps = 1 / block.neuron.s_scale
        if hasattr(block, "delay_shift"):
            block.delay_shift = delay_shift
        for part in ("synapse", "input_synapse", "recurrent_synapse"):
            synapse = getattr(block, part, None)
            if synapse is not None and synapse.weight.shape[:2] != (1, 1):
                name = "weight_v" if synapse.weight_norm_enabled else "weight"
                weight = getattr(synapse, name)
                weight.data = torch.rand(weight.shape, generator=generator) * 1.6 - 0.6
        block.eval()
    return list(blocks)


def forward(blocks: Blocks, x: np.ndarray) -> list[np.ndarray]:
    """Output of each block for spikes (N, T, C, H, W), as (N, T, C, H, W) or (N, T, C)."""
    z = torch.from_numpy(np.moveaxis(x, 1, -1).astype(np.float32))
    found = []
    with torch.no_grad():
        for block in blocks:
            if getattr(block, "persistent_state", False):  # recurrent blocks keep it over calls
                block.neuron.current_state = block.neuron.voltage_state = torch.zeros(1)
            z = block(z)
            found.append(np.moveaxis(z.numpy(), -1, 1))
    return found


def export(blocks: Blocks, path: Path) -> Path:
    with h5py.File(path, "w") as file:
        layers = file.create_group("layer")
        for index, block in enumerate(blocks):
            block.export_hdf5(layers.create_group(str(index)))  # type: ignore[operator]
    return path


def input_spikes(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((SAMPLES, STEPS, *shape)) < 0.4).astype(np.uint8)


def delayed(block: torch.nn.Module, delays: list[float]) -> torch.nn.Module:
    block.delay.delay.data = torch.tensor(delays, dtype=torch.float32)  # type: ignore[union-attr]
    block.delay.init = True  # type: ignore[union-attr]
    return block


def normed(block: torch.nn.Module, means: list[float]) -> torch.nn.Module:
    norm = block.neuron.norm  # type: ignore[union-attr]
    norm.running_mean, norm.num_features = torch.tensor(means), len(means)
    return block


Case = tuple[tuple[int, int, int], Callable[[], Blocks]]
CASES: dict[str, Case] = {
    "conv, axes differ, input without neuron": (
        (2, 7, 5),
        lambda: [
            cuba.Input(),
            cuba.Conv(neuron(), 2, 3, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2)),
            cuba.Conv(neuron(), 3, 2, (1, 3), padding=(1, 0), dilation=(2, 1)),
        ],
    ),
    "groups, weight norm, filtered current, bias of mean-only batch norm": (
        (4, 6, 7),
        lambda: [
            cuba.Input(),
            normed(
                cuba.Conv(
                    neuron(1.2, 0.5, 0.03, norm=MeanOnlyBatchNorm),
                    4,
                    6,
                    3,
                    padding=1,
                    groups=2,
                    weight_norm=True,
                ),
                [0.3, -0.4, 0.0, 0.11, -0.2, 0.5],
            ),
            cuba.Conv(neuron(), 6, 6, 3, stride=2, groups=6),
        ],
    ),
    "input with neuron, weight and bias": (
        (2, 5, 4),
        lambda: [
            cuba.Input(neuron(1.1, 1.0, 0.2), weight=0.8, bias=0.3),
            cuba.Conv(neuron(), 2, 3, 3),
        ],
    ),
    "input whose bias passes the current filter": (
        (2, 5, 4),
        lambda: [
            cuba.Input(neuron(1, 0.3, 0.2), weight=0.8, bias=-0.25),
            cuba.Conv(neuron(), 2, 3, 3),
        ],
    ),
    "transposed conv": (
        (4, 3, 5),
        lambda: [
            cuba.Input(),
            cuba.ConvT(neuron(), 4, 6, (3, 2), stride=(2, 3), padding=(1, 0), groups=2),
            cuba.ConvT(neuron(), 6, 3, 3, padding=(2, 1), dilation=(1, 2)),
        ],
    ),
    "the 6 x 7 pool of lava-dl#293, unpool": (
        (8, 6, 7),
        lambda: [
            cuba.Input(),
            cuba.Pool(neuron(1.5), (2, 2), stride=2, padding=0),
            cuba.Unpool(neuron(0.9), (2, 3)),
        ],
    ),
    "pools and unpools whose windows drift over the channels": (
        (2, 5, 6),
        lambda: [
            cuba.Input(),
            cuba.Pool(neuron(1.5), 3),
            cuba.Unpool(neuron(0.9), (2, 3), stride=2, padding=(0, 1), dilation=(3, 1)),
        ],
    ),
    "flatten and dense, weight norm and bias": (
        (2, 3, 5),
        lambda: [
            cuba.Input(),
            cuba.Conv(neuron(), 2, 3, 2),
            cuba.Flatten(),
            normed(
                cuba.Dense(neuron(norm=MeanOnlyBatchNorm), 24, 5, weight_norm=True, weight_scale=2),
                [0.1, -0.2, 0.3, 0.0, -0.5],
            ),
            cuba.Dense(neuron(0.8), 5, 4),
        ],
    ),
    "channel delays of every spatial block and of the last one": (
        (2, 6, 6),
        lambda: [
            cuba.Input(),
            delayed(cuba.Conv(neuron(), 2, 4, 3, padding=1, delay=True), [0.7, 2.2, 1.0, 2.9]),
            delayed(cuba.Conv(neuron(), 4, 4, 3, groups=2, delay=True), [0, 1, 1, 3]),
            delayed(cuba.Pool(neuron(0.9), 2, delay=True), [1, 0, 20, 2]),
            delayed(cuba.ConvT(neuron(), 4, 2, 2, groups=2, delay=True), [1.5, 1.5]),
            cuba.Flatten(),
            delayed(cuba.Dense(neuron(0.2), 18, 3, delay=True), [0, 2, 1]),
        ],
    ),
    "recurrent dense layers, filtered current, bias, delays behind the loop": (
        (2, 2, 3),
        lambda: [
            cuba.Input(),
            cuba.Flatten(),
            cuba.Recurrent(neuron(2.2, 0.4, 0.1), 12, 7),
            delayed(
                normed(
                    cuba.Recurrent(neuron(norm=MeanOnlyBatchNorm), 7, 4, delay=True),
                    [0.1, -0.3, 0.2, -1.1],
                ),
                [0, 2, 1, 1],
            ),
            cuba.Dense(neuron(0.4), 4, 3),
        ],
    ),
    "dense on sheets is a 1 x 1 convolution": (
        (3, 4, 2),
        lambda: [cuba.Input(), cuba.Dense(neuron(), 3, 5), cuba.Conv(neuron(), 5, 2, 2)],
    ),
}


def assert_same_spikes(net: IntegerNetwork, blocks: Blocks, x: np.ndarray, lag: int = 0) -> None:
    """Every block's spikes, and the counted ones of the last block, with no difference.

    Args:
        lag: steps that each block adds, which logical time does not count.
    """
    outputs = [
        y
        for block, y in zip(blocks, forward(blocks, x), strict=True)
        if getattr(block, "neuron", None) is not None
    ]
    own = [p.name for p in net.network.populations if p.name not in ("input_bias", "readout")]
    activity = simulate(net, x, record=own)
    on_lava = run_inprocess(net, x, record=own)
    assert len(own) == len(outputs)
    total = 0
    spiking = [b for b in blocks if getattr(b, "neuron", None) is not None]
    for depth, (name, block, wanted) in enumerate(zip(own, spiking, outputs, strict=True), 1):
        found = activity.spikes[name]
        np.testing.assert_array_equal(on_lava.spikes[name], found, err_msg=name)
        if block.delay is not None:
            found = _late(found, block.delay.delay.detach().numpy().astype(int))
        wanted = wanted.reshape(SAMPLES, STEPS, *net.network.shape(name))
        late = lag * depth
        np.testing.assert_array_equal(found[:, : STEPS - late], wanted[:, late:], err_msg=name)
        total += int(wanted.sum())
        assert 0 < wanted.mean() < 1, f"{name} says nothing: it has {wanted.mean()} spikes a step"
    np.testing.assert_array_equal(on_lava.readout, activity.readout)
    if not lag:
        np.testing.assert_array_equal(activity.readout, 128 * wanted.sum(1))
        np.testing.assert_array_equal(net.logits(activity.readout), wanted.mean(1, np.float32))


def _late(spikes: np.ndarray, delays: np.ndarray) -> np.ndarray:
    out = np.zeros_like(spikes)
    for channel, delay in enumerate(delays):
        if delay < STEPS:
            out[:, delay:, channel] = spikes[:, : STEPS - delay, channel]
    return out


@pytest.mark.parametrize("case", CASES)
def test_spikes_and_read_out_equal_those_of_the_blocks(case: str, tmp_path: Path) -> None:
    shape, build = CASES[case]
    torch.manual_seed(0)
    blocks = spiking_blocks(*build())
    x = input_spikes(shape)
    forward(blocks, x)  # shapes lock at the first one; weight norm ends at export
    net = read_stock(export(blocks, tmp_path / "stock.net"), steps=STEPS)
    assert net.network.input.shape == shape
    assert_same_spikes(net, blocks, x)
    write(net, tmp_path / "own.net")
    assert read(tmp_path / "own.net").network == net.network


@pytest.mark.parametrize("last", ["flat", "sheets"])
def test_an_average_counts_the_spikes_of_groups(last: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    flat = (cuba.Flatten(), cuba.Dense(neuron(0.2), 24, 6, delay=True), cuba.Average(3))
    conv = (cuba.Conv(neuron(), 2, 6, 2, delay=True), cuba.Average(3))
    blocks = spiking_blocks(cuba.Input(), *(flat if last == "flat" else conv))
    late = next(block for block in blocks if getattr(block, "delay", None) is not None)
    delayed(late, [0, 1, 3, 0, 2, 2])
    x = input_spikes((2, 3, 4))
    outputs = forward(blocks, x)
    blocks[-1].neuron = torch.nn.Module()  # it writes the shape of a neuron that it has not
    blocks[-1].neuron.shape = (3,)
    net = read_stock(export(blocks, tmp_path / "stock.net"), steps=STEPS)
    activity = simulate(net, x)
    wanted = outputs[-1].mean(1)  # of (N, T, groups)
    assert np.ptp(wanted) > 0
    np.testing.assert_allclose(net.logits(activity.readout)[..., 0, 0], wanted, rtol=1e-6)
    with pytest.raises(LavasegError, match=r"layer/.*counts spikes: expected readout spikes"):
        read_stock(tmp_path / "stock.net", steps=STEPS, readout="membrane")


def test_an_average_that_cannot_be_read_is_named(stock: Path) -> None:
    def read_with(count: int, *more: str) -> str:
        with h5py.File(stock, "a") as file:
            for number, kind in enumerate(("average", *more), len(file["layer"])):
                file[f"layer/{number}/type"] = kind
                file[f"layer/{number}/shape"] = [count, 1, 1]
        with pytest.raises(LavasegError) as caught:
            read_stock(stock, steps=STEPS)
        return str(caught.value)

    assert "expected a number of groups that divides the" in read_with(7)
    with h5py.File(stock, "a") as file:
        del file[f"layer/{len(file['layer']) - 1}"]
    assert "is an average of spikes, expected only as the last" in read_with(1, "flatten")


def test_delay_shift_is_only_the_latency_of_hardware(tmp_path: Path) -> None:
    blocks = spiking_blocks(
        cuba.Input(),
        cuba.Conv(neuron(current=0.4), 2, 3, 3, padding=1),
        cuba.Pool(neuron(0.9), 2),
        delay_shift=True,
    )
    blocks[0].delay_shift = False
    x = input_spikes((2, 5, 4))
    forward(blocks, x)
    net = read_stock(export(blocks, tmp_path / "stock.net"), steps=STEPS)
    assert_same_spikes(net, blocks, x, lag=1)


def test_affine_block_is_the_membrane_read_out(tmp_path: Path) -> None:
    blocks = spiking_blocks(
        cuba.Dense(neuron(), 6, 4), cuba.Affine(neuron(current=0.5), in_neurons=4, out_neurons=3)
    )
    x = input_spikes((6, 1, 1))
    voltage = forward(blocks, x[..., 0, 0])[-1]
    net = read_stock(export(blocks, tmp_path / "stock.net"), steps=STEPS)
    assert net.network.readout == "dense1"
    found = simulate(net, x).readout[..., 0, 0]
    np.testing.assert_array_equal(found, (voltage[:, -1] * 4096).astype(np.int64))


def test_graded_input_carries_messages(tmp_path: Path) -> None:
    blocks = spiking_blocks(cuba.Input(), cuba.Conv(neuron(3), 1, 2, 3))
    x = input_spikes((1, 5, 4)) * 7
    forward(blocks, x)
    path = export(blocks, tmp_path / "stock.net")
    net = read_stock(path, steps=STEPS, encoder=Direct(STEPS, bits=3), classes=["no", "yes"])
    assert net.classes == ("no", "yes")
    assert_same_spikes(net, blocks, x)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("tiny", ["input_neurons", "conv1", "conv2", "readout"]),
        ("mnist", ["input_neurons", "dense1", "dense2", "dense3"]),
    ],
)
def test_files_of_older_versions_that_lava_dl_ships_are_read(name: str, layers: list[str]) -> None:
    path = Path(slayer.__file__).parents[4] / "tests/lava/lib/dl/netx" / f"{name}.net"
    if not path.is_file():
        pytest.skip("this lava-dl comes without its tests")
    net = read_stock(path, steps=3)
    assert [p.name for p in net.network.populations] == layers
    x = (np.random.default_rng(0).random((1, 3, *net.network.input.shape)) < 0.5).astype(np.uint8)
    activity = simulate(net, x, record="all")
    on_lava = run_inprocess(net, x, record="all")
    for layer, spikes in activity.spikes.items():
        np.testing.assert_array_equal(on_lava.spikes[layer], spikes, err_msg=layer)
    np.testing.assert_array_equal(on_lava.readout, activity.readout)
    assert activity.spikes[layers[1]].any()


def test_pool_and_unpool_of_any_geometry_equal_slayers() -> None:
    from lava.lib.dl.slayer.synapse.layer import Pool, Unpool

    rng = np.random.default_rng(0)
    ran = 0
    for trial in range(150):
        source = (int(rng.integers(1, 5)), *rng.integers(1, 10, 2).tolist())
        kernel, stride = (tuple(rng.integers(1, 5, 2).tolist()) for _ in range(2))
        padding, dilation = (tuple(rng.integers(least, least + 2, 2).tolist()) for least in (0, 1))
        weight = rng.integers(-5, 6, kernel)
        x = torch.from_numpy(rng.integers(0, 2, (1, *source)).astype(np.float32))
        synapse, place = ((Pool, pools.pool), (Unpool, pools.unpool))[trial % 2]
        layer = synapse(kernel, stride, padding, dilation)
        layer.weight.data = torch.from_numpy(weight.astype(np.float32))[None, None, ..., None]
        try:
            operator, placed = place(weight, source, stride, padding, dilation)
        except LavasegError:  # then SLAYER fails as well, or gives nothing
            with contextlib.suppress(RuntimeError):
                assert not layer(x[..., None]).numel()
            continue
        run = torch.conv_transpose2d if trial % 2 else torch.conv2d
        options = {"stride": operator.stride, "padding": operator.padding}
        options |= {"dilation": operator.dilation, "groups": operator.groups}
        found = run(x, torch.from_numpy(placed.astype(np.float32)), None, **options)
        with torch.no_grad():
            torch.testing.assert_close(found, layer(x[..., None])[..., 0], rtol=0, atol=0)
        ran += 1
    assert ran > 25


# -- what is refused -----------------------------------------------------------------------------


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    """A small file as a SLAYER block writes it: input, conv, flatten, dense."""
    blocks = spiking_blocks(
        cuba.Input(), cuba.Conv(neuron(), 2, 3, 3), cuba.Flatten(), cuba.Dense(neuron(), 12, 4)
    )
    forward(blocks, input_spikes((2, 4, 4)))
    return export(blocks, tmp_path / "stock.net")


def _set(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return change


def _delete(name: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(name)


WRONG: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "neuron": (_set("layer/1/neuron/type", "SDNN"), "layer/1/neuron/type is 'SDNN', only CUBA"),
    "recurrent": (_set("layer/3/type", np.array([b"dense_rec"])), "weight_rec is missing"),
    "unknown layer": (_set("layer/3/type", np.array([b"magic"])), "layer/3/type is 'magic'"),
    "kwta": (lambda f: f.create_group("layer/4"), "layer/4 has no type.*KWTA"),
    "gap": (lambda f: f.move("layer/1", "layer/7"), "layer/7 is unknown"),
    "missing field": (_delete("layer/1/stride"), "layer/1/stride is missing"),
    "unknown field": (_set("layer/1/colour", 3), "layer/1/colour is unknown"),
    "decays": (_set("layer/1/neuron/iDecay", [1, 2, 3]), "iDecay has shape.*each channel"),
    "decay range": (_set("layer/1/neuron/vDecay", 5000), "vDecay is 5000, expected 0 to 4096"),
    "threshold": (_set("layer/1/neuron/vThMant", 0), "vThMant is 0"),
    "true as threshold": (_set("layer/1/neuron/vThMant", True), "vThMant has type bool"),
    "high threshold": (_set("layer/1/neuron/vThMant", 140000), "Loihi holds up to 131071"),
    "refractory": (_set("layer/1/neuron/refDelay", 2), "refDelay is 2"),
    "graded": (_set("layer/1/neuron/gradedSpike", True), "gradedSpike is set.*would need"),
    "scale": (_set("layer/1/neuron/weight_exp", [1.0]), "WgtScaleBatchNorm"),
    "weight shape": (_set("layer/1/weight", np.zeros((3, 2, 3), "f4")), "weight has shape"),
    "fractions": (_set("layer/1/weight", np.full((3, 2, 3, 3), 0.5)), "not whole"),
    "not finite": (_set("layer/1/weight", np.full((3, 2, 3, 3), np.nan)), "not whole"),
    "odd weights": (_set("layer/1/weight", np.full((3, 2, 3, 3), 129.0)), "holds odd numbers"),
    "wide weights": (_set("layer/1/weight", np.full((3, 2, 3, 3), 65536.0)), "8-bit synapses"),
    "text": (_set("layer/1/stride", "two"), "layer/1/stride has type"),
    "stride": (_set("layer/1/stride", [0, 1]), "layer/1/stride is 0, 1"),
    "shape": (_set("layer/1/shape", [3, 2, 3]), r"layer/1/shape is \(3, 2, 3\).*\(3, 2, 2\)"),
    "channels": (_set("layer/1/inChannels", 5), "inChannels is 5, the layer before has 2"),
    "groups": (_set("layer/1/groups", 2), "does not divide"),
    "bias": (_set("layer/1/bias", np.full(3, 5000.0)), "layer/1/bias reaches"),
    "delay": (_set("layer/1/delay", [0, 70, 0]), "layer/1/delay reaches from 0 to 70"),
    "flat": (_set("layer/2/shape", [13, 1, 1]), "layer/2/shape has 13 neurons"),
    "soft link": (_set("layer/1/weight", h5py.SoftLink("/layer/3/weight")), "is a link"),
    "outer link": (_set("layer/1/weight", h5py.ExternalLink("other", "/x")), "is a link"),
    "late input": (lambda f: f.copy("layer/0", "layer/4"), "layer/4 is an input layer"),
    "no input": (_set("layer/0/type", np.array([b"flatten"])), "give input_shape"),
    "no layers": (_delete("layer"), "layer is missing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_named(case: str, stock: Path) -> None:
    change, message = WRONG[case]
    with h5py.File(stock, "a") as file:
        change(file)
    with pytest.raises(LavasegError, match=f"stock.net: .*{message}") as caught:
        read_stock(stock, steps=STEPS)
    assert "\n" not in str(caught.value)
    result = CliRunner().invoke(app, ["import", str(stock), "-o", str(stock.with_name("own.net"))])
    assert result.exit_code == 2, result.output
    assert [path.name for path in stock.parent.iterdir()] == ["stock.net"]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (lambda: slayer.block.alif.Dense(ALIF, 12, 3), "layer/2/neuron/type is 'ALIF'"),
        (
            lambda: slayer.block.sigma_delta.Dense(SDNN, 12, 3),
            "layer/2/neuron/type is 'SDNN'.*SigmaDelta would be needed",
        ),
        (lambda: cuba.KWTA(neuron(), 12, 3, num_winners=1), "layer/2 has no type.*KWTA"),
    ],
)
def test_other_blocks_name_themselves(
    block: Callable[[], torch.nn.Module], message: str, tmp_path: Path
) -> None:
    blocks = [cuba.Input(delay_shift=False), cuba.Flatten(), block()]
    forward(blocks, input_spikes((3, 2, 2)))
    with pytest.raises(LavasegError, match=message):
        read_stock(export(blocks, tmp_path / "stock.net"), steps=STEPS)


def test_compressed_arrays_are_refused(stock: Path) -> None:
    with h5py.File(stock, "a") as file:
        del file["layer/1/weight"]
        file.create_dataset("layer/1/weight", (3, 2, 3, 3), "f4", compression="gzip")
    with pytest.raises(LavasegError, match="weight is stored in chunks"):
        read_stock(stock, steps=STEPS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        (b"", "no HDF5 file"),
        (b"\x89HDF\r\n\x1a\n", "cannot be read"),
        (b"lavaseg network, NetX HDF5, version 1\n", "a network of lavaseg"),
    ],
)
def test_other_files_are_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "stock.net"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LavasegError, match=message):
        read_stock(path, steps=STEPS)


def test_slayers_scaling_batch_norm_is_refused(tmp_path: Path) -> None:
    block = normed(cuba.Conv(neuron(norm=WgtScaleBatchNorm), 2, 3, 3), [0.0, 0.1, 0.2])
    block.neuron.norm.running_var = torch.tensor([9.0])  # type: ignore[union-attr]
    blocks = spiking_blocks(cuba.Input(), block)
    forward(blocks, input_spikes((2, 4, 4)))
    with pytest.raises(LavasegError, match="layer/1/neuron/weight_exp is not 0"):
        read_stock(export(blocks, tmp_path / "stock.net"), steps=STEPS)


# -- the command line ----------------------------------------------------------------------------


def test_import_writes_a_net_file(stock: Path) -> None:
    out = stock.with_name("own.net")
    call = ["import", str(stock), "-o", str(out), "--steps", "5", "--classes", "a,b,c,d"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0, result.output
    net = read(out)
    assert (net.steps, net.classes) == (5, ("a", "b", "c", "d"))
    assert [p.name for p in net.network.populations] == ["conv1", "dense3", "readout"]
    assert "Loihi 2     no known limit is broken, 1 repaired, 0 remarks" in result.output
    assert CliRunner().invoke(app, [*call, "--widest", "2"]).exit_code == 0
    assert read(out).network.input.shape == (2 * 2, 4, 4 // 2)


def test_import_takes_an_encoder_of_events_with_its_fields(stock: Path) -> None:
    out = stock.with_name("own.net")
    call = ["import", str(stock), "-o", str(out), "--steps", "5", "--encoder", "event_presence"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 2
    assert "the event_presence encoder needs a value for sensor" in result.stderr
    assert "__init__" not in result.stderr
    result = CliRunner().invoke(app, [*call, "--set", "sensor=[4, 4]"])
    assert result.exit_code == 0, result.output
    assert read(out).encoder.sensor == (4, 4)


@pytest.mark.parametrize("options", [["--classes", "a"], ["--encoder", "magic"], ["--steps", "0"]])
def test_import_that_fails_exits_with_2_and_leaves_the_old_file(
    stock: Path, options: list[str]
) -> None:
    out = stock.with_name("own.net")
    out.write_text("old")
    result = CliRunner().invoke(app, ["import", str(stock), "-o", str(out), *options])
    assert result.exit_code == 2, result.output
    assert out.read_text() == "old"
    assert sorted(p.name for p in stock.parent.iterdir()) == ["own.net", "stock.net"]
