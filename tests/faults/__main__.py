"""Attack the commands and write what came of it.

    python -m tests.faults                                    # all of it: two to three hours on two cores
    python -m tests.faults --attacks=20 --only=killed,full    # fewer
    python -m tests.faults --only=damaged --seed=417          # one again
    python -m tests.faults --log=FILE --minutes=30            # a part; the same command goes on with the rest

Attacks that went wrong are printed with their seeds, and end the command with exit code 1. With `--log`, what the file
tells of attacks on the same code is not done again. `--earlier=load` keeps that kind's outcomes on earlier code too.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import math
import os
import pathlib
import signal
import sys
import tempfile
import time

from seqjax.results import Journal
from tests.faults import attackers
from tests.faults.attack import Outcome
from tests.faults.page import in_order, page

# How many of each, if nothing is said.
KINDS = {"killed": 100, "damaged": 1000, "full": 260, "crowd": 40, "load": 5}

HARNESS = ("attack", "attackers", "place", "inside/sitecustomize")  # what all kinds attack with


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", type=int, help="of each kind")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, with commas between")
    parser.add_argument("--seed", type=int, help="the only one")
    parser.add_argument(
        "--out", type=pathlib.Path, help="the page to write, and beside it a line of JSON for each attack"
    )
    parser.add_argument("--log", type=pathlib.Path, help="where outcomes are kept, a line each")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no attack after that")
    parser.add_argument("--earlier", default="", metavar="KINDS", help="outcomes on earlier code are kept, newest ones")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    jobs = [
        (kind, seed)
        for kind in options.only.split(",")
        for seed in ([options.seed] if options.seed is not None else range(options.attacks or KINDS[kind]))
    ]
    codes = {kind: _code(kind) for kind in KINDS}
    log = Journal(options.log) if options.log and options.seed is None else None
    known = _kept(log, codes, options.earlier.split(",")) if log else {}
    outcomes = [known[job] for job in jobs if job in known]
    left = [job for job in jobs if job not in known]
    for outcome in _attack(left, time.monotonic() + 60 * options.minutes) if left else ():
        outcomes.append(outcome := dataclasses.replace(outcome, code=codes[outcome.kind]))
        if log:
            with log.appending() as lines:
                lines.add(dataclasses.asdict(outcome))
        if outcome.fault:
            print(f"{outcome.kind} {outcome.seed}: {outcome.what}: {outcome.fault}", flush=True)
        print(f"\r{len(outcomes)} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    text = page(outcomes, len(jobs))
    print(f"\n{text}")
    if options.out:
        options.out.write_text(text, encoding="utf-8")
        lines = (json.dumps(dataclasses.asdict(outcome)) + "\n" for outcome in in_order(outcomes))
        options.out.with_suffix(".jsonl").write_text("".join(lines), encoding="utf-8")
    return 1 if any(outcome.fault for outcome in outcomes) else 0


def _attack(jobs, until: float):
    """Outcomes of attacks as they end, one attack on each core; none begins after `until`."""
    jobs = iter(jobs)
    with tempfile.TemporaryDirectory() as folder, attackers.pool(pathlib.Path(folder)) as pool:
        pool.submit(attackers.prepare).result()
        under_way = {
            pool.submit(attackers.attack, *job) for job in itertools.islice(jobs, len(os.sched_getaffinity(0)))
        }
        while under_way:
            ended, under_way = concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                if time.monotonic() < until and (job := next(jobs, None)):
                    under_way.add(pool.submit(attackers.attack, *job))
                yield future.result()


def _code(kind: str) -> str:
    """A digest of what is attacked, and of what attacks in that way."""
    root, digest = pathlib.Path(__file__).parents[2], hashlib.sha256()
    attacked = ("seqjax/**/*.py", "experiments/*.py", "configs/*.py")
    attacking = [f"tests/faults/{name}.py" for name in (*HARNESS, kind)]
    for path in sorted(path for pattern in (*attacked, "tests/tiny.py", *attacking) for path in root.glob(pattern)):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _kept(log: Journal, codes: dict[str, str], earlier: list[str]) -> dict[tuple[str, int], Outcome]:
    """What a log tells of attacks on this code, and of some kinds on any, by kind and seed; the newest counts.

    A line that was cut off is forgotten.
    """
    log.path.parent.mkdir(parents=True, exist_ok=True)
    rows = log.read()
    log.cut(len(rows))
    outcomes = [Outcome(**row) for row in rows if row["kind"] in earlier or row["code"] == codes.get(row["kind"])]
    return {(outcome.kind, outcome.seed): outcome for outcome in outcomes}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
