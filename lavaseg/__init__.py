"""Spiking segmentation networks: trained with SLAYER, run on Lava spike for spike.

The whole chain::

    run = lavaseg.train(lavaseg.load_recipe("demo"), "runs/example")
    net = lavaseg.export_net(run)
    pictures = np.stack([run.data.test[i][0] for i in range(16)])
    assert lavaseg.verify(net, pictures).ok
    print(lavaseg.evaluate_net(net, run.data.test).miou)
    lavaseg.write_report(run)

Every name here is imported from its own module on first use, so that `import lavaseg` is quick.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lavaseg.activity import Activity
    from lavaseg.data import load as load_data
    from lavaseg.deploy import record, run, simulate
    from lavaseg.deploy.evaluation import evaluate as evaluate_net
    from lavaseg.deploy.verification import verify
    from lavaseg.errors import LavasegError
    from lavaseg.export import convert_run as convert
    from lavaseg.export import export as export_net
    from lavaseg.export import read as read_net
    from lavaseg.export import write as write_net
    from lavaseg.integers import IntegerNetwork
    from lavaseg.models import build as build_model
    from lavaseg.network import Network
    from lavaseg.recipes import Recipe
    from lavaseg.recipes import load as load_recipe
    from lavaseg.recording import Recording
    from lavaseg.report import write_report
    from lavaseg.training import Run, evaluate, train

__all__ = [
    "Activity",
    "IntegerNetwork",
    "LavasegError",
    "Network",
    "Recipe",
    "Recording",
    "Run",
    "build_model",
    "convert",
    "evaluate",
    "evaluate_net",
    "export_net",
    "load_data",
    "load_recipe",
    "read_net",
    "record",
    "run",
    "simulate",
    "train",
    "verify",
    "write_net",
    "write_report",
]

# A function that works on an integer network, or whose own name says too little, is called
# `..._net` or `load_...` here; `export` itself is the name of a stage.
_SOURCES = {
    "Activity": "activity:Activity",
    "IntegerNetwork": "integers:IntegerNetwork",
    "LavasegError": "errors:LavasegError",
    "Network": "network:Network",
    "Recipe": "recipes:Recipe",
    "Recording": "recording:Recording",
    "Run": "training:Run",
    "build_model": "models:build",
    "convert": "export:convert_run",
    "evaluate": "training:evaluate",
    "evaluate_net": "deploy:evaluate",
    "export_net": "export:export",
    "load_data": "data:load",
    "load_recipe": "recipes:load",
    "read_net": "export:read",
    "record": "deploy:record",
    "run": "deploy:run",
    "simulate": "deploy:simulate",
    "train": "training:train",
    "verify": "deploy:verify",
    "write_net": "export:write",
    "write_report": "report:write_report",
}

try:
    __version__ = version("lavaseg")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "unknown"


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(f"module 'lavaseg' has no attribute {name!r}")
    module, attribute = _SOURCES[name].split(":")
    value = getattr(importlib.import_module(f"lavaseg.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
