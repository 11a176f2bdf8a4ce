"""Studies: the papers' claims, and one's own questions, as files that a command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.studies.files import load, names
    from lavaseg.studies.running import StudyResult, run_study
    from lavaseg.studies.study import Study

__all__ = ["Study", "StudyResult", "load", "names", "run_study"]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "Study": "study",
        "StudyResult": "running",
        "load": "files",
        "names": "files",
        "run_study": "running",
    },
)
