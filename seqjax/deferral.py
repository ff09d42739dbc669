"""A function of a cell, traced and taken apart, so that the cell's author can write `h @ self.u` and nothing else.

What depends on the parameters alone is computed once, and not at every step. Products of the rest with a matrix become
those of `products`, whose weight gradients are one product for all steps. Everything else is left as it was, with the
derivative JAX has: parameters used element by element, products inside a loop or a branch.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal
from jaxtyping import Array, Float, PyTree

from seqjax.products import collect, product, slotted

NESTED = {"jit", "pjit", "closed_call"}  # calls whose equations stand here in their place


class _Value:
    """What one equation of the flat program puts out, known by its identity."""

    def __init__(self, aval):
        self.shape, self.dtype = aval.shape, aval.dtype


class _Equation(NamedTuple):
    name: str
    params: dict
    run: object  # from the values of its inputs to those of its outputs
    inputs: list[_Value]
    outputs: list[_Value]
    effects: object


class _Product(NamedTuple):
    """`u @ w`: the state-dependent `u` with `axis` summed over, and the matrix `[rows, columns]`.

    `swapped` where the program has the matrix first: the columns are then the first axis of its result.
    """

    u: _Value
    axis: int
    w: Float[Array, "rows columns"]
    out: _Value
    swapped: bool

    def compute(self, u, multiply):
        y = multiply(jnp.moveaxis(u, self.axis, -1))
        return jnp.moveaxis(y, -1, 0) if self.swapped else y

    def slot_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Those of `u` and of the product at one step."""
        rest = self.u.shape[: self.axis] + self.u.shape[self.axis + 1 :]
        return (*rest, self.w.shape[0]), (*rest, self.w.shape[1])


class Deferred:
    """`f(module, *varying)` for a module that stays the same from step to step, and arguments that do not.

    `zs, slots = make_slots(zs, time)` gives the slots for `time` steps; then `step(slot, *varying)` is one step, with
    its slice of the slots and of `zs`, the last of the varying arguments. `whole(*varying)` is the function itself.
    """

    def __init__(self, f, module, *varying: PyTree):
        leaves, structure = jax.tree.flatten(module)

        def g(leaves, *varying):
            return f(jax.tree.unflatten(structure, leaves), *varying)

        closed, shapes = jax.make_jaxpr(g, return_shape=True)(leaves, *varying)
        self._structure = jax.tree.structure(shapes)
        inputs, equations, self._outputs, self._known = _flatten(closed)
        self._inputs = inputs[len(leaves) :]
        self._known.update(zip(inputs, leaves, strict=False))  # the leaves come first
        self._equations, self._products, self._repeated = [], {}, set()
        for equation in equations:
            self._place(equation)
        self._fixed = [jax.lax.stop_gradient((p.w, p.w.T)) for p in self._products.values()]

    def whole(self, *varying: PyTree) -> PyTree:
        """The function, with weight gradients in the fast form."""
        multiply = [functools.partial(product, w=p.w) for p in self._products.values()]
        return self._result(self._evaluate(multiply, varying), self._outputs)

    def split_bias(self, *varying: PyTree) -> tuple[PyTree, PyTree]:
        """`(rest, bias)`: the function is their sum, and `bias` lacks the first axis, along which it is the same.

        For outputs that do not end in the addition of a bias, `bias` is None.
        """
        multiply = [functools.partial(product, w=p.w) for p in self._products.values()]
        values = self._evaluate(multiply, varying)
        rests, biases = zip(*[self._bias_of(a) for a in self._outputs], strict=True)
        biases = [None if b is None else values[b][0] for b in biases]
        return self._result(values, rests), jax.tree.unflatten(self._structure, biases)

    def step(self, slots: list, *varying: PyTree) -> PyTree:
        """The function, with its gradients with respect to the matrices going through `slots`."""
        multiply = [
            functools.partial(slotted, w=w, w_transposed=transposed, slot=slot)
            for (w, transposed), slot in zip(self._fixed, slots, strict=True)
        ]
        return self._result(self._evaluate(multiply, varying), self._outputs)

    def make_slots(self, zs: PyTree, time: int) -> tuple[PyTree, list]:
        """`zs`, `[time, ...]` arrays, to be used in the place of those given, and a slot for each product."""
        leaves, structure = jax.tree.flatten(zs)
        uses = self._uses_of_last_columns(self._inputs[len(self._inputs) - len(leaves) :])
        slots = []
        for found in self._products.values():
            u_shape, out_shape = found.slot_shapes()
            us = jnp.zeros((time, *u_shape), found.u.dtype)
            place = None if found.swapped else self._added_to(found.out, uses)
            if place is None:
                dzs = jnp.zeros((time, *out_shape), found.out.dtype)
                slots.append(collect(0, found.w.shape[1], found.w, us, dzs))
            else:
                leaf, first, last = place
                us, leaves[leaf] = collect(first, last, found.w, us, leaves[leaf])
                slots.append((us, None))
        return jax.tree.unflatten(structure, leaves), slots

    def _place(self, equation):
        """Evaluate the equation now, where it can be; else keep it, and note a product with a matrix."""
        fixed = [a in self._known for a in equation.inputs]
        if all(fixed) and not equation.effects:  # a callback is for every step
            values = equation.run(*(self._known[a] for a in equation.inputs))
            self._known.update(zip(equation.outputs, values, strict=True))
            if equation.name == "broadcast_in_dim" and 0 not in equation.params["broadcast_dimensions"]:
                self._repeated.update(equation.outputs)  # along the first axis
            return
        if equation.name == "dot_general" and any(fixed):
            found = self._as_product(equation, swapped=fixed[0])
            if found is not None:
                self._products[len(self._equations)] = found
        self._equations.append(equation)

    def _as_product(self, equation, swapped) -> _Product | None:
        (left_axes, right_axes), batch_axes = equation.params["dimension_numbers"]
        sides = [(equation.inputs[0], left_axes), (equation.inputs[1], right_axes)]
        (u, u_axes), (w, w_axes) = reversed(sides) if swapped else sides
        out = equation.outputs[0]
        plain = not any(batch_axes) and len(w.shape) == 2 and len(w_axes) == 1
        plain = plain and equation.params["precision"] is None
        if not plain or not u.dtype == w.dtype == out.dtype:
            return None
        matrix = self._known[w]
        return _Product(u, u_axes[0], matrix if w_axes[0] == 0 else matrix.T, out, swapped)

    def _evaluate(self, multiply, varying):
        values = self._known | dict(zip(self._inputs, jax.tree.leaves(varying), strict=True))
        multiply = dict(zip(self._products, multiply, strict=True))
        for number, equation in enumerate(self._equations):
            if number in multiply:
                found = self._products[number]
                outputs = [found.compute(values[found.u], multiply[number])]
            else:
                outputs = equation.run(*(values[a] for a in equation.inputs))
            values.update(zip(equation.outputs, outputs, strict=True))
        return values

    def _result(self, values, outputs):
        return jax.tree.unflatten(self._structure, [values[a] for a in outputs])

    def _bias_of(self, output) -> tuple[_Value, _Value | None]:
        for equation in self._equations:
            if equation.name == "add" and output in equation.outputs:
                for rest, bias in (equation.inputs, equation.inputs[::-1]):
                    if bias in self._repeated and rest.shape == output.shape:
                        return rest, bias
        return output, None

    def _uses_of_last_columns(self, leaves):
        """Every use of each leaf or of a slice of its last axis: `[(leaf, first, last, value, equation)]`."""
        views = {value: (leaf, 0, value.shape[-1]) for leaf, value in enumerate(leaves) if value.shape}
        uses = []
        for equation in self._equations:
            seen = [a for a in equation.inputs if a in views]
            parts = self._columns(equation) if len(seen) == 1 else None
            if parts is not None:
                leaf, start, _ = views[seen[0]]
                ends = [(start + first, start + last) for first, last in parts]
                views.update({out: (leaf, *end) for out, end in zip(equation.outputs, ends, strict=True)})
            else:
                uses += [(*views[a], a, equation) for a in seen]
        return uses + [(*views[a], a, None) for a in self._outputs if a in views]

    def _added_to(self, out, uses) -> tuple[int, int, int] | None:
        """The columns of a leaf whose gradient is that of `out`: both are used once, by their addition."""
        readers = [e for e in self._equations if out in e.inputs]
        if len(readers) != 1 or readers[0].name != "add" or out in self._outputs:
            return None
        for leaf, first, last, value, equation in uses:
            if equation is readers[0] and value.shape == out.shape:
                overlapping = [u for u in uses if u[0] == leaf and u[1] < last and first < u[2]]
                return (leaf, first, last) if len(overlapping) == 1 else None
        return None

    def _columns(self, equation) -> list[tuple[int, int]] | None:
        """First and last column of each output, where the equation cuts its input along the last axis and no other.

        The sum with what does not vary has all the columns: its gradient is that of the input.
        """
        if equation.name == "add" and any(a in self._known for a in equation.inputs):
            return [(0, equation.outputs[0].shape[-1])]
        shape = equation.inputs[0].shape
        if equation.name == "split" and equation.params["axis"] == len(shape) - 1:
            ends = [sum(equation.params["sizes"][:n]) for n in range(len(equation.outputs) + 1)]
            return list(itertools.pairwise(ends))
        if equation.name == "slice" and not equation.params["strides"]:
            starts, limits = equation.params["start_indices"], equation.params["limit_indices"]
            if not any(starts[:-1]) and limits[:-1] == shape[:-1]:
                return [(starts[-1], limits[-1])]
        return None


