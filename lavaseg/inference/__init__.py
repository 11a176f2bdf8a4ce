"""From a network and inputs of any size to label maps, overlays and scores at that size.

Names are imported on first use: an integer network needs neither torch nor Lava.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lavaseg.lazy import on_first_use

if TYPE_CHECKING:
    from lavaseg.inference.evaluation import evaluate_at_labels
    from lavaseg.inference.fitting import Fit
    from lavaseg.inference.prediction import Prediction
    from lavaseg.inference.predictor import Predictor, predict

__all__ = ["Fit", "Prediction", "Predictor", "evaluate_at_labels", "predict"]

__getattr__, __dir__ = on_first_use(
    __name__,
    {
        "Fit": "fitting",
        "Prediction": "prediction",
        "Predictor": "predictor",
        "evaluate_at_labels": "evaluation",
        "predict": "predictor",
    },
)
