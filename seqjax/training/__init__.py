"""Training: the step, the loop, optimisers, checkpoints, and what a trial is."""
