"""Much at once: the seeds 0 to 4 stand for a case each.

0. a sweep of 2,000 tiny trials, each of which must be done;
1. a metrics file of a million lines, which `compare` must read;
2. a directory of 5,000 runs, which `compare` must list, and report on, in under 10 s of processor time and 1 GB;
3. 100,000 steps of training, whose memory after the first half must not be over that of the first fifth by 2%;
4. what is left behind by launches that ended, were interrupted or were killed while a trial trains: no process; and
   once the last has ended, no temporary file in the runs directory or the cache.
"""

import itertools
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time
import zlib

from seqjax.results import find_runs, read_json, write_json
from tests.faults.attack import Outcome, traceback
from tests.faults.place import ROOT, Ended, Place, prepare, processes, temporary

SWEEP = """
from seqjax.config import load_config, override
SETTINGS = {{"data.path": {text!r}, "cell.name": "rnn", "cell.hidden": 4, "task.batch": 2, "task.chunk": 5,
    "train.steps": 10, "train.steps_per_dispatch": 5, "train.eval_every": 10, "sample.length": 5, "sample.prompt": ""}}
def get_config(variant=None):
    config, _ = load_config("configs/char_lm.py:text")
    for key, value in SETTINGS.items():
        override(config, key, value)
    return config
def sweep_all():
    rates = [0.001 * 1.2**power for power in range(20)]
    return [{{"seed": seed, "optimiser.learning_rate": rate}} for seed in range({seeds}) for rate in rates]
"""
TRIALS = 2000


