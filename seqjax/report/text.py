"""Words and numbers for people, from values that may hold anything."""

# Control characters as the pictures Unicode has for them; those that could reorder what is around them as U+FFFD.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {0x7F: 0x2421}
_HARMFUL = [*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029, 0xFFFE, 0xFFFF]
_VISIBLE = _PICTURES | dict.fromkeys(_HARMFUL, 0xFFFD)


def visible(text: str) -> str:
    """The text with control characters made visible; line breaks and tabs stay."""
    return text.translate(_VISIBLE).encode("utf-8", "replace").decode()


def one_line(text: str) -> str:
    return " ".join(visible(text).split())


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def score(mean: float | None, deviation: float | None = None) -> str:
    """`1.5873 ± 0.0042`, `3.12e-05 ± 1.4e-06`, or a dash: four decimals, or three digits of what is under 0.01."""
    if mean is None:
        return "—"
    if mean == 0 or abs(mean) >= 0.01:
        return number(mean, 4) + (f" ± {number(deviation, 4)}" if deviation is not None else "")
    return f"{mean:.3g}" + (f" ± {deviation:.2g}" if deviation is not None else "")


def signed(value: float | None) -> str:
    """`+0.0123`, or nothing for None."""
    if value is None:
        return ""
    return ("-" if value < 0 else "+") + score(abs(value))


def number(value: float | None, digits: int) -> str:
    """With so many decimals, or fewer significant ones where the value is huge; a dash for None."""
    if value is None:
        return "—"
    return f"{value:,.{digits}f}" if abs(value) < 1e6 else f"{value:.3e}"


def duration(seconds: float | None) -> str:
    """`4.2 s`, `3 min 10 s`, `2 h 05 min`, or a dash."""
    if seconds is None:
        return "—"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def step(value: float | None) -> str:
    """A step, or the median of steps, which may lie between two; empty for None."""
    return "" if value is None else f"{value:,.10g}"


def states(counts: dict[str, int]) -> str:
    """`2 done, 1 diverged`."""
    order = ("done", "stopped", "running", "queued", "interrupted", "diverged", "failed")
    return ", ".join(f"{counts[state]} {state}" for state in sorted(counts, key=order.index))
