"""What one sees in the figures of vanishing gradients, said with the numbers of these data."""

import numpy as np

from seqjax.report.gradients import bias_label, factors, gates_alone, has_forget_gate
from seqjax.report.gradients_canvas import FLOOR, paths
from seqjax.report.gradients_training import SMOOTHED_OVER
from seqjax.report.text import counted

TIMES = "\u00d7"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def digits(value: float) -> str:
    """Two digits: `0.24`, `14`, or with a power of ten where that is shorter."""
    if np.isnan(value):
        return "nothing above rounding"
    if value == 0 or not np.isfinite(value) or 1e-3 <= abs(value) < 1e4:
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"
    factor, power = f"{value:.1e}".split("e")
    return f"{factor}{TIMES}10{str(int(power)).translate(RAISED)}"


def left_of(norms: np.ndarray) -> float:
    """The median over seeds of the gradient at the first step, as a fraction of that at the least lag at which there is
    one. NaN where there is none.
    """
    median = np.median(norms, 0)
    heard = np.flatnonzero(median > 0)
    if not len(heard):
        return float("nan")
    return float(median[-1] / median[heard[0]])


def remains(studies) -> list[tuple[str, list[float]]]:
    """Of every state, what is left of the gradient at the first step, before and after; most first by the latter."""
    rows = [(label, [left_of(norms) for norms in study.norms[state]]) for study, state, label, *_ in paths(studies)]
    return sorted(rows, key=lambda row: -np.nan_to_num(row[1][1]))


def over_seeds(seeds: int) -> str:
    return (
        f"Lines are medians over {seeds} seeds, bands go from the least to the largest." if seeds > 1 else "One seed."
    )


def gradient_by_lag(studies, training_steps: int) -> str:
    rows = remains(studies)
    seeds = len(studies[0].losses[0])
    best, worst = rows[0], rows[-1]
    said = f"After {counted(training_steps, 'training step')} the gradient at the first step is {digits(best[1][1])} "
    said += f"of that at the last in {best[0]}"
    if len(rows) > 1:
        said += f", and {digits(worst[1][1])} in {worst[0]}"
    fresh = sorted(rows, key=lambda row: -np.nan_to_num(row[1][0]))
    said += f". Before training it was {digits(fresh[0][1][0])} in {fresh[0][0]}"
    if len(rows) > 1:
        said += f" at most, and {digits(fresh[-1][1][0])} in {fresh[-1][0]} at least"
    said += ". "
    if any("memory" in study.norms for study in studies):
        said += "The gradient of a memory counts what goes through later steps: it is 0 at the last step itself, and "
        said += "compared with that one step before. "
    top = max(study.norms[state].max() for study, state, *_ in paths(studies))
    if any((norms[:, :, 1:] <= FLOOR * top).any() for study in studies for norms in study.norms.values()):
        said += f"What is under {digits(FLOOR * top)}, or 0, is not drawn; the table has it. "
    return said + over_seeds(seeds)


def singular_value_extremes(studies, training_steps: int) -> str:
    lags = studies[0].norms[next(iter(studies[0].norms))].shape[-1]
    parts = []
    for study, state, label, *_ in paths(studies):
        before, after = (np.median(spectra[:, -1, 0]) for spectra in study.spectra[state])
        parts.append(f"{label} {digits(before)} and {digits(after)}")
    said = f"Over all {lags} steps the largest singular value is, before and after training: {'; '.join(parts)}. "
    return said + _resolution(studies) + over_seeds(len(studies[0].losses[0]))


def _resolution(studies) -> str:
    if not any(np.isnan(spectra).any() for study in studies for spectra in study.spectra.values()):
        return ""
    least = max(study.resolution for study in studies)
    said = f"Singular values under {digits(least)} of the norm of the cell's whole Jacobian are rounding in 64 bits "
    return said + "and left out. "


def singular_value_spectra(studies, training_steps: int) -> str:
    parts = []
    for study, state, label, *_ in paths(studies):
        alive = [int((spectra[0, -1] > 1e-3).sum()) for spectra in study.spectra[state]]
        parts.append(f"{label} {alive[0]} and {alive[1]}")
    units = studies[0].spectra[next(iter(studies[0].spectra))].shape[-1]
    said = "A column is the spectrum at one lag, the largest at the top. "
    said += (
        f"Of {counted(units, 'direction')}, so many still pass more than a thousandth over all steps, before and after "
    )
    said += f"training: {'; '.join(parts)}. The first seed. "
    return said + _resolution(studies).strip()


