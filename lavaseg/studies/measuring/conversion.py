"""An artificial network converted by several rules, at many numbers of time steps.

One simulation of the most steps gives all smaller numbers of steps, too. It runs in pieces of a few
steps, so that its memory does not grow with them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import torch

from lavaseg.encoders import Direct, Encoder, Poisson
from lavaseg.export.conversion import convert
from lavaseg.export.converted import convert_run
from lavaseg.export.lowering import choose_quantisation, lower, quantise
from lavaseg.export.rules import RULES
from lavaseg.models.analog import AnalogModel
from lavaseg.models.analog.network_torch import AnalogNetwork
from lavaseg.results import metrics
from lavaseg.studies import options as o
from lavaseg.studies.measures import Row, row
from lavaseg.training import SpikingNetwork
from lavaseg.training.batches import messages
from lavaseg.training.models import trained_model
from lavaseg.training.network import Carried
from lavaseg.training.preparing import first, training_parts

if TYPE_CHECKING:
    from lavaseg.data.base import Samples
    from lavaseg.runs import Run

INTEGERS = "integers"
"""The rule `channel` with hard reset, rounded to 8 bits without fine-tuning."""
_PIECE = 32
"""The most time steps that are computed at once."""
_INPUT_BYTES = 2**27
"""Memory that the input of a batch aims to stay below."""
_MARGIN = 1000.0
"""Where the read-out's membranes shall end: floats are clipped at 2048."""
_CODES = {"direct": Direct, "poisson": Poisson}


def conversion(run: Run, options: o.ConversionOptions) -> Iterable[Row]:
    """mIoU in percent of each rule after each number of steps, and of the artificial network.

    Rules run in floats with soft reset, as they are meant. Nothing for a spiking run.
    """
    analog = trained_model(run)
    if not isinstance(analog, AnalogNetwork):
        return
    test = first(run.data.test, options.pictures)
    balance_on = first(training_parts(run.recipe, run.data)[0], options.calibration)
    encoder = _CODES[options.encoder](max(options.steps))
    code = _CODES[options.encoder](options.calibration_steps)
    pictures = [balance_on[index][0] for index in range(len(balance_on))]
    calibration = messages(pictures, code, 1, range(len(pictures)))
    with torch.no_grad():
        seen = analog(messages(pictures, Direct(1), 0, range(len(pictures))))
    unit = max(float(seen.abs().max()), 1e-9) * encoder.steps / _MARGIN
    yield row("ann_miou", _curve(run, analog, Direct(1), test, [1])[0])
    for name in options.rules or (*RULES, INTEGERS):
        if name == INTEGERS:
            bits = encoder.message_bits
            weighted = lower(convert(analog, calibration, reset="hard", message_bits=bits))
            scales = choose_quantisation(weighted, encoder.steps)
            net = quantise(weighted, scales, encoder, run.classes)
            model = SpikingNetwork.from_integers(net)
        else:
            bits = encoder.message_bits
            converted = convert(analog, calibration, name, logit_unit=unit, message_bits=bits)
            model = converted.to_model()
        found = _curve(run, model, encoder, test, options.steps)
        for count, value in zip(options.steps, found, strict=True):
            yield row("miou", value, rule=name, steps=count)


def hybrid(run: Run, options: o.HybridOptions) -> Iterable[Row]:
    """mIoU in percent of an artificial network, converted with hard reset, and then fine-tuned.

    Weights start from the converted network and are fine-tuned with 8 bits (hybrid conversion,
    Rathi et al. 2020). Nothing for a spiking run.
    """
    from lavaseg import deploy, export, training

    if not isinstance(run.model, AnalogModel):
        return
    length = (
        f"finetune.epochs={options.epochs}",
        f"finetune.learning_rate={options.learning_rate}",
    )
    for steps in options.steps:
        with TemporaryDirectory(dir=run.path) as folder:
            converted = convert_run(
                run,
                Path(folder) / "converted",
                rule=options.rule,
                steps=steps,
                reset="hard",
                calibration=options.calibration,
                overrides=length,
            )
            floats = training.evaluate(converted, progress=False)
            yield row("miou", 100 * floats.miou, steps=steps)
            export.export(converted, progress=False)
            found = deploy.evaluate(converted, progress=False)
            yield row("integer_miou", 100 * found.miou, steps=steps)


def _curve(
    run: Run,
    model: SpikingNetwork | AnalogNetwork,
    encoder: Encoder,
    samples: Samples,
    at: Sequence[int],
) -> list[float]:
    """mIoU in percent after each of some numbers of steps.

    Logits are compared with one another alone: their unit does not matter.
    """
    confusions = {count: np.zeros((len(run.classes),) * 2, np.int64) for count in at}
    sample_bytes = 4 * encoder.steps * math.prod(encoder.shape(run.picture_shape))
    batch = max(1, min(run.recipe.training.batch_size, _INPUT_BYTES // sample_bytes))
    for begin in range(0, len(samples), batch):
        numbers = range(begin, min(begin + batch, len(samples)))
        stimuli, labels = zip(*(samples[number] for number in numbers), strict=True)
        truth = np.stack(labels)
        encoded = messages(stimuli, encoder, run.recipe.seed, numbers)
        for count, readout in readouts(model, encoded, at):
            predicted = metrics.predict(readout.float().numpy(), truth.shape[1:])
            confusions[count] += metrics.confusion_matrix(
                predicted, truth, len(run.classes), run.ignore_index
            )
    return [100 * metrics.mean_iou(confusions[count]) for count in at]


@torch.no_grad()
def readouts(
    model: SpikingNetwork | AnalogNetwork, encoded: torch.Tensor, at: Iterable[int]
) -> Iterator[tuple[int, torch.Tensor]]:
    """Membranes of the read-out (N, K, h, w) after each of some numbers of steps, ascending.

    Args:
        encoded: messages (N, C, H, W, T), of at least as many steps.
    """
    if isinstance(model, AnalogNetwork):
        yield 1, model(encoded)
        return
    carried, done = Carried(), 0
    for count in sorted({*at}):
        readout = torch.empty(0)
        while done < count:
            piece = min(_PIECE, count - done)
            readout = model(encoded[..., done : done + piece], carried=carried)
            done += piece
        yield count, readout
