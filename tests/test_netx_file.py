"""The `.net` file: what is written is read back equal, and nothing else is taken for a network."""

import dataclasses
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lavaseg.encoders import Direct, Encoder, OnOffPoisson, Poisson
from lavaseg.errors import LavasegError
from lavaseg.network import (
    Conv,
    ConvTranspose,
    Current,
    Dense,
    Input,
    Network,
    Node,
    OneToOne,
    Operator,
    Population,
    Projection,
    SumPool,
    Upsample,
)
from lavaseg.network.integers import Bias, IntegerNetwork
from lavaseg.netx import describe, read, stock_loadable, write
from lavaseg.netx.description import description_text, parse_description
from lavaseg.netx.reader import NetReader
from lavaseg.netx.schema import description_schema

QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def with_numbers(
    network: Network, encoder: Encoder, seed: int, exponent: int = 6
) -> IntegerNetwork:
    """`network` with random weights, and a bias or clock where a node asks for one."""
    rng = np.random.default_rng(seed)
    shapes = {p.name: network.synapse_shape(p) for p in network.projections}
    return IntegerNetwork(
        network,
        {name: 2 * rng.integers(-128, 128, shape, np.int16) for name, shape in shapes.items()},
        encoder,
        tuple(f"Klasse {i} ä" for i in range(network.shape(network.readout)[0])),
        {
            node.name: Bias(rng.integers(-4095, 4096, network.shape(node.name)[0]), exponent)
            for node in network.nodes
            if node.bias
        },
        {population.name: float(rng.random() + 0.1) for population in network.populations},
        {
            population.name: 2
            * rng.integers(-128, 128, (encoder.steps, network.shape(population.name)[0]), np.int16)
            for population in network.populations
            if population.clock
        },
    )


def sequence(seed: int = 0) -> IntegerNetwork:
    network = Network(
        Input("picture", (2, 6, 5)),
        (
            Population("first", 60, bias=True),
            Population("second", 30, 2000, 7),
            Population("readout", None, bias=True),
        ),
        (
            Projection("picture", "first", Conv(4, (3, 2), (2, 1), (1, 0), (1, 2), 2)),
            Projection("first", "second", Dense(5), name="flat"),
            Projection("second", "readout", Dense(3)),
        ),
        "readout",
    )
    return with_numbers(network, OnOffPoisson(4, (120.5,), 1.7), seed)


def branched(seed: int = 0) -> IntegerNetwork:
    """Every operator, a current, a delay, a clock and a skip."""
    network = Network(
        Input("picture", (2, 6, 4), 5),
        (
            Population("a", 9, bias=True),
            Population("pooled", 2, reset="soft", clock=True),
            Current("sum", bias=True),
            Population("out", None),
        ),
        (
            Projection("picture", "a", Conv(2, 3, 1, 1)),
            Projection("a", "pooled", SumPool()),
            Projection("pooled", "sum", Upsample(), delay=3),
            Projection("a", "sum", OneToOne()),
            Projection("pooled", "sum", ConvTranspose(2, 2, 2), name="up"),
            Projection("sum", "out", Conv(3, 1)),
        ),
        "out",
    )
    return with_numbers(network, Direct(3, 5), seed, exponent=3)


def assert_equal(found: IntegerNetwork, expected: IntegerNetwork) -> None:
    assert found.network == expected.network
    assert found.encoder == expected.encoder
    assert found.classes == expected.classes
    assert dict(found.scales) == dict(expected.scales)
    assert list(found.weights) == list(expected.weights)
    for name, weight in expected.weights.items():
        assert found.weights[name].dtype == np.int16
        np.testing.assert_array_equal(found.weights[name], weight)
    assert set(found.biases) == set(expected.biases)
    for name, bias in expected.biases.items():
        assert found.biases[name].exponent == bias.exponent
        np.testing.assert_array_equal(found.biases[name].mantissa, bias.mantissa)
    assert set(found.clocks) == set(expected.clocks)
    for name, clock in expected.clocks.items():
        assert found.clocks[name].dtype == np.int16
        np.testing.assert_array_equal(found.clocks[name], clock)


# -- round trips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sequence, branched])
def test_a_network_is_read_back_equal(make: Callable[[], IntegerNetwork], tmp_path: Path) -> None:
    write(make(), tmp_path / "a.net")
    assert_equal(read(str(tmp_path / "a.net")), make())


