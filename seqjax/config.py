"""Configurations: one Python file each, checked overrides, and the values every task shares.

`get_config(variant=None)` of a config file returns a `ConfigDict`; functions named `sweep_<name>()` yield flat
overrides such as `{"cell.name": "gru"}`.
"""

import contextlib
import copy
import importlib.util
import inspect
import json
import pathlib
import types
from collections.abc import Iterator

from ml_collections import ConfigDict

from seqjax.errors import UserError, did_you_mean

# Keys that runs made before them lack, with the value such runs were made with: it makes no other trial of them.
ADDED_LATER = {
    "model.input_dropout": False,
    "regulariser.name": "none",
    "regulariser.weight": 4.0,
    "train.stop_when_solved": False,
    "schedule.falls": 4,
    "train.snapshots": 0,
    "optimiser.dampened": False,
}


def completed(values: dict) -> ConfigDict:
    """The config of a run, with the keys that runs of its age lack."""
    values = copy.deepcopy(values)
    for key, value in ADDED_LATER.items():
        group, name = key.split(".")
        values.setdefault(group, {}).setdefault(name, value)
    return ConfigDict(values)


def defaults() -> ConfigDict:
    """What every run can set, whatever its task."""
    config = ConfigDict()
    config.seed = 0
    config.init_from = ""  # a run directory whose weights this run starts from

    config.cell = ConfigDict()
    config.cell.name = "lstm"
    config.cell.hidden = 128
    config.cell.layers = 1
    config.cell.parameters = 0  # when set, `hidden` is found by bisection so that the network has about so many
    config.cell.options = ConfigDict()  # the cell's own keyword arguments, such as forget_bias

    config.init = ConfigDict()
    config.init.kernel = "glorot"  # input and readout weights
    config.init.kernel_scale = 1.0
    config.init.recurrent = "orthogonal"
    config.init.recurrent_scale = 1.0

    config.model = ConfigDict()
    config.model.embedding = 0  # width of a learned embedding; 0 is one-hot
    config.model.tied = False  # the readout uses the embedding's table
    config.model.dropout = 0.0  # on the outputs of every layer
    config.model.input_dropout = False  # and, at the same rate, on the learned embedding
    config.model.remat = 0  # steps between stored states in the backward pass; 0 stores all

    config.optimiser = ConfigDict()
    config.optimiser.name = "adam"
    config.optimiser.learning_rate = 0.002
    config.optimiser.momentum = 0.9  # momentum, nesterov
    config.optimiser.dampened = False  # momentum, nesterov: the rate is multiplied by 1 - momentum
    config.optimiser.decay = 0.95  # rmsprop
    config.optimiser.b1 = 0.9  # adam, adamw
    config.optimiser.b2 = 0.999
    config.optimiser.eps = 1e-8
    config.optimiser.weight_decay = 0.01  # adamw
    config.optimiser.initial_accumulator = 0.0  # adagrad

    config.clip = ConfigDict()
    config.clip.name = "norm"  # norm, element, none
    config.clip.value = 5.0

    config.regulariser = ConfigDict()
    config.regulariser.name = "none"  # none, pascanu
    config.regulariser.weight = 4.0

    config.schedule = ConfigDict()
    config.schedule.name = "constant"  # constant, exponential, cosine, plateau, fall
    config.schedule.warmup = 0  # steps of linear growth before any schedule
    config.schedule.decay = 0.97  # exponential, plateau, fall: the factor
    config.schedule.unit = "steps"  # exponential: what `begin` and `every` count, steps or epochs
    config.schedule.begin = 0
    config.schedule.every = 1
    config.schedule.final = 0.0  # cosine: the fraction of the rate that is left at the end
    config.schedule.patience = 2  # plateau, fall: evaluations without improvement before the rate falls
    config.schedule.falls = 4  # fall: from then on the rate falls at every evaluation, so many times; then the run ends

    config.train = ConfigDict()
    config.train.steps = 1000
    config.train.epochs = 0  # when set, `steps` is as many passes over the data
    config.train.steps_per_dispatch = 25
    config.train.eval_every = 250  # steps; a multiple of steps_per_dispatch
    config.train.patience = 0  # evaluations without improvement before the run stops early; 0 never
    config.train.stop_when_solved = False  # end, for good, at the evaluation at which the task's criterion is met
    config.train.checkpoint_seconds = 60.0
    config.train.snapshots = 0  # how many sets of weights to keep along the way, to see how the network came to be

    config.probe = ConfigDict()
    config.probe.every = 0  # steps between probes of gradients and gates, a multiple of steps_per_dispatch, the first
    # before training; 0 never
    return config


def load_config(spec: str) -> tuple[ConfigDict, dict[str, types.FunctionType]]:
    """`path[:variant]` -> the config, locked, and the sweeps of its file by name.

    The file is a program of the user's own and is executed. Raises UserError when it is missing, is no config file, or
    does not know the variant.
    """
    path, _, variant = spec.partition(":")
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"there is no config file {path!r}; in a clone of seqjax, configs/char_lm.py is one")
    module_spec = importlib.util.spec_from_file_location(f"seqjax_config_{file.stem}", file)
    if module_spec is None:
        raise UserError(f"the config file {path!r} is not a Python file (its name should end in .py)")
    module = importlib.util.module_from_spec(module_spec)
    with _of_the_user(f"the config file {path!r}"):
        module_spec.loader.exec_module(module)
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError(f"the config file {path!r} has no function get_config(variant=None)")
    with _of_the_user(f"get_config(variant=None) of the config file {path!r}"):
        config = get_config(variant or None)
    _check(config, path)
    config.lock()
    config.cell.options.unlock()
    sweeps = {
        name.removeprefix("sweep_"): function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("sweep_")
    }
    return config, sweeps


