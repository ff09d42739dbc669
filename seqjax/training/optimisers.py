"""One optax chain from the config: clipping, optimiser, learning rate.

The learning rate and the clipping threshold enter as arrays, not as constants of the program, so that runs that differ
in them share one compilation.
"""

import jax
import optax
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from seqjax.config import at_least, one_of


def _momentum(c: ConfigDict, nesterov: bool = False) -> optax.GradientTransformation:
    trace = optax.trace(c.momentum, nesterov=nesterov)
    return optax.chain(trace, optax.scale(1 - c.momentum)) if c.dampened else trace


OPTIMISERS = {
    "sgd": lambda c: optax.identity(),
    "momentum": _momentum,
    "nesterov": lambda c: _momentum(c, nesterov=True),
    "adagrad": lambda c: optax.scale_by_rss(c.initial_accumulator, c.eps),
    "rmsprop": lambda c: optax.scale_by_rms(c.decay, c.eps, eps_in_sqrt=False),
    "adam": lambda c: optax.scale_by_adam(c.b1, c.b2, c.eps),
    "adamw": lambda c: optax.chain(optax.scale_by_adam(c.b1, c.b2, c.eps), optax.add_decayed_weights(c.weight_decay)),
}
CLIPPING = {"norm": optax.clip_by_global_norm, "element": optax.clip, "none": lambda value: optax.identity()}
SCHEDULES = ("constant", "exponential", "cosine", "plateau", "fall")


def check(config: ConfigDict) -> None:
    """Raise UserError for an unknown name or a value out of range in `optimiser`, `clip` or `schedule`."""
    one_of(config, "optimiser.name", OPTIMISERS)
    one_of(config, "clip.name", CLIPPING)
    one_of(config, "schedule.name", SCHEDULES)
    one_of(config, "schedule.unit", ("steps", "epochs"))
    for key in ("learning_rate", "momentum", "decay", "b1", "b2", "eps", "weight_decay", "initial_accumulator"):
        at_least(config, f"optimiser.{key}", 0)
    at_least(config, "clip.value", 1e-30)
    for key, least in (
        ("warmup", 0),
        ("decay", 1e-30),
        ("begin", 0),
        ("every", 1),
        ("final", 0),
        ("patience", 1),
        ("falls", 0),
    ):
        at_least(config, f"schedule.{key}", least)


def numbers(config: ConfigDict) -> dict[str, float]:
    """The numbers of a config that enter the training step as data."""
    return {
        "learning_rate": config.optimiser.learning_rate,
        "clip": config.clip.value,
        "regulariser": config.regulariser.weight,
    }


def make_optimiser(config: ConfigDict, clip: Float[Array, ""]) -> optax.GradientTransformationExtraArgs:
    """The chain; its `update` takes the step's rate as `learning_rate=`."""
    return optax.chain(
        CLIPPING[config.clip.name](clip), OPTIMISERS[config.optimiser.name](config.optimiser), _scale_by_given_rate()
    )


def _scale_by_given_rate() -> optax.GradientTransformationExtraArgs:
    def update(updates, state, params=None, *, learning_rate):
        return jax.tree.map(lambda u: -learning_rate * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def schedule(config: ConfigDict, steps_per_epoch: int) -> optax.Schedule:
    """`step -> factor` on the learning rate. Those of plateau and fall depend on evaluations: the loop keeps them."""
    s = config.schedule
    if s.name == "exponential":
        unit = steps_per_epoch if s.unit == "epochs" else 1
        factor = optax.exponential_decay(
            1.0, transition_steps=s.every * unit, decay_rate=s.decay, transition_begin=s.begin * unit, staircase=True
        )
    elif s.name == "cosine":
        factor = optax.cosine_decay_schedule(1.0, max(1, config.train.steps - s.warmup), alpha=s.final)
    else:
        factor = optax.constant_schedule(1.0)
    if not s.warmup:
        return factor
    rise = optax.linear_schedule(1 / s.warmup, 1.0, max(1, s.warmup - 1))
    return optax.join_schedules([rise, factor], [s.warmup])


def was_clipped(config: ConfigDict, gradients, norm: Float[Array, ""], clip: Float[Array, ""]):
    """Whether clipping changes these gradients."""
    if config.clip.name == "norm":
        return norm > clip
    if config.clip.name == "element":
        return optax.tree.norm(gradients, ord=float("inf")) > clip
    return norm < 0
