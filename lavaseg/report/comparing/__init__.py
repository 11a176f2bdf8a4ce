"""Several runs and networks side by side, of what their folders keep."""

from lavaseg.report.comparing.comparison import Comparison, check_ending, compare

__all__ = ["Comparison", "check_ending", "compare"]
