"""The runtime service of the chip: one operating-system process that Lava's runtime starts."""

from __future__ import annotations

from typing import Any

from lava.magma.compiler.channels.pypychannel import CspSelector
from lava.magma.core.callback_fx import NxSdkCallbackFx
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND, MGMT_RESPONSE, enum_equal
from lava.magma.runtime.runtime_services.interfaces import AbstractRuntimeService


class NxSdkRuntimeService(AbstractRuntimeService):
    """Runs the chip for as many steps as the runtime says.

    Callbacks get the board before the first run and after it.
    """

    def __init__(
        self,
        protocol: Any,
        *,
        loihi_version: Any,
        loglevel: int,
        compile_config: Any,
        c_builders: list[Any],
        nc_builders: list[Any],
        callback_fxs: list[NxSdkCallbackFx],
        embedded_allocation_order: Any,
    ) -> None:
        super().__init__(protocol)
        from loihi2_double.rules import check_system

        check_system()
        for callback in callback_fxs:
            if not isinstance(callback, NxSdkCallbackFx):
                raise TypeError(f"callback_fxs holds {callback!r}, which is no NxSdkCallbackFx")
        self._builders, self._callbacks = [*c_builders, *nc_builders], callback_fxs

    def run(self) -> None:
        """Obey the runtime until it says stop; an error is told before it is raised."""
        try:
            self._run()
        except Exception:
            self.service_to_runtime.send(MGMT_RESPONSE.ERROR)
            raise

    def _run(self) -> None:
        from loihi2_double.chip import Chip
        from nxcore.arch.n3b.n3board import N3Board

        chip = Chip(self._builders)
        board = N3Board(1, 0)
        board.load(chip)
        selector = CspSelector()
        while True:
            selector.select((self.runtime_to_service, lambda: "command"))
            command = self.runtime_to_service.recv()
            if enum_equal(command, MGMT_COMMAND.STOP):
                board.disconnect()
                chip.close()
                self.service_to_runtime.send(MGMT_RESPONSE.TERMINATED)
                self.join()
                return
            steps = int(command[0])
            if steps < 1:
                raise ValueError(f"the chip does not know the command {steps}")
            for callback in self._callbacks:
                callback.pre_run_callback(board, {})
            board.run(steps)
            for callback in self._callbacks:
                callback.post_run_callback(board, {})
            self.service_to_runtime.send(MGMT_RESPONSE.DONE)
