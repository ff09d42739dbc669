"""A trial: a fully resolved config with the identity of its data, its starting weights and its code."""

import ast
import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import json
import logging
import os
import pathlib
import platform
import sys

import jax
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

import seqjax
from seqjax.analysis.taps import network_slots
from seqjax.cells import CELLS
from seqjax.config import ADDED_LATER, at_least, completed, flat
from seqjax.datasets import Corpus, read
from seqjax.errors import UserError
from seqjax.models import build, parameters
from seqjax.results import RunDirectory, complaining
from seqjax.tasks import find_task
from seqjax.training import checkpoints, loop
from seqjax.training.stack import program

GROUPS_OF_TASK = ("task", "data", "sample")

# Where a trial lies, how long it runs and how often it is looked at do not make it another trial.
NOT_IDENTITY = (
    "data.source",
    "data.path",
    "init_from",
    "cell.parameters",
    "train.epochs",
    "train.checkpoint_seconds",
    "train.snapshots",
    "probe.every",
)


def resolve(config: ConfigDict, known: dict[str, tuple], judged: bool = False) -> dict:
    """The trial's record, as a run directory keeps it: everything checked, `cell.hidden` and `train.steps` worked out.

    `known` remembers the data that was read, and the networks whose shapes were worked out, for the next trials;
    `judged` says that validation scores will decide whether it goes on. Raises UserError for anything that could not
    run: it is said before the first process starts.
    """
    config = ConfigDict(config.to_dict())
    for group, key in ((config.get("data", {}), "path"), (config, "init_from")):
        if group.get(key):  # so that the run can be gone on with from another directory
            group[key] = os.path.abspath(os.path.expanduser(group[key]))
    make_task = find_task(config.task.name)
    loop.check(config)
    same_task = json.dumps([config[group].to_dict() for group in GROUPS_OF_TASK if group in config])
    if same_task not in known:
        corpus = make_task.find_corpus(config)
        known[same_task] = corpus, make_task.from_corpus(config, corpus)
    corpus, task = known[same_task]
    judged = judged or config.train.patience or config.schedule.name in ("plateau", "fall")
    if judged and not task.held_out("validation"):
        raise UserError(
            "train.patience, the schedules plateau and fall, and --rungs need validation data: data.validation is 0"
        )
    if config.train.stop_when_solved:
        if task.measure.solved_below is None:
            raise UserError(f"train.stop_when_solved: the task {config.task.name} has no criterion of success")
        if not task.held_out("validation"):
            raise UserError("train.stop_when_solved needs validation data: data.validation is 0")
    if task.steps_per_epoch is None and (config.train.epochs or config.schedule.unit == "epochs"):
        raise UserError(
            f"the task {config.task.name} makes its sequences without end, so it has no epochs: set train.steps, and "
            "schedule.unit to steps"
        )
    network = _sized(config, task, same_task, known)
    if config.train.epochs:
        config.train.steps = config.train.epochs * task.steps_per_epoch
    if config.probe.every or config.regulariser.name != "none":
        jax.eval_shape(lambda network: network_slots(network, task.time), network)  # whether its cells can be tapped
    record = {
        "config": config.to_dict(),
        "corpus": None if corpus is None else dataclasses.asdict(corpus),
        "task": task.description(),
        "title": task.title,
        "measure": dataclasses.asdict(task.measure),
        "parameters": parameters.count(network),
        "program": program(config, network, corpus and corpus.sha256),
        "code": fingerprint(config, type(task)),
        "version": seqjax.__version__,
    }
    if config.init_from:
        source_run = RunDirectory(config.init_from)
        weights = load_weights(source_run)
        source_trial = source_run.trial()
        if source_trial["config"]["task"]["name"] != config.task.name:
            raise UserError(
                f"init_from names {config.init_from}, a run of the task {source_trial['config']['task']['name']}"
            )
        if source_trial["task"].get("vocabulary") != record["task"].get("vocabulary"):
            raise UserError(f"init_from names {config.init_from}, whose vocabulary is not that of this run's text")
        loop.start_from(weights, network)
        record["init_from"] = _digest(weights)
    record["identity"] = identity(config, record)
    record["settings"] = identity(config, {**record, "corpus": None})
    return record


def _sized(config: ConfigDict, task, same_task: str, known: dict[str, tuple]):
    """The shapes of the config's network, whose `cell.hidden` is worked out where there is a budget of parameters."""
    at_least(config, "cell.parameters", 0)
    groups = config.cell.to_dict(), config.model.to_dict(), config.init.kernel, config.init.recurrent
    same_network = json.dumps([same_task, *groups])
    if same_network not in known:
        if config.cell.parameters:
            config.cell.hidden = build.hidden_for_budget(config, task.network_of, config.cell.parameters)
            if config.model.tied:
                config.model.embedding = config.cell.hidden
        network = jax.eval_shape(lambda: task.network_of(config, rngs=nnx.Rngs(0)))
        known[same_network] = config.cell.hidden, config.model.embedding, network
    config.cell.hidden, config.model.embedding, network = known[same_network]
    return network


