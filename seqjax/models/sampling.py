"""Writing text with a language model."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key


@functools.partial(jax.jit, static_argnames=("length", "top_k"))
def generate(
    network,
    prompt: Int[Array, "time"],
    key: Key[Array, ""],
    temperature: Float[Array, ""] | float,
    *,
    length: int,
    top_k: int = 0,
) -> Int[Array, "length"]:
    """`length` symbols that follow `prompt` (at least one symbol), each drawn from the network's prediction.

    The logits are divided by `temperature`; 0 always takes the likeliest symbol. `top_k > 0` draws among so many
    likeliest symbols only.
    """
    state, logits = network(prompt.astype(jnp.int32))

    def step(carry, key):
        state, logits = carry
        symbol = _draw(logits, key, temperature, top_k)
        state, ys = network(symbol[None], state)
        return (state, ys[0]), symbol

    return jax.lax.scan(step, (state, logits[-1]), jax.random.split(key, length))[1]


def _draw(logits, key, temperature, top_k):
    if 0 < top_k < logits.shape[-1]:
        least = jax.lax.top_k(logits, top_k)[0][-1]
        logits = jnp.where(logits < least, -jnp.inf, logits)
    drawn = jax.random.categorical(key, logits / jnp.where(temperature > 0, temperature, 1))
    return jnp.where(temperature > 0, drawn, logits.argmax(-1)).astype(jnp.int32)