def _flatten(closed):
    """Inputs, equations, outputs and constants of a jaxpr; equations of nested calls stand in the calls' place."""
    equations, constants = [], {}

    def walk(closed, arguments):
        names = dict(zip(closed.jaxpr.invars, arguments, strict=True))
        for variable, constant in zip(closed.jaxpr.constvars, closed.consts, strict=True):
            names[variable] = _Value(variable.aval)
            constants[names[variable]] = constant

        def value(atom):
            if not isinstance(atom, Literal):
                return names[atom]
            literal = _Value(atom.aval)
            constants[literal] = atom.val
            return literal

        for equation in closed.jaxpr.eqns:
            inputs = [value(a) for a in equation.invars]
            if equation.primitive.name in NESTED:
                outputs = walk(equation.params.get("jaxpr") or equation.params["call_jaxpr"], inputs)
            else:
                outputs = [_Value(v.aval) for v in equation.outvars]
                run = _alone(closed.jaxpr, equation)
                parts = (run, inputs, outputs, equation.effects)
                equations.append(_Equation(equation.primitive.name, equation.params, *parts))
            names.update(zip(equation.outvars, outputs, strict=True))
        return [value(a) for a in closed.jaxpr.outvars]

    inputs = [_Value(v.aval) for v in closed.jaxpr.invars]
    return inputs, equations, walk(closed, inputs), constants


def _alone(jaxpr, equation):
    """One equation as a function. An input that stands in it twice is given twice."""
    distinct = list(dict.fromkeys(v for v in equation.invars if not isinstance(v, Literal)))
    alone = jaxpr.replace(constvars=[], invars=distinct, outvars=list(equation.outvars), eqns=[equation])

    def run(*values):
        given = {v: value for v, value in zip(equation.invars, values, strict=True) if not isinstance(v, Literal)}
        return jax.core.eval_jaxpr(alone, (), *given.values())

    return run
