"""Shared by all commands at the terminal: errors and exit codes, tables, JSON."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.style import Style
from rich.text import Text
from typer.core import TyperGroup, TyperOption

from lavaseg.cli.usage import hoisted, sentence
from lavaseg.errors import LavasegError
from lavaseg.system.extras import optional
from lavaseg.system.faults import explanation
from lavaseg.system.plain import plain
from lavaseg.system.styles import ACCENT, HELP_STYLES, terminal, without_styles
from lavaseg.system.wrapping import flowing

if TYPE_CHECKING:
    from pathlib import Path

    from lavaseg.network import Network

DIFFERENT, UNABLE, MISTAKE, FAULT, INTERRUPTED = 1, 1, 2, 3, 130
"""Exit codes: spikes differ, or a limit of the chip is broken; the machine cannot do it; the user
can mend it; the program is wrong; Ctrl-C."""


class Commands(TyperGroup):
    """The group of all commands: turns every exception into one sentence and an exit code."""

    def make_context(
        self, info_name: Any, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        words = hoisted(args)
        if len(words) < 2 or not {*words}.isdisjoint(_HELP):
            settle_help()
        try:
            return super().make_context(info_name, words, parent, **extra)
        except typer.TyperException as error:
            _refuse(error)

    def invoke(self, ctx: Any) -> Any:
        try:
            with optional():
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except typer.TyperException as error:
            _refuse(error)
        except LavasegError as error:
            _fail(ctx, f"error: {error}", MISTAKE)
        except KeyboardInterrupt as error:
            _fail(ctx, str(error) or "interrupted", INTERRUPTED)
        except (SystemExit, BrokenPipeError):
            raise  # typer ends quietly where nobody reads its output any more
        except BaseException as error:
            if (sentence := explanation(error)) is not None:
                _fail(ctx, f"error: {sentence}", MISTAKE)
            fault = f"{type(error).__name__}: {error}"
            hint = "" if ctx.params.get("debug") else "; `lavaseg --debug ...` shows where"
            _fail(ctx, f"error: this should not have happened: {fault}{hint}", FAULT)


_HELP = ("-h", "--help", "help")
"""Words of a call by which help is shown; it is without any word, too."""


def settle_help() -> None:
    """Let help have colours that are legible on any ground; typer's vanish on white."""
    from rich.default_styles import DEFAULT_STYLES
    from typer import rich_utils

    for name, style in HELP_STYLES.items():
        setattr(rich_utils, name, style)
    for name, found in DEFAULT_STYLES.items():
        if name.startswith("markdown.") and found.color is not None:
            DEFAULT_STYLES[name] = Style.parse(ACCENT)
    rich_utils.COLOR_SYSTEM = None if without_styles() else "auto"
    setattr(TyperOption, _SHOWN_TYPE.__name__, _type_of_value)


_SHOWN_TYPE = TyperOption.display_type_rich


def _type_of_value(option: TyperOption, ctx: Any) -> str | None:
    """What help shows behind an option: nothing behind a flag, which takes no value."""
    return None if option.is_flag else _SHOWN_TYPE(option, ctx)


def _refuse(error: typer.TyperException) -> NoReturn:
    """Say what is wrong with a call; help that is shown for want of words has been shown."""
    if type(error).__name__ == "NoArgsIsHelpError":
        raise error
    complain(f"error: {sentence(error)}")
    raise typer.Exit(MISTAKE)


def _fail(ctx: Any, text: str, code: int) -> NoReturn:
    if ctx.params.get("debug"):
        traceback.print_exc()
    complain(text)
    raise typer.Exit(code)


def complain(text: str) -> None:
    """A sentence on stderr, in lines between words at a terminal and in one line elsewhere.

    Signs of file names that break lines are shown as escapes.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    console = terminal(stderr=True)
    typer.echo(flowing(shown, console.width) if console.is_terminal else shown, err=True)


@contextlib.contextmanager
def only_json(wanted: bool) -> Iterator[None]:
    """While open, output of libraries and their child processes goes to stderr, if `wanted`."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def print_anything() -> None:
    """From now on, signs that the terminal or file at stdout cannot show are printed as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def print_json(value: Any) -> None:
    """`value` as JSON on stdout; NaN and infinity become null, arrays become lists."""
    ascii_ = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=ascii_, allow_nan=False))


USUAL_WIDTH = 100
"""Columns of a terminal that tables are made for."""


PIPE_WIDTH = 160
"""Columns that a file or a pipe gets, which have no width."""


def width(piped: int = PIPE_WIDTH) -> int:
    """Columns of the terminal at stdout; `piped` of a file or a pipe."""
    console = terminal()
    return console.width if console.is_terminal else piped


def is_narrow() -> bool:
    """Whether stdout is a terminal of less than the usual width; a file or a pipe has no width."""
    return width() < USUAL_WIDTH


def print_table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[Any]],
    wrap: str | None = None,
    *,
    tight: bool = False,
    whole: Collection[str] = (),
    labels: int = 1,
) -> None:
    """A table on stdout. Columns whose name starts with '>' are numbers, set to the right.

    No word, name or number is broken: cells are broken between words, and what a terminal has no
    room for comes in parts, or a paragraph for each row (`lavaseg/cli/parts.py`).

    Args:
        wrap: the one column that may be broken; None: any but numbers.
        tight: one blank between columns, for tables of many numbers.
        whole: columns that are never broken, such as names to be copied.
        labels: how many columns, from the left, say what a row is.
    """
    from lavaseg.cli.parts import show_table

    names = [*columns]
    kept = {*whole, *(name for name in names if wrap is not None and name != wrap)}
    cells = [[str(cell) for cell in row] for row in rows]
    say(title, "bold")
    show_table(names, cells, width(), labels=labels, whole=kept, tight=tight, say=say)


def warn_if_silent(network: Network, spikes: Mapping[str, float]) -> None:
    """Say on stderr if no spike reaches the read-out, so that it sees nothing of the input.

    Args:
        spikes: of each population, in any unit.
    """
    from lavaseg.results.activity import silence

    if remark := silence(network, spikes):
        complain(f"warning: {remark}")


def say(text: str, style: str = "") -> None:
    """A line of results on stdout; progress and errors go to stderr, so results can be piped."""
    console = terminal()
    if console.is_terminal:
        text = flowing(text, console.width)
    console.print(Text(text, style), soft_wrap=True)


def check_out(out: Path, inputs: Iterable[Path]) -> None:
    """LavasegError if what a command would write is one of the files that it reads."""
    check_outs([out], inputs)


def check_outs(outs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """As `check_out`, for many files: each of them is looked at once."""
    taken = {_identity(path): path for path in inputs if path.exists()}
    for out in outs:
        if out.exists() and (path := taken.get(_identity(out))) is not None:
            raise LavasegError(f"--out {out} would overwrite the input {path}: give another name")


def _identity(path: Path) -> tuple[int, int]:
    """What two names of one file share."""
    state = path.stat()
    return state.st_dev, state.st_ino


def check_writable(folder: Path) -> None:
    """Make `folder`, and raise LavasegError unless files can be written into it."""
    probe = folder / f".write-test-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LavasegError(f"cannot write into the folder {folder}: {error.strerror}") from None
