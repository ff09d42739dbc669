"""The run directory: plain files, and the only code that knows their layout.

    config.json        the trial: resolved config, data, identity, fingerprint of the code
    status.json        queued, running, interrupted, done, diverged, stopped, failed; and why
    environment.json   versions, machine, cores and devices the run was given
    metrics.jsonl      what training measured; the same bits for the same trial
    timing.jsonl       wall clock
    samples/           texts written during training, one a file, named by step; metrics.jsonl has their checksums
    checkpoints/       the newest two, to go on from: see seqjax.training.checkpoints
    snapshots/         weights along the way, where train.snapshots asks for them
    log.txt            what the process printed

JSON files and lines carry a checksum of their own content, and the status of a run that has ended says how many lines
its journals have. Nothing here executes what it reads.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import stat
import time
import zlib
from collections.abc import Callable, Iterator

from seqjax.errors import UserError

FORMAT = 1
STATUSES = ("queued", "running", "interrupted", "done", "diverged", "stopped", "failed")
FINISHED = ("done", "diverged")
AT_REST = (*FINISHED, "stopped")  # nothing is to do, unless a launch asks for more
GONE = "its process is gone"


def write_atomically(path: pathlib.Path, content: str | bytes) -> None:
    """Replace a file so that a reader, or a crash, sees the old content or the new and nothing between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_json(path: pathlib.Path, content: dict) -> None:
    """A JSON file with a checksum."""
    write_atomically(path, json.dumps({**content, "sha256": _digest(content)}, indent=1, sort_keys=True) + "\n")


def read_json(path: pathlib.Path) -> dict:
    """What `write_json` wrote. Raises UserError when the file is missing or damaged."""
    try:
        content = json.loads(content_of(path))
        digest = content.pop("sha256")
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not the JSON that seqjax wrote") from error
    if digest != _digest(content):
        raise UserError(f"{path} is damaged: its checksum does not match its content")
    return content


def _line(record: dict) -> str:
    text = json.dumps(record)
    return f"{_checksum(text.encode())} {text}\n"


def _checksum(text: bytes) -> str:
    return f"{zlib.crc32(text):08x}"


def _parse(line: bytes) -> dict | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != _checksum(text).encode():
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def content_of(path: pathlib.Path) -> bytes:
    """Of a regular file; any other raises OSError, for a pipe would be waited for."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return path.read_bytes()


def present(path: pathlib.Path) -> bool:
    """Whether there is a file or a folder of that name. Raises UserError where that cannot be known."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
    return True


@contextlib.contextmanager
def complaining(path: pathlib.Path | str) -> Iterator[None]:
    """What records lack, or hold in its place, becomes a UserError that names the run directory."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path} does not hold what a run of this seqjax holds: {error!r}") from error


class Journal:
    """A file of checksummed JSON lines that grows. Lines are whole or not there: a torn last line is cut off."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def read(self) -> list[dict]:
        """All intact records up to the first damaged one."""
        records = []
        try:
            lines = content_of(self.path).splitlines(keepends=True)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}") from error
        for line in lines:
            record = _parse(line)
            if record is None:
                break
            records.append(record)
        return records

    def damage(self, intact: int | None = None) -> str | None:
        """A sentence naming the first damaged line, or None. How many are `intact` is counted unless given."""
        try:
            lines = len(content_of(self.path).splitlines())
        except OSError:  # reading says so
            lines = 0
        intact = len(self.read()) if intact is None else intact
        return None if intact == lines else f"line {intact + 1} of {self.path} is damaged"

    def last(self) -> dict | None:
        """The newest intact record, reading only the end of the file."""
        try:
            with open(self.path, "rb", opener=at_once) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
                lines = file.read().splitlines(keepends=True)
        except OSError:
            return None
        return next((record for record in map(_parse, reversed(lines)) if record is not None), None)

    def cut(self, records: int) -> None:
        """Keep the first `records` records only."""
        kept = self.read()[:records]
        write_atomically(self.path, "".join(map(_line, kept)))

    @contextlib.contextmanager
    def appending(self) -> Iterator["Appender"]:
        """Open for adding records."""
        with self._writing():
            file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115 - closed below
        try:
            yield Appender(file, len(self.read()), self._writing)
        finally:
            with self._writing():
                file.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}") from error


