"""Devices that torch can compute on: the ones that a user asks for, or what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lavaseg.errors import LavasegError
from lavaseg.system.faults import memory_failed

AUTO = "auto"
"""The device that is taken where none is named: a GPU where there is one, else the CPU."""


@dataclass(frozen=True)
class Devices:
    """The devices of a training, all of one kind.

    Args:
        kind: "cpu" or "cuda".
        numbers: of the GPUs, or of the processes on CPUs.
    """

    kind: str
    numbers: tuple[int, ...]

    @property
    def first(self) -> str:
        """The first one as torch calls it: "cpu" or "cuda:1"."""
        return self.kind if self.kind == "cpu" else f"cuda:{self.numbers[0]}"

    @property
    def name(self) -> str:
        """'cpu', 'NVIDIA H100', '2 x NVIDIA H100', 'cpu, 2 processes'."""
        count = len(self.numbers)
        if self.kind == "cpu":
            return "cpu" if count == 1 else f"cpu, {count} processes"
        name = torch.cuda.get_device_name(self.numbers[0])
        return name if count == 1 else f"{count} x {name}"


def found_device(device: str) -> str:
    """A device that torch can compute on; of `auto`, the first GPU or else the CPU.

    Raises:
        LavasegError: it is not there.
    """
    if device == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device)
    return device


def devices_of(named: str, count: int = 1) -> Devices:
    """The devices that `machine.device` and `machine.devices` of a recipe ask for.

    Raises:
        LavasegError: they are not there.
    """
    device = torch.device(found_device(named))
    if device.type == "cpu":
        return Devices("cpu", tuple(range(count)))
    if device.index is not None:
        if count > 1:
            raise LavasegError(
                f"machine.devices is {count}, and machine.device {named!r} is one GPU: expected "
                f"the device cuda for the first {count}, or 1"
            )
        return Devices("cuda", (device.index,))
    there = torch.cuda.device_count()
    if count > there:
        raise LavasegError(
            f"machine.devices is {count}, and torch finds {there} NVIDIA GPU{'s'[: there > 1]}: "
            f"expected {there} at most, or the device cpu"
        )
    return Devices("cuda", tuple(range(count)))


def check_device(device: str) -> None:
    """Raise LavasegError unless torch can compute on a device; it says what is missing."""
    try:
        kind = torch.device(device)
    except (RuntimeError, TypeError):
        raise LavasegError(f"there is no device {device!r}: expected cpu or cuda") from None
    missing = _missing_gpu(kind.index or 0) if kind.type == "cuda" else ""
    if not missing:
        try:
            torch.zeros(1, device=device).cpu()  # some devices compute nothing
        except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
            if memory_failed(error):
                raise
            missing = f"torch cannot use it ({str(error).partition('.')[0][:120]})"
    if missing:
        raise LavasegError(f"there is no device {device!r} to compute on: {missing}")


def _missing_gpu(number: int) -> str:
    """What keeps torch from an NVIDIA GPU, or ''."""
    if torch.version.cuda is None:
        return "this build of torch has no CUDA; install one that has, or take --device cpu"
    count = torch.cuda.device_count()
    if not count:
        return "torch finds no NVIDIA GPU, or no driver of it; take --device cpu"
    return "" if number < count else f"torch finds {count}, numbered from 0"
