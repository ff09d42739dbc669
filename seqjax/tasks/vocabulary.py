"""Symbols of a text: its distinct characters, or its distinct bytes."""

import dataclasses
import logging

import numpy as np

from seqjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A sorted list of symbols: code points where `kind` is "characters", byte values where it is "bytes"."""

    kind: str
    symbols: tuple[int, ...]

    @classmethod
    def of(cls, text: bytes, kind: str, limit: int) -> "Vocabulary":
        """The symbols of `text`. Falls back to bytes, and says so, where the text is not UTF-8 or holds more than
        `limit` distinct characters.
        """
        if kind == "characters":
            try:
                points = _code_points(text)
            except UnicodeDecodeError as error:
                logging.warning("the text is not UTF-8 (byte %d); its symbols are bytes", error.start)
            else:
                distinct = np.unique(points)
                if len(distinct) <= limit:
                    return cls("characters", tuple(distinct.tolist()))
                logging.warning(
                    "the text has %d distinct characters, more than %d; its symbols are bytes", len(distinct), limit
                )
        return cls("bytes", tuple(np.unique(np.frombuffer(text, np.uint8)).tolist()))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str | bytes, what: str = "the text") -> np.ndarray:
        """`[time]` symbol numbers. Raises UserError naming the characters the vocabulary does not hold."""
        if self.kind == "bytes":
            raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
            points = np.frombuffer(raw, np.uint8)
        else:
            try:
                points = _code_points(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
            except UnicodeDecodeError as error:
                raise UserError(f"{what} is not UTF-8, and this vocabulary is of characters") from error
        known = np.asarray(self.symbols)
        index = np.searchsorted(known, points).clip(max=len(known) - 1)
        unknown = np.unique(points[known[index] != points])
        if len(unknown):
            shown = ", ".join(repr(chr(p)) if self.kind == "characters" else f"byte {p:#04x}" for p in unknown[:10])
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            raise UserError(f"{what} holds {shown}{more}, which the training text did not")
        return index.astype(np.uint8 if len(known) <= 256 else np.int32)

    def decode(self, indices) -> str:
        """The text of symbol numbers; bytes that are no UTF-8 become U+FFFD."""
        points = [self.symbols[i] for i in np.asarray(indices)]
        if self.kind == "bytes":
            return bytes(points).decode("utf-8", "replace")
        return "".join(map(chr, points))

    def to_json(self) -> dict:
        return {"kind": self.kind, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, saved: dict) -> "Vocabulary":
        return cls(saved["kind"], tuple(saved["symbols"]))


def _code_points(text: bytes) -> np.ndarray:
    return np.frombuffer(text.decode("utf-8").encode("utf-32-le"), np.uint32)
