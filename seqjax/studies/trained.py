"""How far back a trained network hears of its loss, on the data of its own task."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float64

from seqjax.models import parameters
from seqjax.results import RunDirectory
from seqjax.studies.observing import double, observed
from seqjax.training.trial import load_weights, open_task


@dataclasses.dataclass(frozen=True)
class LayerStudy:
    """Of one layer, over as many steps as the shortest example has; lags count from each example's own last step."""

    norms: dict[str, Float64[np.ndarray, "lags lanes"]]  # of dL/ds_t
    gates: dict[str, Float64[np.ndarray, "lags 3"]]  # 10th, 50th and 90th percentile over units and batch, from step 1


@dataclasses.dataclass(frozen=True)
class TrainedStudy:
    """L is the loss of one example at its last step."""

    name: str
    cell: str
    title: str
    hidden: int
    parameters: int
    layers: list[LayerStudy]


def measure(path: str) -> TrainedStudy:
    """The best weights of a run, on the batch of a step.

    Raises UserError for a run without a checkpoint, or whose data is gone.
    """
    run = RunDirectory(pathlib.Path(path))
    record = run.trial()
    weights = load_weights(run)
    config, task = open_task(record)
    lanes = config.task.batch
    template = jax.eval_shape(lambda: task.network(nnx.Rngs(0)))

    with jax.enable_x64(True):
        network = parameters.unflatten(template, double({name: np.asarray(value) for name, value in weights.items()}))
        carry = double(task.initial_carry(network, lanes))
        batch = double(task.batch(task.data, jax.random.key(0), jnp.zeros((), jnp.int32), jnp.arange(lanes)))
        layers = jax.tree.map(np.asarray, observed(task, network, batch, lanes, carry))
    lengths = getattr(batch, "length", None)
    lengths = np.full(lanes, task.time) if lengths is None else np.asarray(lengths)
    return TrainedStudy(
        name=run.name,
        cell=config.cell.name,
        title=task.title,
        hidden=config.cell.hidden,
        parameters=parameters.count(network),
        layers=[
            LayerStudy(
                norms={name: by_lag(norm, lengths) for name, norm in layer["norms"].items()},
                gates={name: _percentiles(gate[: lengths.min()]) for name, gate in layer["gates"].items()},
            )
            for layer in layers
        ],
    )


def by_lag(norms: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`[time, lanes]` in the order of time, as `[lags, lanes]`; as many lags as the shortest sequence has."""
    lags = np.arange(lengths.min())
    return norms[lengths[None, :] - 1 - lags[:, None], np.arange(len(lengths))[None, :]]


def _percentiles(gate: np.ndarray) -> np.ndarray:
    return np.percentile(gate, (10, 50, 90), axis=(1, 2)).T
