"""Several processes, on one machine or many, that train one trial together: what they have to agree on.

All run the same loop, each on the lanes of its own devices. What training measures is the same in all of them; what
each sees for itself (a clock, a signal, the last bits of a score) is settled here before anything follows from it. The
first process writes the run directory; the others work in copies that end with them.

In a single process all of this changes nothing.
"""

import contextlib
import logging
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from seqjax.results import RunDirectory

WAIT_SECONDS = 300  # for each other, at the start


def join(coordinator: str, processes: int, process: int) -> None:
    """Become process number `process` of `processes`; to be called before JAX looks for devices.

    `coordinator` is HOST:PORT, a free port of the first process's host. Where the others do not come, XLA ends the
    process with SIGABRT.
    """
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM from us
    logging.info("process %d of %d waits up to %d s for all at %s", process, processes, WAIT_SECONDS, coordinator)
    jax.distributed.initialize(coordinator, processes, process, initialization_timeout=WAIT_SECONDS)


@contextlib.contextmanager
def own(run: RunDirectory) -> Iterator[RunDirectory]:
    """The directory this process writes to: the run's or, after the first process, a copy without its samples and
    snapshots. Raises UserError where the process does not see the run.
    """
    with contextlib.ExitStack() as temporary:
        if jax.process_index():
            run.trial()
            copy = pathlib.Path(temporary.enter_context(tempfile.TemporaryDirectory(prefix="seqjax-"))) / run.name
            shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("samples", "snapshots", "log.txt", ".*"))
            run = RunDirectory(copy)
            run.samples_folder.mkdir()
        multihost_utils.sync_global_devices("all have their copies")
        yield run


def any_of(flag: bool) -> bool:
    """Whether it is true in any process."""
    return flag if jax.process_count() == 1 else bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def of_first(scores: dict[str, float]) -> dict[str, float]:
    """The first process's numbers, to the bit, for names that all have."""
    if jax.process_count() == 1 or not scores:
        return scores
    bits = np.asarray(list(scores.values()), np.float64).view(np.uint32)  # as numbers they would be rounded to 32 bits
    values = np.asarray(multihost_utils.broadcast_one_to_all(bits)).view(np.float64)
    return dict(zip(scores, values.tolist(), strict=True))


def gathered(tree: PyTree) -> PyTree:
    """Host arrays of all of it, also of what lies divided among the processes."""

    def whole(leaf):
        complete = leaf.is_fully_addressable or leaf.is_fully_replicated
        return leaf if complete else multihost_utils.process_allgather(leaf, tiled=True)

    return jax.device_get(jax.tree.map(whole, tree))


def here(tree: PyTree, mesh: Mesh) -> PyTree:
    """What every device of the mesh has, on those of this process: for what each process does for itself."""
    return jax.device_put(jax.device_get(tree), NamedSharding(mesh.local_mesh, PartitionSpec()))
