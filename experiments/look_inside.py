"""See what the units of a trained character model follow: a page of the text in the colours of any unit.

python -m experiments.look_inside runs/NAME
python -m experiments.look_inside runs/NAME --text=FILE --language=c --features=FILE.py --out=DIR

Every unit is scored against features of the text, inside a string or the position in the line, and the page opens on
the best. Beside the page stand activations.npz, what the page shows as a table, units.csv, all scores, and a picture of
each cell that was found. A run with snapshots (train.snapshots) is also shown through its training, and beside its
scores stand those of the untrained network.

A text of your own may hold only what the network knows: symbols of the text that it was trained on.
"""

import dataclasses
import logging
import pathlib

from experiments import entry
from seqjax.errors import UserError

MOST_SCORED = 40_000  # symbols
NO_START = (
    "no scores of the untrained network beside these: the run keeps no snapshot of step 0; train one with "
    "--config.train.snapshots=8, in another directory"
)


def main(arguments: list[str]) -> None:
    """Write the page; the last line printed is its path."""
    options = parse(arguments)

    from rich.console import Console

    from seqjax.interpret import features, kinds
    from seqjax.interpret.reading import read
    from seqjax.interpret.through_training import gate_names
    from seqjax.loading import load_evaluated
    from seqjax.report import inside_write
    from seqjax.report.gradients_write import prepare
    from seqjax.report.inside_data import check_finite

    functions = features.features_of(options.language) if options.language else {}
    own = features.load_features(options.features) if options.features else {}
    console = Console()
    loaded = load_evaluated(options.run)
    source, symbols = text_of(options, loaded)
    text = kinds.text_of(loaded.vocabulary, symbols)
    language = options.language or features.guess_language(text)
    functions = (functions or features.features_of(language)) | own

    out = prepare(options.out or default_folder(options))
    measured = features.measure(text, functions)
    activity = read(loaded.model, symbols[: options.length])
    check_finite(activity)
    facts = facts_of(options, loaded, source, language, activity)
    print_facts(facts, console)
    steps = snapshots_of(options.run)
    with console.status(f"scoring every unit on {len(symbols):,} symbols"):
        scores, notes = scores_of(options.run, loaded, symbols, measured, steps)
    found = scores.found() if scores else []
    print_found(found, notes, console)
    with console.status("writing the page"):
        labels = labels_of(loaded.vocabulary)
        of_shown = [dataclasses.replace(one, values=one.values[: options.length]) for one in measured]
        shown = [labels[symbol] for symbol in activity.symbols]
        moments = moments_of(options.run, loaded, steps, activity, found, of_shown, shown)
        gates = gate_names(loaded.model, activity)
        page = inside_write.write(out, labels, facts, activity, gates, of_shown, scores, notes, moments)
    console.print(str(page), highlight=False, markup=False, soft_wrap=True)


def parse(arguments: list[str]):
    """The options, their values checked."""
    parser = entry.parser("look_inside", __doc__)
    parser.add_argument("run", help="the directory of a run of the task char_lm")
    parser.add_argument("--text", metavar="FILE", help="a text of your own (default: what the run held out)")
    parser.add_argument("--language", help="prose, c or python (default: guessed), for which features it has")
    parser.add_argument("--features", metavar="FILE", help="Python file with FEATURES = {title: function of a text}")
    parser.add_argument("--length", type=int, default=5000, help="symbols shown, from the beginning (default: 5000)")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="where it goes (default: in the run's directory inside, or inside_NAME with --text=NAME.txt)",
    )
    options = parser.parse_args(arguments)
    entry.check(options, "length", 2, MOST_SCORED)
    return options


def default_folder(options) -> pathlib.Path:
    """In the run's directory; a text of one's own does not take the place of the run's."""
    from seqjax.report.inside_write import file_name

    name = f"inside_{file_name(pathlib.Path(options.text).stem, 'text')}" if options.text else "inside"
    return pathlib.Path(options.run) / name


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
        try:
            symbols = vocabulary.encode(raw, f"the text {options.text!r}")[:MOST_SCORED]
        except UserError as error:
            raise UserError(f"{error}: a network reads no symbols but those of the text it was trained on") from error
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


