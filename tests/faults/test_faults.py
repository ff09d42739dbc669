"""A few attacks of each kind; `make faults` does many."""

import importlib

import pytest

from tests.faults import place

# Faults that surely strike: in a compilation, a save or an evaluation, at an early write, at a small limit.
SEEDS = {"killed": (2, 7, 11, 63), "damaged": range(8), "full": (4, 50, 100, 150, 313), "crowd": range(4)}


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A trial that nothing disturbed, and its half."""
    shared = tmp_path_factory.mktemp("faults") / "shared"
    place.prepare(shared)
    place.halfway(shared)
    return shared


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind, seeds in SEEDS.items() for seed in seeds])
def test_an_attack_is_survived(shared, kind, seed):
    outcome = importlib.import_module(f"tests.faults.{kind}").attack(
        seed, place.Place(shared.parent / f"{kind}{seed}", shared)
    )
    assert outcome.struck, outcome
    assert not outcome.fault, outcome
