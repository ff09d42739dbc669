"""The whole lecture on vanishing gradients: figures, tables and the page, in one directory."""

import dataclasses
import os
import pathlib

from seqjax.errors import UserError
from seqjax.report import (
    gradients,
    gradients_captions,
    gradients_page,
    gradients_tables,
    gradients_trained,
    gradients_training,
)
from seqjax.report.canvas import Drawing, save, style
from seqjax.results import write_atomically

# Of each figure: the results it is drawn from, and the module that draws it.
FIGURES = {
    "gradient_by_lag": ("cells", gradients),
    "singular_value_extremes": ("cells", gradients),
    "singular_value_spectra": ("cells", gradients),
    "step_factors": ("cells", gradients),
    "recurrent_scale": ("scaled networks", gradients),
    "clipping": ("clipping", gradients_training),
    "cliff": ("cliff", gradients_training),
    "forget_bias": ("forget bias", gradients),
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the study gave: results by job, those of cells under "cells", and sentences for the jobs that failed."""

    results: dict[str, object]
    failures: dict[str, str]
    facts: dict[str, str]  # of the study, for the head of the page
    training_steps: int


def prepare(out: str | os.PathLike) -> pathlib.Path:
    """The directory, made. Raises UserError where nothing can be written there."""
    out = pathlib.Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"the figures cannot be written to {out}: {error.strerror or error}") from error
    return out


def write(measured: Measured, out: pathlib.Path) -> pathlib.Path:
    """Every figure that has data as PNG, SVG and CSV, and `index.html`; returns the page's path."""
    drawn = {}
    for name, (source, module) in FIGURES.items():
        data = measured.results.get(source)
        if not data:
            continue
        of_cells = (measured.training_steps,) if source == "cells" else ()
        with style():
            svg = save(getattr(module, name)(data, *of_cells), out, name)
        drawn[name] = Drawing(svg, getattr(gradients_captions, name)(data, *of_cells))
        gradients_tables.write(out / f"{name}.csv", *getattr(gradients_tables, name)(data))
    page = gradients_page.lecture(measured.facts, measured.failures, measured.results.get("cells"), drawn)
    write_atomically(out / "index.html", page)
    return out / "index.html"


def write_trained(study, out: pathlib.Path) -> pathlib.Path:
    """The same for one trained network."""
    drawn = {}
    for name, (draw, caption, table) in gradients_trained.FIGURES.items():
        with style():
            figure = draw(study)
            if figure is None:
                continue
            drawn[name] = Drawing(save(figure, out, name), caption(study))
        gradients_tables.write(out / f"{name}.csv", *table(study))
    facts = {"task": study.title, "cell": study.cell, "hidden units": f"{study.hidden:,}"}
    facts |= {"layers": str(len(study.layers)), "parameters": f"{study.parameters:,}"}
    write_atomically(out / "index.html", gradients_page.trained(study.name, facts, drawn))
    return out / "index.html"
