"""Measure a trained run on a split of its own text, or on another text.

python -m experiments.evaluate runs/NAME --split=test
python -m experiments.evaluate runs/NAME --text=FILE
"""

from experiments import entry
from seqjax.errors import UserError


def main(arguments: list[str]) -> None:
    """Print the scores of a split."""
    parser = entry.parser("evaluate", __doc__)
    parser.add_argument("run", help="a run directory")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--split", default="validation", help="train, validation (the default) or test")
    which.add_argument("--text", metavar="FILE", help="a text of your own, of symbols the run knows")
    options = parser.parse_args(arguments)

    from seqjax.datasets.texts import text_file
    from seqjax.errors import did_you_mean
    from seqjax.loading import load
    from seqjax.results import RunDirectory
    from seqjax.tasks.char_lm import SPLITS
    from seqjax.training.trial import open_task

    loaded = load(options.run)
    if options.text:
        if not loaded.is_language_model:
            raise UserError(f"{options.run} is no language model, but a run of the task {loaded.config.task.name}")
        symbols = loaded.vocabulary.encode(text_file(options.text), f"the text {options.text!r}")
        name, task, size, scores = options.text, loaded.task, len(symbols), loaded.task.score(loaded.model, symbols)
    else:
        if options.split not in SPLITS:
            raise UserError(f"unknown split {options.split!r}; {did_you_mean(options.split, SPLITS)}")
        name = options.split
        task = open_task(RunDirectory(options.run).trial())[1]
        size, scores = task.held_out(name), task.evaluate(loaded.model, name)
        if not scores:
            raise UserError(f"this run has no {name} split to measure")
    said = ", ".join(f"{metric} {value:.4f}" for metric, value in scores.items())
    print(f"{name}, {size:,} {task.counted_in}: {said}")


if __name__ == "__main__":
    entry.run(main)
