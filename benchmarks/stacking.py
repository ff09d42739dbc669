"""Sixteen small trials from command to leaderboard: stacked, one process a trial, and the same sweep in PyTorch.

    python -m benchmarks.stacking [--repeats=3] [--out=benchmarks/results]

Two at a time in every case, a core each. The trials are character models of tiny Shakespeare (LSTM of 32 units, lanes
of 8, chunks of 50, 2,000 steps of Adam, eight learning rates by two seeds), each evaluated on the validation text twice
and once at its end. Compiled programs are not kept from one case to the next ("cold"); where they are "kept", processes
find those of the repeats before. The PyTorch trials are the same networks on the same text, one thread each, without
samples, checkpoints that verify, or a report. Cases take turns; the table gives the best of the repeats.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

RATES = tuple(0.001 * 2 ** (k / 2) for k in range(8))
SEEDS = (0, 1)
HIDDEN, BATCH, CHUNK, STEPS, EVAL_EVERY, CLIP = 32, 8, 50, 2000, 1000, 5.0
WORKERS = 2
SETTINGS = {
    "cell.layers": 1,
    "cell.hidden": HIDDEN,
    "task.batch": BATCH,
    "task.chunk": CHUNK,
    "model.dropout": 0.0,
    "train.steps": STEPS,
    "train.eval_every": EVAL_EVERY,
    "schedule.name": "constant",
    "clip.value": CLIP,
}
CONFIG = """
from seqjax.config import load_config, override
from benchmarks.stacking import RATES, SEEDS, SETTINGS
def get_config(variant=None):
    config, _ = load_config("configs/char_lm.py:tiny_shakespeare")
    for key, value in SETTINGS.items():
        override(config, key, value)
    return config
def sweep_rates():
    return [{"optimiser.learning_rate": rate} for rate in RATES]
def sweep_seeds():
    return [{"seed": seed} for seed in SEEDS]
"""


def launch(folder: pathlib.Path, *options: str, kept: pathlib.Path | None = None) -> dict:
    """Seconds of one launch, and the mean validation score of its trials. `kept` is a cache directory to start from."""
    from seqjax.results import find_runs
    from seqjax.sweeps.progress import final_score

    (folder / "config.py").write_text(CONFIG)
    command = [sys.executable, "-m", "experiments.launch", f"--config={folder}/config.py", "--sweep=rates"]
    command += ["--sweep=seeds", f"--workers={WORKERS}", f"--runs={folder}/runs", *options]
    environment = {**os.environ, "SEQJAX_CACHE_DIR": str(kept or folder / "cache"), "PYTHONPATH": os.getcwd()}
    if kept is None:
        environment |= {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    scores = [final_score(run, "nats") for run in find_runs([folder / "runs"])]
    return {"seconds": seconds, "nats": sum(scores) / len(scores), "trials": len(scores)}


def torch_sweep(folder: pathlib.Path) -> dict:
    """The same sweep with a PyTorch process a trial."""
    waiting = [(rate, seed) for rate in RATES for seed in SEEDS]
    running: list[tuple[int, subprocess.Popen]] = []
    began = time.perf_counter()
    while waiting or running:
        running = [(core, process) for core, process in running if process.poll() is None]
        for core in set(range(WORKERS)) - {core for core, _ in running}:
            if waiting:
                rate, seed = waiting.pop(0)
                command = [sys.executable, "-m", "benchmarks.stacking", "--torch-trial", str(folder)]
                command += [str(rate), str(seed), str(core)]
                running.append((core, subprocess.Popen(command)))
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    scores = [json.loads(path.read_text())["nats"] for path in folder.glob("*.json")]
    return {"seconds": seconds, "nats": sum(scores) / len(scores), "trials": len(scores)}


def torch_trial(folder: str, rate: float, seed: int, core: int) -> None:
    """One PyTorch trial: trains, evaluates, saves its weights and its score."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})
    import numpy as np
    import torch
    from torch.nn import functional

    from seqjax.datasets.texts import tiny_shakespeare

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    _, codes = np.unique(np.frombuffer(tiny_shakespeare(), np.uint8), return_inverse=True)
    codes = torch.from_numpy(codes.astype(np.int64))
    vocab, cut = int(codes.max()) + 1, round(len(codes) * 0.9)
    train, validation = codes[:cut], codes[cut:]
    layer, readout = torch.nn.LSTM(vocab, HIDDEN), torch.nn.Linear(HIDDEN, vocab)
    parameters = [*layer.parameters(), *readout.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=rate)
    lane, state = len(train) // BATCH, None
    lanes = train[: lane * BATCH].reshape(BATCH, lane).T.contiguous()
    chunks = (lane - 1) // CHUNK

    def nats(symbols, state):
        hidden, state = layer(functional.one_hot(symbols[:-1], vocab).float(), state)
        return functional.cross_entropy(readout(hidden).flatten(0, 1), symbols[1:].flatten()), state

    def evaluate():
        side = 64
        part = (len(validation) - 1) // side
        with torch.no_grad():
            return float(nats(validation[: side * part].reshape(side, part).T.contiguous(), None)[0])

    for step in range(STEPS):
        place = step % chunks * CHUNK
        state = None if place == 0 or state is None else tuple(part.detach() for part in state)
        loss, state = nats(lanes[place : place + CHUNK + 1], state)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimiser.step()
        if (step + 1) % EVAL_EVERY == 0:
            score = evaluate()
    name = f"{folder}/{rate:.6f}-{seed}"
    torch.save([part.detach() for part in parameters], f"{name}.pt")
    pathlib.Path(f"{name}.json").write_text(json.dumps({"nats": score if math.isfinite(score) else None}))


CASES = {
    "stacked": lambda folder, kept: launch(folder),
    "stacked, programs kept": lambda folder, kept: launch(folder, kept=kept / "stacked"),
    "a process a trial": lambda folder, kept: launch(folder, "--stack=1"),
    "a process a trial, programs kept": lambda folder, kept: launch(folder, "--stack=1", kept=kept / "alone"),
    "PyTorch, a process a trial": lambda folder, kept: torch_sweep(folder),
}


def table(results: dict[str, list[dict]]) -> str:
    """The results as a Markdown table."""
    best = {case: min(result["seconds"] for result in found) for case, found in results.items()}
    lines = ["| sixteen trials, two at a time | seconds, best | all | against stacked | mean validation nats |"]
    lines.append("|---|---|---|---|---|")
    for case, found in results.items():
        every = ", ".join(f"{result['seconds']:.1f}" for result in found)
        ratio, nats = best[case] / best["stacked"], found[0]["nats"]
        lines.append(f"| {case} | {best[case]:.1f} | {every} | {ratio:.2f} | {nats:.3f} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--torch-trial"]:
        folder, rate, seed, core = arguments[1:]
        torch_trial(folder, float(rate), int(seed), int(core))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="a directory for stacking.md")
    options = parser.parse_args(arguments)
    results: dict[str, list[dict]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as place:
        kept = pathlib.Path(place) / "kept"
        for _ in range(options.repeats):
            for case, run in CASES.items():
                folder = pathlib.Path(place) / "case"
                folder.mkdir()
                results[case].append(run(folder, kept))
                shutil.rmtree(folder)
                print(f"{case}: {results[case][-1]['seconds']:.1f} s", flush=True)
    text = f"{__doc__.strip()}\n\n{table(results)}\n"
    print(table(results))
    if options.out:
        (options.out / "stacking.md").write_text(f"# Stacked trials\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