def test_numbers_of_any_width_and_byte_order_are_read_back_equal(tmp_path: Path) -> None:
    net = branched()
    floats = net.network.replace_nodes({"a": {"threshold": 9.0}, "pooled": {"threshold": 2.0}})
    wide = changed(
        net,
        network=floats,
        weights={name: weight.astype(">i8") for name, weight in net.weights.items()},
        biases={
            name: Bias(bias.mantissa.astype(np.int64), np.int64(bias.exponent))
            for name, bias in net.biases.items()
        },
        clocks={name: clock.astype(np.int32) for name, clock in net.clocks.items()},
        scales={"a": np.float32(0.1), "pooled": np.float64(1) / 3, "out": 7},
    )
    write(wide, tmp_path / "a.net")
    assert_equal(read(tmp_path / "a.net"), wide)


@st.composite
def networks(draw: st.DrawFn) -> IntegerNetwork:
    """Random chains, now and then with a skip from the input or a delay."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    small = st.integers(1, 3)
    nodes: list[Node] = []
    projections = []
    source = "input"
    for index in range(draw(st.integers(1, 3))):
        name = f"layer{index}"
        operator: Operator = Dense(draw(small))
        if draw(st.booleans()):
            kernel = (draw(small), draw(small))
            operator = Conv(draw(small), kernel, (draw(small), draw(small)), (2, 2))
        delay = draw(st.sampled_from([0, 0, 0, 5]))
        nodes.append(
            Population(
                name,
                draw(st.one_of(st.none(), st.integers(1, 131071))),
                draw(st.integers(0, 4096)),
                draw(st.integers(0, 4096)),
                bias=draw(st.booleans()),
            )
        )
        projections.append(Projection(source, name, operator, delay))
        source = name
    network = Network(Input("input", shape), tuple(nodes), tuple(projections), source)
    if draw(st.booleans()):
        skip = Projection("input", source, Conv(2, 1))
        if network.shape(source) == (2, *shape[1:]) and len(nodes) > 1:
            network = Network(network.input, network.nodes, (*projections, skip), source)
    return with_numbers(
        network, Poisson(draw(st.integers(1, 4096))), draw(st.integers(0, 99)), draw(small) + 4
    )


@QUICK
@given(net=networks())
def test_any_network_is_read_back_equal(net: IntegerNetwork, tmp_path: Path) -> None:
    write(net, tmp_path / "a.net")
    assert_equal(read(tmp_path / "a.net"), net)
    if stock_loadable(net)[0]:
        assert net.network.is_sequence
        assert all(bias.exponent == 6 for bias in net.biases.values())


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    write(sequence(), tmp_path / "a.net")
    write(read(tmp_path / "a.net"), tmp_path / "b.net")
    assert (tmp_path / "a.net").read_bytes() == (tmp_path / "b.net").read_bytes()


def test_weights_are_stored_once(tmp_path: Path) -> None:
    for net in (sequence(), branched()):
        write(net, tmp_path / "a.net")
        sizes: list[int] = []

        def visit(name: str, item: Any, sizes: list[int] = sizes) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype == np.int16:
                sizes.append(item.size)

        with h5py.File(tmp_path / "a.net") as file:
            file.visititems(visit)
        biases = sum(bias.mantissa.size for bias in net.biases.values())
        gains = sum(
            net.network.shape(p.source)[0]
            for p in net.network.projections
            if net.network.weight_shape(p) is None
        )
        clocks = sum(clock.size for clock in net.clocks.values())
        assert sum(sizes) == net.network.weight_count() + gains + biases + clocks


# -- writing -------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(sequence(), tmp_path / "a.net")
    before = (tmp_path / "a.net").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(LavasegError, match=r"a\.net cannot be written: No space left"):
        write(branched(), tmp_path / "a.net")
    assert (tmp_path / "a.net").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.net"]


@pytest.mark.parametrize("place", ["missing/a.net", "file/a.net", "folder"])
def test_an_unwritable_place_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(LavasegError, match=f"{place} cannot be written"):
        write(sequence(), tmp_path / place)
    assert {p.name for p in tmp_path.iterdir()} == {"file", "folder"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weights": {"stray": np.zeros((3, 5, 1, 1), np.int16)}}, "no projection for .* stray"),
        ({"biases": {"ghost": Bias(np.zeros(3, np.int16))}}, "a bias is given for 'ghost'"),
        ({"biases": {"picture": Bias(np.zeros(2, np.int16))}}, "a bias is given for 'picture'"),
        ({"biases": {"first": Bias(np.full(4, 1.5))}}, "bias mantissas must be integers"),
        ({"biases": {"first": Bias(np.full(4, np.nan))}}, "bias mantissas must be integers"),
        ({"biases": {"first": Bias(np.zeros(4, int), 6.0)}}, "exponent 6.0 is not 0 to 7"),
        ({"scales": {"ghost": 1.0}}, "a scale is given for 'ghost'"),
        ({"scales": {"first": float("inf")}}, "'first': scale inf must be a positive number"),
        ({"scales": {"first": 0.0}}, "'first': scale 0.0 must be a positive number"),
    ],
)
def test_numbers_that_a_file_would_lose_are_no_integer_network(
    fields: dict[str, dict[str, Any]], message: str
) -> None:
    net = sequence()
    with pytest.raises(LavasegError, match=message):
        changed(net, **{name: {**getattr(net, name), **more} for name, more in fields.items()})


def test_integer_neurons_are_no_part_of_a_file() -> None:
    net = sequence()
    first = net.network.populations[0].name
    change = {first: {"levels": 3, "voltage_decay": 4096, "current_decay": 4096}}
    with pytest.raises(LavasegError, match=f"'{first}' has 3 levels"):
        dataclasses.replace(net, network=net.network.replace_nodes(change))


def test_a_network_that_no_reader_takes_is_not_written(tmp_path: Path) -> None:
    far = Conv(1, 1, stride=(70000, 1))
    network = Network(
        Input("input", (1, 2, 2)), (Population("p"),), (Projection("input", "p", far),), "p"
    )
    with pytest.raises(LavasegError, match=r"stride \(70000, 1\) exceeds 65535"):
        write(with_numbers(network, Poisson(2), 0), tmp_path / "a.net")
    net = changed(sequence(), classes=("a", "b", "c" * 2**24))
    with pytest.raises(LavasegError, match=r"description has \d+ bytes, a file holds 16777216"):
        write(net, tmp_path / "a.net")
    assert not list(tmp_path.iterdir())


# -- foreign and damaged files -------------------------------------------------------------------


def test_files_that_are_no_networks_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    with pytest.raises(LavasegError, match=r"there is no file .*a\.net"):
        read(path)
    with pytest.raises(LavasegError, match="is not a file"):
        read(tmp_path)
    for content in (b"", b"PK\x03\x04", b"lavaseg network, NetX HDF5, version x\n"):
        path.write_bytes(content)
        with pytest.raises(LavasegError, match="is not a lavaseg network"):
            read(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["layer/0/type"] = np.bytes_("input")
    with pytest.raises(LavasegError, match=r"other\.h5 is an HDF5 file of another program"):
        read(tmp_path / "other.h5")


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    write(sequence(), tmp_path / "a.net")
    data = (tmp_path / "a.net").read_bytes()
    (tmp_path / "a.net").write_bytes(data.replace(b"version 1\n", b"version 2\n"))
    with pytest.raises(LavasegError, match="format version 2, this lavaseg reads up to 1"):
        read(tmp_path / "a.net")


@QUICK
@given(data=st.data())
def test_a_damaged_file_is_refused(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    write(sequence(), path)
    image = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        image = image[: data.draw(st.integers(0, len(image) - 1))]
    else:
        places = st.sets(st.integers(0, len(image) - 1), min_size=1, max_size=3)
        for place in data.draw(places):
            image[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(image)
    with pytest.raises(LavasegError, match=r"a\.net"):
        read(path)


def seal(path: Path, image: bytes) -> None:
    """Write an HDF5 image with a header that matches it, as a forger would."""
    digest = hashlib.sha256(image[512:]).hexdigest()
    header = f"lavaseg network, NetX HDF5, version 1\nsha256 {digest}\n".encode()
    path.write_bytes(header.ljust(512, b"\0") + image[512:])


def forge(path: Path, change: Callable[[h5py.File], None], net: IntegerNetwork) -> None:
    """Write `net`, change the HDF5 part, and make the checksum match again."""
    write(net, path)
    buffer = io.BytesIO(path.read_bytes())
    with h5py.File(buffer, "r+") as file:
        change(file)
    seal(path, buffer.getvalue())


@QUICK
@given(data=st.data())
def test_damage_below_a_right_checksum_is_refused_or_gives_a_valid_network(
    data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "a.net"
    write(sequence(), path)
    image = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        image = image[: data.draw(st.integers(512, len(image) - 1))]
    else:
        places = st.sets(st.integers(512, len(image) - 1), min_size=1, max_size=9)
        for place in data.draw(places):
            image[place] = data.draw(st.sampled_from([0, 1, 128, 255]))
    seal(path, bytes(image))
    try:
        net = read(path)
    except LavasegError:
        return
    write(net, tmp_path / "b.net")
    assert_equal(read(tmp_path / "b.net"), net)


def put(name: str, value: Any) -> Callable[[h5py.File], None]:
    """Replace the dataset `name`."""

    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return change


def drop(name: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]

    return change


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[h5py.File], None]:
    """Change the description."""

    def apply(file: h5py.File) -> None:
        data = json.loads(file["lavaseg/description"][()].tobytes())
        change(data)
        text(json.dumps(data))(file)

    return apply


def text(description: str) -> Callable[[h5py.File], None]:
    return put("lavaseg/description", np.frombuffer(description.encode("utf-8"), np.uint8))


def many_chunks(file: h5py.File) -> None:
    del file["layer/1/weight"]
    file.create_dataset("layer/1/weight", (4, 1, 3, 2), "<i2", compression="gzip", fillvalue=2)


def no_data(file: h5py.File) -> None:
    del file["layer/1/weight"]
    file.create_dataset("layer/1/weight", (4, 1, 3, 2), "<i2")


def huge(file: h5py.File) -> None:
    """A petabyte of weights: declared, not there."""
    edit(lambda d: d["network"]["projections"][1]["operator"].update(features=2**40))(file)
    edit(lambda d: d["network"]["projections"][2]["operator"].update(features=3))(file)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4, 1, 3, 2), "<i2")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 1, 3, 2))
    del file["layer/1/weight"]
    file.create_virtual_dataset("layer/1/weight", layout)


def elsewhere(file: h5py.File) -> None:
    del file["layer/1/weight"]
    file.create_dataset("layer/1/weight", (4, 1, 3, 2), "<i2", external="/etc/passwd")


def operator(index: int, **fields: Any) -> Callable[[h5py.File], None]:
    return edit(lambda d: d["network"]["projections"][index]["operator"].update(fields))


def node(index: int, **fields: Any) -> Callable[[h5py.File], None]:
    return edit(lambda d: d["network"]["nodes"][index].update(fields))


def all_of(*changes: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
    def apply(file: h5py.File) -> None:
        for change in changes:
            change(file)

    return apply


WEIGHT = np.zeros((4, 1, 3, 2), "<i2")

FORGERIES: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "missing field": (drop("layer/1/stride"), "layer/1/stride is missing"),
    "missing weights": (drop("layer/1/weight"), "layer/1/weight is missing"),
    "missing layer": (drop("layer/2"), "layer/2.* is missing"),
    "missing description": (drop("lavaseg"), "lavaseg/description is missing"),
    "unknown layer": (put("layer/9/type", np.array([b"conv"], "S10")), "layer/9 is unknown"),
    "unknown layer type": (
        put("layer/1/type", np.array([b"lstm"], "S10")),
        "layer/1/type is 'lstm', the description expects 'conv'",
    ),
    "unknown neuron type": (
        put("layer/1/neuron/type", np.array([b"RF"], "S10")),
        "layer/1/neuron/type is 'RF', the description expects 'CUBA'",
    ),
    "unknown field": (put("layer/1/delay", 3), "layer/1/delay is unknown"),
    "other threshold": (put("layer/1/neuron/vThMant", 61), "vThMant is 61, .* expects 60"),
    "other number type": (put("layer/1/groups", 2.0), "groups has type float64, expected int64"),
    "odd weight": (put("layer/1/weight", WEIGHT + np.int16(1)), "weights must be even"),
    "large weight": (put("layer/1/weight", WEIGHT + np.int16(256)), "weights reach from 256"),
    "float weights": (put("layer/1/weight", WEIGHT * np.nan), "has type float64, expected int16"),
    "wrong shape": (put("layer/1/weight", WEIGHT[:3]), r"weight has shape \(3, 1, 3, 2\)"),
    "text as weights": (put("layer/1/weight", "abc"), "has type object, expected int16"),
    "large bias": (put("layer/1/bias", np.full(4, 5000, "<i2")), "bias mantissa 5000 exceeds"),
    "group as weights": (
        all_of(drop("layer/1/weight"), put("layer/1/weight/x", 1)),
        "layer/1/weight is not an array",
    ),
    "number as group": (put("layer/3/neuron", 1), "layer/3/neuron.* is missing|not a group"),
    "soft link": (put("layer/1/weight", h5py.SoftLink("/layer/3/weight")), "weight is a link"),
    "external link": (
        put("layer/1/weight", h5py.ExternalLink("/etc/passwd", "x")),
        "weight is a link",
    ),
    "external group": (put("layer/1", h5py.ExternalLink("/etc/passwd", "x")), "1.* is a link"),
    "external storage": (elsewhere, "stored in chunks, filtered or outside"),
    "virtual dataset": (virtual, "stored in chunks, filtered or outside"),
    "filter": (many_chunks, "stored in chunks, filtered or outside"),
    "shape without data": (no_data, "has no data for its shape"),
    "absurd size": (huge, "has more than 134217728 neurons"),
    "no JSON": (text("{"), "lavaseg/description is not valid JSON"),
    "deep JSON": (text("[" * 10**6), "lavaseg/description is not valid JSON"),
    "JSON list": (text("[]"), "must be a JSON object"),
    "long digits": (text('{"layout": ' + "9" * 10**5 + "}"), "description"),
    "not UTF-8": (
        put("lavaseg/description", np.full(9, 255, np.uint8)),
        "lavaseg/description is not valid JSON",
    ),
    "NaN": (edit(lambda d: d["scales"].update(first=float("nan"))), "NaN is not a number"),
    "infinite": (text('{"layout": 1e999}'), "1e999 is out of range"),
    "no classes": (edit(lambda d: d.pop("classes")), "has no field 'classes'"),
    "extra field": (edit(lambda d: d.update(pickle="x")), "has an unknown field 'pickle'"),
    "class count": (edit(lambda d: d["classes"].pop()), "2 class names for a read-out of 3"),
    "class type": (edit(lambda d: d.update(classes=[1, 2, 3])), "classes must be a list of names"),
    "other layout": (edit(lambda d: d.update(layout="tree")), "layout is 'tree', expected one of"),
    "wrong layout": (edit(lambda d: d.update(layout="graph")), "layer.* unknown|missing|expects"),
    "layout type": (edit(lambda d: d.update(layout=[])), r"layout is \[\], expected one of"),
    "scale of nothing": (edit(lambda d: d["scales"].update(ghost=1)), "scales names 'ghost'"),
    "negative scale": (edit(lambda d: d["scales"].update(first=-1)), "scales.first is -1"),
    "bias exponent": (
        edit(lambda d: d["bias_exponents"].update(first=8)),
        "bias_exponents.first is 8, expected an integer from 0 to 7",
    ),
    "exponent stock would ignore": (
        edit(lambda d: d["bias_exponents"].update(first=5)),
        "layout is 'sequence', which does not suit",
    ),
    "unknown operator": (operator(0, kind="lstm"), "unknown operator 'lstm'"),
    "operator type": (operator(0, kind=[]), "not a network description"),
    "unknown operator field": (
        operator(0, magic=1),
        "projection 'picture_to_first' has an unknown field 'magic'",
    ),
    "empty name of a projection": (
        edit(lambda d: d["network"]["projections"][0].update(name="")),
        r"network.projections\[0\]: its name is empty",
    ),
    "float channels": (operator(0, channels=4.0), "channels is 4.0, expected int"),
    "true channels": (operator(1, features=True), "features is True, expected int"),
    "fractional kernel": (operator(0, kernel=[3.7, 2]), r"kernel is \[3.7, 2\], expected tuple"),
    "kernel as text": (operator(0, kernel="32"), "kernel is '32', expected tuple"),
    "one number for a pair": (operator(0, padding=1), "padding is 1, expected tuple"),
    "fractional shape": (
        edit(lambda d: d["network"]["input"].update(shape=[2, 6.5, 5])),
        r"network.input: shape is \[2, 6.5, 5\], expected tuple",
    ),
    "list of pairs as operator": (
        edit(lambda d: d["network"]["projections"][1].update(operator=[["kind", "dense"]])),
        "projection 'flat': a JSON object with a field 'kind' is expected",
    ),
    "text as auxiliaries": (
        edit(lambda d: d["network"].update(auxiliaries="ab")),
        "network: auxiliaries is 'ab', expected tuple",
    ),
    "unknown field of the network": (
        edit(lambda d: d["network"].update(colour=1)),
        "network has an unknown field 'colour'",
    ),
    "field given twice": (
        lambda f: text(f["lavaseg/description"][()].tobytes().decode()[:-1] + ', "scales": {}}')(f),
        "a field stands twice",
    ),
    "true as level": (
        edit(lambda d: d["encoder"].update(mean=[True])),
        r"encoder 'onoff_poisson': mean is \[True\], expected tuple",
    ),
    "absurd padding": (operator(0, padding=[10**9, 0], stride=[10**9, 1]), "exceeds 65535"),
    "empty sheet": (operator(0, kernel=[99, 99]), "to an empty sheet"),
    "unknown node": (node(0, node="cortex"), "unknown node type 'cortex'"),
    "threshold range": (
        all_of(node(0, threshold=131072), put("layer/1/neuron/vThMant", 131072)),
        "threshold 131072 must be an integer from 1",
    ),
    "threshold type": (node(0, threshold="60"), "node 'first': threshold is '60', expected float"),
    "decay range": (node(0, current_decay=5000), "current_decay must be an integer from 0"),
    "name type": (node(0, name=7), r"nodes\[0\]: name is 7, expected str"),
    "cycle": (
        edit(lambda d: d["network"]["projections"][0].update(source="second")),
        "cycle through",
    ),
    "input type": (
        edit(lambda d: d["network"].update(input=3)),
        "network.input must be a JSON object",
    ),
    "network type": (edit(lambda d: d.update(network=3)), "network must be a JSON object"),
    "many nodes": (
        edit(lambda d: d["network"].update(nodes=d["network"]["nodes"] * 1000)),
        "network.nodes must be a list of at most 2048",
    ),
    "unknown encoder": (edit(lambda d: d["encoder"].update(kind="eye")), "unknown encoder 'eye'"),
    "encoder type": (edit(lambda d: d.update(encoder="poisson")), "encoder must be a JSON object"),
    "encoder steps": (edit(lambda d: d["encoder"].update(steps=0)), "steps must be an integer"),
    "encoder field": (edit(lambda d: d["encoder"].update(gain="1")), "encoder"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_file_is_refused_with_the_field_named(name: str, tmp_path: Path) -> None:
    change, message = FORGERIES[name]
    path = tmp_path / "a.net"
    forge(path, change, sequence())
    with pytest.raises(LavasegError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_weights_shared_between_projections_by_links_cannot_outgrow_the_file(
    tmp_path: Path,
) -> None:
    write(sequence(), tmp_path / "a.net")
    with h5py.File(tmp_path / "a.net") as file:
        reader = NetReader(file, "a.net", budget=400)
        shape = file["layer/3/weight"].shape
        reader.array("layer/3/weight", np.dtype("<i2"), shape)
        with pytest.raises(LavasegError, match="has no data for its shape"):
            reader.array("layer/3/weight", np.dtype("<i2"), shape)


@QUICK
@given(
    data=st.data(),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)
@pytest.mark.parametrize("make", [sequence, branched])
def test_any_json_value_anywhere_is_refused_or_gives_a_valid_network(
    make: Callable[[], IntegerNetwork], data: st.DataObject, value: Any, tmp_path: Path
) -> None:
    write(make(), tmp_path / "a.net")
    place = data.draw(st.sampled_from(list(places_of(description(tmp_path / "a.net")))))
    forge(tmp_path / "a.net", edit(lambda whole: set_at(whole, place, value)), make())
    refused_or_kept(tmp_path)


@pytest.mark.parametrize("make", [sequence, branched])
def test_a_value_of_a_type_close_by_is_refused_or_taken_as_it_is(
    make: Callable[[], IntegerNetwork],
) -> None:
    """No constructor turns what a file says into something else: 3.7 into 3, true into 1."""
    net = make()
    whole = description_text(net, "graph").decode()
    for place in places_of(json.loads(whole)):
        for value in close_by(value_at(json.loads(whole), place)):
            said = json.loads(whole)
            set_at(said, place, value)
            try:
                found = parse_description(json.dumps(said).encode())
            except LavasegError:
                continue
            said = json.loads(json.dumps(said))
            assert SCHEMA.is_valid(said), (place, value)
            plain = {
                **vars(found),
                "network": found.network.to_dict(),
                "encoder": found.encoder.to_dict(),
            }
            assert contained(said, json.loads(json.dumps(plain))), (place, value)


def close_by(value: Any) -> list[Any]:
    """Values that Python might take for this one."""
    if isinstance(value, bool):
        return [int(value), float(value), str(value)]
    if isinstance(value, int | float):
        return [bool(value), float(value), value + 0.4, str(value), [value]]
    if isinstance(value, list):
        return [*value[:1], "".join(map(str, value)), dict.fromkeys(map(str, value)), tuple(value)]
    if isinstance(value, dict):
        return [list(value.items()), list(value)]
    return [[value], {value: 1}] if isinstance(value, str) else [False, 0, ""]


def refused_or_kept(folder: Path) -> None:
    """The file `a.net` is refused, or all that its description says is what a network says."""
    try:
        net = read(folder / "a.net")
    except LavasegError:
        return
    said = description(folder / "a.net")
    assert SCHEMA.is_valid(said)
    write(net, folder / "b.net")
    assert_equal(read(folder / "b.net"), net)
    assert contained(said, description(folder / "b.net")), said


def contained(part: Any, whole: Any) -> bool:
    """Whether plain data hold all of `part`: the same, or more where a default was left out."""
    if isinstance(part, dict):
        return all(key in whole and contained(part[key], whole[key]) for key in part)
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(contained, part, whole))
    return bool(part == whole) and isinstance(part, bool) == isinstance(whole, bool)


def places_of(data: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of each value of plain data, in objects and in lists, outer ones first."""
    if isinstance(data, dict | list):
        for key in data if isinstance(data, dict) else range(len(data)):
            yield (*prefix, key)
            yield from places_of(data[key], (*prefix, key))


