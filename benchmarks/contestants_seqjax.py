"""Our own layer: `unroll`, and the same cell as a plain scan."""

import jax

from benchmarks import passes
from benchmarks.contestant import Contestant
from benchmarks.summary import OURS, PLAIN
from benchmarks.work import Work
from seqjax.recurrence import unroll


def contestant(work: Work, peer: str = OURS, **options) -> Contestant:
    """`unroll` with these options, the batch divided among the devices as in training."""

    def forward(weights, xs):
        return unroll(work.module(weights), xs, **options)[1]

    call = passes.divided_by_shard_map(forward, work.weights, work.xs, work.dys, batch_axis=1)
    count = passes.mesh(work.shape.batch).size
    return Contestant(peer, "one device" if count == 1 else f"{count} devices, shard_map", call, read)


def plain(work: Work) -> list[Contestant]:
    """`jax.lax.scan` over the same steps, differentiated by JAX, under the same division of the batch."""
    return [contestant(work, PLAIN, method="scan")]


def read(result) -> dict:
    ys, dweights, dxs = jax.device_get(result)
    return {"ys": ys, "xs": dxs, **dweights}
