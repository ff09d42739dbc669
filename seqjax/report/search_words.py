"""What is said of a search in sentences, on its page and on the terminal: no louder than the numbers allow."""

from seqjax.report import text
from seqjax.report.runs import Run
from seqjax.report.search import LOST, TRUSTED, Ranking, Search, Setting, measured
from seqjax.report.search_tables import between


def verdict(search: Search) -> str:
    """Which cell to expect the best score of, as far as the intervals allow to tell."""
    ended = search.ended
    if not ended:
        return "No run has a score yet, so there is nothing to compare."
    best, second = ended[0], ended[1] if len(ended) > 1 else None
    if search.trivial is not None and search.standing(best) >= search.trivial:
        return "No setting that has ended is better than the trivial answer, so there is nothing to compare."
    reaches = f"a {search.reported} {search.board.measure.noun} of {text.score(search.standing(best))}"
    follows = f"; {second.name} follows with {text.score(search.standing(second))}." if second else "."
    if search.halved:
        return f"Of all settings that ended, {best.name} has the best, with {reaches}{follows}{_of_halved(search)}"
    draws = search.draws
    among = "a random setting" if draws == 1 else f"the best of {draws} random settings"
    interval = best.interval_at(draws)
    sure = f" (95% interval {between(interval)})" if interval else ""
    said = f"With {among}, {best.name} is to be expected to reach {reaches}{sure}{follows}"
    other = second and second.interval_at(draws)
    if second and (interval is None or other is None):
        said += " So few settings give no interval: more of them may turn the order round."
    elif second and other[0] <= interval[1]:
        said += " Their intervals overlap, so that more settings may turn the order round."
    return said


def _of_halved(search: Search) -> str:
    if len(search.ended) == 1:
        return ""
    said = " No interval is known of that"
    if any(len(cell.settings) > search.all_draws for cell in search.ended):
        said += ", and a cell with more settings has more luck"
    return f"{said}."


def cautions(search: Search) -> list[str]:
    """What is to be known of the runs before any number is believed."""
    settings = [setting for cell in search.ended for setting in cell.settings]
    runs = [run for setting in settings for run in setting.runs]
    said = [*_of_stopped(search, settings, runs), *search.notes]
    if unmeasured := sum(run.state != LOST and not measured(run) for run in runs):
        said.append(
            f"{text.counted(unmeasured, 'run')} without the scores of the end: the best validation score on the way "
            "stands for them."
        )
    if unfinished := sum(cell.unfinished for cell in search.cells):
        failed = sum(run.state == "failed" for run in search.board.runs)
        again = f"; {failed:,} of them failed, and launching the sweep once more tries them again" if failed else ""
        said.append(f"Not counted: {text.counted(unfinished, 'run')} not ended yet{again}.")
    return said


def _of_stopped(search: Search, settings: list[Setting], runs: list[Run]) -> list[str]:
    if not search.halved:
        return []
    steps = sorted({max(run.validation, default=run.steps) for run in runs if run.state == "stopped"})
    said = [
        f"{sum(setting.stopped for setting in settings):,} of {len(settings):,} settings were stopped early at step "
        f"{_either([f'{step:,}' for step in steps])} by successive halving, and count with the score they had then. Of "
        "a cell with such settings the best of all is shown, and not what to expect of the best of fewer: that would "
        "look worse than it is."
    ]
    if early := [cell.name for cell in search.ended if cell.best.stopped]:
        said.append(f"The best setting itself is one that was stopped: {', '.join(early)}.")
    return said


def how_to_read(search: Search, baseline: str | None) -> list[str]:
    """What the columns mean and what was counted, in sentences."""
    if not search.ended:
        return []
    notes = [
        f"Settings are chosen by their {search.board.scored_on} score; {search.reported} scores are reported. Lower is "
        "better. A setting is all runs that differ only in the seed, and scores their mean."
    ]
    if not all(cell.halved for cell in search.ended):
        drawn = "one setting" if search.draws == 1 else f"the best of {search.draws} settings"
        notes.append(
            f"Best of {search.draws}: what to expect of {drawn} drawn at random from those tried, so that a cell with "
            "more settings does not win by luck. Its interval is bootstrapped over settings; in simulations it held "
            f"the true value 82 times in 100 or more, for one in {TRUSTED} of the settings, and less beyond: there "
            "none is given."
        )
    notes.append(_of_lost(search))
    seeds = [len(cell.best.runs) for cell in search.ended if len(cell.best.runs) > 1]
    if seeds:
        most = 1 - 2.0 ** (1 - min(seeds))
        notes.append(
            "Over seeds: a bootstrapped 95% interval of the mean, and how many seeds. It cannot leave the range of "
            f"their scores: of {min(seeds)} seeds it holds the true mean at most {most:.0%} of the time."
        )
    if baseline is not None:
        notes.append(_of_pairs(search, baseline))
    sources = dict.fromkeys(cell.published.source for cell in search.cells if cell.published)
    if sources:
        notes.append(
            f"Published: {'; '.join(sources)}. Difference: the {search.reported} score of the best, less that."
        )
    return notes


def _of_lost(search: Search) -> str:
    measure = search.board.measure
    answer = f"the trivial answer ({text.score(search.trivial)}: {measure.baseline_is})"
    if measure.baseline is None:
        answer = f"the worst score of all ({text.score(search.trivial)})"
    said = f"Runs that diverged or did no better on the {search.board.scored_on} data than {answer} count as that"
    if search.reported == "test":
        said += "; one whose test score alone is not finite counts as that on the test data"
    return f"{said}. Lost: how many of those that ended diverged."


def _of_pairs(search: Search, baseline: str) -> str:
    said = (
        f"Against {baseline}: the mean difference of {search.reported} scores over settings that both cells tried, "
        "with the same seed; below 0 is better."
    )
    if search.halved:
        said += (
            " Where one of two runs was stopped early, it is that of their best validation scores up to the last step "
            "at which both were evaluated."
        )
    return (
        f"{said} Settings in which one of the two was lost move the mean most; in the number of those that were better "
        "they count like any other. p: Wilcoxon's signed-rank test."
    )


def how_to_read_ranks(ranking: Ranking) -> list[str]:
    """By what cells are ranked, and which are not."""
    notes = []
    if ranking.ranks:
        halved = " and ".join(search.board.title for search in ranking.tasks if search.halved)
        best = f" (on {halved} by the best of all, as settings were stopped early)" if halved else ""
        notes.append(
            f"Ranks are among the cells that ended on all {len(ranking.tasks)} tasks, by the score to expect of the "
            f"best of N settings{best}; cells that tie share the mean of theirs. Few tasks say little: no interval is "
            "given."
        )
    if ranking.left_out:
        notes.append(f"Not ranked, as no run has ended on some of these tasks: {', '.join(ranking.left_out)}.")
    return notes


def _either(words: list[str]) -> str:
    """`1`, `1 or 2`, `1, 2 or 3`."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
