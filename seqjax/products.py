"""Matrix products whose weight gradients are one large product, wherever the product itself is computed.

`jax.lax.scan` adds the gradient of a weight to a full-size accumulator at every step. Here each product of a
state-dependent `u` with a weight hands out, in its backward pass, `u` and the gradient of its result, as the
"gradient" of a slot of zeros that it takes beside them and does not read. Slots are scanned over like inputs, so their
gradients come stacked over time, and `collect` turns the stacks into the weight's gradient with one product.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from seqjax.errors import UserError


def _weight_gradient(
    u: Float[Array, "*batch rows"], dz: Float[Array, "*batch columns"]
) -> Float[Array, "rows columns"]:
    # In this order of operands: the other makes XLA transpose all of `dz` first, at half the speed on CPU.
    axes = tuple(range(u.ndim - 1))
    return jax.lax.dot_general(u, dz, ((axes, axes), ((), ())))


@jax.custom_vjp
def product(u: Float[Array, "*batch rows"], w: Float[Array, "rows columns"]) -> Float[Array, "*batch columns"]:
    """`u @ w`, with its weight gradient in the form that is fast on CPU."""
    return u @ w


def _product_forward(u, w):
    return u @ w, (u, w)


def _product_backward(operands, dz):
    u, w = operands
    return dz @ w.T, _weight_gradient(u, dz)


product.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def slotted(u, w, w_transposed, slot):
    """`u @ w` inside a scan; `slot` gets `(u, dz)` as its gradient, `w` and `w_transposed` get none.

    `slot` is a pair of zeros shaped like `u` and the result, the second None where `dz` is known otherwise.
    `w_transposed` is passed in, so that it is laid out once and not at every step of the backward scan. The backward
    pass cannot be differentiated once more: that raises UserError.
    """
    return u @ w


@jax.custom_jvp
def _taken_back(dz, w_transposed):
    return dz @ w_transposed


@_taken_back.defjvp
def _no_second_derivative(primals, tangents):
    # The matrices are held constant in the scan: a derivative of this would lack a part, and say nothing of it.
    raise UserError('derivatives of gradients through time need unroll(..., method="scan")')


def _slotted_forward(u, w, w_transposed, slot):
    return u @ w, (u, w_transposed, slot)


def _slotted_backward(residuals, dz):
    u, w_transposed, (_, dz_slot) = residuals
    return _taken_back(dz, w_transposed), None, None, (u, None if dz_slot is None else dz)


slotted.defvjp(_slotted_forward, _slotted_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def collect(first: int, last: int, w, us, zs):
    """`us` and `zs` as they are. Their gradients, the stacks of `u` and of `dz`, become the gradient of `w`.

    `us` is `[time, *batch, rows]`. Columns `first` to `last` of `zs`, `[time, *batch, ...]`, have the product's
    gradient: a slot of its own, or projected inputs that the product is added to.
    """
    return us, zs


def _collect_forward(first, last, w, us, zs):
    return (us, zs), None


def _collect_backward(first, last, _, gradients):
    us, dzs = gradients
    return _weight_gradient(us, dzs[..., first:last]), jnp.zeros_like(us), dzs


collect.defvjp(_collect_forward, _collect_backward)