def measured(place: Place, command: list[str], seconds: float = 7200) -> tuple[Ended, float, float, float]:
    """A command's end, its wall-clock and processor seconds, and its most memory in GB, children included."""
    script = (
        "import json, resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20])); sys.exit(code)"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        cwd=ROOT,
        env={**place.environment(), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    told, _, last = done.stdout.decode(errors="replace").strip().rpartition("\n")
    return Ended(done.returncode, told), time.monotonic() - began, *json.loads(last)


def many_trials(place: Place) -> tuple[str, str]:
    (place.folder / "config.py").write_text(SWEEP.format(text=str(place.text), seeds=TRIALS // 20))
    command = [*place.command("launch"), f"--config={place.folder}/config.py", "--sweep=all", f"--runs={place.runs}"]
    ended, seconds, processor, memory = measured(place, command)
    done = sum(run.status()["state"] == "done" for run in find_runs([place.runs]))
    again, seconds_again, *_ = measured(place, command)
    wrong = traceback(ended.told + again.told) or ("" if ended.code == again.code == 0 else f"exit code {ended.code}")
    figures = (
        f"{done} of {TRIALS} trials done in {seconds:.0f} s ({processor:.0f} s of processor time, {memory:.2f} GB)"
    )
    return f"{figures}; launched again: {seconds_again:.0f} s", wrong or (
        "" if done == TRIALS else "trials are missing"
    )


def many_lines(place: Place) -> tuple[str, str]:
    shutil.copytree(prepare(place.shared).runs, place.runs)
    run = place.run
    (template,) = (record for record in run.metrics.read() if record["kind"] == "train" and record["step"] == 5)
    with open(run.metrics.path, "w", encoding="utf-8") as file:
        for number in range(1_000_000):
            text = json.dumps({**template, "step": number})
            file.write(f"{zlib.crc32(text.encode()):08x} {text}\n")
    ended, seconds, _, memory = measured(place, place.command("compare", place.runs))
    again, seconds_again, *_ = measured(place, place.command("compare", place.runs))
    wrong = traceback(ended.told + again.told) or ("" if ended.code == again.code == 0 else f"exit code {ended.code}")
    if memory > 4:
        wrong = wrong or f"{memory:.1f} GB"
    return f"read in {seconds:.0f} s and {memory:.2f} GB, with the index in {seconds_again:.0f} s", wrong


def many_runs(place: Place) -> tuple[str, str]:
    """Of five cells, a hundred settings each, ten seeds each."""
    original = prepare(place.shared).run.path
    trial = read_json(original / "config.json")
    for cell, setting, seed in itertools.product(("rnn", "lstm", "gru", "mut1", "mut2"), range(100), range(10)):
        copy = place.runs / f"{cell}-{setting}-{seed}"
        copy.mkdir(parents=True)
        for name in ("status.json", "metrics.jsonl", "timing.jsonl", "environment.json"):
            shutil.copy(original / name, copy / name)
        trial["config"]["cell"]["name"], trial["config"]["seed"] = cell, seed
        trial["config"]["optimiser"]["learning_rate"] = 0.001 * 1.05**setting
        write_json(copy / "config.json", trial)
    time.sleep(3)  # files that are no older than two seconds are not trusted to the index
    figures, wrong = [], ""
    for what, *more in (
        ("listed for the first time", "--list"),
        ("listed again", "--list"),
        ("with tables and figures",),
    ):
        ended, _, processor, memory = measured(place, place.command("compare", place.runs, *more))
        wrong = wrong or traceback(ended.told) or (f"exit code {ended.code}" if ended.code else "")
        if more and ended.told.count("done") != 5000:
            wrong = wrong or f"{ended.told.count('done')} runs are listed"
        if processor > 10 or memory > 1:
            wrong = wrong or f"{what}: {processor:.1f} s and {memory:.2f} GB"
        figures.append(f"{what} {processor:.1f} s of processor time and {memory:.2f} GB")
    return ", ".join(figures), wrong


def long_run(place: Place) -> tuple[str, str]:
    settings = {"train__steps": 100_000, "train__steps_per_dispatch": 500, "train__eval_every": 5000}
    settings |= {"cell__hidden": 4, "train__snapshots": 0, "probe__every": 0, "train__checkpoint_seconds": 5.0}
    process = subprocess.Popen(
        place.launch(**settings), cwd=ROOT, env=place.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    sizes = []
    while process.poll() is None:
        time.sleep(0.5)
        runs = list(place.runs.glob("*/config.json"))
        step = (find_runs([place.runs])[0].timing.last() or {"step": 0})["step"] if runs else 0
        if trainer := _descendants(process.pid, "seqjax.training"):
            sizes.append((step, _resident(trainer[0]), len(_files(trainer[0]))))
    told = process.stdout.read().decode()
    early = max((size for step, size, _ in sizes if 0 < step <= 20_000), default=0)
    late = max((size for step, size, _ in sizes if step > 50_000), default=0)
    files = max(count for *_, count in sizes)
    wrong = traceback(told) or (f"exit code {process.returncode}" if process.returncode else "")
    if not early or not late or late > 1.02 * early:
        wrong = wrong or "memory grows"
    return f"{early / 2**20:.1f} MB by step 20,000, {late / 2**20:.1f} after step 50,000, at most {files} files", wrong


ENDINGS = (
    (),
    (signal.SIGINT,),
    (signal.SIGTERM,),
    (signal.SIGINT, signal.SIGINT),
    (signal.SIGKILL,),
    (),
)


def leftovers(place: Place) -> tuple[str, str]:
    place.cache, wrong = place.folder / "cache", []
    for number, signals in enumerate(ENDINGS):
        steps = 400 * (number + 1)  # there is something to train each time
        process = subprocess.Popen(
            place.launch("--sweep=seeds", "--workers=2", "--stack=1", train__steps=steps),
            cwd=ROOT,
            env=place.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if signals:
            _wait(lambda launch=process, until=steps: _trains(place, launch, until))
        for signalled in signals:
            process.send_signal(signalled)
            time.sleep(0.2)
        code = process.wait(120)
        expected = 0 if not signals else -signal.SIGKILL if signal.SIGKILL in signals else 130
        if code != expected:
            wrong.append(f"exit code {code} after {signals}")
        if signal.SIGKILL in signals:  # those that lost their launcher save themselves
            _wait(lambda: not processes(str(place.runs)))
        if left := processes(str(place.runs)):
            wrong.append(f"{len(left)} processes after {signals}")
            for pid in left:
                os.kill(pid, signal.SIGKILL)
    wrong += [f"{folder.name}/{name} is left" for folder in (place.runs, place.cache) for name in temporary(folder)]
    return "no process, no temporary file", "; ".join(wrong)


def _wait(what, seconds: float = 60) -> None:
    """Until it is so. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"what was waited for did not come in {seconds} s")
        time.sleep(0.02)


def _trains(place: Place, launch: subprocess.Popen, steps: int) -> bool:
    """Whether a trial of that many steps is in training. Raises RuntimeError where the launch has ended before."""
    if launch.poll() is not None:
        raise RuntimeError(f"the launch ended with code {launch.returncode} before it could be signalled")
    runs = find_runs([place.runs]) if any(place.runs.glob("*/config.json")) else []
    steps_done = ((run, (run.timing.last() or {"step": 0})["step"]) for run in runs)
    return any(run.status()["state"] == "running" and steps - 400 < step < steps for run, step in steps_done)


def _descendants(parent: int, word: str) -> list[int]:
    def parent_of(pid):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    return [pid for pid in processes(word) if pid != parent and parent_of(pid) == parent]


def _resident(pid: int) -> int:
    """Bytes; 0 for a process that has ended."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _files(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


CASES = (many_trials, many_lines, many_runs, long_run, leftovers)


def attack(seed: int, place: Place) -> Outcome:
    """The case of the seed."""
    case = CASES[seed % len(CASES)]
    figures, wrong = case(place)
    shutil.rmtree(place.folder)
    return Outcome("load", seed, case.__name__.replace("_", " "), figures, wrong)
