"""A buffer on the chip that replays frames."""

from __future__ import annotations

import numpy as np
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var


class CyclicBuffer(AbstractProcess):
    """Sends the first frame once, then the others over and over.

    Args:
        first_frame: integers, in the shape of the sheet.
        replay_frames: integers; the last axis is time.
        spike_exp: messages are shifted left by so many bits.
    """

    def __init__(
        self, *, first_frame: np.ndarray, replay_frames: np.ndarray, spike_exp: int = 0
    ) -> None:
        first_frame, replay_frames = np.asarray(first_frame), np.asarray(replay_frames)
        if replay_frames.shape[:-1] != first_frame.shape or replay_frames.shape[-1] < 1:
            raise ValueError(
                f"replay_frames {replay_frames.shape} are no frames of {first_frame.shape}"
            )
        for frames in (first_frame, replay_frames):
            if not np.issubdtype(frames.dtype, np.integer):
                raise TypeError(f"frames of {frames.dtype} are no integers")
        super().__init__(first_frame=first_frame, replay_frames=replay_frames, spike_exp=spike_exp)
        self.s_out = OutPort(shape=first_frame.shape)
        self.first_frame = Var(shape=first_frame.shape, init=first_frame)
        self.replay_frames = Var(shape=replay_frames.shape, init=replay_frames)
