"""What calibration changed of the rounding of each population: stored by export, shown in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from lavaseg.errors import LavasegError
from lavaseg.network.integers import SCALE_MAX, IntegerNetwork
from lavaseg.network.levels import integer_neurons


@dataclass(frozen=True)
class Fit:
    """How calibration changed the rounding of one population, and what that brought.

    Args:
        population: its name.
        before, after: thresholds in weight units; None: a read-out, or no scale fitted.
        clipped: how many weights, biases and clocks end at the limits of their range.
        values: how many there are.
        channels: how many channels have clipped ones.
        diffused: whether the rounding errors of convolutions that read the input are diffused.
        error_before, error_after: on the calibration pictures, spikes that differ from the float
            network's for each spike of these; of a read-out, the squared error of its membrane for
            the square of the float network's. None: no scale fitted.
        weights: of each projection in weight units, flat, where rounding errors are compensated.
        bias: of each channel in trained units, with what is left of them; None: as trained.
    """

    population: str
    before: int | None
    after: int | None
    clipped: int
    values: int
    channels: int
    diffused: bool
    error_before: float | None
    error_after: float
    weights: dict[str, list[int]]
    bias: list[float] | None

    @property
    def compensated(self) -> bool:
        """Whether weights make up for each other's rounding errors."""
        return bool(self.weights)


@dataclass(frozen=True)
class Calibrated:
    """What is kept of a calibration.

    Args:
        weights: SHA-256 of the float weights that it was made for.
        samples: training pictures that were asked for; all there are, where these are fewer.
        scales: weight units for each trained unit, for each population.
        fits: the populations that are rounded otherwise than without calibration.
    """

    weights: str
    samples: int
    scales: dict[str, Annotated[float, Field(gt=0, le=SCALE_MAX)]]
    fits: tuple[Fit, ...]

    def to_dict(self) -> dict[str, Any]:
        """As it is stored in JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibrated:
        """What `to_dict` gave.

        Raises:
            LavasegError: a field that is missing or has another shape.
        """
        try:
            found = _ADAPTER.validate_python(dict(data))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise LavasegError(f"calibration.json: {where}: {first['msg']}") from None
        for fit in found.fits:
            if fit.population not in found.scales:
                raise LavasegError(f"calibration.json: fits: {fit.population!r} has no scale")
        return found


_ADAPTER = TypeAdapter(Calibrated)


def sentences(calibrated: Calibrated) -> list[str]:
    """What was clipped of which populations, and where errors cancel, a sentence each."""
    start = f"calibrated on up to {calibrated.samples} training pictures"
    clipped = [fit for fit in calibrated.fits if fit.clipped]
    diffused = [fit.population for fit in calibrated.fits if fit.diffused]
    said = []
    if clipped:
        listed = ", ".join(f"{fit.population} {fit.clipped} of {fit.values:,}" for fit in clipped)
        said.append(f"{start}, weights and biases clipped: {listed}")
    if diffused:
        listed = ", ".join(diffused)
        said.append(f"{start}, rounding errors of weights that read the input diffused: {listed}")
    if compensated := [fit.population for fit in calibrated.fits if fit.compensated]:
        listed = ", ".join(compensated)
        said.append(f"{start}, weights and biases make up for each other's rounding: {listed}")
    return said or [f"{start}: every population is rounded best as it is"]


def scales_as_trained(net: IntegerNetwork) -> dict[str, float]:
    """Scales by the populations that were trained: one for all that integer neurons became."""
    scales = dict(net.scales)
    for sheet in integer_neurons(net.network, net.weights):
        found = {member: scales.pop(member, 1.0) for member in sheet.members}
        scales[sheet.name] = found[sheet.slots[0]]
    return scales
