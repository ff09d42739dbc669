"""Write a run's best weights to a NumPy archive.

python -m experiments.export runs/NAME --out=weights.npz
"""

import pathlib

from experiments import entry
from seqjax.errors import UserError


def main(arguments: list[str]) -> None:
    """Export, and print the names and shapes of the arrays."""
    parser = entry.parser("export", __doc__)
    parser.add_argument("run", help="a run directory")
    parser.add_argument("--out", metavar="FILE", help="an .npz file (default: NAME.npz, NAME being the run's)")
    options = parser.parse_args(arguments)

    import numpy as np

    from seqjax.loading import load

    out = pathlib.Path(options.out or f"{pathlib.Path(options.run).resolve().name}.npz")
    weights = load(options.run).weights()
    try:
        with open(out, "wb") as file:
            np.savez(file, **weights)
    except OSError as error:
        raise UserError(f"{str(out)!r} cannot be written: {error.strerror}") from error
    for name, value in weights.items():
        print(f"{name}  {' x '.join(map(str, value.shape))}")
    print(out)


if __name__ == "__main__":
    entry.run(main)
