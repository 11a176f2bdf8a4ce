"""How much is said: libraries are heard on request, our own lines unless they are not wanted."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest

from lavaseg.system.progress import line
from lavaseg.system.verbosity import LOGGER, is_quiet, is_verbose, speaking

TALK = """
import logging, subprocess, sys, warnings
from lavaseg.system.progress import line
from lavaseg.system.verbosity import speaking

with speaking({how}):
    warnings.warn("warned here")
    logging.getLogger("some.library").warning("logged here")
    subprocess.run([sys.executable, "-c", "import warnings; warnings.warn('warned below')"])
    line("said by us")
"""


@pytest.mark.parametrize(
    ("how", "heard"),
    [
        ("", {"said by us"}),
        ("quiet=True", set()),
        ("verbose=True", {"warned here", "logged here", "warned below", "said by us"}),
    ],
    ids=["usual", "quiet", "verbose"],
)
def test_libraries_are_heard_on_request_and_our_lines_unless_quiet(
    how: str, heard: set[str]
) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    ended = subprocess.run(
        [sys.executable, "-c", TALK.format(how=how)],
        capture_output=True,
        text=True,
        check=True,
        env=variables,
    )
    everything = ("warned here", "logged here", "warned below", "said by us")
    assert {words for words in everything if words in ended.stderr} == heard
    assert not ended.stdout
    if not heard:
        assert not ended.stderr


@pytest.mark.parametrize("how", [{}, {"quiet": True}, {"verbose": True}], ids=str)
def test_all_is_as_it_was_behind_the_block(how: dict[str, bool]) -> None:
    def state() -> tuple[object, ...]:
        handlers = list(logging.root.handlers)
        level, disabled = logging.root.level, logging.root.manager.disable
        return LOGGER.level, level, disabled, handlers, warnings.filters[:], dict(os.environ)

    def interrupted() -> None:
        with speaking(**how):
            assert is_quiet() == how.get("quiet", False)
            assert is_verbose() == how.get("verbose", False)
            raise KeyboardInterrupt

    before = state()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert state() == before


def test_programs_leave_out_lines_by_pythons_logging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line("heard")
    monkeypatch.setattr(LOGGER, "level", logging.WARNING)
    line("not heard")
    assert capsys.readouterr().err == "heard\n"
