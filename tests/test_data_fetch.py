"""Downloads from a server of our own: whole, broken off, damaged, and hostile archives."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lavaseg import data
from lavaseg.data import ade20k
from lavaseg.data.fetch import Archive, fetch, unpack
from lavaseg.errors import LavasegError


@dataclass
class Server:
    """Serves one file; knows what was asked for and can hang up early or ignore ranges."""

    content: bytes = b""
    url: str = ""
    stop_after: int | None = None
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
            size = len(state.content)
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.end_headers()
                return
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if state.stop_after is None else body[: state.stop_after])

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{listening.server_address[1]}"
    yield state
    listening.shutdown()
    listening.server_close()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            if isinstance(content, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                archive.addfile(content)
    return out.getvalue()


MEMBERS = {"set/a.txt": b"A" * 9, "set/deep/b.txt": bytes(range(256)) * 50, "other/c": b"unwanted"}


def served(server: Server, name: str, content: bytes, holds: str = "set") -> Archive:
    server.content = content
    return Archive(f"{server.url}/{name}", hashlib.md5(content).hexdigest(), holds)


def assert_unpacked(folder: Path) -> None:
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    assert set(files) == {"set/a.txt", "set/deep/b.txt"}  # no archive, no remains
    for name, path in files.items():
        assert path.read_bytes() == MEMBERS[name]


@pytest.mark.parametrize(
    ("name", "make"), [("set.zip", zipped), ("set.tgz", tarred), ("set.tar", tarred)]
)
def test_an_archive_is_fetched_and_what_is_wanted_of_it_unpacked(
    server: Server, tmp_path: Path, name: str, make: Callable[[dict[str, bytes]], bytes]
) -> None:
    archive = served(server, name, make(MEMBERS))
    assert fetch(archive, tmp_path / "new", progress=False) == tmp_path / "new" / "set"
    assert_unpacked(tmp_path / "new")
    fetch(archive, tmp_path / "new", progress=False)
    assert server.asked == [None]  # the second time nothing is fetched


def test_a_broken_transfer_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    archive = served(server, "set.zip", zipped(MEMBERS))
    server.stop_after = 100
    for _ in range(2):
        with pytest.raises(LavasegError, match=r"set\.zip cannot be downloaded: .*goes on"):
            fetch(archive, tmp_path, progress=False)
    assert (tmp_path / "set.zip.part").stat().st_size == 200
    server.stop_after = None
    fetch(archive, tmp_path, progress=False)
    assert server.asked == [None, "bytes=100-", "bytes=200-"]
    assert_unpacked(tmp_path)


def test_a_server_without_ranges_is_asked_for_everything_again(
    server: Server, tmp_path: Path
) -> None:
    archive = served(server, "set.zip", zipped(MEMBERS))
    (tmp_path / "set.zip.part").write_bytes(b"wrong bytes that must not stay")
    server.ranges = False
    fetch(archive, tmp_path, progress=False)
    assert_unpacked(tmp_path)


def test_a_part_that_is_whole_already_is_taken(server: Server, tmp_path: Path) -> None:
    archive = served(server, "set.zip", zipped(MEMBERS))
    (tmp_path / "set.zip.part").write_bytes(server.content)
    fetch(archive, tmp_path, progress=False)
    assert_unpacked(tmp_path)


def test_another_file_than_expected_is_removed_and_named(server: Server, tmp_path: Path) -> None:
    archive = served(server, "set.zip", zipped(MEMBERS))
    server.content = server.content[:-1] + b"?"
    with pytest.raises(LavasegError, match=rf"MD5 sum \w+, expected {archive.md5}"):
        fetch(archive, tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_no_connection_is_one_sentence(tmp_path: Path) -> None:
    archive = Archive("http://127.0.0.1:1/set.zip", "0" * 32, "set")
    with pytest.raises(LavasegError, match=r"127\.0\.0\.1:1/set\.zip cannot be downloaded"):
        fetch(archive, tmp_path, progress=False)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "content",
    [
        zipped({"set/a": b"", "../evil": b"x"}),
        zipped({"set/a": b"", "set/../../evil": b"x"}),
        zipped({"set/a": b"", "/tmp/evil": b"x"}),
        zipped({"set/a": b"", "set\\..\\..\\evil": b"x"}),
        zipped({"set/a": b"", "C:/evil": b"x"}),
        tarred({"set/a": b"", "../evil": b"x"}),
        tarred({"set/a": b"", "set/link": link("set/link", "../.."), "set/link/evil": b"x"}),
        tarred({"set/a": b"", "set/hard": link("set/hard", "../../evil", tarfile.LNKTYPE)}),
        tarred({"set/a": b"", "set/pipe": link("set/pipe", "", tarfile.FIFOTYPE)}),
    ],
    ids=[
        "up",
        "through",
        "absolute",
        "backslash",
        "drive",
        "tar-up",
        "symlink",
        "hardlink",
        "fifo",
    ],
)
def test_an_archive_whose_member_would_escape_is_refused(tmp_path: Path, content: bytes) -> None:
    into = tmp_path / "deep" / "into"
    into.mkdir(parents=True)
    file = tmp_path / "hostile"
    file.write_bytes(content)
    with pytest.raises(LavasegError, match=r"hostile: its member .* would leave the folder"):
        unpack(file, into, "set")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["deep", "hostile", "into"]


def test_a_damaged_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    for number, content in enumerate((tarred(MEMBERS)[:80], b"no archive", zipped({"x": b""}))):
        file = tmp_path / f"archive{number}"
        file.write_bytes(content)
        with pytest.raises(
            LavasegError, match=rf"archive{number} (is damaged|holds no folder set)"
        ):
            unpack(file, tmp_path, "set")
        file.unlink()
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_data_set_fetches_itself_when_asked_to(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = served(server, "x.zip", zipped({"ADEChallengeData2016/readme": b""}), "other")
    wanted = Archive(archive.url, archive.md5, "ADEChallengeData2016")
    monkeypatch.setattr(ade20k, "ARCHIVE", wanted)
    with pytest.raises(LavasegError, match="download=true"):
        data.load("ade20k", root=str(tmp_path))
    assert server.asked == []
    with pytest.raises(LavasegError, match=r"objectInfo150.txt cannot be read"):
        data.load("ade20k", root=str(tmp_path), download=True)
    assert (tmp_path / "ADEChallengeData2016" / "readme").is_file()
