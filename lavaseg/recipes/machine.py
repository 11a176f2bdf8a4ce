"""The section `machine`: what a recipe is trained on, which changes nothing of what is trained."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator

from lavaseg.recipes.section import Section

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")
_SPAN = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_SECONDS = (3600.0, 60.0, 1.0)


class Machine(Section):
    """What training runs on: up to the order in which sums are taken, its result is the same."""

    device: str = "auto"
    """auto: a GPU where there is one, else the CPU; cpu; cuda: the first GPU; cuda:1: the second
    one. `CUDA_VISIBLE_DEVICES` says which GPUs there are."""
    devices: int = Field(1, ge=1, le=1024)
    """GPUs that share each batch, the first ones; with the device cpu, processes. Statistics of
    batch norm are those of the whole batch."""
    threads: int | None = Field(None, ge=1, le=1024)
    """Threads of each process on CPUs; null: all cores, shared among the processes."""
    workers: int = Field(0, ge=0, le=256)
    """Processes beside each one that trains, which read and encode samples; 0: it does so
    itself."""
    time_limit: str | None = None
    """Time after which training ends: 90s, 45m, 2h, 1h30m, 1:30:00. An epoch that would not be
    finished is not begun, and --resume goes on. null: none."""

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if value == "mps":
            raise ValueError("there are no neurons for Apple's GPUs, expected cpu or cuda")
        if not _DEVICE.fullmatch(value):
            raise ValueError("expected auto, cpu, cuda, or one GPU such as cuda:1")
        return value

    @field_validator("time_limit", mode="before")
    @classmethod
    def _some_time(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, str) and seconds_of(value)):
            raise ValueError("expected a time above 0, such as 90s, 45m, 1h30m or '1:30:00'")
        return value

    @property
    def seconds(self) -> float | None:
        """The time limit in seconds; None: none."""
        return None if self.time_limit is None else seconds_of(self.time_limit)


def seconds_of(text: str) -> float:
    """Seconds of '90s', '45m', '1.5h', '1h30m' or '1:30:00'; 0 of what is no span of time."""
    text = text.strip().lower()
    if re.fullmatch(r"\d+(:[0-5]?\d){1,2}", text):
        parts = [int(part) for part in text.split(":")]
        return float(sum(n * 60**place for place, n in enumerate(reversed(parts))))
    found = _SPAN.fullmatch(text)
    if not found:
        return 0.0
    return sum(
        float(number) * unit
        for number, unit in zip(found.groups(), _SECONDS, strict=True)
        if number
    )
