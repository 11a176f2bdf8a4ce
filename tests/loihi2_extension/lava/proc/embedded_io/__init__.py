"""Adapters between host and chip."""

from . import spike, state

__all__ = ["spike", "state"]
