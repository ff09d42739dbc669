"""The cliff: the smallest recurrent network whose loss has a wall, and what gradient descent does there.

    x_t = w sigmoid(x_{t-1}) + b,   x_0 = 1/2,   E = (sigmoid(x_50) - 0.7)^2

Where one of the unit's two stable states ceases to exist, a step across a line in (w, b) sends x_50 from one to the
other. There the gradient is thousands of times as large as elsewhere. A plain step from the wall lands far away; one
whose gradient is clipped stays near and goes on to the minimum.

In 64 bits and NumPy. Reference: Pascanu, Mikolov & Bengio (2013), arXiv:1211.5063, section 2.3, figure 6.
"""

import numpy as np
from jaxtyping import Float64

WINDOW = {"w": (4.0, 6.0), "b": (-3.0, -1.5)}  # shows the wall, from where it begins to where it is steepest
START = {"w": 4.8, "b": -2.2, "learning_rate": 0.3, "steps": 150, "clip": 0.3}  # descends to the wall in 30 steps

Floats = float | Float64[np.ndarray, "..."]


def loss(w: Floats, b: Floats, steps: int = 50) -> Floats:
    """The loss E after that many steps of the unit; w and b broadcast."""
    return loss_and_gradient(w, b, steps)[0]


def loss_and_gradient(w: Floats, b: Floats, steps: int = 50) -> tuple[Floats, Floats, Floats]:
    """E, dE/dw and dE/db, by running dx_t/dw and dx_t/db along with x_t."""
    x, x_w, x_b = 0.5, 0.0, 0.0
    for _ in range(steps):
        s, slope = _sigmoid(x)
        x, x_w, x_b = w * s + b, s + w * slope * x_w, 1 + w * slope * x_b
    s, slope = _sigmoid(x)
    error = s - 0.7
    return error**2, 2 * error * slope * x_w, 2 * error * slope * x_b


def _sigmoid(x):
    """The sigmoid and its derivative; as a tanh it does not overflow."""
    s = 0.5 + 0.5 * np.tanh(0.5 * x)
    return s, s * (1 - s)


def surface(
    ws: Float64[np.ndarray, "ws"], bs: Float64[np.ndarray, "bs"], steps: int = 50
) -> Float64[np.ndarray, "ws bs"]:
    """The loss at every pair of a w and a b."""
    return loss(np.asarray(ws)[:, None], np.asarray(bs)[None, :], steps)


def descend(w: float, b: float, learning_rate: float, steps: int, clip: float | None = None) -> dict[str, np.ndarray]:
    """Gradient descent from (w, b): `[steps + 1]` arrays `w`, `b`, `loss`, `gradient_norm` and `clipped`.

    Entry k is the place after k steps, the loss and the norm of the (unclipped) gradient there, and whether the step
    from there is clipped. With `clip`, a gradient whose norm is larger is scaled down to that norm.
    """
    rows = []
    for _ in range(steps + 1):
        value, *gradient = loss_and_gradient(w, b)
        norm = np.hypot(*gradient)
        clipped = clip is not None and norm > clip
        rows.append((w, b, value, norm, clipped))
        scale = learning_rate * (clip / norm if clipped else 1.0)
        w, b = w - scale * gradient[0], b - scale * gradient[1]
    names = ("w", "b", "loss", "gradient_norm", "clipped")
    return {name: np.asarray(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
