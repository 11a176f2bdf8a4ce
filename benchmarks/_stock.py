"""Runs a `.net` file on stock NetX: its loader, its ProcessModels, its runtime.

Of Lava's own Conv only the numbers that hold its geometry are widened from 8 bits, which raise
with NumPy 2 for sheets of more than 127 channels; what it computes is Lava's.

A program of its own, because the stock runtime waits for ever when something inside it fails:
`python _stock.py NET SPIKES.npy OUT.npz`; `run` starts it with a time limit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def run(net: Path, spikes: Path, out: Path, limit: float) -> tuple[float, float, np.ndarray]:
    """Seconds and processor seconds per time step, and the last membranes, int (C, H, W).

    Raises:
        RuntimeError: it failed, or did not finish within `limit` seconds.
    """
    child = subprocess.Popen(
        [sys.executable, __file__, str(net), str(spikes), str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # with the processes that Lava forked
        child.wait()
        raise RuntimeError(
            f"stock NetX did not finish within {limit:.0f} s: give a smaller --width or --size, "
            "or a larger --limit"
        ) from None
    if child.returncode:
        raise RuntimeError(f"stock NetX failed: {errors[-2000:]}")
    with np.load(out) as found:
        steps = int(found["steps"])
        return float(found["seconds"]) / steps, float(found["cpu"]) / steps, found["membrane"]


def main(net_file: str, spikes_file: str, out_file: str) -> None:
    """The program: one warming step (which compiles and starts the processes), then the rest."""
    from _timing import cpu_seconds

    from lavaseg.compat import prepare_lava

    prepare_lava()
    from lava.lib.dl.netx.hdf5 import Network
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.conv.process import Conv
    from lava.proc.io.source import RingBuffer

    from lavaseg.deploy.lava.process_models import WideConv

    spikes = np.load(spikes_file)
    samples, steps = spikes.shape[:2]
    net = Network(net_config=net_file, reset_interval=steps, reset_offset=1)
    layers = len(net)
    stream = spikes.reshape(samples * steps, *spikes.shape[2:]).transpose(3, 2, 1, 0)
    source = RingBuffer(data=stream.astype(np.int32))
    source.s_out.connect(net.inp)
    config = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map={Conv: WideConv})
    total = samples * steps + layers
    try:
        net.run(RunSteps(1), config)
        started, used = time.perf_counter(), cpu_seconds()
        net.run(RunSteps(total - 1), config)
        seconds, cpu = time.perf_counter() - started, cpu_seconds() - used
        membrane = net.layers[-1].neuron.v.get().transpose(2, 1, 0)
    finally:
        net.stop()
    np.savez(out_file, seconds=seconds, cpu=cpu, steps=total - 1, membrane=membrane)


if __name__ == "__main__":
    # fork is what the stock runtime asks for; this process decides for itself alone
    import multiprocessing

    multiprocessing.set_start_method("fork", force=True)
    main(*sys.argv[1:])