def value_at(data: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        data = data[key]
    return data


def set_at(data: Any, place: tuple[Any, ...], value: Any) -> None:
    value_at(data, place[:-1])[place[-1]] = value


# -- the schema ----------------------------------------------------------------------------------

SCHEMA = Draft202012Validator(description_schema())


def description(path: Path) -> Any:
    with h5py.File(path) as file:
        return json.loads(file["lavaseg/description"][()].tobytes())


def fields_of(data: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of each field of plain data, outer ones first."""
    named = isinstance(data, dict)
    for key in list(data) if named else range(len(data)):
        if named:
            yield (*prefix, key)
        if isinstance(data[key], dict | list):
            yield from fields_of(data[key], (*prefix, key))


@pytest.mark.parametrize(
    "operator", [Conv(1), ConvTranspose(1), Dense(1), OneToOne(), SumPool(), Upsample()]
)
@pytest.mark.parametrize("encoder", [Poisson(2), OnOffPoisson(2), Direct(2)])
def test_the_schema_requires_just_what_the_reader_does(
    operator: Operator, encoder: Encoder, tmp_path: Path
) -> None:
    """Every field has its default: one that can be left out gives the same network."""
    path, source = tmp_path / "a.net", Input("input", (1, 4, 4), encoder.message_bits)
    network = Network(source, (Population("p"),), (Projection("input", "p", operator),), "p")
    net = with_numbers(network, encoder, 0)
    write(net, path)
    whole = description(path)
    SCHEMA.validate(whole)
    for *place, last in fields_of(whole):
        if place == ["scales"] or (last == "message_bits" and encoder.message_bits):
            continue  # a population's name; not the default

        def change(data: Any, place: list[Any] = place, last: Any = last) -> None:
            for key in place:
                data = data[key]
            del data[last]

        forge(path, edit(change), net)
        if SCHEMA.is_valid(description(path)):
            assert_equal(read(path), net)
        else:
            with pytest.raises(LavasegError):
                read(path)


def test_the_schema_refuses_what_the_format_does_not_know(tmp_path: Path) -> None:
    for make in (sequence, branched):
        write(make(), tmp_path / "a.net")
        whole = json.dumps(description(tmp_path / "a.net"))
        for place in fields_of(json.loads(whole)):
            data = part = json.loads(whole)
            for key in place[:-1]:
                part = part[key]
            if place[-2:-1] not in (("scales",), ("bias_exponents",)):
                part["colour"] = 1
                assert not SCHEMA.is_valid(data), place


# -- what stock NetX can load --------------------------------------------------------------------


def changed(net: IntegerNetwork, **fields: Any) -> IntegerNetwork:
    return IntegerNetwork(
        **{
            **{
                name: getattr(net, name)
                for name in (
                    "network",
                    "weights",
                    "encoder",
                    "classes",
                    "biases",
                    "scales",
                    "clocks",
                )
            },
            **fields,
        }
    )


def test_what_stock_cannot_load_is_said_with_the_layer() -> None:
    net = sequence()
    assert stock_loadable(net) == (True, "")
    biases = {**net.biases, "first": Bias(net.biases["first"].mantissa, 5)}
    assert stock_loadable(changed(net, biases=biases)) == (
        False,
        "population 'first' has a bias exponent of 5, stock NetX takes 6",
    )
    zero = {**net.weights, "flat": 0 * net.weights["flat"]}
    assert "only zero weights" in stock_loadable(changed(net, weights=zero))[1]
    negative = {**net.weights, "flat": 0 * net.weights["flat"] - np.int16(8)}
    assert "which stock NetX changes" in stock_loadable(changed(net, weights=negative))[1]
    soft = net.network.replace_nodes({"second": {"reset": "soft"}})
    assert stock_loadable(changed(net, network=soft))[1] == "population 'second' has a soft reset"
    graph = branched()
    biases = {name: Bias(bias.mantissa) for name, bias in graph.biases.items()}
    assert stock_loadable(changed(graph, biases=biases)) == (
        False,
        "population 'pooled' has a sum_pool projection",
    )


def test_channels_that_are_late_by_different_steps_take_few_words_in_the_table() -> None:
    late = Projection("input", "a", Conv(3, (1, 1)), (3, 0, 1, 2))
    network = Network(
        Input("input", (4, 2, 2)),
        (Population("a", 20), Population("out", None)),
        (late, Projection("a", "out", Conv(2, (1, 1)), delay=3)),
        "out",
    )
    weights = {p.name: np.zeros(network.synapse_shape(p), np.int16) for p in network.projections}
    rows = describe(IntegerNetwork(network, weights, Poisson(2), ("x", "y")))
    assert rows[1]["operator"] == "conv 1x1 delays 0 to 3 by channel"
    assert rows[2]["operator"] == "conv 1x1 delay 3"


def late_chain(operator: Conv | Dense, bits: int = 0) -> IntegerNetwork:
    network = Network(
        Input("input", (2, 1, 1), bits),
        (Population("a", 20), Population("out", None)),
        (Projection("input", "a", operator, (0, 2)), Projection("a", "out", Dense(2), 3)),
        "out",
    )
    weights = {p.name: np.full(network.synapse_shape(p), 4, np.int16) for p in network.projections}
    return IntegerNetwork(network, weights, Direct(4, bits) if bits else Poisson(4), ("x", "y"))


def test_stock_netx_loads_delays_of_dense_layers_that_hear_binary_spikes(tmp_path: Path) -> None:
    assert stock_loadable(late_chain(Dense(3))) == (True, "")
    assert stock_loadable(late_chain(Conv(3, (1, 1))))[1] == (
        "population 'a' gets its input 2 steps late, at a convolution"
    )
    assert stock_loadable(late_chain(Dense(3), bits=4))[1] == (
        "population 'a' gets graded spikes 2 steps late"
    )
    path = tmp_path / "a.net"
    write(late_chain(Dense(3)), path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["layer/2/delay"], [[0, 2]] * 3)
        np.testing.assert_array_equal(file["layer/3/delay"], [[3] * 3] * 2)
    assert read(path).network == late_chain(Dense(3)).network


def test_delays_that_contradict_the_description_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    for wrong, message in (
        (np.array([[0, 1]] * 3, np.uint8), "holds other delays than projection 'input_to_a' has"),
        (np.array([0, 2], np.uint8), "has shape"),
        (np.array([[0, 2]] * 3, np.int16), "has type"),
    ):
        forge(path, put("layer/2/delay", wrong), late_chain(Dense(3)))
        with pytest.raises(LavasegError, match=f"layer/2/delay {message}"):
            read(path)


def test_the_table_has_a_row_for_each_layer_with_its_ranges() -> None:
    net = sequence()
    rows = describe(net)
    assert [row["layer"] for row in rows] == ["picture", "first", "second", "readout"]
    first = rows[1]
    weight, bias = net.weights["picture_to_first"], net.biases["first"]
    assert first["operator"] == "conv 3x2 stride 2x1 padding 1x0 dilation 1x2 groups 2"
    assert first["shape"] == net.network.shape("first")
    assert first["parameters"] == weight.size + 4
    assert first["weights"] == (weight.min(), weight.max())
    assert first["biases"] == (64 * bias.mantissa.min(), 64 * bias.mantissa.max())
    assert (first["threshold"], first["latency"], rows[3]["threshold"]) == (60, 1, None)
    assert all(row["stock_loadable"] for row in rows)
    obstacles = {row["layer"]: row["stock_obstacle"] for row in describe(branched())}
    assert obstacles["sum"] == "is a current without neurons"
    assert obstacles["picture"] == ""
    assert json.dumps(rows, default=int)


def test_the_documentation_names_every_field(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "netx-format.md"
    words = set(re.findall(r"\w+", page.read_text("utf-8")))
    for net in (sequence(), branched()):
        write(net, tmp_path / "a.net")
        with h5py.File(tmp_path / "a.net") as file:
            names = {part for path in all_paths(file) for part in path.split("/")}
            data = json.loads(file["lavaseg/description"][()].tobytes())
        known = {*net.weights, *net.biases, *net.clocks}
        names = {name for name in names if not name.isdigit()} - known
        description = data["network"]
        names |= {*data, *description, *description["input"]}
        for item in (*description["nodes"], *description["projections"]):
            names |= set(item)
        assert names <= words, names - words


def all_paths(file: h5py.File) -> list[str]:
    paths: list[str] = []
    file.visit(paths.append)
    return paths
