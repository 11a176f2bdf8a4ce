"""The one exception that means "the user can mend this"."""

from __future__ import annotations


class LavasegError(Exception):
    """A wrong file, field or value: one sentence that names it and says what was expected.

    The command line prints it without a traceback and exits with code 2.
    """
