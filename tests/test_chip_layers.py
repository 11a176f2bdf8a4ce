"""The layers that are mapped are the processes that the hardware backend puts on the chip."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lavaseg import netx
from lavaseg.chip.layers import Synapses, chip_layers
from lavaseg.network.grids import matrix
from lavaseg.network.integers import IntegerNetwork


def test_every_process_on_the_chip_is_a_layer_or_leads_into_one(
    ask_double: Callable[[str, Path], str],
    tmp_path: Path,
    graph_networks: Callable[..., st.SearchStrategy[IntegerNetwork]],
) -> None:
    """Neurons, buffers and synapses; input from the host, which takes no core, or replayed."""
    nets: list[IntegerNetwork] = []

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(graph_networks(most_populations=6, most_steps=20))
    def draw(net: IntegerNetwork) -> None:
        netx.write(net, tmp_path / f"{len(nets)}.net")
        nets.append(net)

    draw()
    for net, built in zip(nets, json.loads(ask_double("census", tmp_path)), strict=True):
        for replay, found in zip((False, True), built, strict=True):
            assert mapped(net, replay) == found


def mapped(net: IntegerNetwork, replay: bool) -> dict[str, Any]:
    """The layers, counted as `loihi2_double.census` counts processes."""
    layers = chip_layers(net, replay=replay)
    played = [layer.neurons for layer in layers if layer.kind in ("input", "clock")]
    sheets = [layer.neurons for layer in layers if layer.kind not in ("input", "clock")]
    incoming = [item for layer in layers for item in layer.incoming]
    named = {layer.name for layer in layers}
    fed_by_the_host = [item for item in incoming if item.source not in named]
    source = net.network.input.name
    assert all(item.source.startswith(source) and not replay for item in fed_by_the_host)
    forms = Counter(item.form for item in incoming if has_synapses(net, item))
    return {"neurons": sorted(sheets), "buffers": sorted(played), "synapses": dict(forms)}


def has_synapses(net: IntegerNetwork, item: Synapses) -> bool:
    """Whether a list of synapses is not empty; weights of zero leave no sparse synapse."""
    if item.form != "sparse" or item.name not in net.weights:
        return True
    projection = net.network.projection(item.name)
    source = net.network.shape(projection.source)
    return bool(matrix(projection.operator, net.weights[item.name], source).nnz)
