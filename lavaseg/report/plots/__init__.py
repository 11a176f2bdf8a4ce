"""Figures: pictures with predictions, activity, membranes, figures by layer, confusion, training.

Every function takes plain arrays and returns a matplotlib Figure of its own: nothing goes
through pyplot, so there is no global state and no display is needed; a notebook shows the figure
that a cell ends with, whatever the user's backend is. Colours are told apart by
colour-blind eyes; white is the background whatever the page around it.
"""

from lavaseg.report.plots.activations import Activations, activation_maxima
from lavaseg.report.plots.activity import CodedSample, SpikeMaps, rate_code, spike_maps
from lavaseg.report.plots.comparing import (
    Learning,
    Priced,
    learning_curves,
    miou_against_operations,
)
from lavaseg.report.plots.layers import by_layer, spike_rates
from lavaseg.report.plots.membranes import membrane_epochs, membrane_histograms
from lavaseg.report.plots.pictures import labelled, prediction_grid
from lavaseg.report.plots.scores import confusion_matrix, rate_curve, training_curves
from lavaseg.report.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    IGNORED,
    INK,
    ORANGE,
    Figure,
    as_rgb,
    class_colours,
    own_style,
    without_formulas,
)
from lavaseg.results.membranes import Histogram

__all__ = [
    "BLUE",
    "FAINT",
    "GREEN",
    "IGNORED",
    "INK",
    "ORANGE",
    "Activations",
    "CodedSample",
    "Figure",
    "Histogram",
    "Learning",
    "Priced",
    "SpikeMaps",
    "activation_maxima",
    "as_rgb",
    "by_layer",
    "class_colours",
    "confusion_matrix",
    "labelled",
    "learning_curves",
    "membrane_epochs",
    "membrane_histograms",
    "miou_against_operations",
    "own_style",
    "prediction_grid",
    "rate_code",
    "rate_curve",
    "spike_maps",
    "spike_rates",
    "training_curves",
    "without_formulas",
]