def facts_of(options, loaded, source: str, language: str, activity) -> dict[str, str]:
    """What stands at the head of the page."""
    import math

    cell, nats = loaded.config.cell, float(activity.nats[1:].mean())
    guessed = "" if options.language else " (a guess; --language says otherwise)"
    return {
        "run": pathlib.Path(options.run).resolve().name,
        "cell": f"{cell.name}, {cell.layers} x {cell.hidden} units",
        "weights": f"of step {loaded.step:,}",
        "text": f"{source}: {len(activity.symbols):,} symbols shown, read as {language}{guessed}",
        "surprise": f"{nats:.3f} nats ({nats / math.log(2):.3f} bits) per symbol",
    }


def snapshots_of(run: str) -> list[int]:
    """The steps of the run's snapshots; none where it keeps none, or all are damaged, which the log says."""
    from seqjax.loading import snapshots
    from seqjax.results import RunDirectory

    if not any(RunDirectory(run).snapshots.glob("*")):
        return []
    try:
        return snapshots(run)
    except UserError as error:
        logging.warning("%s", error)
        return []


def scores_of(run: str, loaded, symbols, measured: list, steps: list[int]) -> tuple:
    """The scores of every unit, beside those of the untrained network where the run keeps it, and notes about what has
    none. No scores, and a note, where the text is too short.
    """
    from seqjax.interpret import units
    from seqjax.interpret.reading import read
    from seqjax.loading import load

    if len(symbols) < units.SHORTEST:
        short = f"a text of {len(symbols)} symbols is too short to find cells in; it takes {units.SHORTEST}"
        return None, [short]
    untrained, notes = None, [NO_START]
    if loaded.config.init_from:
        notes = ["no scores of an untrained network beside these: this run began with the weights of another"]
    elif 0 in steps:
        untrained, notes = read(load(run, 0).model, symbols, gates=False), []
    scores = units.score(read(loaded.model, symbols, gates=False), measured, untrained)
    return scores, notes + [
        f"no score for {title!r}: it does not vary in both halves of the text" for title in scores.skipped
    ]


def moments_of(run: str, loaded, steps: list[int], activity, found, features, shown) -> list:
    """The network at each of its snapshots, with the strongest cell."""
    from seqjax.interpret.through_training import moments
    from seqjax.loading import load
    from seqjax.report.inside_write import cell_of, passage_of

    networks = ((step, load(run, step).model) for step in steps)
    passage = passage_of(found, features, shown)
    return moments(loaded.task, networks, activity.symbols, cell_of(found, activity), passage=passage)


def print_facts(facts: dict[str, str], console) -> None:
    """A line each."""
    for name, value in facts.items():
        console.print(f"{name}: {value}", highlight=False, markup=False, soft_wrap=True)


def print_found(found: list, notes: list[str], console) -> None:
    """A table of the best unit for each feature, and the notes."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from seqjax.report.terminal import WIDTH_ELSEWHERE

    if not console.is_terminal:
        console.width = WIDTH_ELSEWHERE
    if found:
        beside = ["chance"] if found[0].untrained is None else ["chance", "untrained"]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("feature", "layer", "part", "unit", "score", *beside, ""):
            table.add_column(name, justify="left" if name in ("feature", "part", "") else "right")
        for one in found:
            score = f"{'AUC' if one.kind == 'binary' else 'r'} {one.score:.3f}"
            others = [f"{value:.3f}" for value in (one.chance, one.untrained) if value is not None]
            verdict = "" if one.learned else f"not above {'untrained' if one.above_chance else 'chance'}"
            cells = (one.feature, str(one.layer + 1), one.part, str(one.unit), score, *others, verdict)
            table.add_row(*map(Text, cells), style="" if one.learned else "dim")
        console.print(table)
        said = "chosen on one half of the text, scored on the other; chance: the best of all units, features shifted"
        if "untrained" in beside:
            said += "; untrained: the best of all units before training"
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    entry.run(main)
