"""The float network of a run: drawn, as its training begins, or with its best weights."""

from __future__ import annotations

from lavaseg.models.analog import AnalogModel
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.network import Network
from lavaseg.runs import Run
from lavaseg.training.network import SpikingNetwork
from lavaseg.training.preparing import training_parts
from lavaseg.training.transfer import begin
from lavaseg.training.weights import Module, draw_weights, restore, seed_weights


def trained(run: Run) -> SpikingNetwork:
    """The spiking float network with its best weights, in eval mode.

    Raises:
        LavasegError: no weights yet, a damaged file, or an artificial network.
    """
    return _with_weights(_spiking(run, run.network), run)


def trained_model(run: Run) -> SpikingNetwork | AnalogNetwork:
    """The float network of any run, spiking or artificial, as `trained` gives it."""
    return _with_weights(_fresh(run), run)


def untrained(run: Run) -> SpikingNetwork | AnalogNetwork:
    """The float network of any run as training begins with it, in training mode."""
    model = drawn(run)
    begin(model, run.recipe, run.classes, lambda: training_parts(run.recipe, run.data)[0])
    return model


def drawn(run: Run) -> SpikingNetwork | AnalogNetwork:
    """The float network of any run with the weights that its seed draws, in training mode."""
    seed_weights(run.recipe.seed)
    model = _fresh(run)
    draw_weights(model, run.recipe.training)
    return model


def _fresh(run: Run) -> SpikingNetwork | AnalogNetwork:
    """The run's model with initial weights."""
    if isinstance(run.model, AnalogModel):
        return run.model.module()
    return _spiking(run, run.model)


def _spiking(run: Run, network: Network) -> SpikingNetwork:
    recipe = run.recipe
    return SpikingNetwork(network, recipe.training.surrogate, steps=recipe.encoder_object.steps)


def _with_weights(model: Module, run: Run) -> Module:
    """The model with the run's best weights, in eval mode."""
    _ = run.weights  # names what to do if there are none
    return restore(model, run.files.weights).eval()
