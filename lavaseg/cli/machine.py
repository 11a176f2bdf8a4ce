"""Options of commands that say what to compute on: devices, threads, and how long."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lavaseg.system.threads import cores, limit_threads

PANEL = "The machine"
"""Where a command's help lists them."""
AUTO = "auto"


def _option(*names: str, **rest: Any) -> Any:
    return typer.Option(*names, rich_help_panel=PANEL, **rest)


def _limit(threads: int | None) -> int | None:
    limit_threads(None if threads is None else min(threads, cores()))
    return threads


Device = Annotated[
    str,
    _option(
        "--device",
        metavar="auto|cpu|cuda|cuda:N",
        help="auto: a GPU where there is one, for networks in floats; the simulator is on the CPU.",
    ),
]
Threads = Annotated[
    int | None,
    _option("--threads", min=1, help="Threads on CPUs.", callback=_limit, show_default="all cores"),
]
"""Of a command that is one process, which is limited before it imports what computes."""

TrainDevice = Annotated[
    str | None,
    _option(
        "--device",
        metavar="auto|cpu|cuda|cuda:N",
        help="What to train on.",
        show_default="auto: a GPU where there is one",
    ),
]
Devices = Annotated[
    int | None,
    _option(
        "--devices",
        help="GPUs that share each batch; with --device cpu, processes.",
        show_default="1",
    ),
]
ThreadsEach = Annotated[
    int | None,
    _option("--threads", help="Threads of each process.", show_default="all cores, shared"),
]
Workers = Annotated[
    int | None,
    _option("--workers", help="Processes that read and encode samples.", show_default="none"),
]
Precision = Annotated[
    str | None,
    _option(
        "--precision",
        metavar="float32|bfloat16|float16",
        help="Numbers in which synapses multiply; changes the result.",
        show_default="the recipe's",
    ),
]
Accumulate = Annotated[
    int | None,
    _option(
        "--accumulate",
        help="Batches of one step of the optimiser; changes the result.",
        show_default="the recipe's",
    ),
]
TimeLimit = Annotated[
    str | None,
    _option(
        "--time-limit",
        metavar="90s|45m|1h30m",
        help="Time after which to end; --resume goes on.",
        show_default="none",
    ),
]
EarlyStop = Annotated[
    int | None,
    _option(
        "--early-stop",
        help="Stop after so many epochs without a better validation mIoU; changes the result.",
        show_default="the recipe's",
    ),
]
_FIELDS = {
    "device": "machine.device",
    "devices": "machine.devices",
    "threads": "machine.threads",
    "workers": "machine.workers",
    "time_limit": "machine.time_limit",
    "precision": "training.precision",
    "accumulate": "training.accumulate",
    "early_stop": "training.early_stop",
}
"""The field of a recipe that each option sets."""


def fields(**given: object) -> list[str]:
    """Words of `--set` that say the same as options; None: the recipe's."""
    return [
        f"{_FIELDS[name]}={json.dumps(value)}" for name, value in given.items() if value is not None
    ]


def words(**given: object) -> list[str]:
    """The options as they are typed."""
    return [
        word
        for name, value in given.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
