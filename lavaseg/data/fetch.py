"""Downloads that go on where they broke off, checked, and unpacked within one folder.

pooch and torchvision's helper check sums, too, but start again from zero after a break: too much
for archives of gigabytes.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lavaseg.errors import LavasegError
from lavaseg.system.progress import bar

_BLOCK = 1 << 20
_TIMEOUT = 60.0
"""Seconds without a byte after which a transfer counts as broken."""


@dataclass(frozen=True)
class Archive:
    """An archive that its owner lets everybody fetch.

    Args:
        url: where it is.
        md5: of the whole file, as published or as widely used.
        holds: the folder in it that is wanted; what lies elsewhere in it is not unpacked.
    """

    url: str
    md5: str
    holds: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def fetch(archive: Archive, folder: Path, *, progress: bool = True) -> Path:
    """Downloads an archive, unpacks what it holds into `folder`, and removes it.

    A transfer that broke off leaves NAME.part, and the next call goes on from there.

    Returns:
        folder / archive.holds; nothing is fetched if that exists.

    Raises:
        LavasegError: no connection, a wrong checksum, a damaged or hostile archive, a full disk.
    """
    target = folder / archive.holds
    if target.exists():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = download(archive, folder, progress=progress)
        unpack(file, folder, archive.holds)
        file.unlink()
    except OSError as error:
        raise LavasegError(
            f"{archive.name} cannot be kept in {folder}: {error.strerror or error}"
        ) from None
    return target


def download(archive: Archive, folder: Path, *, progress: bool = True) -> Path:
    """The archive's file, complete and with the right checksum, in `folder`."""
    file, part = folder / archive.name, folder / f"{archive.name}.part"
    if not file.exists():
        try:
            _transfer(archive, part, progress)
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            TimeoutError,
            ConnectionError,
        ) as e:
            problem = " ".join(str(e).split()) or type(e).__name__
            raise LavasegError(
                f"{archive.url} cannot be downloaded: {problem}; the same command goes on from here"
            ) from None
        os.replace(part, file)
    if (found := _md5(file)) != archive.md5:
        file.unlink()
        raise LavasegError(
            f"{archive.url} has the MD5 sum {found}, expected {archive.md5}: what was downloaded "
            "is damaged or another file, and was removed"
        )
    return file


def _transfer(archive: Archive, part: Path, progress: bool) -> None:
    """Appends to `part` what is missing of the file."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(archive.url, headers={"User-Agent": "lavaseg"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and error.headers.get("Content-Range") == f"bytes */{have}":
            return  # it was complete already
        if error.code == 416:
            part.unlink()
        raise
    with answer, bar(archive.name, show=progress) as report:
        if answer.status != 206:  # the server sends everything again
            have = 0
        rest = answer.headers.get("Content-Length")
        total = have + int(rest) if rest else 0
        with part.open("ab" if have else "wb") as out:
            while block := answer.read(_BLOCK):
                out.write(block)
                have += len(block)
                report(have, max(total, have))
    if total and have != total:
        raise ConnectionError(f"{have:,} of {total:,} bytes came")


def _md5(file: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def unpack(file: Path, folder: Path, holds: str) -> None:
    """Unpacks the folder `holds` of a tar or zip file into `folder`, whole or not at all.

    Raises:
        LavasegError: it is damaged, lacks that folder, or a member would leave it.
    """
    scratch = folder / f".{file.name}.{os.getpid()}.unpacked"
    try:
        scratch.mkdir()
        if zipfile.is_zipfile(file):
            _unzip(file, scratch, holds)
        else:
            _untar(file, scratch, holds)
        if not (scratch / holds).is_dir():
            raise LavasegError(f"{file} holds no folder {holds}")
        (folder / holds).parent.mkdir(parents=True, exist_ok=True)
        os.replace(scratch / holds, folder / holds)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise LavasegError(f"{file} is damaged: {error}") from None
    finally:
        with suppress(OSError):
            shutil.rmtree(scratch)


def _wanted(name: str, holds: str) -> bool:
    return (
        PurePosixPath(name).parts[: len(PurePosixPath(holds).parts)] == PurePosixPath(holds).parts
    )


def _unzip(file: Path, into: Path, holds: str) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or ":" in member.filename:
                raise LavasegError(f"{file}: its member {member.filename!r} would leave the folder")
            if _wanted(member.filename, holds):
                archive.extract(member, into)  # links become plain files


def _untar(file: Path, into: Path, holds: str) -> None:
    if not hasattr(tarfile, "data_filter"):  # Python 3.10.0 to 3.10.11, 3.11.0 to 3.11.3
        raise LavasegError(f"{file} cannot be unpacked safely by this Python: update it")
    with tarfile.open(file) as archive:
        for member in archive:
            try:
                tarfile.data_filter(member, str(into))
                if _wanted(member.name, holds):
                    archive.extract(member, into, filter="data")
            except tarfile.FilterError:
                raise LavasegError(
                    f"{file}: its member {member.name!r} would leave the folder"
                ) from None
