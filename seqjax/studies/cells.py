"""Of one cell, before and after some training: how far back the loss reaches, and the Jacobians that decide it."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float64

from seqjax.analysis import block, products, singular_values
from seqjax.studies.observing import Observer, starts
from seqjax.studies.settings import Settings, adding
from seqjax.tasks import Adding
from seqjax.training.step import Trainer

MOMENTS = ("before", "after")  # training


@dataclasses.dataclass(frozen=True)
class CellStudy:
    """Arrays begin with `[moments, seeds]`; a lag is counted in steps back from the last.

    States are named as by `state_names`. A singular value of ds_T/ds_t under `resolution` times the Frobenius norm of
    that matrix, taken for all states of the cell together, is rounding, and NaN here.
    """

    cell: str
    norms: dict[str, Float64[np.ndarray, "moments seeds lags"]]  # of dL/ds_t, the mean over the batch
    spectra: dict[str, Float64[np.ndarray, "moments seeds lags+1 n"]]  # of ds_T/ds_t, the largest first
    step_spectra: Float64[np.ndarray, "moments seeds time m"]  # of the whole state's Jacobian of every step
    gates: dict[str, Float64[np.ndarray, "moments seeds time 3"]]  # 10th, 50th and 90th percentile
    losses: Float64[np.ndarray, "moments seeds"]  # of the first and the last training step
    clipped: Float64[np.ndarray, "seeds"]  # the fraction of training steps
    resolution: float


def measure(cell: str, settings: Settings) -> CellStudy:
    """Train the cell from every seed on the adding problem, and look at it before and after."""
    config = adding(settings, cell)
    task = Adding(config)
    trainer = Trainer(task, config, jax.devices()[:1])
    keys = jax.vmap(jax.random.key)(np.arange(settings.seeds))
    network, before = starts(task, keys)
    after, losses, clipped = train(trainer, before, keys, settings.training_steps)
    observer = Observer(task, network, settings.batch)
    batches = jax.vmap(jax.random.fold_in, (0, None))(keys, 2)
    seen = [observer(values, batches) for values in (before, after)]

    jacobians = np.stack([moment["jacobians"] for moment in seen])
    resolution = jacobians.shape[-1] * np.finfo(float).eps
    spectra = {}
    through_time = np.stack([[products(steps) for steps in moment] for moment in jacobians])[:, :, ::-1]
    rounding = resolution * np.linalg.norm(through_time, axis=(-2, -1))[..., None]
    for name in observer.states:
        values = singular_values(block(through_time, network.stack.layers[0], name, name))
        spectra[name] = np.where((values > rounding) | (values[..., :1] == 0), values, np.nan)
    return CellStudy(
        cell=cell,
        norms={name: np.stack([moment["norms"][name] for moment in seen]) for name in observer.states},
        spectra=spectra,
        step_spectra=singular_values(jacobians),
        gates={name: np.stack([moment["gates"][name] for moment in seen]) for name in seen[0]["gates"]},
        losses=losses,
        clipped=clipped,
        resolution=resolution,
    )


def train(trainer: Trainer, values: dict, keys, steps: int):
    """One seed after the other through the program compiled for the first.

    Returns parameters stacked over seeds, the losses `[2, seeds]` of the first and the last step, and the fraction of
    steps `[seeds]` that were clipped.
    """
    trained, losses, clipped = [], [], []
    for number, key in enumerate(keys):
        trainer.key = key
        state = trainer.initialise(jax.tree.map(lambda value, number=number: value[number], values))
        state, metrics = trainer.run(state, steps)
        taken = int(state.step)
        trained.append(jax.tree.map(np.asarray, state.parameters))
        loss = np.asarray(metrics["loss"], np.float64)[: max(1, taken)]
        losses.append((loss[0], loss[-1]))
        clipped.append(float(np.asarray(metrics["clipped"])[: max(1, taken)].mean()))
    stacked = {name: np.stack([one[name] for one in trained]) for name in trained[0]}
    return stacked, np.array(losses).T, np.array(clipped)
