"""Does one task on a board, in the supervised process of its own that runs Lava."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from lava.magma.compiler.executable import Executable
from lava.magma.core.process.process import AbstractProcess

from lavaseg.chip.period import padded
from lavaseg.deploy.lava.job import Job, Outcome
from lavaseg.deploy.lava.session import make_recorders
from lavaseg.deploy.loihi2.chip_graph import build_on_chip
from lavaseg.deploy.loihi2.job import IDLE, LAGS, RUN, ChipTask
from lavaseg.deploy.loihi2.lags import build_probe, result_shapes
from lavaseg.deploy.loihi2.models import check_placement, hardware_config
from lavaseg.deploy.loihi2.profilers import PROFILERS, idle_power
from lavaseg.deploy.loihi2.system import use

Run = Callable[[Executable, int, Callable[[AbstractProcess], str]], float]
"""Called with an executable, steps and what names its processes; seconds that the run took."""


def do_task(job: Job, folder: Path, run: Run) -> Outcome:
    """Do a job's task on a board; its figures are in the outcome, spikes in the recorders' files.

    Raises:
        LavasegError: there is no such board, or a process would run on the host.
    """
    assert job.chip is not None
    task = ChipTask.from_dict(job.chip)
    use(task.system)
    if task.kind == IDLE:
        return Outcome(data=idle_power())
    if task.kind == LAGS:
        return _measure_lags(run, folder)
    assert task.timing is not None
    net, names = job.net, job.record
    recorders = {}
    if task.kind == RUN:
        recorders = make_recorders(
            net.network, len(job.spikes), net.steps, names, folder, period=padded(net.steps)
        )
    graph = build_on_chip(net, job.spikes, recorders, task.timing, replay=task.replay)
    profiler = PROFILERS[task.kind](graph.steps) if task.kind in PROFILERS else None
    callbacks = [] if profiler is None else [profiler.callback]
    config = hardware_config(graph.processes, graph.on_host, callbacks)
    executable = graph.compile(config)
    hosted = check_placement(executable, graph.on_host)
    seconds = run(executable, graph.steps, graph.name)
    figures = {} if profiler is None else profiler.figures()
    return Outcome(seconds, data={**figures, "steps": graph.steps, "on_host": hosted})


def _measure_lags(run: Run, folder: Path) -> Outcome:
    first, states = (
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.int32, shape=shape)
        for name, shape in zip(("first", "states"), result_shapes(), strict=True)
    )
    probe = build_probe(first, states)
    executable = probe.source.compile(hardware_config(probe.processes, probe.on_host))
    check_placement(executable, probe.on_host)
    seconds = run(executable, probe.steps, lambda process: f"Lava's {type(process).__name__}")
    return Outcome(seconds, data=probe.timing().to_dict())
