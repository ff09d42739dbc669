"""Seeing inside a trained network: what its units follow, what its gates do, where it errs."""
