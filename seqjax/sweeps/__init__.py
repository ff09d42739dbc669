"""Many trials: expanding sweeps, and running trials as local processes."""
