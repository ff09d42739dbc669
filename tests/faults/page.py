"""The page that tells what attacks came to."""

import collections
import importlib
import itertools
import platform
import re

from tests.faults.attack import Outcome

# What of an attack's words is counted.
COUNTED = {
    "killed": r"SIG\w+ while [a-z ]+(?=;|,|$)",
    "damaged": r"^(\w+).*: (bit|cut|deleted|folder deleted|an? [a-z ]+)",
    "full": r"^E\w+|no file over|a disk of",
    "crowd": r"a second launch|the clock of \S+|\w+\.json ends|format",
}
LIMITS = """
## What no attack is like

The machine never loses power: measurements that were not yet surely on the disk are cut off instead, after a kill. A
file system that loses or swaps synced blocks, memory that flips bits, several machines of which one dies, and GPUs are
not attacked. Writes are counted where Python does them; Orbax writes arrays without it, which only the limits on the
size of files and the small disks meet.
"""


def page(outcomes: list[Outcome], planned: int) -> str:
    """In Markdown: how many attacks of each kind, how they ended, and each that went wrong."""
    by_kind = itertools.groupby(in_order(outcomes), key=lambda outcome: outcome.kind)
    groups = {kind: list(group) for kind, group in by_kind}
    lines = [
        "# What runs survive",
        "",
        "`make faults` attacks the commands, as processes, at random moments and in random ways, which seeds repeat:",
        "`python -m tests.faults --only=KIND --seed=SEED`. This is what came of the last time, on",
        f"{platform.machine()}, Python {platform.python_version()}: {len(outcomes)} of {planned} attacks.",
        "Those that did not strike, as the process had ended before or the disk had room, are not counted as survived.",
        "The code is a digest of all that was attacked, and of what attacked it. `faults.jsonl` has a line for",
        "each attack.",
        "",
        "| attacks | tried | struck | survived | minutes of one core | code |",
        "|---|---|---|---|---|---|",
    ]
    for kind, group in groups.items():
        struck = [outcome for outcome in group if outcome.struck]
        survived = sum(not outcome.fault for outcome in struck)
        minutes = sum(outcome.seconds for outcome in group) / 60
        codes = ", ".join(sorted({outcome.code[:8] for outcome in group}))
        lines.append(f"| {kind} | {len(group)} | {len(struck)} | {survived} | {minutes:.0f} | {codes} |")
    for kind, group in groups.items():
        about = importlib.import_module(f"tests.faults.{kind}").__doc__.strip()
        lines += ["", f"## {kind}", "", about, "", *_ends(group), *_counts(kind, group)]
        lines += [f"- **wrong**, seed {outcome.seed}: {outcome.what}: {outcome.fault}" for outcome in _wrong(group)]
        lines += ["", f"Seeds {', '.join(_ranges([outcome.seed for outcome in group]))}."]
    return "\n".join(lines) + "\n" + LIMITS


def in_order(outcomes: list[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: (outcome.kind, outcome.seed))


def _wrong(group: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in group if outcome.fault]


def _ends(group: list[Outcome]) -> list[str]:
    """How often each end was; where all differ, what had it."""
    ends = collections.Counter(outcome.end for outcome in group if not outcome.fault)
    if len(ends) == len(group):
        return [f"- {outcome.what}: {outcome.end}" for outcome in group]
    return [f"- {count}: {end}" for end, count in ends.most_common()]


def _counts(kind: str, group: list[Outcome]) -> list[str]:
    if kind not in COUNTED:
        return []
    found = collections.Counter(
        " ".join(match.groups() or (match[0],)) for o in group for match in re.finditer(COUNTED[kind], o.what)
    )
    return ["", "Of what: " + ", ".join(f"{words}: {count}" for words, count in found.most_common()) + ".", ""]


def _ranges(seeds: list[int]) -> list[str]:
    """0, 1, 2, 5 -> 0-2, 5."""
    found = []
    for seed in seeds:
        if found and found[-1][1] == seed - 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return [str(a) if a == b else f"{a}-{b}" for a, b in found]
