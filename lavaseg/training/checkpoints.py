"""Checkpoints: written beside their place, the one before is kept, and one is found to go on from.

Lightning writes a checkpoint by way of the system's temporary folder, which may lie on another
disk: then it is copied, and a process that is killed meanwhile leaves a part of it.
"""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from lavaseg.errors import LavasegError
from lavaseg.runs.run import make_folder
from lavaseg.system.faults import memory_failed
from lavaseg.system.files import replacing
from lavaseg.system.progress import line
from lavaseg.training.surroundings import TorchCheckpointIO


def previous(path: Path) -> Path:
    """The place of the checkpoint before the one at `path`."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, and keeps the one before."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint to `path`; what was there becomes `previous`.

        Raises:
            LavasegError: it cannot be written; the old ones are left.
        """
        path = Path(path)
        make_folder(path.parent)
        with replacing(path) as part:
            content = io.BytesIO()  # on a full disk torch's own writer does not say so
            torch.save(checkpoint, content)
            with part.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())  # on disk before the old one goes
            if path.exists():
                os.replace(path, previous(path))


def newest(path: Path) -> Path | None:
    """The newest whole checkpoint: at `path`, else the one before; None if there never was one.

    What is damaged is named in a line, and the epoch that it held is trained again.

    Raises:
        LavasegError: there are checkpoints, and none is whole.
    """
    candidates = [file for file in (path, previous(path)) if file.exists()]
    for file in candidates:
        if _is_whole(file):
            return file
        line(f"{file} is damaged" + (": going on from the one before" if file == path else ""))
    if candidates:
        raise LavasegError(
            f"{path} and the checkpoint before it are damaged: train into another folder, or "
            "restore one of them"
        )
    return None


def _is_whole(path: Path) -> bool:
    """Whether a file is a checkpoint that can be read."""
    if not path.is_file():
        return False
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")
            if archive.testzip() is not None:  # torch.load does not look at the checksums
                return False
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes its decoder raise
        if memory_failed(error):
            raise
        return False
    return isinstance(found, dict) and {"state_dict", "optimizer_states", "epoch"} <= found.keys()
