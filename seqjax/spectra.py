"""The spectral radius of a matrix, by matrix products alone.

Not every accelerator has the eigenvalues of non-symmetric matrices; products run everywhere, in `jit` and under `vmap`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def spectral_radius(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    r"""The largest modulus of an eigenvalue, by Gelfand's formula on powers squared over and over.

        rho = lim |W^k|^(1/k),  k = 1, 2, 4, 8, ...

    In float32 k reaches 2^30, and what is left of the limit is less than rounding, for complex eigenvalues too. The
    error is about what rounding the entries of W does to its eigenvalues: a relative 1e-6 for matrices near normal
    (orthogonal, random), more where eigenvectors are nearly parallel.

    0 for the zero matrix and for nilpotent ones whose powers vanish without rounding (strictly triangular, for
    example); NaN where W has infinities or NaN.

    Reference: Gelfand (1941), Matematicheskii Sbornik 9(51).
    """
    squarings = jnp.finfo(matrix.dtype).nmant + 7
    nilpotent_by = (matrix.shape[0] - 1).bit_length()  # W^n = 0 if ever: a power that vanishes later has underflowed

    def square(number, carry):
        power, log_radius, weight = carry
        size = jnp.abs(power).max()
        vanished = size == 0
        size = jnp.where(vanished, 1, size)
        log_radius += jnp.log(size) * weight
        log_radius = jnp.where(vanished & (number <= nilpotent_by), -jnp.inf, log_radius)
        power = power / size
        return jnp.matmul(power, power, precision=jax.lax.Precision.HIGHEST), log_radius, weight / 2

    one = jnp.ones((), matrix.dtype)
    _, log_radius, _ = jax.lax.fori_loop(0, squarings, square, (matrix, 0 * one, one))
    return jnp.exp(log_radius)