@contextlib.contextmanager
def _of_the_user(what: str) -> Iterator[None]:
    """Whatever the user's own code raises is a UserError."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        told = str(error).partition("\n")[0]
        raise UserError(f"{what} cannot be run: {type(error).__name__}: {told}") from error


def _check(config, path: str) -> None:
    """Raise UserError unless this is a config with all that every run can set, and a task."""
    if type(config) is not ConfigDict:
        raise UserError(
            f"get_config of the config file {path!r} returns {type(config).__name__}, and should return a ConfigDict "
            "that starts from seqjax.config.defaults()"
        )
    values = flat(config)
    for key, default in {**flat(defaults()), "task.name": ""}.items():
        if key not in values:
            rather = "start from seqjax.config.defaults()" if key != "task.name" else "set config.task"
            raise UserError(
                f"the config of {path!r} has no key {key!r}; it should {rather}, as configs/char_lm.py does"
            )
        if not isinstance(values[key], (float, int) if isinstance(default, float) else type(default)):
            raise UserError(f"config key {key!r} of {path!r} takes {_kind(type(default))}, not {values[key]!r}")
    if not isinstance(config.cell.get("options"), ConfigDict):
        raise UserError(f"config key 'cell.options' of {path!r} should be a ConfigDict, empty perhaps")
    for key, value in values.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            kinds = "numbers, text, true, false and lists of them"
            raise UserError(f"config key {key!r} of {path!r} is {value!r}; a config holds {kinds}") from error


def flat(config: ConfigDict, prefix: str = "") -> dict:
    """`{"cell.name": "gru", ...}`; an empty mapping stands for itself."""
    values = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict) and len(value):
            values |= flat(value, f"{prefix}{key}.")
        elif not isinstance(value, ConfigDict):
            values[prefix + key] = value
    return values


def override(config: ConfigDict, key: str, value) -> None:
    """Set `config.<key>` to `value`, which may be a string from the command line, checked against the present type.

    Another `cell.name` empties `cell.options`, which are the cell's own: where both are set, the name comes first.
    Raises UserError for an unknown key (with the nearest right one) and for a value of another type.
    """
    *parents, leaf = str(key).split(".")
    node = config
    for name in parents:
        node = node[name] if isinstance(node, ConfigDict) and name in node else None
    if not isinstance(node, ConfigDict) or (node.is_locked and leaf not in node):
        raise UserError(f"there is no config key {key!r}; {_nearest_key(key, config)}")
    if leaf not in node:
        node[leaf] = _guess(value)
    elif isinstance(node[leaf], ConfigDict):
        raise UserError(f"config key {key!r} is a group of keys: set one of {', '.join(sorted(node[leaf]))}")
    else:
        before, node[leaf] = node[leaf], _as_type_of(node[leaf], value, key)
        if key == "cell.name" and node[leaf] != before:
            config.cell.options = ConfigDict()


def _nearest_key(key: str, config: ConfigDict) -> str:
    known = list(flat(config))
    sentence = did_you_mean(key, known)
    return sentence.split(" Known:")[0] if "did you mean" in sentence else f"there are {', '.join(sorted(config))}"


def _guess(value):
    if not isinstance(value, str):
        return value
    for convert in (int, float):
        try:
            return convert(value)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(value.lower(), value)


def _as_type_of(present, value, key: str):
    wanted = type(present)
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    try:
        if wanted is bool and isinstance(value, str):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        if wanted is float and not isinstance(value, bool):
            return float(value)
        if wanted is int and isinstance(value, str):
            return int(value)
    except (ValueError, KeyError, TypeError):
        pass
    raise UserError(f"config key {key!r} takes {_kind(wanted)}, not {value!r}")


def _kind(wanted: type) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(wanted, wanted.__name__)


def _value(config: ConfigDict, key: str):
    values = flat(config)
    if key not in values:
        raise UserError(f"the config has no key {key!r}, which its task needs")
    return values[key]


def at_least(config: ConfigDict, key: str, least: float) -> None:
    """Raise UserError unless the number under `key` is finite and at least `least`."""
    value = _value(config, key)
    if not least <= value < float("inf"):
        raise UserError(f"config key {key!r} is {value}; it should be at least {least}")


def at_most(config: ConfigDict, key: str, most: float) -> None:
    """Raise UserError unless the number under `key` is at most `most`."""
    value = _value(config, key)
    if not value <= most:
        raise UserError(f"config key {key!r} is {value}; it should be at most {most}")


def check_whole_numbers(config: ConfigDict) -> None:
    """Raise UserError for a whole number that does not fit into the 32 bits that programs compute with."""
    for key, value in flat(config).items():
        if isinstance(value, int) and not -(2**31) <= value < 2**31:
            raise UserError(f"config key {key!r} is {value}; whole numbers are of 32 bits, at most {2**31 - 1}")


def one_of(config: ConfigDict, key: str, known) -> None:
    """Raise UserError unless the name under `key` is one of `known`."""
    value = _value(config, key)
    if value not in known:
        raise UserError(f"unknown {key} {value!r}; {did_you_mean(value, known)}")
