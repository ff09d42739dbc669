"""Whether a trial can fit at all: what does not is refused in a sentence, before an allocation fails deep in XLA."""

import os
import pathlib
import resource

import jax
from jaxtyping import PyTree

from seqjax.errors import UserError

CGROUP = pathlib.Path("/sys/fs/cgroup/memory.max")  # of a container, under cgroup v2: bytes, or "max"
NO_LIMIT = 1 << 62


def limit(device: jax.Device) -> int:
    """Bytes that this process can have at most on a device of its own: the memory's size without swap, or less where
    `ulimit -v` or a container says so; on a GPU what JAX may take, or no limit where it does not tell.
    """
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit", NO_LIMIT)
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY:
        limits.append(allowed)
    if CGROUP.exists() and (text := CGROUP.read_text().strip()).isdigit():
        limits.append(int(text))
    return min(limits)


def check(weights: PyTree, optimiser: PyTree, device: jax.Device) -> None:
    """Raise UserError where the weights, their gradient and the optimiser's state, given as shapes, are more than fits.

    What a batch needs comes on top and is not counted, nor are copies for further devices or a stack's other members.
    """
    count = sum(leaf.size for leaf in jax.tree.leaves(weights))
    needed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves((weights, weights, optimiser)))
    if needed > (most := limit(device)):
        raise UserError(
            f"{count:,} weights, their gradient and the optimiser's state take {needed / 1e9:.1f} GB, more than the "
            f"{most / 1e9:.1f} GB there are; make cell.hidden, cell.parameters, cell.layers or model.embedding smaller"
        )
