"""The double of Intel's extension is strict: each of its rules, broken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest

EXTENSION = Path(__file__).parent / "loihi2_extension"

SETUP = """
import json, os, sys
from lavaseg.compat import prepare_lava
prepare_lava()
import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg
from lava.proc import embedded_io as eio
from lava.proc.conv.process import Conv
from lava.proc.cyclic_buffer.process import CyclicBuffer
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.process import Sparse
from lava.utils.loihi2_profiler import Loihi2ExecutionTime, Loihi2Power
from loihi2_double.edges import FromHost
from nxcore.arch.n3b.n3board import N3Board
from scipy.sparse import csr_matrix

os.environ.update(LOIHI_GEN="N3B3", SLURM="1", BOARD="ncl-og-01")
CONFIG = Loihi2HwCfg(select_sub_proc_model=True)

def lif(shape=(2,), **changed):
    given = dict(vth=3, du=4095, dv=0, bias_mant=0, bias_exp=6, reset_interval=4, reset_offset=0)
    return LIFReset(shape=shape, **{**given, **changed})

def dense(weights=((2, 4), (6, -8)), **options):
    return Dense(weights=np.array(weights), **options)

def chain(synapse=None, neurons=None, bits=0):
    synapse, neurons = synapse or dense(), neurons or lif()
    source = RingBuffer(data=np.ones((2, 4), int))
    adapter = eio.spike.PyToNxAdapter(shape=(2,), num_message_bits=bits)
    source.s_out.connect(adapter.inp)
    adapter.out.connect(synapse.s_in)
    synapse.a_out.connect(neurons.a_in)
    return neurons

def compiled(process):
    process.compile(CONFIG)

def sent(value, bits):
    class Port:
        def recv(self): return np.array([value])
        def send(self, sheet): pass
    adapter = FromHost({"shape": (1,), "num_message_bits": bits})
    adapter.inp = adapter.out = Port()
    adapter.run_spk()

def convolved(process, port="inp", bits=0):
    conv = Conv(weight=np.full((1, 1, 1, 2), 2), input_shape=(3, 3, 2), num_message_bits=bits)
    process.out.connect(conv.s_in)
    neurons = lif((3, 3, 1))
    conv.a_out.connect(neurons.a_in)
    return neurons

def system(**variables):
    before = dict(os.environ)
    for name in ("SLURM", "NOSLURM", "BOARD", "PARTITION", "NXSDKHOST", "LOIHI_GEN"):
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        N3Board(1, 0)
    finally:
        os.environ.clear()
        os.environ.update(before)

def idle(steps=10):
    board, logger = N3Board(1, 0), Loihi2Power(num_steps=steps)
    return board, logger
