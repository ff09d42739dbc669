"""What the forget gate of an LSTM starts with, and how far back its memory hears of the loss.

Reference: Jozefowicz, Zaremba & Sutskever (2015), ICML, for a bias of 1; Tallec & Ollivier (2018), arXiv:1804.11188,
for the chrono initialisation.
"""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float64

from seqjax.studies.observing import Observer, starts
from seqjax.studies.settings import Settings, adding
from seqjax.tasks import Adding

BIASES = (0.0, 1.0, 2.0)


@dataclasses.dataclass(frozen=True)
class BiasStudy:
    """At initialisation. `label` says what the bias starts at."""

    label: str
    norms: Float64[np.ndarray, "seeds lags"]  # of dL/dc_t, the mean over the batch
    forget: Float64[np.ndarray, "seeds time"]  # the forget gate's mean over units and batch


def measure(settings: Settings) -> list[BiasStudy]:
    """Every bias, and chrono with the sequence's length as its longest dependency."""
    starts_at = {f"{bias:g}": {"forget_bias": bias} for bias in BIASES}
    starts_at[f"chrono {settings.length}"] = {"chrono": settings.length}
    keys = jax.vmap(jax.random.key)(np.arange(settings.seeds))
    batches = jax.vmap(jax.random.fold_in, (0, None))(keys, 2)
    observer, studies = None, []
    for label, options in starts_at.items():
        task = Adding(adding(settings, "lstm", **options))
        network, values = starts(task, keys)
        if observer is None:  # the parameters differ, the program does not
            observer = Observer(task, network, settings.batch, jacobians=False)
        seen = observer(values, batches)
        studies.append(BiasStudy(label, seen["norms"]["memory"], seen["gate_means"]["forget"]))
    return studies
