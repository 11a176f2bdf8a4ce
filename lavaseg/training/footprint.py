"""Memory that training needs: expected from the graph, or measured where it runs."""

from __future__ import annotations

import math

import torch

from lavaseg.models.analog import AnalogModel
from lavaseg.network import Current, Network, Node, Population
from lavaseg.recipes import Recipe
from lavaseg.runs import Run
from lavaseg.system.limits import peak_memory

_BYTES = 4
LIBRARIES = 2**27
"""Bytes that a process takes besides when it first computes: code that is compiled, and buffers of
convolutions. 0.1 to 0.2 GB were measured on CPUs."""
_MOMENTS = {"adam": 2, "amsgrad": 3, "sgd": 1}
"""Numbers that an optimiser keeps for each parameter, besides value and gradient."""
_PASSING = 3
"""Sheets of the largest layer that the backward pass holds at a time beside all that is kept: the
gradients of what it sends, of its membranes and of its currents."""
_OF_LOGITS = 4
"""Logits at the size of the labels, their softmax, and the gradients of both."""
_OF_DELAYED = 2
"""What delays of channels keep: spikes as they arrive, for the delay and for the synapses."""
_OF_ARTIFICIAL = 3
"""What an artificial layer keeps: the output of its convolution, of its norm, and the result."""


def working_memory(run: Run) -> int:
    """Bytes that training a run takes besides the program itself, estimated from the graph.

    Weights with gradients and moments; of each layer and sample what the backward pass needs, the
    input of its norm, membranes and spikes of all steps; and the loss.
    """
    recipe, model = run.recipe, run.model
    steps = recipe.encoder_object.steps
    parameters = model.parameter_count(steps) * (2 + _MOMENTS[recipe.training.optimiser])
    sample = (
        _artificial(model, steps) if isinstance(model, AnalogModel) else _spiking(model, recipe)
    )
    rows, columns = run.picture_shape[1:]
    sample += (_OF_LOGITS * len(run.classes) + 2) * rows * columns  # a label is twice as long
    return _BYTES * (parameters + recipe.training.batch_size * sample)


def measured_memory(device: torch.device) -> tuple[int | None, str]:
    """The most bytes that training has taken so far, and what is meant by that.

    On a GPU what torch allocated there, elsewhere the memory of the whole process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "allocated on the device"
    return peak_memory(), "resident"


def _artificial(model: AnalogModel, steps: int) -> int:
    """Numbers that the backward pass keeps of one sample."""
    frames = steps if model.options.get("frames", 1) > 1 else 1
    outputs = (math.prod(shape) for _, shape, _ in model.sheets.values())
    return frames * (math.prod(model.input.shape) + _OF_ARTIFICIAL * sum(outputs))


def _spiking(network: Network, recipe: Recipe) -> int:
    """Numbers that the backward pass keeps of one sample, and those that pass through."""
    steps = recipe.encoder_object.steps
    # what is the same at every step is computed and kept once
    lasting = {network.input.name: 1 if recipe.encoder["kind"] == "direct" else steps}
    kept = lasting[network.input.name] * math.prod(network.input.shape)
    largest = 0
    for node in network.ordered:
        incoming = network.incoming(node.name)
        arriving = max((lasting[p.source] for p in incoming if not p.recurrent), default=steps)
        if node.norm.startswith("bntt") or any(p.longest or p.max_delay for p in incoming):
            arriving = steps
        forgets = isinstance(node, Current) or (
            isinstance(node, Population) and node.levels is not None
        )
        lasting[node.name] = arriving if forgets else steps
        rounds = max((-(-steps // p.shortest) for p in incoming if p.recurrent), default=1)
        numbers = rounds * _of_neuron(node, arriving, lasting[node.name], recipe)
        kept += network.neurons(node.name) * numbers
        late = sum(network.neurons(p.source) for p in incoming if p.learns or p.by_channel)
        kept += _OF_DELAYED * steps * late
        largest = max(largest, network.neurons(node.name) * lasting[node.name])
    return kept + _PASSING * largest


def _of_neuron(node: Node, arriving: int, sent: int, recipe: Recipe) -> int:
    """Numbers that are kept of one neuron: its norm's input, its membranes, what it sends."""
    kept = sent + arriving * (node.norm != "none")
    if isinstance(node, Population):
        regularised = recipe.rmp.weight > 0 and node.threshold is not None
        kept += sent + 2 * sent * regularised
    return kept
