"""Symbols of a text: its distinct characters, bytes or words."""

import collections
import dataclasses
import logging

import numpy as np

from seqjax.errors import UserError

LINE_BREAK = "<eos>"  # as a word
UNKNOWN = "<unk>"


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A list of symbols: code points where `kind` is "characters" and byte values where it is "bytes", both sorted;
    where it is "words", strings, those first that are the most frequent in the whole text.

    Words stand between blanks; a line break is the word `<eos>`. Words outside the list become `<unk>`, if it holds
    that.
    """

    kind: str
    symbols: tuple[int, ...] | tuple[str, ...]

    @classmethod
    def of(cls, text: bytes, kind: str, limit: int, training: bytes | None = None) -> "Vocabulary":
        """The symbols of `text`. Falls back to bytes, and says so, where the text is not UTF-8 or holds more than
        `limit` distinct characters. Words are those of its part `training` alone, if that is given: no network learns
        what the others mean. Of more than `limit` distinct words the rarest become `<unk>`.
        """
        if kind != "bytes":
            try:
                if kind == "words":
                    return cls._words(text, limit, text if training is None else training)
                return cls._characters(text, limit)
            except UnicodeDecodeError as error:
                logging.warning("the text is not UTF-8 (byte %d); its symbols are bytes", error.start)
        return cls._bytes(text)

    @classmethod
    def _bytes(cls, text):
        return cls("bytes", tuple(np.unique(np.frombuffer(text, np.uint8)).tolist()))

    @classmethod
    def _characters(cls, text, limit):
        distinct = np.unique(_code_points(text))
        if len(distinct) <= limit:
            return cls("characters", tuple(distinct.tolist()))
        logging.warning(
            "the text has %d distinct characters, more than %d; its symbols are bytes", len(distinct), limit
        )
        return cls._bytes(text)

    @classmethod
    def _words(cls, text, limit, training):
        counted, learned = (collections.Counter(words_of(part.decode("utf-8"))) for part in (text, training))
        known, unknown = sorted(learned, key=lambda word: (-learned[word], word)), []
        if len(known) > limit:
            logging.warning("the text has %d distinct words, more than %d; the rarest are <unk>", len(known), limit)
            known, unknown = [word for word in known if word != UNKNOWN][: limit - 1], [UNKNOWN]
        # By the whole text's counts, so that runs whose vocabulary was of all of it keep their numbers where they can.
        return cls("words", (*unknown, *sorted(known, key=lambda word: (-counted[word], word))))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str | bytes, what: str = "the text") -> np.ndarray:
        """`[time]` symbol numbers. Raises UserError naming the characters or words the vocabulary does not hold."""
        if self.kind == "bytes":
            raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
            return self._numbers(np.frombuffer(raw, np.uint8), what)
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        try:
            return self._numbers_of_words(raw, what) if self.kind == "words" else self._numbers(_code_points(raw), what)
        except UnicodeDecodeError as error:
            raise UserError(f"{what} is not UTF-8, and this vocabulary is of {self.kind}") from error

    def _numbers(self, points, what):
        known = np.asarray(self.symbols)
        index = np.searchsorted(known, points).clip(max=len(known) - 1)
        unknown = np.unique(points[known[index] != points])
        self._need_none([repr(chr(p)) if self.kind == "characters" else f"byte {p:#04x}" for p in unknown], what)
        return self._narrow(index)

    def _numbers_of_words(self, raw, what):
        places = {word: place for place, word in enumerate(self.symbols)}
        words = words_of(raw.decode("utf-8"))
        if UNKNOWN not in places:
            remedy = f"; such words become {UNKNOWN} where data.max_vocabulary is under {len(self)}"
            self._need_none(sorted({repr(word) for word in words if word not in places}), what, remedy)
        unknown = places.get(UNKNOWN)
        return self._narrow(np.asarray([places.get(word, unknown) for word in words], int))

    def _need_none(self, unknown: list[str], what: str, remedy: str = "") -> None:
        if unknown:
            more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
            raise UserError(f"{what} holds {', '.join(unknown[:10])}{more}, which the training text did not{remedy}")

    def _narrow(self, index):
        return index.astype(np.uint8 if len(self) <= 256 else np.int32)

    @property
    def line_break(self) -> int:
        """The number of the line break; 0 where the text had none."""
        symbol = LINE_BREAK if self.kind == "words" else ord("\n")
        return self.symbols.index(symbol) if symbol in self.symbols else 0

    def decode(self, indices) -> str:
        """The text of symbol numbers; bytes that are no UTF-8 become U+FFFD, words have a blank between them."""
        symbols = [self.symbols[i] for i in np.asarray(indices)]
        if self.kind == "bytes":
            return bytes(symbols).decode("utf-8", "replace")
        if self.kind == "words":
            text = " ".join("\n" if word == LINE_BREAK else word for word in symbols)
            return "\n".join(line.strip() for line in text.split("\n"))
        return "".join(map(chr, symbols))

    def to_json(self) -> dict:
        return {"kind": self.kind, "symbols": list(self.symbols)}

    @classmethod
    def from_json(cls, saved: dict) -> "Vocabulary":
        return cls(saved["kind"], tuple(saved["symbols"]))


def words_of(text: str) -> list[str]:
    """The words between blanks, every line break one of them."""
    return text.replace("\n", f" {LINE_BREAK} ").split()


def _code_points(text: bytes) -> np.ndarray:
    return np.frombuffer(text.decode("utf-8").encode("utf-32-le"), np.uint32)