def step_factors(studies, training_steps: int) -> str:
    parts = []
    for study in studies:
        with np.errstate(divide="ignore"):  # a factor of 0 makes a mean of 0
            before, after = (np.exp(np.log(factors(study, moment)[1]).mean()) for moment in (0, 1))
        parts.append(f"{study.cell} {digits(before)} and {digits(after)}")
    said = f"The median factor (geometric mean over steps) before and after training: {'; '.join(parts)}. "
    gates = [study.cell for study in studies if has_forget_gate(study)]
    if gates:
        said += f"For {' and '.join(gates)}: the forget gate, with its 10th and 90th percentile over units and batch, "
        said += "which is most of the memory's own path and not all of the Jacobian: its height is not to be compared. "
    if len(gates) < len(studies):
        cells = "For the other cells" if gates else "Of every cell"
        said += f"{cells}: the smallest, median and largest singular value of the Jacobian ds_t/ds_(t-1). "
    return said + "Means over seeds."


def recurrent_scale(scaled) -> str:
    parts = []
    for study in scaled:
        ends = ", ".join(
            f"{digits(np.median(largest[:, -1]))} for a = {scale:g}"
            for scale, largest in zip(study.scales, study.largest, strict=True)
        )
        parts.append(f"{study.activation} {ends}")
    lags = scaled[0].bound.shape[-1] - 1
    said = f"After {lags} steps: {'; '.join(parts)}. "
    linear = [study for study in scaled if study.activation == "linear"]
    if linear:
        error = max(np.abs(study.largest / study.bound[:, None] - 1).max() for study in linear)
        said += f"The linear network lies on a^(T - t) to a relative {digits(error)}. "
    return said + over_seeds(scaled[0].largest.shape[1])


def forget_bias(studies) -> str:
    parts = []
    for study in studies:
        left, alone = left_of(study.norms), gates_alone(study)
        parts.append(
            f"{bias_label(study)}: forget gate {digits(study.forget.mean())}, {digits(left)} of the gradient left "
            f"({digits(alone[-1] / alone[0])} by its gates alone)"
        )
    said = f"From lag 1 to the first step: {'; '.join(parts)}. Above 1 the gradient has grown. "
    return said + over_seeds(len(studies[0].norms))


def clipping(runs) -> str:
    free, clipped = runs
    last = 50
    said = f"{free.title[0].upper()}{free.title[1:]}. "
    said += f"Without clipping the norm reaches {digits(free.gradient_norm.max())}, "
    said += f"{digits(free.gradient_norm.max() / np.median(free.gradient_norm))} times its median"
    if free.diverged:
        said += f", and the run ends at step {len(free.loss)} because its numbers are no longer finite"
    said += f". With clipping at {clipped.threshold:g}, {clipped.clipped.mean():.0%} of the steps are clipped. "
    ends = [digits(run.loss[-last:].mean()) for run in runs]
    said += f"The loss over the last {last} steps is {ends[0]} nats without and {ends[1]} with clipping; "
    return said + f"thick lines are means over {SMOOTHED_OVER} steps, pale ones single steps."


def cliff(study) -> str:
    jumps = np.hypot(np.diff(study.free["w"]), np.diff(study.free["b"]))
    step = int(jumps.argmax())
    said = "x_t = w sigmoid(x_(t-1)) + b with x_0 = 0.5; the loss is (sigmoid(x_50) - 0.7)^2, and the rate "
    said += f"{study.settings['learning_rate']:g}. At step {step} the free descent meets a gradient of "
    said += f"{digits(study.free['gradient_norm'][step])} and is "
    said += f"thrown {digits(jumps[step])} away; its loss ends at {digits(study.free['loss'][-1])}. "
    said += f"The clipped one, which meets gradients up to {digits(study.clipped['gradient_norm'].max())} too, clips "
    said += f"{counted(int(study.clipped['clipped'].sum()), 'step')} of {len(study.clipped['w']) - 1} and ends at "
    said += f"{digits(study.clipped['loss'][-1])}. Points are single steps; up to the first wall both are the same, "
    return said + "and the one that is clipped is drawn on top."