class Appender:
    """Adds records to a journal, which then has so many `lines`."""

    def __init__(self, file, lines: int, writing: Callable[[], contextlib.AbstractContextManager]):
        self._file, self.lines, self._writing = file, lines, writing

    def add(self, record: dict) -> None:
        with self._writing():
            self._file.write(_line(record))
            self._file.flush()
        self.lines += 1

    def sync(self) -> None:
        """Return once all records are on the disk."""
        with self._writing():
            os.fsync(self._file.fileno())


class RunDirectory:
    """One trial's files."""

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.metrics = Journal(self.path / "metrics.jsonl")
        self.timing = Journal(self.path / "timing.jsonl")
        self.checkpoints = self.path / "checkpoints"
        self.snapshots = self.path / "snapshots"
        self.samples_folder = self.path / "samples"
        self.log = self.path / "log.txt"
        self._lock_file = self.path / ".lock"

    @property
    def name(self) -> str:
        return self.path.name

    def create(self, trial: dict) -> None:
        """Make the directory of a new trial, queued. `trial` is what `trial()` gives back."""
        try:
            self.samples_folder.mkdir(parents=True, exist_ok=True)
            self.checkpoints.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"the run directory {self.path} cannot be made: {error.strerror}") from error
        self.write_trial(trial)
        self.set_status("queued")

    def write_trial(self, trial: dict) -> None:
        write_json(self.path / "config.json", {**trial, "format": FORMAT})

    def exists(self) -> bool:
        return present(self.path / "config.json")

    def trial(self) -> dict:
        """The trial's record. Raises UserError when it is missing, damaged, or of another version's format."""
        if not (present(self.path) and self.path.is_dir()):
            raise UserError(f"there is no run directory {self.path}")
        if not self.exists():
            raise UserError(f"{self.path} is no run directory: {self.path / 'config.json'} is missing")
        trial = read_json(self.path / "config.json")
        if trial.pop("format", None) != FORMAT:
            raise UserError(f"the run directory {self.path} is of another version: this seqjax reads format {FORMAT}")
        return trial

    def status(self) -> dict:
        """`{"state": one of STATUSES, "why": sentence or ""}` and, of a run that has ended, `"lines"`: how many each
        journal has. A missing or damaged file counts as interrupted, which `"damage"` then tells of; and so does a
        run whose process ended without a word.
        """
        path = self.path / "status.json"
        try:
            status = read_json(path)
            lines = status.get("lines", {})
            if status.get("state") not in STATUSES or not isinstance(status.get("why"), str) or type(lines) is not dict:
                raise UserError(f"{path} is damaged: it does not hold a run's status")
        except UserError as error:
            return {"state": "interrupted", "why": str(error), "damage": str(error)}
        if status["state"] == "running" and not is_locked(self._lock_file):
            return {"state": "interrupted", "why": GONE}
        return status

    def set_status(self, state: str, why: str = "", lines: dict[str, int] | None = None) -> None:
        """`lines` are of the journals, by the names of their files."""
        if state not in STATUSES:
            raise ValueError(state)
        write_json(self.path / "status.json", {"state": state, "why": why} | ({"lines": lines} if lines else {}))

    def damage(self) -> str | None:
        """A sentence naming the first journal that is damaged or has lost its end, or None."""
        for journal in (self.metrics, self.timing):
            lost = lost_end(journal.path, len(journal.read()), self.status())
            if sentence := journal.damage() or lost:
                return sentence
        return None

    def environment(self) -> dict | None:
        """What the run ran on, or None before it ran. Raises UserError where the file is damaged."""
        path = self.path / "environment.json"
        if not present(path):
            return None
        environment = read_json(path)
        share = environment.get("allocation")
        if not (isinstance(share, dict) and share.keys() >= {"cores", "gpu", "host_devices"}):
            raise UserError(f"{path} is damaged: it does not tell what a run was given")
        return environment

    def write_environment(self, environment: dict) -> None:
        write_json(self.path / "environment.json", environment)

    def write_sample(self, step: int, text: str) -> dict:
        """Keep a text; returns the record of it that belongs into the metrics."""
        raw = text.encode("utf-8", "replace")
        write_atomically(self._sample(step), raw)
        return {"kind": "sample", "step": step, "crc32": _checksum(raw)}

    def _sample(self, step: int) -> pathlib.Path:
        return self.samples_folder / f"{step:08d}.txt"

    def samples(self, checksums: dict[int, str] | None = None) -> dict[int, str]:
        """`{step: text}`, in order; a sentence in the place of a text that is damaged or missing.

        `checksums` are those of the metrics, which are read unless given. Of texts without one, those of the first
        runs, nothing is known.
        """
        if checksums is None:
            checksums = sample_checksums(self.metrics.read())
        steps = sorted(self._samples() | checksums.keys())
        return {step: self._read_sample(step, checksums.get(step)) for step in steps}

    def _samples(self) -> set[int]:
        """The steps of the files there are."""
        return {int(file.stem) for file in self.samples_folder.glob("[0-9]*.txt") if file.stem.isdecimal()}

    def _read_sample(self, step: int, checksum: str | None) -> str:
        try:
            raw = content_of(self._sample(step))
        except OSError as error:
            return f"[{self._sample(step)} cannot be read: {error.strerror}]"
        if checksum and checksum != _checksum(raw):
            return f"[{self._sample(step)} is damaged: its checksum is not the one in metrics.jsonl]"
        return raw.decode("utf-8", "replace")

    def cut_samples(self, step: int) -> None:
        """Forget samples written after `step`. Raises UserError when it cannot."""
        for later in (self._sample(written) for written in self._samples() if written > step):
            try:
                later.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(f"{later} cannot be deleted: {error.strerror}") from error

    def clean(self) -> None:
        """Delete what processes that were killed while they wrote have left."""
        for path in self.path.glob(".*.*"):
            process = path.name.rpartition(".")[2]
            if process.isdecimal() and not _lives(int(process)):
                with contextlib.suppress(OSError):
                    path.unlink()

    def lock(self, wait_seconds: float = 0.0) -> contextlib.AbstractContextManager:
        """Hold the directory for this process alone."""
        return locked(self._lock_file, f"another process is training the run {self.path}", wait_seconds)


