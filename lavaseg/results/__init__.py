"""What networks did: activity, recordings, metrics and energy."""
