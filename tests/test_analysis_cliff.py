"""The cliff: its gradient, its wall, and descent with and without clipping."""

import jax
import jax.numpy as jnp
import numpy as np

from seqjax.analysis import cliff

UNCLIPPED = {**cliff.START, "clip": None}


def test_the_loss_is_that_of_the_equations():
    x = 0.5
    for _ in range(50):
        x = 4.8 / (1 + np.exp(-x)) - 2.2
    np.testing.assert_allclose(cliff.loss(4.8, -2.2), (1 / (1 + np.exp(-x)) - 0.7) ** 2, rtol=1e-12)
    assert cliff.loss(1e4, -1e5) == 0.7**2  # far out nothing overflows


def test_the_gradient_is_that_of_jax(float64):
    def loss(w, b):
        x = jax.lax.fori_loop(0, 50, lambda _, x: w * jax.nn.sigmoid(x) + b, 0.5)
        return (jax.nn.sigmoid(x) - 0.7) ** 2

    ws, bs = np.random.default_rng(0).uniform([[4.0], [-3.0]], [[6.0], [-1.5]], (2, 30))
    value, *gradient = cliff.loss_and_gradient(ws, bs)
    expected, expected_gradient = jax.vmap(jax.value_and_grad(loss, argnums=(0, 1)))(jnp.asarray(ws), jnp.asarray(bs))
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(gradient, jnp.stack(expected_gradient), rtol=1e-9, atol=1e-15)


def test_the_surface_has_a_wall():
    ws, bs = np.linspace(*cliff.WINDOW["w"], 60), np.linspace(*cliff.WINDOW["b"], 90)
    surface = cliff.surface(ws, bs)
    assert surface.shape == (60, 90)
    assert surface[7, 11] == cliff.loss(ws[7], bs[11])
    _, *gradient = cliff.loss_and_gradient(ws[:, None], bs[None])
    norm = np.hypot(*gradient)
    assert norm.max() > 100 * np.median(norm)
    low, high = surface[40, [0, -1]]
    steepest = np.abs(np.diff(surface[40])).max()
    assert steepest > 0.5 * np.abs(np.ptp(surface[40])) and low > 0.2 > high


def test_without_clipping_the_wall_throws_far_away():
    path = cliff.descend(**UNCLIPPED)
    jumps = np.hypot(np.diff(path["w"]), np.diff(path["b"]))
    assert path["gradient_norm"].max() > 5 and jumps.max() > 1.5
    assert not path["clipped"].any()
    assert path["loss"][-1] > 0.05
    worst = path["gradient_norm"].argmax()
    assert (path["gradient_norm"][: worst - 5] < 1).all()


def test_with_clipping_descent_goes_on_to_the_minimum():
    path = cliff.descend(**cliff.START)
    jumps = np.hypot(np.diff(path["w"]), np.diff(path["b"]))
    assert (jumps <= cliff.START["learning_rate"] * cliff.START["clip"] * (1 + 1e-9)).all()
    np.testing.assert_array_equal(path["clipped"], path["gradient_norm"] > cliff.START["clip"])
    assert path["clipped"].any() and not path["clipped"].all()
    assert np.median(path["loss"][-30:]) < 0.003
    for name, low_high in cliff.WINDOW.items():
        assert (path[name] > low_high[0]).all() and (path[name] < low_high[1]).all()
    assert {len(column) for column in path.values()} == {cliff.START["steps"] + 1}


def test_both_paths_are_the_same_up_to_the_first_clipped_step():
    plain, clipped = cliff.descend(**UNCLIPPED), cliff.descend(**cliff.START)
    first = clipped["clipped"].argmax()
    assert first > 3
    np.testing.assert_array_equal(plain["loss"][: first + 1], clipped["loss"][: first + 1])
