"""Curves, packed: a point takes 16 bytes, where in a dictionary it takes a hundred. Thousands of runs have millions."""

import array
from collections.abc import Iterator, Mapping

Curve = dict[int, float]
"""A value, a score or seconds, after so many steps."""


class Curves(Mapping[str, Curve]):
    """Curves by name, each unpacked anew whenever it is asked for."""

    def __init__(self, packed: dict[str, bytes]):
        self.packed = packed

    def __getitem__(self, name: str) -> Curve:
        points = memoryview(self.packed[name])
        half = len(points) // 2
        return dict(zip(points[:half].cast("q"), points[half:].cast("d"), strict=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self.packed)

    def __len__(self) -> int:
        return len(self.packed)


def pack(curve: Curve) -> bytes:
    """All steps (int64), then all values (float64), in the machine's own byte order. Raises TypeError or OverflowError
    for what these cannot hold.
    """
    return array.array("q", curve).tobytes() + array.array("d", curve.values()).tobytes()
