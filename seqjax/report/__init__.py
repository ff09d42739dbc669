"""Reports: run directories -> leaderboards, figures and one HTML page. Needs no JAX.

`write_report(paths, out)` does it all; `compare(paths)` gives the same numbers as Python objects.
"""

from seqjax.report.rows import compare
from seqjax.report.write import write_report

__all__ = ["compare", "write_report"]
