"""What went wrong when an operating system, a decoder or a foreign library gave up: one sentence.

The command line asks `explanation` about every exception that is not a LavasegError, and readers
of files turn whatever a decoder raises into one that names the file (`reading`).
"""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lavaseg.errors import LavasegError
from lavaseg.system.words import meant_path

_ADVICE = {
    errno.ENOSPC: "make room on that disk and repeat the command",
    errno.EDQUOT: "make room in that quota and repeat the command",
    errno.EIO: "the disk, or the network that it is reached by, failed",
    errno.ENOLCK: "that file system has no locks: use another one",
    errno.EFBIG: "the system limits the size of a file; `ulimit -f` shows it",
    errno.EROFS: "choose another folder with --out",
    errno.EMFILE: "raise the limit, for example with `ulimit -n 65536`",
    errno.ENFILE: "the whole system has too many; close other programs",
    errno.ENOMEM: "close other programs, or use fewer or smaller samples at a time",
    errno.EAGAIN: "the system starts no more processes or threads; `ulimit -u` shows the limit",
}
"""What to do about what the operating system reports."""

_DECODERS = frozenset(
    [
        "h5py",
        "PIL",
        "yaml",
        "json",
        "csv",
        "zipfile",
        "tarfile",
        "gzip",
        "lzma",
        "binascii",
        "struct",
        "pickle",
        "_pickle",
        "xml",
        "pyexpat",
        "safetensors",
        "safetensors_rust",
        "zstandard",
        "lz4",
        "faery",
        "aedat",
        "pyo3_runtime",
    ]
)
"""Packages whose own exceptions say that what they were given is damaged."""
DAMAGED = "cannot be read, it is truncated or damaged"
"""What is said of a file that a decoder gives up, unless its reader knows better."""
_NO_MEMORY = (
    *("out of memory", "can't allocate memory", "not enough memory", "unable to allocate"),
    *("alloc_failed", "bad_alloc", "storage size calculation overflowed", "numel: integer multi"),
)
"""How libraries that raise a RuntimeError for it say that memory is not enough."""

_NO_ROOM = ("PytorchStreamWriter failed", "No space left on device", "file write failed")
_CUT_OFF = re.compile(r"\d+ requested and \d+ written")
"""How libraries say that a disk is full, or failed, which drop the number of the error."""

_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS))
"""Numbers of errors of a disk that is full, or that failed."""


def explanation(error: BaseException) -> str | None:
    """What the user can do about an exception, as one sentence; None if the program is wrong.

    Args:
        error: anything but a LavasegError, KeyboardInterrupt and SystemExit.
    """
    if _addresses_failed(error):
        return (
            f"the system lets this process use {_address_limit() // 2**20} MB of addresses, which "
            f"was not enough: raise that, for example with `ulimit -v unlimited` ({_words(error)})"
        )
    if memory_failed(error):
        return (
            "there is not enough memory: use fewer or smaller samples at a time "
            f"(training.batch_size, --samples) or a smaller network ({_words(error)})"
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _of_system(error)
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return f"{error}; {_ADVICE[errno.EAGAIN]}"
    if writing_failed(error):
        return f"a file could not be written; {_ADVICE[errno.ENOSPC]} ({_words(error)})"
    if isinstance(error, RecursionError):
        return "what was read is nested too deeply to be what a network or recipe needs"
    if _from_decoder(error):
        return f"a file that was read is truncated or damaged ({_words(error)}); get it anew"
    return None


def _addresses_failed(error: BaseException) -> bool:
    """Whether an exception may come of a limit on addresses, which fails as anything may."""
    if not _address_limit():
        return False
    if memory_failed(error) or isinstance(error, ImportError):
        return True
    by_library = isinstance(error, OSError) and error.errno in (None, errno.ENOMEM, errno.EAGAIN)
    return by_library or "can't start new thread" in str(error)


def _address_limit() -> int:
    """Bytes of addresses that the system allows this process; 0 if it sets no limit."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limits
        return 0
    limit = resource.getrlimit(resource.RLIMIT_AS)[1]
    return 0 if limit == resource.RLIM_INFINITY else limit


def memory_failed(error: BaseException) -> bool:
    """Whether an exception, of whatever type, means that memory was not enough."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    if isinstance(error, ValueError):  # NumPy: more than any machine has
        return "maximum allowed dimension exceeded" in text or "array is too big" in text
    if isinstance(error, ImportError):  # of a library too large for what is left
        return "failed to map segment" in text or "cannot allocate memory" in text
    return isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)


