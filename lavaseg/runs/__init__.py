"""A run: the folder that training or conversion writes and every later stage reads."""

from __future__ import annotations

from lavaseg.runs.artefacts import Artefact
from lavaseg.runs.folder import RunFolder
from lavaseg.runs.run import Run, make_folder

__all__ = ["Artefact", "Run", "RunFolder", "make_folder"]
