"""The source of a recording: stimuli become messages, drawn as in an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lavaseg.encoders import Encoder
from lavaseg.errors import LavasegError
from lavaseg.events import Stimulus, preview
from lavaseg.network import Input
from lavaseg.results.recording import Kind, LayerRecording, Recording
from lavaseg.training.batches import messages


@dataclass(frozen=True)
class Source:
    """Turns stimuli into messages, and labels recordings with their origin.

    Args:
        encoder: of the network.
        input: its input sheet, which messages must fit.
        seed: key of the encoder's draws, with the number of the sample.
        classes: class names of the network.
    """

    encoder: Encoder
    input: Input
    seed: int
    classes: tuple[str, ...] = ()

    def messages(self, stimulus: Stimulus, number: int) -> torch.Tensor:
        """Messages of one stimulus, float32 (1, C, H, W, T).

        Raises:
            LavasegError: the stimulus has another size than the network takes.
        """
        found = messages([stimulus], self.encoder, self.seed, [number])
        if tuple(found.shape[1:4]) != self.input.shape:
            raise LavasegError(
                f"a stimulus of shape {tuple(stimulus.shape)} becomes spikes of shape "
                f"{tuple(found.shape[1:4])}, the network takes {self.input.shape}"
            )
        return found

    def recording(
        self,
        kind: Kind,
        stimulus: Stimulus,
        number: int,
        layers: dict[str, LayerRecording],
        readout: np.ndarray,
        remarks: tuple[str, ...] = (),
    ) -> Recording:
        """The recording of one sample."""
        seen = preview(stimulus)
        rows, columns = self.encoder.window(seen.shape[1:])
        return Recording(
            kind=kind,
            steps=self.encoder.steps,
            seed=self.seed,
            numbers=(number,),
            layers=layers,
            readout=readout,
            remarks=remarks,
            pictures=np.ascontiguousarray(seen[None, :, rows, columns]),
            classes=self.classes,
        )


def one_figure(value: float) -> np.ndarray:
    """A figure of one sample, float64 (1,)."""
    return np.array([value], np.float64)