@contextlib.contextmanager
def locked(path: pathlib.Path, sentence: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends. Raises UserError with `sentence` when it is taken and
    not free within `wait_seconds`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a", encoding="utf-8", opener=at_once)  # noqa: SIM115 - open for as long as the lock is held
    except OSError as error:
        raise UserError(f"{error.filename or path} cannot be written: {error.strerror}") from error
    with file:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                raise UserError(sentence)
            time.sleep(0.1)
        yield


def at_once(path: str, flags: int) -> int:
    """Open a file without waiting, as one does for a pipe."""
    return os.open(path, flags | os.O_NONBLOCK, 0o666)


def _try_lock(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a file system without locks
        raise UserError(f"{file.name} cannot be locked: {error.strerror}") from error
    return True


def is_locked(path: pathlib.Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        with open(path, "rb", opener=at_once) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def sample_checksums(records: list[dict]) -> dict[int, str]:
    """Of the samples that metrics tell of, by their steps."""
    return {record["step"]: record["crc32"] for record in records if record["kind"] == "sample"}


def lost_end(path: pathlib.Path, lines: int, status: dict) -> str | None:
    """A sentence where a run's status says that a journal once had more lines."""
    wanted = status.get("lines", {}).get(path.name, 0)
    return f"{path} is damaged: it has {lines} of its {wanted} lines" if lines < wanted else None


def find_runs(paths) -> list[RunDirectory]:
    """The run directories that `paths` are or hold, also those that lost their config. Raises UserError for a path with
    none.
    """
    found = []
    for path in map(pathlib.Path, paths):
        if not (present(path) and path.is_dir()):
            raise UserError(f"there is no runs directory {str(path)!r}")
        try:
            inside = [path] if _is_run(path) else sorted(p for p in path.iterdir() if p.name[0] != "." and _is_run(p))
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        reports = any(present(path / name) for name in ("report.html", "search.html"))
        if not inside and not reports:  # `runs/*` names the reports too
            raise UserError(f"{str(path)!r} holds no runs")
        found += [RunDirectory(p) for p in inside]
    if not found:
        raise UserError("there are no runs in " + ", ".join(repr(str(path)) for path in paths))
    return found


def _is_run(path: pathlib.Path) -> bool:
    """What cannot be looked into counts as one: whoever reads it says why."""
    try:
        return any(present(path / name) for name in ("config.json", "status.json"))
    except UserError:
        return True
