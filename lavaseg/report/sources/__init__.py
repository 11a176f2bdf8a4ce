"""What figures are made of: runs, networks in integers and recordings, all asked alike."""

from lavaseg.report.sources.base import Source, Wanted, at_the_picture
from lavaseg.report.sources.networks import NetSource, RunSource
from lavaseg.report.sources.opening import Given, open_sources
from lavaseg.report.sources.recorded import RecordedSource
from lavaseg.report.sources.scenes import Scenes

__all__ = [
    "Given",
    "NetSource",
    "RecordedSource",
    "RunSource",
    "Scenes",
    "Source",
    "Wanted",
    "at_the_picture",
    "open_sources",
]
