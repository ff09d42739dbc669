"""The lecture as one HTML page: it opens from a file, without a network and without scripts."""

from seqjax.report.canvas import Drawing
from seqjax.report.gradients_captions import digits, remains
from seqjax.report.markup import document, escape, head, number

TITLE = "Why gradients vanish and explode"

# Heading, text and figures of every part, in the order of the argument.
PARTS = (
    (
        "How far back is the loss heard?",
        """A recurrent network reads a sequence step by step; the loss comes at the end. To learn that something
early mattered, the network needs the gradient of the loss with respect to its early states. The task here is the
adding problem: two of the values in the sequence are marked, one of them in the first half, and the answer is their
sum. If the gradient is gone before it reaches the first half, no optimiser can find out what to store there. At the
start all recurrent matrices here are orthogonal: they keep every length, which is the best start a vanilla network can
have, and lasts until training changes it. The update gates of fresh GRUs and MUTs are half open, so that half of the
state is replaced at every step.""",
        ("gradient_by_lag",),
    ),
    (
        "The gradient is a product of Jacobians",
        """By the chain rule the gradient at step t is the gradient at the last step T times the matrix ds_T/ds_t,
and that matrix is a product: one Jacobian for each step between. Its singular values say by how much a direction is
stretched on the way. One number below 1, multiplied with itself a hundred times, is next to nothing; one above 1 is
huge. The largest singular value bounds what can get through, and the spread between the largest and the smallest
shows how unequally directions fare. Each single factor, in the last of these figures, may look harmless: it is the
product that counts.""",
        ("singular_value_extremes", "singular_value_spectra", "step_factors"),
    ),
    (
        "Below, at and above the critical value",
        """Take a vanilla network whose recurrent matrix stretches every vector by the same a. Without a nonlinearity
the product is exactly a^(T - t): below 1 it vanishes, above 1 it explodes, and only at 1 it does neither. A
nonlinearity multiplies in its slope, at most gamma: 1 for tanh and ReLU, 1/4 for the sigmoid. So a below 1/gamma is
enough for vanishing, and a above 1/gamma is needed for exploding, but not enough: units that saturate have slopes
well under gamma. The wide pale lines are the bound.""",
        ("recurrent_scale",),
    ),
    (
        "Against explosion: clip",
        """An exploding gradient comes in bursts: the loss has walls, and on a wall the gradient is much larger than
anywhere else. One step along such a gradient can throw away what was learned. Clipping keeps the direction and
limits the length: it is one line of code and helps against explosion. Against vanishing it does nothing, since a
gradient that is not there cannot be scaled. The smallest network with a wall has one unit and two parameters, so one
can see all of it.""",
        ("clipping", "cliff"),
    ),
    (
        "Against vanishing: another architecture",
        """The LSTM adds a path along which the product is easy to read: from one memory to the next the factor is
the forget gate itself, with no matrix and no squashing in between. An open gate lets the gradient pass. How open it
is at the start is a choice: at a bias of 0 it is half shut, and half of a half of a half is gone soon. It is not the
only path: what reaches an early memory also comes through the hidden state and its matrix, which may shrink it, or
make it grow. The thin lines are the gates alone; the rest came by the other way. So the LSTM makes it easier to
bridge long lags, and guarantees nothing.""",
        ("forget_bias",),
    ),
)

REFERENCES = (
    ("Hochreiter (1991). Untersuchungen zu dynamischen neuronalen Netzen. Diploma thesis, TU Munich.", ""),
    (
        "Bengio, Simard & Frasconi (1994). Learning long-term dependencies with gradient descent is difficult. IEEE "
        "Transactions on Neural Networks 5(2).",
        "",
    ),
    ("Pascanu, Mikolov & Bengio (2013). On the difficulty of training recurrent neural networks.", "1211.5063"),
    ("Jozefowicz, Zaremba & Sutskever (2015). An empirical exploration of recurrent network architectures. ICML.", ""),
    ("Arjovsky, Shah & Bengio (2016). Unitary evolution recurrent neural networks; figure 4.", "1511.06464"),
    ("Tallec & Ollivier (2018). Can recurrent neural networks warp time?", "1804.11188"),
)


