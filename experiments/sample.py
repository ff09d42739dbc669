"""Write text with a trained run.

python -m experiments.sample runs/NAME --prompt="def " --temperature=0.7 --length=500 --seed=1
"""

import sys

from experiments import entry
from seqjax.errors import UserError


def main(arguments: list[str]) -> None:
    """Print a sample."""
    parser = entry.parser("sample", __doc__)
    parser.add_argument("run", help="a run directory")
    parser.add_argument("--prompt", help="what the text starts with (default: the config's)")
    parser.add_argument("--temperature", type=float, help="under 1 is tamer, over 1 wilder, 0 the likeliest always")
    parser.add_argument("--top-k", type=int, help="draw among so many likeliest symbols only; 0 is all")
    parser.add_argument("--length", type=int, help="symbols to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name, value, least in (
        ("length", options.length, 1),
        ("temperature", options.temperature, 0),
        ("top-k", options.top_k, 0),
        ("seed", options.seed, 0),
    ):
        if value is not None and not least <= value < float("inf"):
            raise UserError(f"--{name} is {value}; it should be at least {least}")

    from seqjax.loading import load

    text = load(options.run).sample(
        options.prompt,
        seed=options.seed,
        length=options.length,
        temperature=options.temperature,
        top_k=options.top_k,
    )
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")


if __name__ == "__main__":
    entry.run(main)
