"""Results of networks as data: activity, recordings, evaluations, metrics and energy."""