TRAINED = (
    (
        "How far back is the loss heard?",
        """The gradient of the loss at the last step of a sequence with respect to the states before it, of the network
as it was trained, on a batch of its own task.""",
        ("trained_gradient_by_lag",),
    ),
    ("What the gates do", "A forget or update gate near 1 keeps what is there.", ("trained_gates",)),
)


def lecture(facts: dict[str, str], failures: dict[str, str], studies, drawn: dict[str, Drawing]) -> str:
    """The page about all cells. `drawn` holds the figures by name, `failures` a sentence for what is missing."""
    return _page(TITLE, _facts(facts) + _failures(failures), PARTS, drawn, _remains(studies) if studies else "")


def trained(title: str, facts: dict[str, str], drawn: dict[str, Drawing]) -> str:
    """The page about one trained network."""
    return _page(title, _facts(facts), TRAINED, drawn)


def _page(title: str, introduction: str, parts, drawn: dict[str, Drawing], table: str = "") -> str:
    sections = "".join(_part(*part, drawn, table if number == 0 else "") for number, part in enumerate(parts))
    body = f"""<body class="lecture">
<header>
<p class="brand">seqjax</p>
<h1>{escape(title)}</h1>
{introduction}</header>
<main>
{sections}{_references()}</main>
<footer>Every figure lies beside this page as PNG and SVG, and its numbers as CSV.</footer>
</body>"""
    return document(title, ("page.css", "gradients.css"), body)


def _facts(facts: dict[str, str]) -> str:
    items = "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in facts.items())
    return f'<dl class="facts">{items}</dl>\n'


def _failures(failures: dict[str, str]) -> str:
    if not failures:
        return ""
    items = "".join(f"<li><strong>{escape(name)}</strong>: {escape(why)}</li>" for name, why in failures.items())
    return f'<p>Left out, because it could not be measured:</p>\n<ul class="troubles">{items}</ul>\n'


def _part(heading: str, text: str, names: tuple[str, ...], drawn: dict[str, Drawing], table: str) -> str:
    figures = "".join(_figure(name, drawn[name]) for name in names if name in drawn)
    if not figures:
        return ""
    return f"<section>\n<h2>{escape(heading)}</h2>\n<p>{escape(text)}</p>\n{figures}{table}</section>\n"


def _figure(name: str, drawing: Drawing) -> str:
    files = f'<span class="files">{name}: .png, .svg, .csv</span>'
    return (
        f'<figure id="{name}"><div class="scroll">{drawing.svg}</div>'
        f"<figcaption>{escape(drawing.caption)} {files}</figcaption></figure>\n"
    )


def _remains(studies) -> str:
    losses = {study.cell: study.losses for study in studies}
    rows = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + number(digits(before))
        + number(digits(after))
        + "".join(number(f"{values.mean():.3f}") for values in _of(losses, label))
        + "</tr>\n"
        for label, (before, after) in remains(studies)
    )
    names = ["state", "left before", "left after", "loss at the first step", "loss at the last step"]
    return f"""<div class="scroll"><table class="leaderboard">
{head(names, ("state",))}
<tbody>
{rows}</tbody></table></div>
<p class="note">What is left of the gradient at the first step of the sequence, as a fraction of that at the last (of
a memory: of that one step before), median over seeds; and the training loss (squared error), mean over seeds, at the
first and the last of the training steps. Who always answers 1 has a loss of 0.167: so short a training is the beginning
of learning the task, not its end.</p>
"""


def _of(losses: dict, label: str):
    cell = label if label in losses else label.split(" ")[0]
    return losses[cell]


def _references() -> str:
    items = "".join(
        f"<li>{escape(text)}"
        + (f' <a href="https://arxiv.org/abs/{number}">arXiv:{number}</a>' if number else "")
        + "</li>\n"
        for text, number in REFERENCES
    )
    return f"<section>\n<h2>References</h2>\n<ul>\n{items}</ul>\n</section>\n"
