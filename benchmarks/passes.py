"""One forward and backward pass of a JAX layer, on one device or divided among the host devices."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

LANES = "lanes"


def mesh(batch: int) -> jax.sharding.Mesh:
    """As many devices as divide the batch evenly: those that training uses."""
    devices = jax.devices()
    while batch % len(devices):
        devices.pop()
    return jax.sharding.Mesh(np.asarray(devices), (LANES,))


def forward_and_backward(forward: Callable, *, of_inputs: bool = True) -> Callable:
    """`(weights, xs, dys) -> (ys, dweights, dxs)` for `forward(weights, xs) -> ys`; `dxs` is () if not `of_inputs`."""

    def run(weights, xs, dys):
        if not of_inputs:
            ys, pull = jax.vjp(lambda weights: forward(weights, xs), weights)
            return ys, *pull(dys), ()
        ys, pull = jax.vjp(forward, weights, xs)
        return ys, *pull(dys)

    return run


def on_one_device(forward: Callable, weights, xs, dys) -> Callable[[], Any]:
    """A pass under plain `jax.jit`. One device's products may still use all cores."""
    run, arguments = jax.jit(forward_and_backward(forward)), jax.device_put((weights, xs, dys), jax.devices()[0])
    return lambda: jax.block_until_ready(run(*arguments))


def divided_by_jit(forward: Callable, weights, xs, dys, *, batch_axis: int) -> Callable[[], Any]:
    """A pass under plain `jax.jit` with the batch divided among the devices: the compiler sees to the rest."""
    devices = mesh(xs.shape[batch_axis])
    run, arguments = jax.jit(forward_and_backward(forward)), _place(devices, weights, xs, dys, batch_axis)
    return lambda: jax.block_until_ready(run(*arguments))


def divided_by_shard_map(
    forward: Callable, weights, xs, dys, *, batch_axis: int, of_inputs: bool = True
) -> Callable[[], Any]:
    """A pass as in our training: each device has its part of the batch, gradients of weights are summed once."""
    devices, part = mesh(xs.shape[batch_axis]), _part(batch_axis)
    everywhere = PartitionSpec()

    def run(weights, xs, dys):
        ys, dweights, dxs = forward_and_backward(forward, of_inputs=of_inputs)(weights, xs, dys)
        return ys, jax.lax.psum(dweights, LANES), dxs

    sharded = jax.jit(
        jax.shard_map(
            run,
            mesh=devices,
            in_specs=(everywhere, part, part),
            out_specs=(part, everywhere, part),
            check_vma=False,  # so that gradients stay each device's own until they are summed, once
        )
    )
    arguments = _place(devices, weights, xs, dys, batch_axis)
    return lambda: jax.block_until_ready(sharded(*arguments))


def settings(forward: Callable, weights, xs, dys, *, batch_axis: int) -> dict[str, Callable[[], Any]]:
    """All the ways above that this machine and batch allow, by name."""
    ways = {"one device": on_one_device(forward, weights, xs, dys)}
    if (count := mesh(xs.shape[batch_axis]).size) > 1:
        divided = f"{count} devices"
        ways[f"{divided}, jit"] = divided_by_jit(forward, weights, xs, dys, batch_axis=batch_axis)
        ways[f"{divided}, shard_map"] = divided_by_shard_map(forward, weights, xs, dys, batch_axis=batch_axis)
    return ways


def _part(batch_axis: int) -> PartitionSpec:
    return PartitionSpec(*[None] * batch_axis, LANES)


def _place(devices, weights, xs, dys, batch_axis):
    everywhere, part = NamedSharding(devices, PartitionSpec()), NamedSharding(devices, _part(batch_axis))
    return jax.device_put((weights, xs, dys), (everywhere, part, part))
