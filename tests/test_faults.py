"""Every exception ends in one sentence and the exit code that the help promises."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import typer
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from lavaseg.cli.console import FAULT, MISTAKE, Commands
from lavaseg.errors import LavasegError
from lavaseg.system.faults import muted, reading
from lavaseg.system.files import replacing


class Panic(BaseException):
    """As a library written in Rust raises it."""


class OutOfMemoryError(RuntimeError):
    """As torch raises it."""


def _open_no_hdf5() -> None:
    h5py.h5f.open_file_image(b"nothing")


def _endless() -> None:
    _endless()


def raising(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def result_of(fault: Callable[[], object]) -> Result:
    app = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @app.command()
    def work() -> None:
        fault()

    @app.command()
    def other() -> None: ...

    return CliRunner().invoke(app, ["work"])


MACHINE = {
    "panic of a library": (raising(Panic("not yet implemented\nin line 3")), "damaged"),
    "disk full": (raising(OSError(errno.ENOSPC, "No space left on device")), "make room"),
    "quota": (raising(OSError(errno.EDQUOT, "Disk quota exceeded")), "make room"),
    "no locks": (raising(OSError(errno.ENOLCK, "No locks available")), "another one"),
    "disk broken": (raising(OSError(errno.EIO, "Input/output error", "a.net")), "a.net"),
    "torch writes to a full disk": (
        raising(RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed")),
        "make room",
    ),
    "memory": (raising(MemoryError()), "not enough memory"),
    "memory of torch": (raising(OutOfMemoryError("CUDA out of memory")), "not enough memory"),
    "recursion": (_endless, "nested too deeply"),
    "yaml": (lambda: yaml.safe_load("{"), "damaged"),
    "zlib": (lambda: zlib.decompress(b"nothing"), "damaged"),
    "h5py": (_open_no_hdf5, "damaged"),
    "PIL": (lambda: Image.open(os.devnull), "damaged"),
    "text": (lambda: b"\xff".decode("utf-8"), "damaged"),
}


@pytest.mark.parametrize("case", MACHINE)
def test_fault_of_a_file_or_the_machine_is_one_sentence(case: str) -> None:
    fault, words = MACHINE[case]
    result = result_of(fault)
    assert result.exit_code == MISTAKE
    assert words in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_fault_of_the_program_says_so() -> None:
    result = result_of(lambda: {}["nothing"])
    assert result.exit_code == FAULT
    assert "this should not have happened: KeyError" in result.stderr


def test_exit_of_a_library_keeps_its_code() -> None:
    assert result_of(raising(SystemExit(7))).exit_code == 7


@pytest.mark.parametrize(
    "error", [Panic("no"), ValueError("a\nb"), struct.error("short"), EOFError()]
)
def test_whatever_a_decoder_raises_names_the_file(error: BaseException) -> None:
    with pytest.raises(LavasegError, match=r"^a\.xyz cannot be read, .*again$"), reading("a.xyz"):
        raise error


def test_sentence_of_a_reader_stays_and_gets_the_name_of_the_file() -> None:
    with pytest.raises(LavasegError, match=r"^a\.xyz: field b is 3$"), reading("a.xyz"):
        raise LavasegError("field b is 3")
    with pytest.raises(LavasegError, match=r"^field b of a\.xyz is 3$"), reading("a.xyz"):
        raise LavasegError("field b of a.xyz is 3")


def test_interruption_of_a_reader_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt), reading("a.xyz"):
        raise KeyboardInterrupt


def test_what_foreign_code_prints_on_its_way_down_is_dropped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with muted():
        os.write(2, b"thread panicked\n" * 200)
    os.write(2, b"the sentence\n")
    assert capfd.readouterr().err == "the sentence\n"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Can't write data (file write failed: errno = 28)"),
        RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed"),
    ],
)
def test_full_disk_names_the_file_and_leaves_the_old_one(error: Exception, tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(LavasegError, match=r"a\.net cannot be written: .*make room"):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
