"""What the chip and its compiler refuse; most of it without a word on hardware, here by name."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sparse.process import Sparse
from lava.utils.loihi import ChipGeneration

THRESHOLD = 2**17 - 1
BIAS = -(2**12), 2**12 - 1
WEIGHTS = -256, 254
COLUMNS = 254
ENTRIES: dict[str, tuple[type, ...]] = {
    "PyToN3ConvAdapter": (Conv,),
    "PyToNxAdapter": (Dense, Sparse),
}
"""What each adapter from the host may feed."""


class ChipRefusal(ValueError):
    """The chip or its compiler does not take it."""


def _within(what: str, values: Any, least: int, most: int) -> None:
    values = np.asarray(values)
    if values.size and (values.min() < least or values.max() > most):
        raise ChipRefusal(
            f"{what} {values.min()} to {values.max()}: the chip holds {least} to {most}"
        )


def check_process(process: AbstractProcess) -> None:
    """Raise ChipRefusal unless the chip can hold the process."""
    kind = type(process).__name__
    if kind in ENTRIES:
        _check_entry(process, ENTRIES[kind])
    elif kind in ("Read", "ReadConv"):
        _check_reader(process, kind)
    elif isinstance(process, LIF):
        _check_neurons(process)
    elif isinstance(process, (Conv, Dense)):
        if isinstance(process, Conv) and process.input_shape[0] > COLUMNS:
            raise ChipRefusal(
                f"Conv {process.name} reads {process.input_shape[0]} columns: spikes beyond "
                f"{COLUMNS} may be dropped"
            )
        _check_weights(process, process.weight if isinstance(process, Conv) else process.weights)
    elif isinstance(process, Sparse):
        _check_weights(process, process.weights)


def _check_entry(adapter: AbstractProcess, wanted: tuple[type, ...]) -> None:
    """An adapter from the host feeds synapses of its kind, in messages of its size."""
    for port in adapter.out.get_dst_ports():
        synapse, bits = port.process, adapter.proc_params["num_message_bits"]
        if not isinstance(synapse, wanted):
            raise ChipRefusal(f"{type(adapter).__name__} feeds a {type(synapse).__name__}")
        if int(np.max(synapse.num_message_bits.init)) != bits:
            raise ChipRefusal(
                f"{type(adapter).__name__} sends {bits} message bits, {type(synapse).__name__} "
                f"{synapse.name} takes {int(np.max(synapse.num_message_bits.init))}"
            )


def _check_reader(reader: AbstractProcess, kind: str) -> None:
    """A reader is of the kind of the synapses before the neurons that it reads."""
    (state,) = reader.state.get_dst_ports()
    sources = [port.process for port in state.process.a_in.get_src_ports()]
    shared = any(isinstance(source, Conv) for source in sources)
    if shared != (kind == "ReadConv"):
        what = "behind a convolution" if shared else "behind no convolution"
        raise ChipRefusal(f"{kind} reads neurons {what}")


def _check_neurons(process: LIF) -> None:
    name = f"LIF {process.name}:"
    _within(f"{name} threshold", process.vth.init, 0, THRESHOLD)
    _within(f"{name} du", process.du.init, 0, 4095)
    _within(f"{name} dv", process.dv.init, 0, 4095)
    _within(f"{name} bias mantissa", process.bias_mant.init, *BIAS)
    _within(f"{name} bias exponent", process.bias_exp.init, 0, 7)
    if isinstance(process, LIFReset):
        interval = process.proc_params["reset_interval"]
        if interval < 1 or interval & (interval - 1):
            raise ChipRefusal(f"{name} reset interval {interval} is no power of two")
        _within(f"{name} reset offset", process.proc_params["reset_offset"], 0, interval - 1)


def _check_weights(process: AbstractProcess, weights: Any) -> None:
    values = weights.init.data if isinstance(process, Sparse) else weights.init
    _within(f"{type(process).__name__} {process.name}: weights", values, *WEIGHTS)
    bits = process.num_message_bits.init
    _within(f"{type(process).__name__} {process.name}: message bits", bits, 0, 24)


def check_system() -> None:
    """Raise ChipRefusal unless the environment says which system to run on, and says it once."""
    if os.environ.get("LOIHI_GEN") not in {generation.value for generation in ChipGeneration}:
        raise ChipRefusal("LOIHI_GEN does not name a generation of the chip")
    if os.environ.get("SLURM") == "1":
        if "PARTITION" in os.environ and "BOARD" in os.environ:
            raise ChipRefusal("PARTITION and BOARD are both set")
    elif os.environ.get("NOSLURM") != "1" or "NXSDKHOST" not in os.environ:
        raise ChipRefusal("neither SLURM=1 nor NOSLURM=1 with NXSDKHOST says how to reach a board")
