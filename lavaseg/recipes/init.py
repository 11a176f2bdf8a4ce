"""The section `init` of a recipe: weights to begin with, and layers that keep them."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from lavaseg.recipes.section import Section


class Init(Section):
    """Weights to begin with, and layers that keep them.

    A layer is a node of the network with all that arrives there; of an artificial network that is
    a torch module, a submodule. One of the same name and shape is taken, the others are drawn, and
    one line says which. Other classes mean a new read-out; another size of pictures, another T and
    levels fit. The run keeps the account in a file.
    """

    weights: str = ""
    """Where they come from: the folder of a run, whose best epoch is taken, a .net file, or a file
    of weights, .safetensors or torch's own. Empty: all are drawn."""
    frozen: tuple[str, ...] = ()
    """Layers that training leaves as they are, their batch statistics included, by name or with *,
    ? and []: `[conv1, "block2*"]`. Fine-tuning at export rounds and tunes them like all others."""
    new: tuple[str, ...] = ()
    """Layers that are drawn although they would fit, likewise."""
    sha256: str = ""
    """Digest of the file that the weights are read from, which a run's recipe names, so that other
    content is refused. Empty: any."""

    @field_validator("frozen", "new", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value
