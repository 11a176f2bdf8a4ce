"""Weights of a model: drawn from a seed, as arrays to store, and restored from a file."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

from lavaseg.errors import LavasegError
from lavaseg.recipes import Training
from lavaseg.runs import Artefact
from lavaseg.runs.formats import Arrays

Module = TypeVar("Module", bound=torch.nn.Module)


def seed_weights(seed: int) -> None:
    """Seed the weights' initialisation; order and encoding carry their own seeds."""
    torch.manual_seed(np.random.SeedSequence(seed).generate_state(1)[0].item())


def draw_weights(model: torch.nn.Module, plan: Training) -> None:
    """Draw all synaptic weights anew if the recipe asks for another law than a model's own."""
    if plan.initial_weights == "xavier_uniform":
        for parameter in model.parameters():
            if parameter.ndim >= 4:  # norms, biases and clocks have fewer axes
                torch.nn.init.xavier_uniform_(parameter, plan.initial_gain)


def arrays_of(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Every parameter and buffer by its name in the state dict, as it is stored."""
    return {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}


def restore(model: Module, weights: Artefact[Arrays]) -> Module:
    """Give a model its stored weights; the same model.

    Raises:
        LavasegError: the file is missing or damaged, or holds the weights of another model.
    """
    tensors = {name: torch.from_numpy(array) for name, array in weights.load().items()}
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise LavasegError(f"{weights.path} cannot be read: {error}") from None
    return model
