"""From a run to an integer network, which `lavaseg.netx` writes as a file.

Names are imported on first use: `export` trains (to fine-tune) and `convert_run` runs networks,
so that they need torch and SLAYER.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.export.converted import convert_run
    from lavaseg.export.pipeline import export

__all__ = ["convert_run", "export"]

__getattr__, __dir__ = on_first_use(__name__, {"convert_run": "converted", "export": "pipeline"})
