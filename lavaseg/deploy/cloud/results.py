"""The folder that a bundle's run leaves: what it gave, where, how long it took; checked on reading.

It holds the bundle's manifest and its expected activity, so that it can be judged where neither
the bundle nor its network is.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lavaseg.deploy.cloud.archive import MANIFEST, identity_of, listed, manifest_bytes
from lavaseg.deploy.cloud.bundle import EXPECTED, FORMAT, NETWORK, Bundle
from lavaseg.deploy.cloud.spikes import activity_from_bytes, activity_to_bytes
from lavaseg.errors import LavasegError
from lavaseg.results.activity import Activity
from lavaseg.results.chip import check_profile
from lavaseg.system.faults import reading
from lavaseg.system.files import last_line, new_folder
from lavaseg.system.words import meant_path

RESULT, FOUND, EXAMINED = "result.json", "activity.npz", "doctor.json"
"""Names of files: facts of the run, what it gave, what `lavaseg doctor` said of the machine."""
RESULTS, LOG = "results", "log.txt"
"""What a job of `lavaseg submit` leaves in its folder: results, and what it printed."""
RESULT_FORMAT = "lavaseg result 1"
_LARGEST = 1 << 34
"""Bytes of a file beyond which it is no result of ours."""


@dataclass(frozen=True)
class Results:
    """What a run of a bundle gave.

    Args:
        place: the folder or archive, for messages.
        facts: backend, machine, board, partition, job, seconds, profile.
        manifest: that of the bundle.
        expected: what the simulator gave where the bundle was made.
        found: what the run gave.
        doctor: what `lavaseg doctor --json` said before it, or None.
    """

    place: Path
    facts: Mapping[str, Any]
    manifest: Mapping[str, Any]
    expected: Activity
    found: Activity
    doctor: Any


def write_results(
    folder: Path,
    manifest: Mapping[str, Any],
    expected: bytes,
    found: Activity,
    facts: Mapping[str, Any],
    doctor: Any,
) -> None:
    """Write the results of a run as a new folder, whole or not at all.

    Raises:
        LavasegError: the folder exists or cannot be written.
    """
    content = {
        MANIFEST: manifest_bytes(manifest),
        EXPECTED: expected,
        FOUND: activity_to_bytes(found),
        EXAMINED: json.dumps(doctor, indent=1).encode(),
    }
    head = {"format": RESULT_FORMAT, "bundle": identity_of(manifest), **facts}
    head["members"] = listed(content)
    content[RESULT] = json.dumps(head, indent=1).encode()
    with new_folder(folder) as part:
        for name, data in content.items():
            (part / name).write_bytes(data)


def read_results(place: str | Path, bundle: Bundle | None = None) -> Results:
    """Read the results in a folder, or in a zip or tar archive of one; nothing is unpacked.

    Args:
        bundle: the results must be of this one, and are compared with what it holds.

    Raises:
        LavasegError: there are none, they are damaged or incomplete, or of another bundle.
    """
    place = Path(place)
    content = _content(place)
    with reading(place):
        facts = json.loads(content[RESULT])
        if not isinstance(facts, dict) or facts.get("format") != RESULT_FORMAT:
            raise LavasegError(f"{place}: {RESULT} is not the one of a bundle's run")
        _check_facts(facts)
        for name, entry in facts["members"].items():
            if name not in content:
                raise LavasegError(f"{place} is incomplete: it lacks {name}")
            if hashlib.sha256(content[name]).hexdigest() != entry["sha256"]:
                raise LavasegError(f"{place}: {name} is damaged or was changed after the run")
        manifest = json.loads(content[MANIFEST])
        if manifest.get("format") != FORMAT or identity_of(manifest) != facts["bundle"]:
            raise LavasegError(f"{place}: {MANIFEST} is not that of the bundle that ran")
        listed_sum = manifest["members"][EXPECTED]["sha256"]
        doctor = json.loads(content[EXAMINED])
    if hashlib.sha256(content[EXPECTED]).hexdigest() != listed_sum:
        raise LavasegError(f"{place}: {EXPECTED} is not that of the bundle that ran")
    if bundle is not None:
        check_same_bundle(place, facts["bundle"], manifest, bundle)
    expected = activity_from_bytes(content[EXPECTED], f"{place}: {EXPECTED}")
    found = activity_from_bytes(content[FOUND], f"{place}: {FOUND}")
    return Results(place, facts, manifest, expected, found, doctor)


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Raise unless facts are those that `write_results` was given; to be called while reading."""
    kinds: Mapping[str, type | tuple[type, ...]] = {
        "members": dict, "bundle": str, "backend": str, "seconds": (int, float), "machine": dict
    }  # fmt: skip
    for name, kind in kinds.items():
        if not isinstance(facts.get(name), kind):
            raise LavasegError(f"{RESULT} was changed after the run: its field {name!r} is wrong")
    if {*facts["members"]} != {MANIFEST, EXPECTED, FOUND, EXAMINED}:
        raise LavasegError(f"{RESULT} was changed after the run: it lists other files")
    if not isinstance(facts["machine"].get("node"), str):
        raise LavasegError(f"{RESULT} was changed after the run: it names no machine")
    profile = facts.get("profile")
    if profile is not None and "error" not in profile:
        check_profile(profile)


