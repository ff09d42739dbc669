"""What the named initialisers draw."""

import jax
import numpy as np
import pytest

from seqjax.errors import UserError
from seqjax.initialisers import INITIALISERS, initialiser, per_gate

KEY = jax.random.key(0)


@pytest.mark.parametrize("name", INITIALISERS)
def test_scale_multiplies_what_is_drawn(name):
    once, thrice = (initialiser(name, scale)(KEY, (20, 20)) for scale in (1.0, 3.0))
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-6)
    assert once.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "spread"),
    [
        ("glorot", np.sqrt(2 / 300)),
        ("normal", 1.0),
        ("orthogonal", np.sqrt(1 / 200)),
        ("uniform", np.sqrt(1 / 3)),
    ],
)
def test_spread_and_mean(name, spread):
    drawn = np.asarray(initialiser(name)(KEY, (100, 200)))
    assert drawn.std() == pytest.approx(spread, rel=0.02)
    assert abs(drawn.mean()) < 4 * spread / np.sqrt(drawn.size)


def test_uniform_stays_within_its_bounds():
    drawn = np.asarray(initialiser("uniform", 0.5)(KEY, (100, 100)))
    assert drawn.min() >= -0.5 and drawn.max() <= 0.5
    assert drawn.min() < -0.49 and drawn.max() > 0.49


def test_per_gate_draws_each_gate_for_itself():
    blocks = np.split(np.asarray(per_gate(initialiser("orthogonal"), 3)(KEY, (8, 24))), 3, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-5)
    assert len({block.tobytes() for block in blocks}) == 3


def test_errors_are_sentences():
    with pytest.raises(UserError, match="unknown initialiser 'orthogonl'; did you mean 'orthogonal'"):
        initialiser("orthogonl")
    with pytest.raises(UserError, match="the identity initialiser needs a square matrix, not 2 x 3"):
        initialiser("identity")(KEY, (2, 3))
