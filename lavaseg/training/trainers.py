"""Lightning's trainer on the devices of a place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lavaseg.kernels.devices_torch import Devices
from lavaseg.system.signals import signals_interrupt
from lavaseg.training.company import BACKENDS
from lavaseg.training.place import Place
from lavaseg.training.plan import Plan
from lavaseg.training.ranks import share_weights
from lavaseg.training.surroundings import DDPStrategy, OneOf, pl


def on(place: Place, plan: Plan, *plugins: Any) -> dict[str, Any]:
    """Arguments of lightning's trainer for a place: devices, strategy, samplers.

    Args:
        plan: what is trained there.
        plugins: others of lightning's.
    """
    devices, gpu = place.devices, place.devices.kind == "cuda"
    environment = OneOf(place.rank.number)
    single = place.rank.count == 1
    return {
        "accelerator": "gpu" if gpu else "cpu",
        # a number would be that of GPUs, the first ones; a list holds which
        "devices": list(devices.numbers) if gpu else len(devices.numbers),
        "strategy": "auto" if single else _together(environment, devices, plan),
        "plugins": [*plugins, environment] if single else [*plugins],
        "use_distributed_sampler": False,  # batches are shared among processes as they are cut
    }


def _together(environment: OneOf, devices: Devices, plan: Plan) -> DDPStrategy:
    return DDPStrategy(
        cluster_environment=environment,
        process_group_backend=BACKENDS[devices.kind],
        # norms have the same statistics everywhere, and not all processes validate as many batches
        broadcast_buffers=False,
        # auxiliary read-outs that do not count
        find_unused_parameters=plan.optimisation.auxiliary_weight == 0,
    )


class SameStart(pl.Callback):
    """Lets all processes begin with the weights and statistics of the first one."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        share_weights(module)


@contextmanager
def only_interrupted(trainer: pl.Trainer) -> Iterator[None]:
    """While open, a polite kill is like Ctrl-C.

    Lightning's own handler would tell the other processes by a broadcast, in the middle of whatever
    they exchange.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    if threading.current_thread() is not threading.main_thread():  # no signal would reach it
        yield
        return
    with signals_interrupt():
        yield
