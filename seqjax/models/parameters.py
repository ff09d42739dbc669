"""A network's parameters as a flat dictionary: the form in which they are trained, saved and exported."""

import jax

from seqjax.errors import UserError


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")


def flatten(model) -> dict:
    """`{"stack.layers.0.u": array, ...}`, sorted by name; an abstract network gives shapes in place of arrays."""
    return dict(sorted((_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(model)))


def unflatten(template, parameters: dict):
    """The network of `template`'s structure that holds `parameters`.

    Raises UserError when a parameter is missing, left over, or of another shape.
    """
    wanted = flatten(template)
    if wanted.keys() != parameters.keys():
        missing, extra = sorted(wanted.keys() - parameters.keys()), sorted(parameters.keys() - wanted.keys())
        raise UserError(f"the parameters do not fit this network: missing {missing}, left over {extra}")
    for name, value in wanted.items():
        if value.shape != parameters[name].shape:
            raise UserError(
                f"the parameter {name} has the shape {parameters[name].shape}, this network's has {value.shape}"
            )
    return jax.tree_util.tree_map_with_path(lambda path, _: parameters[_name(path)], template)


def count(model) -> int:
    """How many numbers the network learns."""
    return sum(leaf.size for leaf in jax.tree.leaves(model))