def check_same_bundle(
    place: Path, identity: str, manifest: Mapping[str, Any], bundle: Bundle
) -> None:
    """LavasegError unless results are of `bundle`."""
    if identity == bundle.identity:
        return
    own, other = (m["members"][NETWORK]["sha256"] for m in (bundle.manifest, manifest))
    what = "bundle" if own == other else "network"
    raise LavasegError(
        f"{place} holds the results of another {what}, {manifest['name']!r}, not of {bundle.path}"
    )


def _content(place: Path) -> dict[str, bytes]:
    """The files of a result folder by name, from wherever they lie."""
    if not place.exists():
        made = ": run.py of a bundle makes one"
        raise LavasegError(f"there is no folder or archive {place}{meant_path(place) or made}")
    if place.is_dir():
        return _of_folder(place)
    with reading(place, "is neither a result folder nor a zip or tar archive of one"):
        if zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as file:
                sizes = {info.filename: info.file_size for info in file.infolist()}
                return _chosen(place, sizes, file.read)
        with tarfile.open(place) as tar:
            entries = {entry.name: entry for entry in tar.getmembers() if entry.isfile()}

            def content(name: str) -> bytes:
                opened = tar.extractfile(entries[name])
                return opened.read() if opened else b""

            return _chosen(place, {name: e.size for name, e in entries.items()}, content)


def _of_folder(place: Path) -> dict[str, bytes]:
    """The files of the folder, or of its folder `results`, as `lavaseg submit` leaves it."""
    folder = place if (place / RESULT).exists() else place / RESULTS
    if not (folder / RESULT).exists():
        raise LavasegError(
            f"{place} holds no results: it lacks {RESULT}, which a run writes when it has ended"
            + (f"; its log ends: {last}" if (last := last_line(place / LOG)) else "")
        )
    with reading(folder):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def _chosen(place: Path, sizes: Mapping[str, int], content: Any) -> dict[str, bytes]:
    """The files beside the one `result.json` of an archive, which is only read, not unpacked."""
    heads = [PurePosixPath(name) for name in sizes if PurePosixPath(name).name == RESULT]
    if len(heads) != 1:
        raise LavasegError(f"{place} holds {len(heads)} files {RESULT}, expected one")
    wanted = {MANIFEST, EXPECTED, FOUND, EXAMINED, RESULT}
    beside = [
        name
        for name in sizes
        if PurePosixPath(name).parent == heads[0].parent and PurePosixPath(name).name in wanted
    ]
    if any(sizes[name] > _LARGEST for name in beside):
        raise LavasegError(f"{place} holds a file that is too large to be a result")
    return {PurePosixPath(name).name: content(name) for name in beside}
