"""The loss of a classification."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def cross_entropy(logits: Float[Array, "*shape classes"], targets: Int[Array, "*shape"]) -> Float[Array, "*shape"]:
    """-log p(target), in nats."""
    true = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - true
