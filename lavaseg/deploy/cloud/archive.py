"""One archive for a cloud: named members with their checksums, the same bytes for the same input.

It is a zip file, so that any machine can unpack it. Its member `manifest.json` lists every other
member with its length and SHA-256; what is not listed, or not as listed, is refused on reading.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lavaseg.errors import LavasegError
from lavaseg.system.faults import reading
from lavaseg.system.files import replacing
from lavaseg.system.words import command, meant_path

MANIFEST = "manifest.json"
"""Name of the member that lists the others."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can hold: members carry no other."""
_LONGEST_MANIFEST = 16 << 20


@dataclass(frozen=True)
class Archive:
    """The members of an archive that was read and found whole.

    Args:
        manifest: what `MANIFEST` says, its list of members included.
        members: content of every other member, by name.
        identity: SHA-256 of the manifest, hence of everything in the archive.
    """

    manifest: Mapping[str, Any]
    members: Mapping[str, bytes]
    identity: str

    def unpack(self, folder: Path) -> None:
        """Write all members into an empty folder, the manifest included."""
        content = {**self.members, MANIFEST: manifest_bytes(self.manifest)}
        for name, data in content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def listed(members: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """Length and SHA-256 of each member, by name, as manifests have them."""
    return {
        name: {"bytes": len(members[name]), "sha256": hashlib.sha256(members[name]).hexdigest()}
        for name in sorted(members)
    }


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it is written."""
    return json.dumps(manifest, indent=1, sort_keys=True).encode()


def identity_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest, in hexadecimal digits."""
    return hashlib.sha256(manifest_bytes(manifest)).hexdigest()


def write_archive(path: Path, members: Mapping[str, bytes], facts: Mapping[str, Any]) -> str:
    """Write an archive, whole or not at all.

    Args:
        facts: what the manifest says besides the list of members.

    Returns:
        Its identity.

    Raises:
        LavasegError: the file cannot be written.
    """
    manifest = {**facts, "members": listed(members)}
    with replacing(path) as part, zipfile.ZipFile(part, "w") as file:
        _add(file, MANIFEST, manifest_bytes(manifest))
        for name in sorted(members):
            _add(file, name, members[name])
    return identity_of(manifest)


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # Unix, whatever it is written on
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    file.writestr(info, content, compresslevel=6)


def read_archive(path: Path, form: str) -> Archive:
    """Read an archive and check every member.

    Args:
        form: what the manifest's field `format` must say.

    Raises:
        LavasegError: no such file, another kind of file, or one that was damaged or changed.
    """
    if not path.exists():
        made = f": {command('bundle', 'NET', '--out', path)} makes one"
        raise LavasegError(f"there is no bundle {path}{meant_path(path) or made}")
    if path.is_dir():
        raise LavasegError(f"{path} is a folder, expected the archive that `lavaseg bundle` wrote")
    with reading(path), zipfile.ZipFile(path) as file:
        manifest = _manifest(file, form)
        members = {name: _member(file, name, entry) for name, entry in manifest["members"].items()}
    return Archive(manifest, members, identity_of(manifest))


def _manifest(file: zipfile.ZipFile, form: str) -> dict[str, Any]:
    names = [info.filename for info in file.infolist()]
    if MANIFEST not in names:
        raise LavasegError(f"is no bundle: it has no member {MANIFEST}")
    if file.getinfo(MANIFEST).file_size > _LONGEST_MANIFEST:
        raise LavasegError(f"is no bundle: its {MANIFEST} is too long")
    text = file.read(MANIFEST)
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != form:
        raise LavasegError(f"is no {form!r}: its {MANIFEST} is of another kind")
    if text != manifest_bytes(manifest):
        raise LavasegError(f"was changed after it was made: its {MANIFEST} is written differently")
    expected = {MANIFEST, *manifest["members"]}
    if unsafe := [name for name in names if not is_inside(name)]:
        raise LavasegError(f"has a member that points outside of its folder: {unsafe[0]!r}")
    if foreign := sorted({*names} - expected):
        raise LavasegError(f"holds a file that does not belong to it: {foreign[0]!r}")
    if missing := sorted(expected - {*names}):
        raise LavasegError(f"is incomplete: it lacks {missing[0]!r}")
    if len(names) != len(expected):
        raise LavasegError("was changed after it was made: it holds a file twice")
    return manifest


def _member(file: zipfile.ZipFile, name: str, entry: Mapping[str, Any]) -> bytes:
    if file.getinfo(name).file_size != entry["bytes"]:
        raise LavasegError(f"was changed after it was made: {name!r} has another length")
    content = file.read(name)
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise LavasegError(f"was changed after it was made: {name!r} has another checksum")
    return content


def is_inside(name: str) -> bool:
    """Whether the name of a member is one below the folder that it is unpacked in."""
    parts = PurePosixPath(name).parts
    odd = {"", ".", ".."} & {*name.split("/")} or "\\" in name or ":" in name or "\0" in name
    return bool(parts) and not name.startswith("/") and not odd


def arrays_to_bytes(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as the content of an .npz file, compressed; the same bytes for the same arrays."""
    import numpy as np

    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()
