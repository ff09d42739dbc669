"""The training step: pure, data-parallel over the devices at hand, many steps in one dispatch."""

import copy
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PyTree
from ml_collections import ConfigDict

from seqjax.analysis import probes
from seqjax.analysis.taps import network_slots, tapped
from seqjax.errors import UserError
from seqjax.models import parameters
from seqjax.training import memory
from seqjax.training.optimisers import make_optimiser, numbers, schedule, was_clipped
from seqjax.training.regulariser import omega

CAUSES = {1: "the loss", 2: "the gradient", 3: "the update"}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a step changes."""

    parameters: dict[str, Array]
    optimiser: PyTree
    carry: PyTree  # the recurrent state of every lane, [lanes, ...]
    step: Int[Array, ""]  # steps taken
    plateau: Float[Array, ""]  # factor on the learning rate that the plateau schedule has reached
    diverged: Int[Array, ""]  # 0, or why the step after `step` was refused: a key of CAUSES


class Trainer:
    """A task and a config compiled to functions: `initialise`, `run`, and `probe`.

    `run(state, stop)` takes `steps_per_dispatch` steps, or fewer where `stop` steps are reached, and returns the new
    state and the metrics of each step as `[steps]` arrays. A step whose loss, gradient or update is not finite leaves
    the state as it was, and so do the steps after it; `state.diverged` tells.

    The lanes are divided among the devices; parameters are on all. Gradients are averaged once a step.
    """

    size = 1  # how many trials a dispatch trains

    def __init__(self, task, config: ConfigDict, devices=None):
        self.task, self.config = task, config
        devices = list(devices or jax.devices())
        if config.task.batch % len(devices) and jax.process_count() > 1:
            raise UserError(
                f"task.batch is {config.task.batch}; it should be a multiple of {len(devices)}, the number of devices "
                "of all its processes"
            )
        while config.task.batch % len(devices):
            devices.pop()
        self.mesh = jax.sharding.Mesh(np.asarray(devices), ("lanes",))
        self.template = jax.eval_shape(lambda: task.network_of(config, rngs=nnx.Rngs(0)))
        fresh = jax.eval_shape(self._initialise, jax.random.key(0), None)
        memory.check(fresh.parameters, fresh.optimiser, self.mesh.local_devices[0])
        self.data = jax.device_put(task.data, NamedSharding(self.mesh, PartitionSpec()))
        self._schedule = schedule(config, task.steps_per_epoch)
        self._compiled = {}  # "run", once it is; shared by twins
        self._set_numbers()

    def _set_numbers(self):
        self.numbers = {name: jnp.asarray(value) for name, value in numbers(self.config).items()}
        self.dropout = jnp.asarray(self.config.model.dropout) if self.config.model.dropout else None
        self.key = jax.random.key(self.config.seed)

    def twin(self, config: ConfigDict) -> "Trainer":
        """The trainer of a config that differs in numbers alone (`stack.NUMBERS`): data and compiled functions are
        shared. Raises UserError where the networks are not of one kind.
        """
        other = copy.copy(self)
        other.config = config
        other._set_numbers()
        other._probe = self._probe
        if all(config[group] == self.config[group] for group in ("cell", "init")):
            other._initialise = self._initialise
            return other
        other.__dict__.pop("_initialise", None)
        other.template = jax.eval_shape(lambda: self.task.network_of(config, rngs=nnx.Rngs(0)))
        if jax.tree.structure(other.template) != jax.tree.structure(self.template):
            raise UserError("these trials cannot be stacked: an option of the cell changes its program; use --stack=1")
        return other

    @property
    def shardings(self) -> TrainState:
        """Where each part of the state lives."""
        return jax.tree.map(lambda spec: NamedSharding(self.mesh, spec), self._specs())

    def _specs(self) -> TrainState:
        lanes, everywhere = PartitionSpec("lanes"), PartitionSpec()
        return TrainState(everywhere, everywhere, lanes, everywhere, everywhere, everywhere)

    def place(self, state: TrainState) -> TrainState:
        """The state on the devices, wherever its arrays come from."""
        shardings = self.shardings
        put = {
            field.name: jax.device_put(getattr(state, field.name), getattr(shardings, field.name))
            for field in dataclasses.fields(TrainState)
        }
        return TrainState(**put)

    def network(self, values: dict[str, Array]):
        """The network with these parameters."""
        return parameters.unflatten(self.template, values)

    def initialise(self, values: dict[str, Array] | None = None) -> TrainState:
        """The state before the first step, from the config's seed or with the given parameters."""

        if values is not None:
            values = parameters.flatten(self.network(values))
        return self.place(self._initialise(jax.random.fold_in(self.key, 0), values))

    @functools.cached_property
    def _initialise(self):
        config, template = self.config, self.template

        def make(key, values):
            if values is None:
                values = parameters.flatten(self.task.network_of(config, rngs=nnx.Rngs(key)))
            network = parameters.unflatten(template, values)
            return TrainState(
                parameters=values,
                optimiser=make_optimiser(config, 1.0).init(values),
                carry=self.task.initial_carry(network, config.task.batch),
                step=jnp.zeros((), jnp.int32),
                plateau=jnp.ones(()),
                diverged=jnp.zeros((), jnp.int32),
            )

        return jax.jit(make)

    def run(self, state: TrainState, stop: int) -> tuple[TrainState, dict[str, Array]]:
        """One dispatch; the state given is used up."""
        return self._compiled.get("run", self._run)(*self._arguments(state, stop))

    def advance(self, states, stops) -> list[tuple[TrainState, dict]]:
        """`run` in the form of `Stack.advance`, for the one state there is."""
        return [self.run(state, stop) for state, stop in zip(states, stops, strict=True)]

    def compile(self, state: TrainState) -> None:
        """Do the compiling of the first dispatch now, so that it is not counted as training."""
        if "run" not in self._compiled:
            self._compiled["run"] = self._run.lower(*self._arguments(state, 0)).compile()

    def probe(self, state: TrainState) -> dict[str, float]:
        """How gradients travel, and how gates stand, on the batch of the next step: see `analysis.probes`."""
        measured = self._probe(state, self.data, jax.random.fold_in(self.key, 1))
        return {name: float(value) for name, value in measured.items()}

    @functools.cached_property
    def _probe(self):
        def probe(state, data, key):
            lanes = jnp.arange(self.config.task.batch)
            batch = self.task.batch(data, jax.random.fold_in(key, state.step), state.step, lanes)
            network = self.network(state.parameters)

            def loss(network):
                return self.task.end_loss(network, state.carry, batch)

            lengths = getattr(batch, "length", None)
            return probes.probe(network, loss, self.task.time, self.config.task.batch, lengths)

        return jax.jit(probe)

    def _arguments(self, state, stop: int):
        key = jax.random.fold_in(self.key, 1)
        return state, self.data, self.numbers, self.dropout, key, jnp.asarray(stop, jnp.int32)

    @functools.cached_property
    def _run(self):
        everywhere = PartitionSpec()
        sharded = jax.shard_map(
            self.steps,
            mesh=self.mesh,
            in_specs=(self._specs(), *[everywhere] * 5),
            out_specs=(self._specs(), everywhere),
            check_vma=False,  # so that gradients stay each device's own until they are averaged, once, below
        )
        return jax.jit(sharded, donate_argnums=0)

    def steps(self, state, data, numbers, dropout, key, stop):
        """The steps of a dispatch on one device's lanes, inside `shard_map`."""

        def step(state, _):
            new, metrics = self._step(state, data, numbers, dropout, key)
            accept = (state.diverged == 0) & (new.diverged == 0) & (state.step < stop)
            kept = jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, state)
            diverged = jnp.where(state.step < stop, jnp.maximum(state.diverged, new.diverged), state.diverged)
            return dataclasses.replace(kept, diverged=diverged), metrics

        return jax.lax.scan(step, state, length=self.config.train.steps_per_dispatch)

    def _step(self, state, data, numbers, dropout, key):
        lanes_here = self.config.task.batch // self.mesh.size
        lanes = jax.lax.axis_index("lanes") * lanes_here + jnp.arange(lanes_here)
        key = jax.random.fold_in(key, state.step)
        batch = self.task.batch(data, key, state.step, lanes)
        lane_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, lanes) if dropout is not None else None

        def loss(values, slots):
            network = self.network(values)
            network = tapped(network, slots) if slots else network
            return self.task.loss(network, state.carry, batch, dropout, lane_keys)

        regularised = self.config.regulariser.name == "pascanu"
        slots = network_slots(self.network(state.parameters), self.task.time, (lanes_here,)) if regularised else ()
        (value, (carry, metrics)), (gradients, seen) = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(
            state.parameters, slots
        )
        if regularised:
            penalty, pull = jax.value_and_grad(self._penalty)(state.parameters, seen)
            gradients = jax.tree.map(lambda g, p: g + numbers["regulariser"] * p, gradients, pull)
            metrics |= {"omega": penalty}
        value, metrics, gradients = jax.lax.pmean((value, metrics, gradients), "lanes")

        norm = optax.tree.norm(gradients)
        learning_rate = numbers["learning_rate"] * self._schedule(state.step) * state.plateau
        updates, optimiser = make_optimiser(self.config, numbers["clip"]).update(
            gradients, state.optimiser, state.parameters, learning_rate=learning_rate
        )
        values = optax.apply_updates(state.parameters, updates)
        finite = jnp.isfinite(jnp.stack([value, norm, optax.tree.norm(values)]))
        new = TrainState(
            parameters=values,
            optimiser=optimiser,
            carry=carry,
            step=state.step + 1,
            plateau=state.plateau,
            diverged=jnp.where(finite.all(), 0, 1 + jnp.argmin(finite)).astype(jnp.int32),
        )
        metrics |= {
            "loss": value,
            "gradient_norm": norm,
            "clipped": was_clipped(self.config, gradients, norm, numbers["clip"]).astype(norm.dtype),
            "learning_rate": learning_rate,
        }
        return new, metrics

    def _penalty(self, values, seen):
        """This device's part of the regulariser, so large that the mean over devices is the whole.

        Here the loss is a mean over the lanes of one device: its gradient is that of the whole batch times the number
        of devices.
        """
        seen = tuple(
            layer._replace(gradients=jax.tree.map(lambda d: d / self.mesh.size, layer.gradients)) for layer in seen
        )
        return self.mesh.size * omega(self.network(values), seen, lambda count: jax.lax.psum(count, "lanes"))