def identity(config: ConfigDict, record: dict) -> str:
    """SHA-256 of what makes the trial this trial: config, data and starting weights."""
    left_out = set(NOT_IDENTITY)
    if config.schedule.name != "cosine":  # a cosine is laid out over the run's length; the others can be gone on with
        left_out.add("train.steps")
    values = {key: value for key, value in flat(config).items() if key not in left_out}
    values = {key: value for key, value in values.items() if key not in ADDED_LATER or value != ADDED_LATER[key]}
    values |= {"corpus": record["corpus"] and record["corpus"]["sha256"], "init_from": record.get("init_from")}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def run_name(record: dict) -> str:
    """A directory name that a person can read: cell, sizes, a problem's length, seed, and the start of the identity."""
    config = record["config"]
    cell = config["cell"]
    length = f"-length{config['task']['length']}" if "length" in config["task"] else ""
    return f"{cell['name']}-{cell['layers']}x{cell['hidden']}{length}-seed{config['seed']}-{record['identity'][:8]}"


def fingerprint(config: ConfigDict, task: type) -> str:
    """SHA-256 of the code that computes a trial, without its comments and docstrings: the cell's file, recurrence,
    networks, task and training. A finished run with another fingerprint may hold numbers that this code would not give.
    """
    package = pathlib.Path(seqjax.__file__).parent
    files = [inspect.getsourcefile(CELLS[config.cell.name])]
    files += [inspect.getsourcefile(each) for each in task.__mro__ if each.__module__.startswith("seqjax.")]
    engine = ("initialisers", "spectra", "recurrence", "products", "deferral", "linear_recurrence")
    files += [package / f"{name}.py" for name in engine]
    files += sorted((package / "models").glob("*.py"))
    files += [package / "tasks" / name for name in ("vocabulary.py", "cross_entropy.py")]
    files += [package / "training" / name for name in ("step.py", "optimisers.py", "loop.py", "stack.py")]
    if config.task.name == "music":
        files.append(package / "datasets" / "music.py")
    if config.regulariser.name != "none":
        files += [package / "analysis" / "taps.py", package / "training" / "regulariser.py"]
    digest = hashlib.sha256()
    for file in files:
        digest.update(_without_documentation(file))
    return digest.hexdigest()


@functools.cache
def _without_documentation(file: str | pathlib.Path) -> bytes:
    tree = ast.parse(pathlib.Path(file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree).encode()


def open_task(record: dict):
    """`(config, task)` of a trial with its data, prepared again if its files are gone.

    Raises UserError when the data are no longer those the trial was made for.
    """
    with complaining("the trial"):
        config = completed(record["config"])
        make_task = find_task(config.task.name)
        corpus = Corpus(**record["corpus"]) if record["corpus"] is not None else None
    if corpus is None:
        return config, make_task.from_corpus(config, None)
    try:
        read(corpus)
    except UserError as error:
        logging.warning("%s; preparing the data again", error)
        corpus = make_task.find_corpus(config)
        if corpus.sha256 != record["corpus"]["sha256"]:
            raise UserError(
                f"the data {config.data.get('path') or config.data.source!r} has changed since this run was made; "
                "launch again for a new run on the new data"
            ) from error
    return config, make_task.from_corpus(config, corpus)


def best_weights(run: RunDirectory) -> tuple[int, dict[str, np.ndarray]]:
    """A run's best parameters, and after how many steps they were those; 0 before the first evaluation. The log says
    where a finished run has lost its last checkpoint, and these are older.

    Raises UserError when it has no checkpoint that verifies.
    """
    run.trial()
    if lost := checkpoints.lost_end(run):
        logging.warning("%s: these are the best weights up to an earlier step; launch the run again to mend it", lost)
    newest = checkpoints.restore_newest(run.checkpoints)
    if newest is None:
        raise UserError(f"the run {run.path} has no checkpoint to read weights from")
    _, arrays, loop = newest
    weights = {name.removeprefix("best."): value for name, value in arrays.items() if name.startswith("best.")}
    return loop["best_step"], weights


def load_weights(run: RunDirectory) -> dict[str, np.ndarray]:
    """A run's best parameters. Raises UserError when it has none, or only those it started with."""
    step, weights = best_weights(run)
    if not step:
        raise UserError(f"the run {run.path} was never evaluated, so that its best weights are those it started with")
    return weights


def _digest(weights: dict[str, np.ndarray]) -> str:
    return hashlib.sha256(b"".join(weights[name].tobytes() for name in sorted(weights))).hexdigest()


def starting_weights(config: ConfigDict, record: dict) -> dict[str, np.ndarray] | None:
    """The weights of the run named by `init_from`, or None where none is.

    Raises UserError when they are not those the trial was made with.
    """
    if not config.init_from:
        return None
    weights = load_weights(RunDirectory(config.init_from))
    if _digest(weights) != record["init_from"]:
        raise UserError(f"the weights of {config.init_from} have changed since this run was made from them")
    return weights


def describe_environment() -> dict:
    """Versions, machine and devices of this process."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml-collections", "tensorflow-datasets")
    return {
        "seqjax": seqjax.__version__,
        "python": sys.version.split()[0],
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "machine": platform.machine(),
        "system": platform.platform(),
        "devices": [str(device) for device in jax.devices()],
        "allocation": {
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "host_devices": len(jax.local_devices()) if jax.default_backend() == "cpu" else 1,
            "gpu": jax.default_backend() != "cpu",
        },
    }
