"""Spiking segmentation networks: trained with SLAYER, run on Lava spike for spike.

The whole chain::

    run = lavaseg.train(lavaseg.load_recipe("demo"), "runs/example")
    print(lavaseg.evaluate(run).miou)
    net = lavaseg.export_net(run)
    assert lavaseg.verify(run).ok
    print(lavaseg.evaluate_net(run).miou)
    lavaseg.write_report(run)

Every name here is imported from its own module on first use, so that `import lavaseg` is quick.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.chip import Mapping, map_net
    from lavaseg.data import load as load_data
    from lavaseg.deploy import evaluate as evaluate_net
    from lavaseg.deploy import record, run, simulate, verify
    from lavaseg.errors import LavasegError
    from lavaseg.export import convert_run as convert
    from lavaseg.export import export as export_net
    from lavaseg.guide.draft import draft as draft_recipe
    from lavaseg.inference import Prediction, Predictor, predict
    from lavaseg.models import build as build_model
    from lavaseg.network import Network
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.netx import read as read_net
    from lavaseg.netx import write as write_net
    from lavaseg.recipes import Recipe
    from lavaseg.recipes import load as load_recipe
    from lavaseg.report import Comparison, compare, plot, show, write_report
    from lavaseg.results.activity import Activity
    from lavaseg.results.recording import Recording
    from lavaseg.runs import Run
    from lavaseg.studies import Study, StudyResult, run_study
    from lavaseg.studies import load as load_study
    from lavaseg.training import evaluate, train, try_rates

__all__ = [
    "Activity",
    "Comparison",
    "IntegerNetwork",
    "LavasegError",
    "Mapping",
    "Network",
    "Prediction",
    "Predictor",
    "Recipe",
    "Recording",
    "Run",
    "Study",
    "StudyResult",
    "build_model",
    "compare",
    "convert",
    "draft_recipe",
    "evaluate",
    "evaluate_net",
    "export_net",
    "load_data",
    "load_recipe",
    "load_study",
    "map_net",
    "plot",
    "predict",
    "read_net",
    "record",
    "run",
    "run_study",
    "show",
    "simulate",
    "train",
    "try_rates",
    "verify",
    "write_net",
    "write_report",
]

# A function that works on an integer network, or whose own name says too little, is called
# `..._net` or `load_...` here; `export` itself is the name of a stage.
_SOURCES = {
    "Activity": "results.activity",
    "Comparison": "report",
    "IntegerNetwork": "network.integers",
    "LavasegError": "errors",
    "Mapping": "chip",
    "Network": "network",
    "Prediction": "inference",
    "Predictor": "inference",
    "Recipe": "recipes",
    "Recording": "results.recording",
    "Run": "runs",
    "Study": "studies",
    "StudyResult": "studies",
    "build_model": "models:build",
    "compare": "report",
    "convert": "export:convert_run",
    "draft_recipe": "guide.draft:draft",
    "evaluate": "training",
    "evaluate_net": "deploy:evaluate",
    "export_net": "export:export",
    "load_data": "data:load",
    "load_recipe": "recipes:load",
    "load_study": "studies:load",
    "map_net": "chip",
    "plot": "report",
    "predict": "inference",
    "read_net": "netx:read",
    "record": "deploy",
    "run": "deploy",
    "run_study": "studies",
    "show": "report",
    "simulate": "deploy",
    "train": "training",
    "try_rates": "training",
    "verify": "deploy",
    "write_net": "netx:write",
    "write_report": "report",
}

__getattr__, __dir__ = on_first_use(__name__, _SOURCES)

try:
    __version__ = version("lavaseg")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "unknown"
