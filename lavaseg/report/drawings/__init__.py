"""Kinds of figures: what each takes from its sources, and how it is drawn."""

from lavaseg.report.drawings.activity import activations, coded, rate_code, spike_data, spikes
from lavaseg.report.drawings.ask import Ask
from lavaseg.report.drawings.layers import energy, rates, spike_totals
from lavaseg.report.drawings.membrane import membrane_data, membrane_epochs, membranes
from lavaseg.report.drawings.predicting import Predictions, doubled, predicted, predictions
from lavaseg.report.drawings.stepping import LabelsOverSteps, labels_over_steps

__all__ = [
    "Ask",
    "LabelsOverSteps",
    "Predictions",
    "activations",
    "coded",
    "doubled",
    "energy",
    "labels_over_steps",
    "membrane_data",
    "membrane_epochs",
    "membranes",
    "predicted",
    "predictions",
    "rate_code",
    "rates",
    "spike_data",
    "spike_totals",
    "spikes",
]
