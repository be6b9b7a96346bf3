"""Properties and what is asked of them in words: "band gap 0.3 eV, asked for 2 to 4"."""

from __future__ import annotations

from crystalmesh_common.crystal.description.property_text import PROPERTY_PHRASES, Range

_MOST_DECIMALS = 12


def range_in_words(name: str, wanted: Range) -> str:
    """A range with its property and unit: "band gap 2 to 4 eV"."""
    phrase = PROPERTY_PHRASES[name]
    return f"{phrase.words} {bounds_in_words(wanted)}{phrase.unit}"


def bounds_in_words(wanted: Range) -> str:
    """The bounds alone: "2 to 4", "at least 2", "at most 4", "2"."""
    if wanted.max is None:
        return f"at least {_number(wanted.min or 0.0)}"
    if wanted.min is None:
        return f"at most {_number(wanted.max)}"
    if wanted.min == wanted.max:
        return _number(wanted.min)
    return f"{_number(wanted.min)} to {_number(wanted.max)}"


def miss_in_words(name: str, value: float, wanted: Range, *, spread: float | None = None) -> str:
    """What speaks against a value outside a range, with as many decimals as show that it is outside."""
    phrase = PROPERTY_PHRASES[name]
    told = next(
        (
            text
            for decimals in range(phrase.decimals, _MOST_DECIMALS)
            if not lies_within(float(text := _number(value, decimals)), wanted)
        ),
        _number(value, _MOST_DECIMALS),
    )
    around = "" if spread is None else f" ± {spread:.2g}"
    return f"{phrase.words} {told}{around}{phrase.unit}, asked for {bounds_in_words(wanted)}"


def lies_within(value: float, wanted: Range) -> bool:
    """Whether a value fulfils a range; bounds count as inside."""
    return (wanted.min is None or value >= wanted.min) and (wanted.max is None or value <= wanted.max)


def _number(value: float, decimals: int = _MOST_DECIMALS) -> str:
    """With at most so many decimals and none that say nothing: "0.3", "1200", "-0.05"."""
    return f"{round(value, decimals) + 0.0:.12g}"  # -0.0 + 0.0 is 0.0
