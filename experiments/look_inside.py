"""See what the units of a trained character model follow: a page of the text in the colours of any unit.

python -m experiments.look_inside runs/NAME
python -m experiments.look_inside runs/NAME --text=FILE --language=c --features=FILE.py --out=DIR

Every unit is scored against features of the text, inside a string or the position in the line, and the page opens on
the best. Beside the page stand activations.npz, what the page shows as a table, units.csv, all scores, and a picture of
each cell that was found. A run with snapshots (train.snapshots) is also shown through its training.
"""

import dataclasses
import logging
import pathlib

from experiments import entry
from seqjax.errors import UserError

MOST_SCORED = 40_000  # symbols


def main(arguments: list[str]) -> None:
    """Write the page; the last line printed is its path."""
    options = parse(arguments)

    from rich.console import Console

    from seqjax.interpret import features, kinds, units
    from seqjax.interpret.reading import read
    from seqjax.interpret.through_training import gate_names
    from seqjax.loading import load
    from seqjax.report import inside_write
    from seqjax.report.gradients_write import prepare
    from seqjax.report.inside_data import check_finite

    functions = features.features_of(options.language) if options.language else {}
    own = features.load_features(options.features) if options.features else {}
    console = Console()
    loaded = load(options.run)
    source, symbols = text_of(options, loaded)
    text = kinds.text_of(loaded.vocabulary, symbols)
    language = options.language or features.guess_language(text)
    functions = (functions or features.features_of(language)) | own

    notes, scores = [], None
    out = prepare(options.out or pathlib.Path(options.run) / "inside")
    measured = features.measure(text, functions)
    activity = read(loaded.model, symbols[: options.length])
    check_finite(activity)
    if len(symbols) < units.SHORTEST:
        notes.append(f"a text of {len(symbols)} symbols is too short to find cells in; it takes {units.SHORTEST}")
    else:
        with console.status(f"scoring every unit on {len(symbols):,} symbols"):
            scores = units.score(read(loaded.model, symbols, gates=False), measured)
        notes += [f"no score for {title!r}: it does not vary in both halves of the text" for title in scores.skipped]
    found = scores.found() if scores else []
    print_found(found, notes, console)
    with console.status("writing the page"):
        facts = facts_of(options.run, loaded, source, language, activity)
        labels = labels_of(loaded.vocabulary)
        of_shown = [dataclasses.replace(one, values=one.values[: options.length]) for one in measured]
        moments = moments_of(options.run, loaded, activity, found, of_shown, [labels[s] for s in activity.symbols])
        gates = gate_names(loaded.model, activity)
        page = inside_write.write(out, labels, facts, activity, gates, of_shown, scores, moments)
    console.print(str(page), highlight=False, markup=False, soft_wrap=True)


def parse(arguments: list[str]):
    """The options, their values checked."""
    parser = entry.parser("look_inside", __doc__)
    parser.add_argument("run", help="the directory of a run of the task char_lm")
    parser.add_argument("--text", metavar="FILE", help="a text of your own (default: what the run held out)")
    parser.add_argument("--language", help="prose, c or python (default: guessed), for which features it has")
    parser.add_argument("--features", metavar="FILE", help="Python file with FEATURES = {title: function of a text}")
    parser.add_argument("--length", type=int, default=5000, help="symbols shown, from the beginning (default: 5000)")
    parser.add_argument("--out", metavar="DIR", help="where it goes (default: inside, in the run's directory)")
    options = parser.parse_args(arguments)
    if options.length < 2:
        raise UserError(f"--length is {options.length}; it should be at least 2")
    return options