def writing_failed(error: BaseException) -> bool:
    """Whether an exception, of a library or the system, means that a disk is full or failed."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _DISK
    return isinstance(error, (OSError, RuntimeError)) and (
        any(w in str(error) for w in _NO_ROOM) or _CUT_OFF.search(str(error)) is not None
    )


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """A block in which others write into the folder or file at `path`, and may not name it.

    Raises:
        LavasegError: the disk is full or failed.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not writing_failed(error):
            raise
        if isinstance(error, OSError) and error.errno is not None:
            raise LavasegError(f"{path} cannot be written: {in_words(error)}") from None
        remedy = _ADVICE[errno.ENOSPC]
        raise LavasegError(f"{path} cannot be written: {_words(error)}; {remedy}") from None


@contextmanager
def writing_in_threads(path: str | Path) -> Iterator[None]:
    """As `writing`, for a library that writes in threads of its own; they print no traceback.

    Raises:
        LavasegError: the disk is full or failed, in this thread or another.
    """
    failed: list[BaseException] = []
    before, known = threading.excepthook, set(threading.enumerate())

    def note(fault: threading.ExceptHookArgs) -> None:
        if fault.exc_value is not None and writing_failed(fault.exc_value):
            failed.append(fault.exc_value)
        else:
            before(fault)

    threading.excepthook = note
    try:
        with writing(path):
            yield
            if failed:
                raise failed[0]
    except BaseException:
        for thread in set(threading.enumerate()) - known:
            thread.join(1)  # what it has to say is held back, too
        raise
    finally:
        threading.excepthook = before


def check_target(path: Path) -> None:
    """LavasegError unless there is a folder or a file, which may be a run or a `.net` file."""
    if not path.exists():
        made = ": `lavaseg train` makes runs, `lavaseg export` makes .net files"
        raise LavasegError(
            f"there is no run folder and no .net file {path}{meant_path(path) or made}"
        )


@contextmanager
def reading(
    path: str | Path,
    fault: str = DAMAGED,
    kind: type[LavasegError] = LavasegError,
) -> Iterator[None]:
    """A block that decodes the file at `path`: whatever is raised in it becomes a LavasegError.

    Decoders raise anything for a damaged file, panics that are no Exception included. So the block
    must hold nothing but reading and decoding.

    A pipe or a device, which may never end, is refused before.

    Args:
        path: the file; or, as text, what is read in its place.
        fault: what is said of the file if the decoder gives up; the decoder's words follow.
        kind: the type of the error.

    Raises:
        LavasegError: of `kind`; one that the block raises itself keeps its type, and names the
            file as well.
    """
    if isinstance(path, Path) and is_device(path):
        raise kind(f"{path} cannot be read: it is a pipe or a device, expected a file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a damaged file the sentence says enough
            yield
    except (ModuleNotFoundError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except LavasegError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from None
    except BaseException as error:
        if isinstance(error, OSError) and error.errno is not None:
            near = meant_path(path) if isinstance(path, Path) else ""
            raise kind(f"{path} cannot be read: {in_words(error)}{near}") from None
        # a ValueError: the size that is written there is none of an array, nothing was asked for
        if memory_failed(error) and not isinstance(error, ValueError):
            raise kind(f"{path} asks for more memory than there is: {_words(error)}") from None
        remedy = "; make or fetch it again" if fault == DAMAGED else ""
        raise kind(f"{path} {fault}: {_words(error)}{remedy}") from None


def is_device(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder: a pipe or a device."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def muted() -> Iterator[None]:
    """While open, what foreign code writes to the process's standard error is dropped.

    A library that panics prints a traceback of its own, past Python.
    """
    try:
        saved = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    try:
        sys.stderr.flush()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _of_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename is not None else ""
    return where + in_words(error)


def in_words(error: OSError) -> str:
    """What the operating system reports, and what to do about it."""
    what, number = error.strerror or _words(error), error.errno or 0
    if number in errno.errorcode and ("\n" in what or len(what) > 100):
        what = os.strerror(number)  # HDF5 says far more
    advice = _ADVICE.get(number)
    return f"{what}; {advice}" if advice else what


def _from_decoder(error: BaseException) -> bool:
    if isinstance(error, (zlib.error, EOFError, UnicodeDecodeError)):
        return True
    if not isinstance(error, Exception):  # a panic
        return True
    if isinstance(error, OSError):  # without a number: h5py, PIL and gzip raise such
        return True
    if any(_package(cls.__module__) in _DECODERS for cls in type(error).__mro__):
        return True
    return isinstance(error, (RuntimeError, ValueError)) and _raised_in(error) in _DECODERS


def _raised_in(error: BaseException) -> str:
    """The package whose code raised an exception; "" if it was not raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else _package(trace.tb_frame.f_globals.get("__name__", ""))


def _package(module: str) -> str:
    return module.partition(".")[0]


def one_line(text: str, longest: int = 300) -> str:
    """A text that a sentence may hold: on one line, printable, and not too long."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * longest])
    line = " ".join(shown.split())
    return line if len(line) <= longest else line[:longest] + " ..."


def _words(error: BaseException) -> str:
    """The words of an exception on one line, or its type if it has none."""
    return one_line(str(error)) or type(error).__name__
