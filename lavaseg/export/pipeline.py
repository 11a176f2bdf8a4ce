"""Export: a trained run becomes an integer network and a NetX file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.export.finetune import quantised_model, tuned_values
from lavaseg.export.lowering import Quantisation, choose_quantisation, lower, quantise
from lavaseg.export.weighted import WeightedNetwork
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.interleave import factors, interleave
from lavaseg.network.ranges import check_loops, check_ranges
from lavaseg.netx import write
from lavaseg.runs import Run
from lavaseg.system.lock import locked
from lavaseg.training.experiment import trained, training_parts, weights_of_classes
from lavaseg.training.fit import fit
from lavaseg.training.plan import Plan
from lavaseg.training.weights import restore


def export(
    run: Run,
    path: str | Path | None = None,
    *,
    finetune: bool = True,
    widest: int | None = None,
    progress: bool = True,
) -> IntegerNetwork:
    """Fold, quantise, fine-tune, check the ranges and write the NetX file.

    Fine-tuning happens once: its weights stay in the run's folder and are used again as long as
    the trained weights and the recipe are the same.

    Args:
        path: where to write; `net.net` in the run's folder by default.
        finetune: False rounds the trained weights as they are.
        widest: columns that a sheet may have which a convolution reads; wider ones are
            interleaved (`lavaseg/network/interleave.py`), which changes no spike. None: any.

    Raises:
        LavasegError: the model cannot be deployed, a sheet cannot be interleaved, a range is
            exceeded, or a file cannot be written.
    """
    with locked(run.path):
        target = run.files.net.path if path is None else path
        return _exported(run, target, finetune, widest, progress)


def _exported(
    run: Run, path: str | Path, finetune: bool, widest: int | None, progress: bool
) -> IntegerNetwork:
    weighted = lower(WeightedNetwork.from_model(trained(run)))
    if widest is not None:
        factors(weighted.network, widest)  # before anything is trained
    quantisation = choose_quantisation(weighted)
    encoder = run.recipe.encoder_object
    net = quantise(weighted, quantisation, encoder, run.classes)
    if finetune and run.recipe.finetune.epochs:
        weighted = _finetune(run, net, weighted, quantisation, progress)
        net = quantise(weighted, quantisation, encoder, run.classes)
    if widest is not None:
        net, _ = interleave(net, widest)
    check_ranges(net)
    check_loops(net)
    write(net, path)
    return net


def _finetune(
    run: Run,
    net: IntegerNetwork,
    weighted: WeightedNetwork,
    quantisation: Quantisation,
    progress: bool,
) -> WeightedNetwork:
    model = quantised_model(net, weighted, quantisation, run.recipe.training.surrogate)
    origin = {
        "weights": run.files.weights.sha256(),
        "finetune": run.recipe.finetune.model_dump(),
        "scales": dict(quantisation.scales),
    }
    if not _is_tuned(run, origin):
        run.files.tuning.remove()
        training, validation = training_parts(run.recipe, run.data)
        encoder = run.recipe.encoder_object
        optimisation = run.recipe.training.model_copy(
            update={
                "epochs": run.recipe.finetune.epochs,
                "learning_rate": run.recipe.finetune.learning_rate,
                "schedule": "cosine",
                "weight_decay": 0.0,
            }
        )
        scale = encoder.steps * quantisation.scales[net.network.readout]
        fit(
            model,
            Plan(
                optimisation,
                encoder,
                run.recipe.seed + 1,
                scale,
                ignore_index=run.ignore_index,
                augment=run.recipe.augment,
                class_weights=weights_of_classes(run.recipe, run.data, training),
            ),
            training,
            validation,
            classes=len(run.classes),
            folder=run.files,
            table=run.files.tuning_history,
            weights=run.files.tuned_weights,
            title="finetune",
            progress=progress,
        )
        run.files.tuning.save(origin)
    restore(model, run.files.tuned_weights)
    return tuned_values(model, weighted, quantisation)


def _is_tuned(run: Run, origin: Mapping[str, object]) -> bool:
    """Whether fine-tuned weights exist that came from these trained weights and settings."""
    try:
        return run.files.tuned_weights.current() and run.files.tuning.load() == origin
    except LavasegError:
        return False
