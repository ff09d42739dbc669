"""Attack the commands and write what came of it.

    python -m tests.faults                                    # all of it: some two hours on two cores, by estimate
    python -m tests.faults --attacks=20 --only=killed,full    # fewer
    python -m tests.faults --only=damaged --seed=417          # one again

Attacks that went wrong are printed with their seeds, and end the command with exit code 1.
"""

import argparse
import collections
import concurrent.futures
import importlib
import itertools
import os
import pathlib
import platform
import sys
import tempfile
import time

from tests.faults import attackers

# How many of each, if nothing is said.
KINDS = {"killed": 100, "damaged": 1000, "full": 200, "crowd": 40, "load": 5}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attacks", type=int, help="of each kind")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, with commas between")
    parser.add_argument("--seed", type=int, help="the only one")
    parser.add_argument("--out", type=pathlib.Path, help="the page to write")
    options = parser.parse_args(arguments)
    jobs = [
        (kind, seed)
        for kind in options.only.split(",")
        for seed in ([options.seed] if options.seed is not None else range(options.attacks or KINDS[kind]))
    ]
    began = time.monotonic()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, attackers.pool(pathlib.Path(folder)) as pool:
        pool.submit(attackers.prepare).result()
        for done in concurrent.futures.as_completed([pool.submit(attackers.attack, kind, seed) for kind, seed in jobs]):
            outcomes.append(done.result())
            if outcomes[-1].fault:
                print(_told(outcomes[-1]), flush=True)
            print(f"\r{len(outcomes)} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    outcomes.sort(key=lambda outcome: (outcome.kind, outcome.seed))
    page = _page(outcomes, time.monotonic() - began)
    print(f"\n{page}")
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    return 1 if any(outcome.fault for outcome in outcomes) else 0


def _told(outcome) -> str:
    return f"{outcome.kind} {outcome.seed}: {outcome.what}: {outcome.fault}"


def _page(outcomes, seconds: float) -> str:
    """A page in Markdown: how many of each kind, how they ended, and each that went wrong."""
    lines = [
        "# What runs survive",
        "",
        "`make faults` attacks the commands, as processes, at random moments and in random ways, which seeds repeat:",
        "`python -m tests.faults --only=KIND --seed=SEED`. This is what came of the last time, on",
        f"{platform.machine()}, Python {platform.python_version()}, {len(os.sched_getaffinity(0))} cores, in "
        f"{seconds / 60:.0f} minutes.",
        "",
    ]
    for kind, group in itertools.groupby(outcomes, key=lambda outcome: outcome.kind):
        group = list(group)
        wrong = [outcome for outcome in group if outcome.fault]
        about = importlib.import_module(f"tests.faults.{kind}").__doc__.strip()
        ends = collections.Counter(outcome.end for outcome in group if not outcome.fault)
        lines += [f"## {kind}: {len(group)} attacks, {len(group) - len(wrong)} survived", "", about, ""]
        lines += [f"- {count}: {end}" for end, count in ends.most_common()]
        lines += [f"- wrong, seed {outcome.seed}: {outcome.what}: {outcome.fault}" for outcome in wrong]
        lines += ["", f"Seeds {', '.join(_ranges([outcome.seed for outcome in group]))}.", ""]
    return "\n".join(lines)


def _ranges(seeds: list[int]) -> list[str]:
    """0, 1, 2, 5 -> 0-2, 5."""
    found = []
    for seed in seeds:
        if found and found[-1][1] == seed - 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return [str(a) if a == b else f"{a}-{b}" for a, b in found]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
