"""How much is said on the way: our lines and bars, and what libraries log and warn of.

The level of Python's logger `lavaseg` decides. `logging.getLogger("lavaseg").setLevel("WARNING")`
leaves out lines and progress bars; with "DEBUG", what libraries say is not held back. The options
--quiet and --verbose of the command line set it.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOGGER = logging.getLogger("lavaseg")
_WARNINGS = "PYTHONWARNINGS"
"""The variable by which Python in processes that are started from here knows what to hold back."""


def is_quiet() -> bool:
    """Whether lines and progress bars are left out."""
    return LOGGER.level > logging.INFO


def is_verbose() -> bool:
    """Whether libraries are heard."""
    return logging.NOTSET < LOGGER.level <= logging.DEBUG


@contextmanager
def speaking(*, quiet: bool = False, verbose: bool = False) -> Iterator[None]:
    """A block, such as a command, that says as much as the user wants.

    Unless it is verbose, libraries are not heard: their warnings are about calls that the user
    did not make, and what fails is an exception.

    Args:
        quiet: results and errors alone.
        verbose: what libraries log and warn of, too, on stderr.
    """
    before = LOGGER.level
    level = logging.DEBUG if verbose else logging.WARNING if quiet else before
    with ExitStack() as stack:
        stack.callback(LOGGER.setLevel, before)
        LOGGER.setLevel(level)
        stack.enter_context(_heard() if verbose else _hushed())
        yield


@contextmanager
def _hushed() -> Iterator[None]:
    disabled, variable = logging.root.manager.disable, os.environ.get(_WARNINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        os.environ[_WARNINGS] = "ignore"
        try:
            yield
        finally:
            logging.disable(disabled)
            if variable is None:
                os.environ.pop(_WARNINGS, None)
            else:
                os.environ[_WARNINGS] = variable


@contextmanager
def _heard() -> Iterator[None]:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(levelname)s: %(message)s"))
    level = logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            yield
        finally:
            logging.root.removeHandler(handler)
            logging.root.setLevel(level)
