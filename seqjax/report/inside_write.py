"""All files of a look inside a network: the page, the tables behind it, a picture of each cell that was found."""

import csv
import pathlib
import re
from typing import TYPE_CHECKING

import numpy as np

from seqjax.errors import UserError
from seqjax.interpret.activity import Activity, values_of
from seqjax.interpret.features import Feature
from seqjax.interpret.units import Found, Scores, strongest
from seqjax.report.inside import page
from seqjax.report.inside_data import scale
from seqjax.report.inside_gates import Gates, gates_section
from seqjax.report.inside_picture import passage, picture
from seqjax.report.inside_training import positions, training_section
from seqjax.results import write_atomically

if TYPE_CHECKING:
    from seqjax.interpret.through_training import Moment

PASSAGE = 480  # symbols at most that are shown for each moment of training
LONGEST_NAME = 60  # letters of a file's


def write(
    out: pathlib.Path,
    labels: list[str],
    facts: dict[str, str],
    activity: Activity,
    gates: Gates,
    features: list[Feature],
    scores: Scores | None,
    notes: list[str],
    moments: list["Moment"],
) -> pathlib.Path:
    """Write everything to the folder `out`, in the place of what an earlier call left there; returns the page.

    index.html; activations.npz, what the page shows; units.csv, every unit's score for every feature; pictures/, a
    passage in the colours of each cell found; gates_*.png, .svg and .csv. `gates` are the names of each layer's gates,
    `features` those of the shown text, `notes` what is to be said of the cells found, `moments` those of `passage_of`.
    Raises UserError where it cannot be written or the page would be too large.
    """
    found = scores.found() if scores else []
    shown = [labels[symbol] for symbol in activity.symbols]
    try:
        for old in (*out.glob("pictures/*.svg"), *out.glob("gates_*"), out / "units.csv"):
            old.unlink(missing_ok=True)
        sections = {
            "gates": gates_section(activity, gates, moments, out),
            "through-training": _training(found, features, activity, shown, moments),
        }
        html = page(f"Inside {facts['run']}", labels, activity, found, facts, sections, notes)
        np.savez_compressed(out / "activations.npz", **activity.columns())
        _write_scores(out / "units.csv", scores)
        _write_pictures(out / "pictures", found, features, activity, shown)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}") from error
    write_atomically(out / "index.html", html)
    return out / "index.html"


def cell_of(found: list[Found], activity: Activity) -> tuple[int, str, int]:
    """(layer, part, unit) of the strongest cell found, or of the very first unit."""
    best = strongest(found)
    return (best.layer, best.part, best.unit) if best else (0, next(iter(activity.layers[0])), 0)


def passage_of(found: list[Found], features: list[Feature], shown: list[str]) -> slice:
    """The part of the shown text that stands for its whole where there is room for little."""
    best = strongest(found)
    chosen = passage(_values(features, best.feature), shown) if best else slice(0, len(shown))
    return slice(chosen.start, min(chosen.stop, chosen.start + PASSAGE))


def file_name(title: str, otherwise: str) -> str:
    """Letters, digits and _ of a title, or what stands for one without any."""
    return re.sub(r"\W+", "_", title).strip("_")[:LONGEST_NAME] or otherwise


def _values(features: list[Feature], title: str) -> np.ndarray:
    return next(feature.values for feature in features if feature.title == title)


def _training(found, features, activity, shown, moments) -> str:
    layer, part, unit = cell_of(found, activity)
    best = strongest(found)
    title = f"layer {layer + 1} {part} {unit}" + (f" ({best.feature})" if best else "")
    chosen = passage_of(found, features, shown)
    return training_section(moments, shown[chosen], title, scale(activity.layers[layer][part]))


def _write_scores(file: pathlib.Path, scores: Scores | None) -> None:
    rows = list(scores.rows()) if scores else []
    if rows:
        with open(file, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def _write_pictures(folder: pathlib.Path, found, features, activity, shown) -> None:
    folder.mkdir(exist_ok=True)
    written = set()
    for one in found:
        if not one.learned:
            continue
        part = passage(_values(features, one.feature), shown)
        values = values_of(activity, (one.layer, one.part, one.unit))[part]
        placed = positions(values, scale(activity.layers[one.layer][one.part]))
        measure = "AUC" if one.kind == "binary" else "correlation"
        caption = f"layer {one.layer + 1}, {one.part}, unit {one.unit}: held-out {measure} {one.score:.3f}"
        untrained = "" if one.untrained is None else f", untrained {one.untrained:.3f}"
        where = "where it holds" if one.kind == "binary" else "where it is large"
        caption += f" (chance {one.chance:.3f}{untrained}), {'red' if one.sign > 0 else 'blue'} {where}"
        name = file_name(one.feature, "feature")
        while name in written:
            name += "_"
        written.add(name)
        write_atomically(folder / f"{name}.svg", picture(one.feature, caption, shown[part], placed))
