"""Checkpoints that are either whole and verified or not there.

Orbax writes the arrays; it neither notices flipped bits when it reads nor tells of a save that failed until asked. So
each checkpoint gets a manifest with the SHA-256 of its every file, and a directory gets its final name only when all of
it, manifest included, is on the disk. The newest two are kept.

    checkpoints/00000400/arrays/...      the flat dictionary of arrays, as Orbax lays it out
    checkpoints/00000400/manifest.json   {"files": {name: sha256}, "loop": {...}}

Snapshots are laid out in the same way under snapshots/, hold the parameters alone, and are all kept.
"""

import hashlib
import logging
import math
import os
import pathlib
import re
import shutil

import jax
import numpy as np
from jaxtyping import PyTree
from ml_collections import ConfigDict

from seqjax.errors import UserError
from seqjax.results import FINISHED, RunDirectory, read_json, write_json

KEPT = 2
NAME = re.compile("[0-9]{8,10}")  # of a step's folder


def to_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Any pytree as a flat dictionary of host arrays, named by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def from_arrays(template: PyTree, arrays: dict[str, np.ndarray]) -> PyTree:
    """The pytree of `template`'s structure. Raises UserError when names or shapes differ."""
    wanted = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(template)}
    if wanted.keys() != arrays.keys():
        differing = sorted(wanted.keys() ^ arrays.keys())
        raise UserError(f"the checkpoint is of another network or optimiser: they differ in {', '.join(differing[:4])}")
    for name, leaf in wanted.items():
        if leaf.shape != arrays[name].shape:
            raise UserError(f"the checkpoint's {name} has the shape {arrays[name].shape}, expected {leaf.shape}")
    return jax.tree_util.tree_map_with_path(lambda path, _: arrays[_name(path)], template)


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def snapshot_steps(config: ConfigDict) -> list[int]:
    """The steps of a run at which a snapshot is due: 0, the run's last and, spaced geometrically from the first
    dispatch on, ends of dispatches between them. As many as `train.snapshots` asks for, or all there are.
    """
    if not config.train.snapshots:
        return []
    size, steps = config.train.steps_per_dispatch, config.train.steps
    dispatches = -(-steps // size)
    due = [0]
    for spaced in np.geomspace(dispatches, 1, min(config.train.snapshots - 1, dispatches))[::-1]:
        # Ends are whole: what lies a rounding error above one is that one.
        due.append(max(due[-1] + 1, math.ceil(spaced - 1e-6)))
    return [min(number * size, steps) for number in due]


def save(
    folder: pathlib.Path, step: int, arrays: dict[str, np.ndarray], loop: dict | None = None, kept: int | None = None
) -> None:
    """Write the arrays of `step` and the loop's record, then delete all but the newest `kept`; None keeps all.

    Raises UserError when it cannot.
    """
    final, building = folder / f"{step:08d}", folder / f".building-{step:08d}"
    try:
        for leftover in folder.glob(".building-*"):
            _remove(leftover)
        with _checkpointer() as checkpointer:  # synchronous: it returns when the save is done, or raises
            checkpointer.save((building / "arrays").resolve(), arrays)
        write_json(building / "manifest.json", {"files": _hashes(building), "loop": loop or {}})
        for path in [*building.rglob("*"), building]:
            _flush_to_disk(path)
        _remove(final)
        os.replace(building, final)
        _flush_to_disk(folder)
        for old in _steps(folder)[:-kept] if kept else []:
            _remove(folder / f"{old:08d}")
    except (OSError, ValueError, RuntimeError) as error:  # Orbax and TensorStore report a full disk as any of these
        shutil.rmtree(building, ignore_errors=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"the checkpoint of step {step} cannot be written to {folder}: {reason}") from error


def candidates(folder: pathlib.Path) -> list[int]:
    """The steps that have a checkpoint or snapshot, newest first, verified or not.

    Raises UserError where the folder cannot be read: that it is empty must not be taken from that.
    """
    return _steps(folder)[::-1]


def discard_after(folder: pathlib.Path, step: int) -> None:
    """Delete what is of steps after `step`: a run goes on from there without it, and while its checkpoints were kept as
    the newest, the run's own would be deleted. Raises UserError when it cannot.
    """
    for later in _steps(folder):
        if later > step:
            try:
                _remove(folder / f"{later:08d}")
            except OSError as error:
                raise UserError(f"{folder / f'{later:08d}'} cannot be deleted: {error.strerror}") from error


def lost_end(run: RunDirectory) -> str | None:
    """A sentence where a finished run's last checkpoint is damaged or gone. None where there is no other either: who
    deletes them all wants the room.
    """
    steps = candidates(run.checkpoints)
    if not steps or run.status()["state"] not in FINISHED:
        return None
    last = max((record["step"] for record in run.metrics.read() if record["kind"] == "train"), default=0)
    try:
        verify(run.checkpoints, max(last, steps[0]))
    except UserError as error:
        return str(error)
    return None


def verify(folder: pathlib.Path, step: int) -> dict:
    """The manifest of a checkpoint or snapshot. Raises UserError, naming the file, when any byte differs from what was
    written, or cannot be read.
    """
    place = folder / f"{step:08d}"
    manifest = read_json(place / "manifest.json")
    try:
        found = _hashes(place)
    except OSError as error:
        raise UserError(f"{error.filename or place} cannot be read: {error.strerror}") from error
    for name, digest in manifest["files"].items():
        if name not in found:
            raise UserError(f"{place / name} is missing")
        if found[name] != digest:
            raise UserError(f"{place / name} is damaged: its SHA-256 is not the one written in the manifest")
    return manifest


def restore(folder: pathlib.Path, step: int) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the loop's record of a checkpoint or snapshot, verified first. Raises what `verify` raises."""
    import orbax.checkpoint as ocp

    manifest = verify(folder, step)
    arrays_place = (folder / f"{step:08d}" / "arrays").resolve()
    with _checkpointer() as checkpointer:
        shapes = checkpointer.metadata(arrays_place).item_metadata.tree
        arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), dict(shapes))
        arrays = checkpointer.restore(arrays_place, restore_args=arguments)
    return arrays, manifest["loop"]


def restore_newest(folder: pathlib.Path) -> tuple[int, dict[str, np.ndarray], dict] | None:
    """The newest checkpoint that verifies, or None. Damaged ones are named in the log and passed over."""
    for step in candidates(folder):
        try:
            return step, *restore(folder, step)
        except UserError as error:
            logging.warning("the checkpoint of step %d is passed over: %s", step, error)
    return None


def _checkpointer():
    """Orbax for this process alone: where several train one trial, each has files of its own."""
    import orbax.checkpoint as ocp  # slow to import, and a run that is only read does not need it

    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(process, {process}, f"process{process}")
    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(multiprocessing_options=alone), multiprocessing_options=alone)


def _steps(folder: pathlib.Path) -> list[int]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted(int(name) for name in names if NAME.fullmatch(name))


def _remove(path: pathlib.Path) -> None:
    """Delete a folder with all that is in it, or whatever else has its name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _hashes(place: pathlib.Path) -> dict[str, str]:
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _flush_to_disk(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
