"""The matrix products of a pass, alone: what would be left of its time if all else were free.

They have the shapes, the number and the order that the recurrence forces on them: one product of all inputs, `time`
products with the state, `time` products back, and three products of everything for the gradients of the inputs and of
both matrices. The batch is divided among the devices as in the pass itself; nothing is summed between devices.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from benchmarks import passes
from benchmarks.contestant import Contestant
from benchmarks.summary import PRODUCTS
from benchmarks.work import GATES, Work


def flops(work: Work) -> int:
    """Floating-point operations of the products of one pass, forward and backward."""
    batch, time, inputs, hidden = work.shape.sizes
    return 3 * 2 * time * batch * (inputs + hidden) * GATES[work.cell] * hidden


def contestant(work: Work) -> Contestant:
    """The products of this work, with numbers of the right size in place of states and their gradients."""
    batch, time, _, hidden = work.shape.sizes
    random = np.random.default_rng(1)
    hs = random.standard_normal((time, batch, hidden), np.float32)
    dzs = random.standard_normal((time, batch, GATES[work.cell] * hidden), np.float32)
    devices = passes.mesh(batch)
    everywhere, lanes = PartitionSpec(), PartitionSpec(None, passes.LANES)
    alone = PartitionSpec(passes.LANES)
    run = jax.jit(
        jax.shard_map(
            _products,
            mesh=devices,
            in_specs=(everywhere, everywhere, lanes, lanes, lanes),
            out_specs=(lanes, alone, alone, lanes, alone, alone),
            check_vma=False,
        )
    )
    places = [NamedSharding(devices, spec) for spec in (everywhere, everywhere, lanes, lanes, lanes)]
    arguments = jax.device_put((work.weights["w"], work.weights["u"], work.xs, hs, dzs), tuple(places))
    setting = "one device" if devices.size == 1 else f"{devices.size} devices, shard_map"
    return Contestant(PRODUCTS, setting, lambda: jax.block_until_ready(run(*arguments)), read=lambda result: {})


def _products(w, u, xs, hs, dzs):
    # The barriers keep the order: without them products that wait for each other in a recurrence could run together.
    zs, hs = jax.lax.optimization_barrier((xs @ w, hs))
    forward, _ = jax.lax.scan(lambda _, h: (h @ u, None), jnp.zeros_like(dzs[0]), hs)
    forward, dzs = jax.lax.optimization_barrier((forward, dzs))
    backward, _ = jax.lax.scan(lambda _, dz: (dz @ u.T, None), jnp.zeros_like(hs[0]), dzs, reverse=True)
    backward, dzs = jax.lax.optimization_barrier((backward, dzs))
    dw, du = (jnp.einsum("tbi,tbk->ik", left, dzs) for left in (xs, hs))
    return zs, forward, backward, dzs @ w.T, dw[None], du[None]
