"""Reading many runs: an index keeps what was read of each, so that only those whose files changed are read again.

It is a hidden file of the runs directory, rebuilt from the runs and never the truth: where it is missing, damaged, of
another version or cannot be written, reading takes longer and nothing else changes. The status of a run is not in it.

    first line    CRC-32 of the JSON, JSON: {"code", "runs": {name: {"files", "trial", "values", "lines", "curves",
                  "crc"}}}
    the rest      the packed curves of each run, in that order, as many bytes as "curves" says
"""

import contextlib
import functools
import json
import os
import pathlib
import sys
import time
import zlib

from seqjax import results
from seqjax.errors import UserError
from seqjax.report import curves, measure, runs
from seqjax.report.runs import Extract, Run, as_run, digest, extract
from seqjax.report.text import one_line
from seqjax.results import RunDirectory, find_runs

FILE = ".index"
# What makes an `Extract` of files, as it was when it was imported: a running process does not see later changes.
MODULES = (results, curves, measure, runs, sys.modules[__name__])
CODE = digest([sys.byteorder, *(pathlib.Path(module.__file__).read_text() for module in MODULES)])
SETTLED = 2.0  # seconds; a file that old has another time when it changes again, on any file system


def read_runs(paths) -> tuple[list[Run], list[str]]:
    """The runs that `paths` are or hold, each once, and sentences about those that cannot be read or are damaged.

    A directory of runs gets an index, or a newer one. Raises UserError when a path holds no runs, or none can be read.
    """
    indexes, found, notes = {}, [], []
    for directory in {os.path.realpath(run.path): run for run in find_runs(paths)}.values():
        folder, name = os.path.split(os.path.abspath(directory.path))
        if folder not in indexes:
            indexes[folder] = Index(folder)
        try:
            run, complaints = as_run(directory, indexes[folder].extract(directory, name))
        except UserError as error:
            notes.append(one_line(str(error)))
            continue
        found.append(run)
        notes += complaints
    for folder in {os.path.abspath(path) for path in paths} & indexes.keys():
        indexes[folder].save()
    if not found:
        raise UserError(f"no run can be read: {notes[0]}")
    return found, notes


class Index:
    """What was read of the runs of a directory, by their names."""

    def __init__(self, folder: str | os.PathLike):
        self.path = pathlib.Path(folder) / FILE
        self.kept: dict[str, tuple[list, Extract]] = _read(self.path)
        self.changed = False

    def extract(self, directory: RunDirectory, name: str) -> Extract:
        """As `runs.extract`, which is called where the run's files are not those that were read before."""
        files, settled = _files(directory)
        if name in self.kept and self.kept[name][0] == files:
            return self.kept[name][1]
        found = extract(directory)
        if settled and not found.damage:
            self.kept[name] = files, found
            self.changed = True
        return found

    def save(self) -> None:
        """Write what is new, and leave out runs that are gone. Does nothing where the directory cannot be written."""
        with contextlib.suppress(OSError):
            kept = {name: self.kept[name] for name in os.listdir(self.path.parent) if name in self.kept}
            if self.changed or len(kept) < len(self.kept):
                _write(self.path, kept)


def _files(directory: RunDirectory) -> tuple[list, bool]:
    """What tells whether the files of an `Extract` are the same, and whether it surely would if they changed now."""
    paths = (directory.path / "config.json", directory.metrics.path, directory.timing.path)
    found = [_stamp(path) for path in paths]
    newest = max((time_ns for stamp in found if stamp for time_ns in stamp[1:]), default=0)
    return found, time.time_ns() - newest >= SETTLED * 1e9


def _stamp(path: pathlib.Path) -> list[int] | None:
    """The change time is that of this machine alone: files that were copied here have another, whatever they claim."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read(path: pathlib.Path) -> dict[str, tuple[list, Extract]]:
    try:
        with open(path, "rb") as file:
            checksum, _, text = file.readline().partition(b" ")
            content = json.loads(text) if checksum == b"%08x" % zlib.crc32(text) else {}
            return dict(_entries(content["runs"], file)) if content.get("code") == CODE else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _entries(entries: dict, file):
    """The runs, but for those whose curves are not what they were when they were written."""
    for name, entry in entries.items():
        packed = {curve: file.read(size) for curve, size in entry["curves"].items()}
        if _checksum(packed) == entry["crc"]:
            yield name, (entry["files"], Extract(entry["trial"], entry["values"], entry["lines"], [], packed))


def _checksum(packed: dict[str, bytes]) -> int:
    return functools.reduce(lambda checksum, curve: zlib.crc32(curve, checksum), packed.values(), 0)


def _write(path: pathlib.Path, kept: dict[str, tuple[list, Extract]]) -> None:
    """Readers see the old index or the new; of two writers, the last wins."""
    entries = {name: _entry(files, found) for name, (files, found) in kept.items()}
    text = json.dumps({"code": CODE, "runs": entries}).encode() + b"\n"
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(b"%08x %s" % (zlib.crc32(text), text))
            for _, found in kept.values():
                file.writelines(found.curves.values())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _entry(files: list, found: Extract) -> dict:
    sizes = {name: len(packed) for name, packed in found.curves.items()}
    return {
        "files": files,
        "trial": found.trial,
        "values": found.values,
        "lines": found.lines,
        "curves": sizes,
        "crc": _checksum(found.curves),
    }
