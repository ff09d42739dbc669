"""Looking into a recurrent network: pure functions of a cell, its parameters and inputs."""

from seqjax.analysis.taps import Seen, Tapped, network_slots, observe, slots, tapped

__all__ = ["Seen", "Tapped", "network_slots", "observe", "slots", "tapped"]
