"""What the named initialisers draw."""

import jax
import jax.numpy as jnp
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
        ("uniform_units", np.sqrt(1 / 3 / 200)),
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


@pytest.mark.parametrize("shape", [(40, 100), (100, 100), (100, 40)])
def test_uniform_over_the_root_of_the_units_for_input_recurrent_and_output_weights_of_100_units(shape):
    drawn = np.abs(np.asarray(initialiser("uniform_units", 0.7)(KEY, shape)))
    assert 0.068 < drawn.max() <= 0.07


@pytest.mark.parametrize("hidden", [1, 10, 15, 16, 50])
def test_sparse_keeps_15_weights_a_unit_and_has_the_spectral_radius_asked_for(hidden):
    drawn = np.asarray(initialiser("sparse", 0.95)(KEY, (hidden, hidden)))
    assert ((drawn != 0).sum(axis=1) == min(hidden, 15)).all()
    assert np.abs(np.linalg.eigvals(drawn.astype(np.float64))).max() == pytest.approx(0.95, rel=1e-5)


def test_sparse_draws_normal_weights_at_places_of_equal_chance():
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: initialiser("sparse")(key, (20, 20))))(jax.random.split(KEY, 400)))
    chance = (drawn != 0).mean(axis=0)
    assert np.abs(chance - 15 / 20).max() < 5 * np.sqrt(0.75 * 0.25 / 400)
    one = np.asarray(initialiser("sparse")(KEY, (300, 300)))
    weights = one[one != 0] / one[one != 0].std()
    assert abs(weights.mean()) < 4 / np.sqrt(weights.size)
    assert (weights**4).mean() == pytest.approx(3, rel=0.2), "the kurtosis of a normal distribution"
    assert len({tuple(row != 0) for row in one}) == 300, "each unit's places are drawn for themselves"


@pytest.mark.parametrize("name", INITIALISERS)
def test_drawn_in_jit_and_vmap_as_outside(name):
    keys = jax.random.split(KEY, 3)
    mapped = jax.jit(jax.vmap(lambda key: initialiser(name, 0.95)(key, (20, 20), jnp.float32)))(keys)
    alone = np.stack([initialiser(name, 0.95)(key, (20, 20), jnp.float32) for key in keys])
    np.testing.assert_allclose(mapped, alone, rtol=1e-4, atol=1e-5)


def test_per_gate_draws_each_gate_for_itself():
    blocks = np.split(np.asarray(per_gate(initialiser("orthogonal"), 3)(KEY, (8, 24))), 3, axis=1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-5)
    assert len({block.tobytes() for block in blocks}) == 3


def test_errors_are_sentences():
    with pytest.raises(UserError, match="unknown initialiser 'orthogonl'; did you mean 'orthogonal'"):
        initialiser("orthogonl")
    for name in "identity", "sparse":
        with pytest.raises(UserError, match=f"the {name} initialiser needs a square matrix, not 2 x 3"):
            initialiser(name)(KEY, (2, 3))
