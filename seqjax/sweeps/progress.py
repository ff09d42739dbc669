"""What a launch shows while it runs: a live table on a terminal, a line now and then elsewhere."""

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from seqjax.errors import UserError
from seqjax.results import AT_REST, RunDirectory
from seqjax.sweeps.local import Worker

LINE_SECONDS = 10.0


class Progress:
    """`watch(running, ended)` shows where every trial is."""

    def __init__(self, console: Console, total: int):
        self.console, self.total = console, total
        self.began = time.monotonic()
        self.spoke = time.monotonic()
        self.told: set[str] = set()
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._trials: dict[str, tuple[int, str]] = {}
        self._scores: dict[str, str] = {}
        self._ended_in: dict[str, set[str]] = {}
        self._first_seen: dict[str, tuple[int, float]] = {}

    def __enter__(self):
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error):
        if self.live:
            self.live.stop()

    def watch(self, running: list[Worker], ended: list[RunDirectory]) -> None:
        for run in ended:
            if run.name not in self.told:
                self.told.add(run.name)
                self.console.print(self._ended(run), highlight=False, markup=False)
        if self.live:
            self.live.update(self._table(running, ended), refresh=True)
        elif time.monotonic() - self.spoke > LINE_SECONDS:
            self.spoke = time.monotonic()
            for worker in running:
                self.console.print("  ".join(self._row(worker)), highlight=False, markup=False, soft_wrap=True)

    def _ended(self, run: RunDirectory) -> str:
        status = run.status()
        measure = measure_of(run)
        score, solved = final_score(run, measure), solved_step(run)
        state, why = status["state"], status["why"]
        if state == "interrupted" and why.startswith("paused"):  # at a rung, as it was to
            state, why = why.partition(";")[0], ""
        words = [f"[{len(self.told)}/{self.total}]", run.name, state]
        if score is not None:
            words.append(f"{score:.4g} {measure}" if 0 < score < 0.01 else f"{score:.4f} {measure}")
        said = [why] if why else []
        if solved is not None and f"solved at step {solved}" not in said:
            said.insert(0, f"solved at step {solved}")
        if said:
            words.append(f"({'; '.join(said)})")
        return " ".join(words)

    def _table(self, running, ended) -> Table:
        table = Table(
            title=f"{len(ended)} of {self.total} trials ended, {_clock(time.monotonic() - self.began)} so far"
        )
        for name, side in (
            ("trial", "left"),
            ("step", "right"),
            ("loss", "right"),
            ("speed", "right"),
            ("time left", "right"),
        ):
            table.add_column(name, justify=side, no_wrap=True)
        for worker in running:
            table.add_row(*self._row(worker))
        return table

    def _row(self, worker: Worker) -> tuple[str, ...]:
        """The first trial that the process has not done with stands for all of its."""
        going = [run for run in worker.runs if run.name not in self._over(worker)]
        run = (going or worker.runs)[0]
        name, *rest = self._row_of(run)
        return f"{name} and {len(going) - 1} more" if len(going) > 1 else name, *rest

    def _over(self, worker: Worker) -> set[str]:
        over = self._ended_in.setdefault(worker.runs[0].name, set())
        left = (run for run in worker.runs if run.name not in over)
        over |= {run.name for run in left if run.status()["state"] in (*AT_REST, "interrupted", "failed")}
        return over

    def _row_of(self, run: RunDirectory) -> tuple[str, ...]:
        if run.name not in self._trials:
            self._trials[run.name] = run.trial()["config"]["train"]["steps"], measure_of(run)
        steps, measure = self._trials[run.name]
        timing, metrics = run.timing.last(), run.metrics.last()
        if timing is None:
            return run.name, f"0/{steps}", "", "compiling", ""
        speed = self._speed(run.name, timing)
        left = _clock((steps - timing["step"]) / speed) if speed else ""
        if metrics is not None and measure in metrics:  # the last record may be a probe
            where = " (validation)" if metrics["kind"] == "validation" else ""
            self._scores[run.name] = f"{metrics[measure]:.4f} {measure}{where}"
        loss = self._scores.get(run.name, "")
        return run.name, f"{timing['step']}/{steps}", loss, f"{speed:.1f} steps/s", f"{left} left"

    def _speed(self, name: str, timing: dict) -> float:
        """Steps a second since the trial was first seen, evaluation and saving included."""
        now = time.monotonic()
        step, seen = self._first_seen.setdefault(name, (timing["step"] - timing["steps"], now - timing["total"]))
        return (timing["step"] - step) / (now - seen) if now > seen else 0.0


def measure_of(run: RunDirectory) -> str:
    """The name of the metric by which a run is compared; that of the first runs, which do not say, is nats."""
    try:
        return run.trial().get("measure", {}).get("name", "nats")
    except UserError:  # of a run that failed, it may be because of this
        return "nats"


def final_score(run: RunDirectory, measure: str) -> float | None:
    """The measure on the validation data, or the smoothed training score of a run without any."""
    records = run.metrics.read()
    finals = [r[measure] for r in records if r["kind"] == "final" and r["split"] == "validation"]
    smoothed = [r[f"smoothed_{measure}"] for r in records if r["kind"] == "train"]
    return (finals or smoothed or [None])[-1]


def solved_step(run: RunDirectory) -> int | None:
    """When a run first met its task's criterion of success."""
    return next((r["step"] for r in run.metrics.read() if r["kind"] == "solved"), None)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"
