"""One artefact of a run: where it lies, what it is made from, whether it still holds, its value."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload

from lavaseg.errors import LavasegError
from lavaseg.runs.formats import Format

T = TypeVar("T")


class _InFolder(Protocol):
    @property
    def path(self) -> Path: ...


class Kind(Generic[T]):
    """One kind of artefact, in whichever folder; a `RunFolder` has one attribute for each.

    Args:
        file: its name in the folder; that of a folder ends in "/".
        about: what it is, in one line.
        format: how its value becomes a file.
        written_by: the commands that write it.
        made_from: what it describes or was computed from.
        hashes: JSON that says, by name, the SHA-256 of what this one was made from. Without it,
            times of modification decide what is out of date.
    """

    name: str
    """Name of the artefact as an attribute of a `RunFolder`."""

    def __init__(
        self,
        file: str,
        about: str,
        format: Format[T],
        *,
        written_by: tuple[str, ...],
        made_from: tuple[Kind[Any], ...] = (),
        hashes: Kind[Mapping[str, Any]] | None = None,
    ) -> None:
        self.file, self.about, self.format = file, about, format
        self.written_by, self.made_from, self.hashes = written_by, made_from, hashes

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, folder: None, owner: type) -> Kind[T]: ...
    @overload
    def __get__(self, folder: _InFolder, owner: type) -> Artefact[T]: ...
    def __get__(self, folder: _InFolder | None, owner: type) -> Kind[T] | Artefact[T]:
        return self if folder is None else Artefact(self, folder.path)


@dataclass(frozen=True)
class Artefact(Generic[T]):
    """An artefact in the folder of one run, whether it is there or not.

    Args:
        kind: what it is.
        folder: that of the run.
    """

    kind: Kind[T]
    folder: Path

    @property
    def path(self) -> Path:
        """The path where the artefact lies, or would lie."""
        return self.folder / self.kind.file

    @property
    def made_from(self) -> tuple[Artefact[Any], ...]:
        """The artefacts that this one describes or was computed from."""
        return tuple(Artefact(kind, self.folder) for kind in self.kind.made_from)

    def exists(self) -> bool:
        """Whether the artefact is there."""
        return self.path.is_dir() if self.kind.file.endswith("/") else self.path.is_file()

    def current(self) -> bool:
        """Whether the artefact is there, and what it was made from has not changed since."""
        return self.exists() and self.outdated_by() is None

    def outdated_by(self) -> Artefact[Any] | None:
        """The first artefact that this one was made from and that is newer, or out of date itself.

        What is newer is told by stored hashes where there are any, else by times of modification.
        What is not there is not newer: a folder without float weights keeps its exported network.
        """
        for base in self.made_from:
            if base.exists() and (self._is_older_than(base) or base.outdated_by() is not None):
                return base
        return None

    def _is_older_than(self, base: Artefact[Any]) -> bool:
        stored = self._hashes().get(base.kind.name)
        if stored is not None:
            return bool(stored != base.sha256())
        return self.path.stat().st_mtime < base.path.stat().st_mtime

    def _hashes(self) -> Mapping[str, Any]:
        """Stored hashes of what it was made from, by name; none if their file is damaged."""
        if self.kind.hashes is None:
            return {}
        try:
            return Artefact(self.kind.hashes, self.folder).load()
        except LavasegError:
            return {}

    def sha256(self) -> str:
        """SHA-256 of the file's content, in hexadecimal digits."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def load(self) -> T:
        """The artefact's value, read from its file.

        Raises:
            LavasegError: the file is missing, damaged or something else.
        """
        return self.kind.format.read(self.path)

    def save(self, value: T) -> None:
        """Write a value, whole or not at all.

        Raises:
            LavasegError: the file cannot be written.
        """
        self.kind.format.write(self.path, value)

    def remove(self) -> None:
        """Delete the file, if there is one."""
        self.path.unlink(missing_ok=True)
