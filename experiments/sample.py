"""Write text with a trained run.

python -m experiments.sample runs/NAME --prompt="def " --temperature=0.7 --length=500 --seed=1
"""

import sys

from experiments import entry


def main(arguments: list[str]) -> None:
    """Print a sample."""
    parser = entry.parser("sample", __doc__)
    parser.add_argument("run", help="a run directory")
    parser.add_argument("--prompt", help="what the text starts with (default: the config's)")
    parser.add_argument("--temperature", type=float, help="under 1 is tamer, over 1 wilder, 0 the likeliest always")
    parser.add_argument("--top-k", type=int, help="draw among so many likeliest symbols only; 0 is all")
    parser.add_argument("--length", type=int, help="symbols to write, at most 1,000,000")
    parser.add_argument("--seed", type=int, default=0, help="under 2^32 (default: 0)")
    options = parser.parse_args(arguments)
    for name, least, most in (
        ("length", 1, 1_000_000),
        ("temperature", 0, 1_000_000),
        ("top_k", 0, 1_000_000),
        ("seed", 0, 2**32 - 1),
    ):
        entry.check(options, name, least, most)

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
