"""The drawing of a network, as Python and notebooks show it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lavaseg.errors import LavasegError
from lavaseg.report.diagram.boxes import Scheme, scheme
from lavaseg.report.diagram.opening import Shown, as_shown, find_network
from lavaseg.system.files import write_atomically

if TYPE_CHECKING:
    from markupsafe import Markup

    from lavaseg.models.analog import AnalogModel
    from lavaseg.network import Network
    from lavaseg.network.integers import IntegerNetwork
    from lavaseg.runs import Run


_SPACE = ' xmlns="http://www.w3.org/2000/svg"'


@dataclass(frozen=True)
class Diagram:
    """A drawing of a network; a notebook shows it where it is the last value of a cell.

    Args:
        scheme: its boxes and arrows.
    """

    scheme: Scheme = field(repr=False)

    def __repr__(self) -> str:
        return f"<Diagram of {self.scheme.title}: {self.scheme.summary}>"

    @cached_property
    def svg(self) -> str:
        """The drawing as SVG, the same bytes for the same network."""
        from lavaseg.report.diagram.svg import svg

        return svg(self.scheme)

    def text(self, columns: int = 80, *, ascii_only: bool = False) -> str:
        """The drawing for a terminal, in lines of at most `columns` letters where names allow."""
        from lavaseg.report.diagram.rails import text

        return text(self.scheme, columns, ascii_only=ascii_only)

    def save(self, path: str | Path) -> Path:
        """Write the SVG, whole or not at all; returns its path."""
        write_atomically(Path(path), self.svg)
        return Path(path)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto;max-height:44em">{self.svg}</div>'


def show(
    what: Network | IntegerNetwork | AnalogModel | Run | str | Path,
    title: str = "",
    *,
    slots: bool = False,
) -> Diagram:
    """Draw a network: layers, branches, joins, delays, residual currents, levels and sizes.

    Args:
        what: a description, a network in integers, a run (its float network), or what
            `lavaseg show` takes: the path of a run or of a .net file, the name of a recipe, a
            system or a model.
        title: above the drawing; a name or path by default.
        slots: draw integer neurons of a network in integers as hardware holds them, a box for
            each part, and not as one box.

    Raises:
        LavasegError: nothing of that name, a damaged file, or an artificial network that is no
            description.
    """
    found = find_network(what) if isinstance(what, str | Path) else as_shown(what)
    return diagram(found, title, slots=slots)


def diagram(found: Shown, title: str = "", *, slots: bool = False) -> Diagram:
    """The drawing of a network that was found."""
    return Diagram(
        scheme(
            found.network,
            title or found.title,
            steps=found.steps,
            weights=found.weights,
            slots=slots,
            rectified=found.rectified,
        )
    )


def inline(network: Network | AnalogModel, steps: int) -> Markup | None:
    """The drawing as a piece of a page; None of an artificial network that is no description."""
    from markupsafe import Markup

    try:
        found = as_shown(network)
    except LavasegError:
        return None
    known = None if found.rectified else steps
    drawn = diagram(replace(found, steps=known), "The network").svg
    return Markup(drawn.replace(_SPACE, "", 1))  # which a page does not need
