"""The limits of Loihi 2 and its compiler that are publicly known, with their sources."""

from __future__ import annotations

from dataclasses import dataclass

from lavaseg.chip.boards import BOARDS, CORES_PER_CHIP
from lavaseg.chip.measured import PILOTNET_LIF

WIDEST = 254
"""Columns of a sheet whose spikes a convolution of Loihi 2 surely sees: x_in is 0 to 253."""
LARGEST_OLD = 57
"""Rows and columns above which a convolution hung in the older compiler."""
LARGEST_COMPILED = (16, 224, 224)
"""The largest convolution, (channels, height, width), in a public table of the newer compiler."""
LINK_RATES = {"graded": 67_000_000, "binary": 100_000_000}
"""Spikes a second over one link between chips."""
assert PILOTNET_LIF.seconds_per_step is not None
QUICK_STEP = PILOTNET_LIF.seconds_per_step
"""Seconds of a step of the quickest convolutional network that is published, PilotNet's LIF."""


@dataclass(frozen=True)
class Limit:
    """One limit, as documentation tells it.

    Args:
        title: what is limited.
        bound: the limit, in words.
        source: the public text that it comes from.
        known: what that text makes certain, and what is derived.
        action: what is done about it.
    """

    title: str
    bound: str
    source: str
    known: str
    action: str


LIMITS: dict[str, Limit] = {
    "reset interval": Limit(
        "steps between two resets",
        "a power of two",
        "lava-dl, tutorials/lava/lib/dl/netx/mnist/run.ipynb",
        "stated there; T = 20 becomes 32",
        "repaired: silent steps pad each sample on the chip",
    ),
    "columns": Limit(
        "columns of a sheet that a convolution reads",
        f"{WIDEST}",
        "lava-dl, tutorials/lava/lib/dl/netx/yolo_kp: the compiler warns that spikes from "
        "x_in = n * 256 - 1 and its neighbours may be dropped",
        "warned of the layer that reads 448 columns, not of those that read 224 or fewer; that "
        "x_in counts the columns which the layer reads, from 0, and so 254 are safe, is derived",
        "refused; `--widest` of `lavaseg export` or `import` interleaves columns into channels, "
        "exactly",
    ),
    "convolution": Limit(
        "the sheet that a convolution writes",
        f"compiler of 2022: {LARGEST_OLD} rows or {LARGEST_OLD} columns; of 2024: "
        f"{'x'.join(map(str, LARGEST_COMPILED))} neurons",
        "lava-nc/lava#826 (about 57x57x2 hung); sgluege/sdnn_loihi2_compiler_test (172x130x4: "
        '"Partitioning could not converge", lava-loihi 0.5.0); lava-dl\'s table of YOLO-KP '
        "(224x224x16 was compiled)",
        "three reports; where the border lies is not known",
        "refused for the compiler of 2022; a remark for that of 2024 above what is known to work",
    ),
    "ranges": Limit(
        "currents, messages, what holds feedback down",
        "24 bits",
        "lava-nc, lava/proc/lif/models.py",
        "stated there; weights, thresholds and biases are refused before",
        "refused, by export too",
    ),
    "core": Limit(
        "the registers of a core",
        "what the compiler's version prints: AxonIn, NeuronGr, Neurons, SynMem, AxonMap, AxonMem "
        "and their total",
        "lava-dl's tables of YOLO-KP, MNIST (2024) and PilotNet (2022)",
        "capacities follow from the printed shares; what a layer uses is our model of the compiler",
        "refused: the smallest tile of the layer fits no core",
    ),
    "cores": Limit(
        "cores of a board",
        f"{CORES_PER_CHIP} a chip; "
        + ", ".join(f"{board.name} {board.cores:,}" for board in BOARDS),
        "logs in lava-dl's notebooks and Intel's announcements of the boards",
        "cores and chips are; how many a network needs is our model of the compiler",
        "refused: no board, or not the one that was named, has so many",
    ),
    "port views": Limit(
        "reshaped and transposed ports",
        "none are known to compile",
        "no public notebook has one on the chip",
        "both CPU runtimes of Lava take them",
        "a remark: transposed convolutions and upsampling are phases behind such a view",
    ),
    "host processes": Limit(
        "processes without a model for neuro-cores",
        "none may fall back to the host",
        "lava-nc, lava/magma/core/run_configs.py: Loihi2HwCfg takes Nc, then C, then Py models",
        "the fallback is silent; which processes have an Nc model is not public, runs of Conv, "
        "Dense and LIF are",
        "a remark here; a run on the chip must refuse it",
    ),
    "host input": Limit(
        "input neurons at each step",
        f"{round(LINK_RATES['graded'] * QUICK_STEP):,} graded or "
        f"{round(LINK_RATES['binary'] * QUICK_STEP):,} binary spikes: what one link carries in "
        "153 µs, a step of PilotNet's published run",
        "lava-dl's yolo_kp (67 M graded, 100 M binary spikes a second over a link) and pilotnet "
        "notebooks (host input made an SDNN need 59 ms a frame of 33x200x3)",
        "the rates are constants of a published prediction, and 153 µs follow from published "
        "energy and power; that all input neurons spike is the worst case",
        "a remark: replay the input from the chip's buffer",
    ),
}
"""All limits that `find_limits` looks at, by their names."""