def text_of(options, loaded):
    """What the text is called, and its symbols, as many as are scored: `[time]`.

    Of a run's own data it is the validation and the test text, or the end of the training text where nothing was held
    out. Raises UserError for a run of another task, and a text that is empty, too short, or of unknown symbols.
    """
    import numpy as np

    from seqjax.datasets.texts import text_file
    from seqjax.results import RunDirectory
    from seqjax.training.trial import open_task

    vocabulary = loaded.vocabulary
    if options.text:
        name = pathlib.Path(options.text).name
        raw = beginning(text_file(options.text), vocabulary.kind)
        symbols = vocabulary.encode(raw, f"the text {options.text!r}")[:MOST_SCORED]
    else:
        task = open_task(RunDirectory(options.run).trial())[1]
        name = f"{task.title}, held out"
        symbols = np.concatenate([task.splits["validation"], task.splits["test"]])[:MOST_SCORED]
        if len(symbols) < 2:
            name, symbols = f"{task.title}, trained on", task.splits["train"][-MOST_SCORED:]
    if len(symbols) < 2:
        raise UserError(f"a text of {len(symbols)} symbol has nothing to predict; it needs at least 2")
    return name, symbols


def beginning(text: bytes, kind: str) -> bytes:
    """What holds all symbols that are scored, and little more: what comes after them need not be known."""
    if kind == "bytes" or len(text) <= 4 * MOST_SCORED:
        return text[: 4 * MOST_SCORED]
    characters = text[: 4 * MOST_SCORED + 3].decode("utf-8", "ignore")[:MOST_SCORED]  # the cut may go through one
    whole = characters.encode()
    return whole if text.startswith(whole) else text[: len(whole)]


def labels_of(vocabulary) -> list[str]:
    """What shows each symbol: its character, or two hexadecimal digits for a byte beyond ASCII."""
    if vocabulary.kind == "bytes":
        return [chr(byte) if byte < 128 else f"{byte:02x}" for byte in vocabulary.symbols]
    return [chr(point) for point in vocabulary.symbols]


def facts_of(run: str, loaded, source: str, language: str, activity) -> dict[str, str]:
    """What stands at the head of the page."""
    import math

    cell, nats = loaded.config.cell, float(activity.nats[1:].mean())
    return {
        "run": pathlib.Path(run).resolve().name,
        "cell": f"{cell.name}, {cell.layers} x {cell.hidden} units",
        "text": f"{source}: {len(activity.symbols):,} symbols shown, read as {language}",
        "surprise": f"{nats:.3f} nats ({nats / math.log(2):.3f} bits) per symbol",
    }


def moments_of(run: str, loaded, activity, found, features, shown) -> list:
    """The network at each of its snapshots, with the strongest cell; none for a run that keeps no snapshots."""
    from seqjax.interpret.through_training import moments
    from seqjax.loading import load, snapshots
    from seqjax.report.inside_write import cell_of, passage_of
    from seqjax.results import RunDirectory

    if not any(RunDirectory(run).snapshots.glob("*")):
        return []
    try:
        steps = snapshots(run)
    except UserError as error:
        logging.warning("%s", error)
        return []
    networks = ((step, load(run, step).model) for step in steps)
    passage = passage_of(found, features, shown)
    return moments(loaded.task, networks, activity.symbols, cell_of(found, activity), passage=passage)


def print_found(found: list, notes: list[str], console) -> None:
    """A table of the best unit for each feature, and the notes."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from seqjax.report.terminal import WIDTH_ELSEWHERE

    if not console.is_terminal:
        console.width = WIDTH_ELSEWHERE
    if found:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("feature", "layer", "part", "unit", "score", "chance", ""):
            table.add_column(name, justify="left" if name in ("feature", "part", "") else "right")
        for one in found:
            score = f"{'AUC' if one.kind == 'binary' else 'r'} {one.score:.3f}"
            verdict = "" if one.above_chance else "not above chance"
            cells = (one.feature, str(one.layer + 1), one.part, str(one.unit), score, f"{one.chance:.3f}", verdict)
            table.add_row(*map(Text, cells), style="" if one.above_chance else "dim")
        console.print(table)
        said = (
            "chosen on one half of the text, scored on the other; chance: the best of all units with features shifted"
        )
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    entry.run(main)
