"""Write a run's best weights to a NumPy archive.

python -m experiments.export runs/NAME --out=weights.npz
"""

import io
import os
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
    from seqjax.results import write_atomically

    out = pathlib.Path(options.out or f"{pathlib.Path(options.run).resolve().name}.npz")
    if out.exists() and not out.is_file():  # a directory, or a device, whose place no file should take
        raise UserError(f"{str(out)!r} is not a regular file; name an .npz file with --out")
    weights = load(options.run).weights()
    archive = io.BytesIO()
    np.savez(archive, **weights)
    write_atomically(pathlib.Path(os.path.realpath(out)), archive.getvalue())
    for name, value in weights.items():
        print(f"{name}  {' x '.join(map(str, value.shape))}")
    print(out)


if __name__ == "__main__":
    entry.run(main)
