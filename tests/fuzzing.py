"""What property tests on random graphs of populations share."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from lavaseg.network.integers import IntegerNetwork

EXAMPLES = int(os.environ.get("LAVASEG_FUZZ_EXAMPLES", "150"))
"""Random networks of a test; `make fuzz` asks for more."""
relaxed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
Networks = Callable[..., st.SearchStrategy[IntegerNetwork]]
"""The fixture `graph_networks`."""
Spikes = Callable[..., np.ndarray]
"""The fixture `random_spikes`."""
