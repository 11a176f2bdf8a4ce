"""What others measured on Loihi 2 chips and published: the only measurements that there are here.

Sources are notebooks of lava-dl (`tutorials/lava/lib/dl/netx`) as their authors ran them on Intel's
cloud, and the repositories that are named. Nothing was measured by us.
"""

from __future__ import annotations

from dataclasses import dataclass

from lavaseg.errors import LavasegError

NOISE = 0.006
"""Watts by which a difference of two powers may be wrong, at least: PilotNet SDNN's dynamic power
came out as -6 mW, which no chip has."""


@dataclass(frozen=True)
class Power:
    """Power of a board while a network runs, and while it does not.

    Args:
        total: watts with the network running.
        static: watts with the same board idle.
        noise: watts by which their difference may be wrong.

    Raises:
        LavasegError: powers or noise that are negative or no numbers.
    """

    total: float
    static: float
    noise: float = NOISE

    def __post_init__(self) -> None:
        for name in ("total", "static", "noise"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise LavasegError(f"{name} power must be 0 W or more, got {value}")

    @property
    def meaningful(self) -> bool:
        """Whether the difference is larger than its error."""
        return self.total - self.static > self.noise

    @property
    def dynamic(self) -> float:
        """Watts that the network adds.

        Raises:
            LavasegError: the difference is negative or within noise, and so means nothing.
        """
        difference = self.total - self.static
        if not self.meaningful:
            fault = (
                "negative" if difference < 0 else f"within the noise of {1000 * self.noise:g} mW"
            )
            raise LavasegError(
                f"a dynamic power of {1000 * difference:.4g} mW (total {self.total:.4g} W, static "
                f"{self.static:.4g} W) is {fault} and means nothing: measure longer, measure idle "
                "power on the same board, or use more cores"
            )
        return difference


@dataclass(frozen=True)
class Measurement:
    """One published run on a chip.

    Args:
        name: what ran.
        source: who published it, and where.
        seconds_per_step: wall time of a time step; None: not published.
        steps: time steps of an inference.
        total, dynamic, static: watts; None: not published.
        millijoules: (total, dynamic) of an inference, as published; None: not published.
        operations: synaptic operations of an inference; None: not known.
        operations_source: who counted them.
        predicted: seconds a step that its authors predicted by the constants of
            `lavaseg/chip/timing.py`; None: they did not.
        note: what limits it.
    """

    name: str
    source: str
    seconds_per_step: float | None
    steps: int
    total: float | None = None
    dynamic: float | None = None
    static: float | None = None
    millijoules: tuple[float, float] | None = None
    operations: int | None = None
    operations_source: str = ""
    predicted: float | None = None
    note: str = ""

    @property
    def power(self) -> Power | None:
        """Its powers, if total and static are known."""
        if self.total is None or self.static is None:
            return None
        return Power(self.total, self.static)

    @property
    def error(self) -> float | None:
        """By how many times its authors' prediction was too short."""
        if self.predicted is None or self.seconds_per_step is None:
            return None
        return self.seconds_per_step / self.predicted

    @property
    def picojoules_per_operation(self) -> float | None:
        """All dynamic energy over synaptic operations: a bound that is derived from this run.

        Neuron updates, spikes on the way and everything else that is dynamic are in it.
        """
        if self.operations is None or self.millijoules is None:
            return None
        return self.millijoules[1] * 1e9 / self.operations


YOLO_KP = Measurement(
    "YOLO-KP SDNN, 100 frames, board VPX (N3C1)",
    "lava-dl, tutorials/lava/lib/dl/netx/yolo_kp (mbrehove/lava-dl)",
    8961e-6,
    1,
    total=4.670,
    dynamic=0.514,
    static=4.156,
    millijoules=(41.84, 4.61),
    operations=209_000_000,
    operations_source="its authors",
    predicted=3131e-6,
    note="of the total, vdd 2.142 W, vddm 2.323 W, vddio 0.205 W; 1,022 cores, the replayed "
    "input included",
)
PILOTNET_LIF = Measurement(
    "PilotNet LIF, 16 steps",
    "lava-dl, tutorials/lava/lib/dl/netx/pilotnet_snn (benchmark.ipynb)",
    153e-6,
    16,
    total=0.679,
    dynamic=0.447,
    static=0.232,
    millijoules=(1.66, 1.09),
    operations=48_267_067,
    operations_source="our count of the golden spikes of one image, in lava-dl's wheel",
    note="time a step computed from energy and power, static power from total and dynamic; "
    "one chip",
)
PILOTNET_SDNN = Measurement(
    "PilotNet SDNN",
    "lava-dl, tutorials/lava/lib/dl/netx/pilotnet_sdnn (benchmark.ipynb)",
    59e-3,
    1,
    dynamic=-0.006,
    note="limited by what the host sends; its dynamic power means nothing",
)
S4D = Measurement(
    "S4D, 6 cores",
    "lava-dl, S4D on Loihi 2",
    31e-6,
    1,
    total=0.129,
    note="mostly static power",
)

MEASUREMENTS = (YOLO_KP, PILOTNET_LIF, PILOTNET_SDNN, S4D)
"""Every public measurement that is known here."""
