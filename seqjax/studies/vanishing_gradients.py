"""Vanishing and exploding gradients, seen in every way this project can: the jobs of the study, for `workers.run`.

Importing this module does not import JAX.
"""

from seqjax.studies.settings import Settings
from seqjax.studies.workers import Job

PACKAGE = "seqjax.studies"


def jobs(cells: list[str], settings: Settings) -> list[Job]:
    """The jobs, those that take longest first; a cell's job bears its name."""
    return [
        *(Job(cell, f"{PACKAGE}.cells", "measure", (cell, settings)) for cell in cells),
        Job("forget bias", f"{PACKAGE}.forget_bias", "measure", (settings,)),
        Job("scaled networks", f"{PACKAGE}.scaled", "measure", (settings,)),
        Job("clipping", f"{PACKAGE}.clipping", "measure_training", (settings,)),
        Job("cliff", f"{PACKAGE}.clipping", "measure_cliff", (settings,)),
    ]


def jobs_of_run(path: str) -> list[Job]:
    """The one job that looks into a trained run; it bears the run's path as its name."""
    return [Job(path, f"{PACKAGE}.trained", "measure", (path,))]
