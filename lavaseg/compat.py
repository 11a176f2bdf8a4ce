"""Makes lava-nc 0.10 and lava-dl 0.6 importable on Python 3.10 to 3.13, without side effects.

Every module of ours that imports `lava` calls `prepare_lava()` first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import multiprocessing
import sys
import types
from collections.abc import Iterator
from typing import Any

from lavaseg.system.extras import optional

_FIRST = "lava.magma.compiler.var_model"
_OBJECT_DETECTION = "lava.lib.dl.slayer.object_detection"


def prepare_lava() -> None:
    """Import the core of Lava so that any later `import lava...` works; harmless when repeated.

    - `lava.magma.compiler.var_model` uses an instance of a dataclass as a default value, which
      Python 3.11 and later refuse ("mutable default"): during that one import the class is made
      hashable.
    - Lava calls `multiprocessing.set_start_method("fork")` when it is imported. That raises where
      a method was chosen before, and chooses for the whole program where none was. Here the call
      does nothing: a method that was set stays, and where none was set, none is. Lava's own
      multi-process runtime needs "fork"; `run_multiprocess` sets it in the process that it starts.
    - `lava.lib.dl.slayer` imports its object detection, hence OpenCV, which nothing here uses:
      an empty module takes its place unless it was imported already.
    - Lava's Conv imports `scipy.signal`, which takes longer than all the rest of Lava, for
      arithmetic that our models replace: it is loaded when it is used.
    - SLAYER imports torch's extension builder, which warns wherever CUDA is installed without a
      GPU; nothing is built here, so only its errors are let through.

    Raises:
        LavasegError: Lava is not installed.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    if _OBJECT_DETECTION not in sys.modules:
        sys.modules[_OBJECT_DETECTION] = _empty_object_detection()
    if _FIRST in sys.modules:
        return
    with (
        optional(),
        _replaced(dataclasses, "dataclass", _dataclass_with_hashable_byte_encoder),
        _replaced(multiprocessing, "set_start_method", lambda *_, **__: None),
    ):
        importlib.import_module(_FIRST)
        importlib.import_module("lava.magma.runtime.runtime")
        _import_conv()


class _OnUse(types.ModuleType):
    """A module that is imported when one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def _import_conv() -> None:
    """Import what Lava's Conv computes with, its `scipy.signal` on use."""
    if "scipy.signal" in sys.modules:
        return
    sys.modules["scipy.signal"] = _OnUse("scipy.signal")
    try:
        importlib.import_module("lava.proc.conv.utils")
    finally:
        del sys.modules["scipy.signal"]


@contextlib.contextmanager
def _replaced(module: types.ModuleType, name: str, value: object) -> Iterator[None]:
    """Set `module.name` to `value` inside the block."""
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


_dataclass = dataclasses.dataclass


def _dataclass_with_hashable_byte_encoder(cls: type | None = None, /, **options: Any) -> Any:
    """`dataclasses.dataclass` that makes Lava's class `ByteEncoder` hashable."""

    def decorate(target: type) -> type:
        if target.__name__ == "ByteEncoder":
            options.setdefault("unsafe_hash", True)
        return _dataclass(target, **options)

    return decorate if cls is None else decorate(cls)


def _empty_object_detection() -> types.ModuleType:
    module = types.ModuleType(_OBJECT_DETECTION, "Left out by lavaseg.compat.")
    module.__path__ = []
    return module