"""

ALLOWED = {
    "a chain": "compiled(chain())",
    "a convolution": "compiled(convolved(eio.spike.PyToN3ConvAdapter(shape=(3, 3, 2))))",
    "a message of all bits": "sent(255, 8)",
    "a system": "system(LOIHI_GEN='N3C1', SLURM='1', PARTITION='kp')",
    "an idle board": """
        board, logger = idle()
        logger.pre_run_callback(board, {})
        board.run(10)
        logger.post_run_callback(board, {})
        board.disconnect()
        assert logger.static_total_power > 0 and len(logger.total_power)
    """,
}
"""What every rule lets pass."""

BROKEN = {
    "reset interval": ("compiled(chain(neurons=lif(reset_interval=5)))", "no power of two"),
    "reset offset": ("compiled(chain(neurons=lif(reset_offset=4)))", "reset offset"),
    "threshold": ("compiled(chain(neurons=lif(vth=2**17)))", "threshold"),
    "bias mantissa": ("compiled(chain(neurons=lif(bias_mant=4096)))", "bias mantissa"),
    "bias exponent": ("compiled(chain(neurons=lif(bias_exp=8)))", "bias exponent"),
    "decay": ("compiled(chain(neurons=lif(dv=4096)))", "dv"),
    "weight": ("compiled(chain(dense(((2, 4), (6, 256)))))", "weights"),
    "sparse weight": (
        "compiled(chain(Sparse(weights=csr_matrix([[2, 0], [0, -258]]))))",
        "weights",
    ),
    "message bits of synapses": (
        "compiled(chain(dense(num_message_bits=25), bits=25))",
        "message bits",
    ),
    "message bits of an adapter": (
        "compiled(chain(dense(num_message_bits=8), bits=4))",
        "sends 4 message bits",
    ),
    "a message too large": ("sent(256, 8)", "256 in 8 bits"),
    "a binary spike of 2": ("sent(2, 0)", "2 in 0 bits"),
    "a negative message": ("sent(-1, 8)", "-1"),
    "adapter of a matrix": (
        "compiled(convolved(eio.spike.PyToNxAdapter(shape=(3, 3, 2))))",
        "PyToNxAdapter feeds a Conv",
    ),
    "reader of a matrix": (
        """
        neurons = convolved(eio.spike.PyToN3ConvAdapter(shape=(3, 3, 2)))
        reader = eio.state.Read(shape=(3, 3, 1))
        reader.connect_var(neurons.v)
        sink = Sink(shape=(3, 3, 1), buffer=1)
        reader.out.connect(sink.a_in)
        compiled(neurons)
        """,
        "Read reads neurons behind a convolution",
    ),
    "shape of a reader": (
        "eio.state.Read(shape=(3,)).connect_var(chain().v)",
        "cannot read",
    ),
    "interval of a reader": ("eio.state.Read(shape=(3,), interval=0)", "interval 0"),
    "shape of ReadConv": ("eio.state.ReadConv(shape=(3,))", "width, height, channels"),
    "shape of PyToN3ConvAdapter": (
        "eio.spike.PyToN3ConvAdapter(shape=(3,))",
        "width, height, channels",
    ),
    "compression": (
        "eio.spike.PyToN3ConvAdapter(shape=(3, 3, 1), compression='DENSE')",
        "is no Compression",
    ),
    "columns of a convolution": (
        """
        process = eio.spike.PyToN3ConvAdapter(shape=(255, 1, 1))
        conv = Conv(weight=np.full((1, 1, 1, 1), 2), input_shape=(255, 1, 1))
        process.out.connect(conv.s_in)
        neurons = lif((255, 1, 1))
        conv.a_out.connect(neurons.a_in)
        compiled(neurons)
        """,
        "reads 255 columns",
    ),
    "name of an argument": ("eio.spike.PyToNxAdapter(size=(3,))", "size"),
    "name of a profiler's argument": ("Loihi2Power(steps=4)", "steps"),
    "no adapter": (
        """
        source, synapse = RingBuffer(data=np.ones((2, 4), int)), dense()
        source.s_out.connect(synapse.s_in)
        neurons = lif()
        synapse.a_out.connect(neurons.a_in)
        neurons.run(RunSteps(num_steps=1), CONFIG)
        """,
        "adapter",
    ),
    "frames of a buffer": (
        "CyclicBuffer(first_frame=np.ones(3, int), replay_frames=np.ones((2, 4), int))",
        "no frames of",
    ),
    "numbers of a buffer": (
        "CyclicBuffer(first_frame=np.ones(3), replay_frames=np.ones((3, 4)))",
        "no integers",
    ),
    "a partition and a board": (
        "system(LOIHI_GEN='N3B3', SLURM='1', BOARD='a', PARTITION='b')",
        "both set",
    ),
    "no system": ("system(LOIHI_GEN='N3B3')", "how to reach a board"),
    "no generation": ("system(SLURM='1', BOARD='a')", "generation"),
    "figures before the run": ("Loihi2Power(num_steps=4).total_power", "after a run"),
    "the end before the beginning": (
        "board, logger = idle()\nlogger.post_run_callback(board, {})",
        "after pre_run_callback",
    ),
    "a second run": (
        "board, logger = idle()\nboard.run(5)\nlogger.pre_run_callback(board, {})",
        "only the first run",
    ),
    "a board that was given back": (
        "board, logger = idle()\nboard.disconnect()\nboard.run(5)",
        "disconnected",
    ),
    "a callback that is none": (
        """
        from lava.magma.runtime.runtime_services.nxsdk_runtime_service import NxSdkRuntimeService
        NxSdkRuntimeService(
            None, loihi_version=None, loglevel=0, compile_config={}, c_builders=[],
            nc_builders=[], callback_fxs=[print], embedded_allocation_order=None,
        )
        """,
        "no NxSdkCallbackFx",
    ),
    "steps of a profile": ("Loihi2Power(num_steps=0)", "not 1 or more"),
}
"""A rule, what breaks it, and words of the refusal."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each case raised, "" for nothing; all in one process that has the double."""
    codes = {**ALLOWED, **{name: code for name, (code, _) in BROKEN.items()}}
    codes = {name: textwrap.dedent(code) for name, code in codes.items()}
    script = f"{SETUP}\nfound = {{}}\nfor name, code in {codes!r}.items():\n" + textwrap.indent(
        textwrap.dedent(
            """
            try:
                exec(code, dict(globals()))
                found[name] = ""
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
            """
        ),
        "    ",
    )
    path = tmp_path_factory.mktemp("double") / "found.json"
    script += f"\nopen({str(path)!r}, 'w').write(json.dumps(found))\nos._exit(0)\n"
    root = Path(__file__).resolve().parents[1]
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(EXTENSION)])},
        start_new_session=True,
    )
    try:
        assert child.wait(timeout=300) == 0
    finally:
        with suppress(ProcessLookupError):  # a runtime that refused to start leaves its processes
            os.killpg(child.pid, signal.SIGKILL)
    found: dict[str, str] = json.loads(path.read_text())
    return found


@pytest.mark.parametrize("case", ALLOWED)
def test_what_keeps_to_the_rules_passes(case: str, outcomes: dict[str, str]) -> None:
    assert outcomes[case] == ""


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_a_rule_raises(case: str, outcomes: dict[str, str]) -> None:
    assert BROKEN[case][1] in outcomes[case]
