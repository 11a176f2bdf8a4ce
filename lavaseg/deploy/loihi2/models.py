"""Which model each process gets on a board: on the chip, or on the host only where it must be.

Lava's `Loihi2HwCfg` prefers models for the chip's cores, then for its embedded processors, and
takes one for the host where it finds neither, without a word. Here that is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lava.magma.compiler.compiler_graphs import ProcGroupDiGraphs
from lava.magma.compiler.executable import Executable
from lava.magma.core.model.model import AbstractProcessModel
from lava.magma.core.model.py.model import AbstractPyProcessModel
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_configs import Loihi2HwCfg
from lava.proc.io.source import RingBuffer

from lavaseg.deploy.lava.errors import LavaError
from lavaseg.deploy.lava.process_models import ByteSource

Model = type[AbstractProcessModel]


def hardware_config(
    processes: Iterable[AbstractProcess],
    on_host: Mapping[AbstractProcess, Model],
    callbacks: Sequence[Any] = (),
) -> Loihi2HwCfg:
    """The run configuration of a graph on a board; each process is named with its model.

    Args:
        processes: all of them.
        on_host: the models of those that must run on the host; sources have theirs.
        callbacks: profilers.

    Raises:
        LavaError: a process would run on the host, though it need not.
    """
    plain = Loihi2HwCfg(select_sub_proc_model=True)
    found: dict[type, Model] = {RingBuffer: ByteSource}
    chosen: dict[Any, Model] = {}
    for process in processes:
        if process in on_host:
            chosen[process] = on_host[process]
            continue
        kind = type(process)
        if kind not in found:  # one look-up for each type: it executes every file beside its module
            found[kind] = _selected(plain, process)
        chosen[process] = found[kind]
    return Loihi2HwCfg(
        select_sub_proc_model=True,
        exception_proc_model_map=chosen,
        callback_fxs=list(callbacks),
    )


def _selected(config: Loihi2HwCfg, process: AbstractProcess) -> Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files beside a module that are no modules
        models = ProcGroupDiGraphs._find_proc_models(process)
    model: Model = config.select(process, models)
    if issubclass(model, AbstractPyProcessModel):
        raise LavaError(_left_on_host([process], {process: model}))
    return model


def check_placement(executable: Executable, on_host: Iterable[AbstractProcess]) -> dict[str, str]:
    """What runs on the host, by name of the process, with its model; the rest is on the chip.

    Raises:
        LavaError: a process runs on the host that need not.
    """
    allowed = {id(process) for process in on_host}
    models = {process: process.model_class for process in executable.process_list}
    hosted = [p for p, model in models.items() if issubclass(model, AbstractPyProcessModel)]
    wrong = [p for p in hosted if id(p) not in allowed and not isinstance(p, RingBuffer)]
    if wrong:
        raise LavaError(_left_on_host(wrong, models))
    return {process.name: models[process].__name__ for process in hosted}


def _left_on_host(
    processes: Sequence[AbstractProcess], models: Mapping[AbstractProcess, Model]
) -> str:
    names = {type(p).__name__: models[p].__name__ for p in processes}
    words = ", ".join(f"{kind} ({model})" for kind, model in names.items())
    return (
        f"Lava's extension has no model for the chip of {words}: it would run on the host, which "
        "holds the chip up at every step; install a version of lava-loihi that has one"
    )
