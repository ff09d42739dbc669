"""The numbers behind every figure of vanishing gradients, as CSV: one row a point, the names of its line in front."""

import csv
import io
import itertools
import pathlib

import numpy as np

from seqjax.report.gradients import bias_label, factor_name, factors
from seqjax.report.gradients_canvas import paths, summary
from seqjax.results import write_atomically

MOMENTS = ("before", "after")
OVER_SEEDS = ("median", "least", "largest")


def write(path: pathlib.Path, names: tuple[str, ...], rows) -> None:
    """A CSV file; numbers have so many digits that they are read back as they were."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_plain(value) for value in row] for row in rows)
    write_atomically(path, text.getvalue())


def _plain(value):
    if isinstance(value, (float, np.floating)):
        return "" if np.isnan(value) else repr(float(value))
    return value.item() if isinstance(value, np.generic) else value


def _lines(*columns):
    return zip(*columns, strict=True)


def gradient_by_lag(studies):
    """Names and rows."""
    names = ("cell", "state", "training", "lag", *OVER_SEEDS)
    rows = (
        (study.cell, state, when, *line)
        for study, state, *_ in paths(studies)
        for when, norms in zip(MOMENTS, study.norms[state], strict=True)
        for line in _lines(range(norms.shape[-1]), *summary(norms))
    )
    return names, rows


def singular_value_extremes(studies):
    """Names and rows; where a value is rounding there is none."""
    names = ("cell", "state", "training", "lag", "singular_value", *OVER_SEEDS)
    rows = (
        (study.cell, state, when, lag, which, *values)
        for study, state, *_ in paths(studies)
        for when, spectra in zip(MOMENTS, study.spectra[state], strict=True)
        for which, place in (("largest", 0), ("smallest", -1))
        for lag, *values in _lines(range(spectra.shape[1]), *summary(spectra[..., place]))
    )
    return names, rows


def singular_value_spectra(studies):
    """Names and rows, of the first seed."""
    names = ("cell", "state", "training", "lag", "rank", "singular_value")
    rows = (
        (study.cell, state, when, lag, rank + 1, spectra[0, lag, rank])
        for study, state, *_ in paths(studies)
        for when, spectra in zip(MOMENTS, study.spectra[state], strict=True)
        for lag, rank in itertools.product(*map(range, spectra.shape[1:]))
    )
    return names, rows


def step_factors(studies):
    """Names and rows: means over seeds of the least, the median and the largest factor."""
    names = ("cell", "factor", "training", "step", "low", "median", "high")
    rows = (
        (study.cell, factor_name(study), when, step, *values)
        for study in studies
        for moment, when in enumerate(MOMENTS)
        for step, values in enumerate(zip(*factors(study, moment), strict=True), 1)
    )
    return names, rows


def recurrent_scale(scaled):
    names = ("activation", "matrix", "scale", "lag", *OVER_SEEDS, "bound")
    rows = (
        (study.activation, study.recurrent, scale, *line)
        for study in scaled
        for scale, largest, bound in zip(study.scales, study.largest, study.bound, strict=True)
        for line in _lines(range(len(bound)), *summary(largest), bound)
    )
    return names, rows


def forget_bias(studies):
    names = ("start", "lag", *OVER_SEEDS, *(f"forget_gate_{name}" for name in OVER_SEEDS))
    rows = (
        (bias_label(study), *line)
        for study in studies
        for line in _lines(range(study.norms.shape[-1]), *summary(study.norms), *summary(study.forget[:, ::-1]))
    )
    return names, rows


def clipping(runs):
    names = ("run", "step", "gradient_norm", "clipped", "loss")
    rows = (
        ("clipped" if run.clip else "not clipped", step, norm, int(clipped), loss)
        for run in runs
        for step, (norm, clipped, loss) in enumerate(zip(run.gradient_norm, run.clipped, run.loss, strict=True), 1)
    )
    return names, rows


def cliff(study):
    """The two descents; the surface is a formula, in `seqjax.analysis.cliff`."""
    names = ("run", "step", "w", "b", "loss", "gradient_norm", "clipped")
    rows = (
        (run, step, w, b, loss, norm, int(clipped))
        for run, descent in (("not clipped", study.free), ("clipped", study.clipped))
        for step, (w, b, loss, norm, clipped) in enumerate(
            zip(*(descent[name] for name in ("w", "b", "loss", "gradient_norm", "clipped")), strict=True)
        )
    )
    return names, rows
