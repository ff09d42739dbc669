"""Networks from a config's `cell`, `init` and `model` groups."""

import functools

import jax
from flax import nnx
from ml_collections import ConfigDict

from seqjax.cells import cell_options, find_cell
from seqjax.config import at_least, at_most
from seqjax.errors import UserError, did_you_mean
from seqjax.initialisers import initialiser
from seqjax.models import parameters
from seqjax.models.networks import Embedding, OneHot, Readout, TiedReadout
from seqjax.models.stack import Stack

MOST_LAYERS = 100  # each is traced: a thousand take minutes before anything is trained


def cell_maker(config: ConfigDict):
    """`(inputs, rngs=...) -> cell` for the config's cell, its options checked.

    Raises UserError for an unknown cell or option, and for a hidden size under 1.
    """
    name = config.cell.name
    find_cell(name)
    at_least(config, "cell.hidden", 1)
    at_least(config, "cell.layers", 1)
    at_most(config, "cell.layers", MOST_LAYERS)
    known = cell_options(name)
    for option, value in config.cell.options.items():
        if option not in known:
            raise UserError(f"the cell {name} has no option {option!r}; {did_you_mean(option, known)}")
        wanted = float if isinstance(known[option], float) else type(known[option])
        if not isinstance(value, (int, float) if wanted is float else wanted):
            raise UserError(f"the option {option!r} of {name} is like {known[option]!r}, not {value!r}")
    return functools.partial(
        find_cell(name),
        hidden=config.cell.hidden,
        kernel_init=initialiser(config.init.kernel, config.init.kernel_scale),
        recurrent_init=initialiser(config.init.recurrent, config.init.recurrent_scale),
        **config.cell.options.to_dict(),
    )


def network(
    config: ConfigDict, kind: type, outputs: int, *, vocab: int | None = None, inputs: int | None = None, rngs: nnx.Rngs
):
    """A network of one of the kinds in `models.networks` that takes sequences of symbols, or of vectors.

    With `vocab` the inputs are so many symbols, one-hot or embedded; otherwise vectors as wide as `inputs`.
    Raises UserError for a setting of `cell`, `init` or `model` that does not fit.
    """
    make_cell = cell_maker(config)
    at_least(config, "model.embedding", 0)
    width = config.model.embedding
    if vocab is None and (width or config.model.tied):
        raise UserError("model.embedding and model.tied are for symbols; the inputs of this task are vectors")
    dropped = config.model.input_dropout
    if dropped and not width:
        raise UserError("model.input_dropout needs a learned embedding: set model.embedding to its width")
    if config.model.tied and outputs != vocab:
        raise UserError(f"model.tied needs as many outputs as symbols: {outputs} is not {vocab}")
    embed = None
    if vocab is not None:
        embed = Embedding(vocab, width, rngs=rngs, dropped=dropped) if width else OneHot(vocab)
        inputs = embed.width
    stack = Stack(make_cell, inputs, config.cell.layers, rngs=rngs)
    if config.model.tied:
        readout = TiedReadout(stack.outputs, embed)
    else:
        kernel = initialiser(config.init.kernel, config.init.kernel_scale)
        readout = Readout(stack.outputs, outputs, rngs=rngs, kernel_init=kernel)
    return kind(stack, readout, embed)


def hidden_for_budget(config: ConfigDict, make_network, budget: int) -> int:
    """The largest hidden size whose network has at most `budget` parameters, by bisection.

    `make_network(config, rngs=...)` builds the network. Raises UserError when not even one unit fits.
    """

    def size(hidden):
        trial = config.copy_and_resolve_references()
        trial.cell.hidden = hidden
        if trial.model.tied:
            trial.model.embedding = hidden
        return parameters.count(jax.eval_shape(lambda: make_network(trial, rngs=nnx.Rngs(0))))

    if size(1) > budget:
        raise UserError(
            f"cell.parameters is {budget}, but {config.cell.name} has {size(1)} parameters with one hidden unit"
        )
    fits, too_large = 1, 2
    while size(too_large) <= budget:
        fits, too_large = too_large, 2 * too_large
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        if size(middle) <= budget:
            fits = middle
        else:
            too_large = middle
    if fits > 1 and size(fits) < size(
        fits - 1
    ):  # MUT1 and MUT2 lose their widening where they are as wide as the input
        fits -= 1
        while size(fits) > budget:
            fits -= 1
    return fits
