"""The commands people type: `python -m experiments.launch`, `.compare`, `.sample`, `.evaluate`, `.export`."""
