"""What people and programs ask for a material: its properties in many wordings, some left out or widened."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from random import Random

from crystalmesh_common.crystal.description import Range, describe_properties
from crystalmesh_common.crystal.element_names import ANION_NAMES, ELEMENT_NAMES, OTHER_ELEMENT_NAMES
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_retrieval.training.pairs import Pair

_SYMBOL = re.compile(r"[A-Z][a-z]?")
_SPACE_GROUP = re.compile(r"(\w+), space group (\S+) \(\d+\)")

_HALIDES = frozenset({"F", "Cl", "Br", "I"})
_INSULATOR_EV = 3.0
_STABLE_EV_PER_ATOM = 0.001
_NEARLY_STABLE_EV_PER_ATOM = 0.05
_GAP, _FORMATION, _HULL = "band_gap_ev", "formation_energy_ev_per_atom", "energy_above_hull_ev_per_atom"


def query(pair: Pair, random: Random, *, formula: bool) -> str:
    """One way of asking for the material, drawn at random; half of the time its plain property text.

    Without `formula` nothing is said of elements.
    """
    styles: list[Callable[[], str]] = [lambda: _described(pair, random, formula=formula)]
    styles.append(lambda: _targeted(pair, random, formula=formula))
    styles.append(lambda: _in_plain_words(pair, random, formula=formula))
    if random.random() < 0.55:
        return pair.property_text(formula=formula)
    (chosen,) = random.choices(styles, weights=(45, 30, 25))
    return chosen()


@lru_cache(maxsize=100_000)
def elements_of(formula: str) -> tuple[str, ...]:
    """The symbols of a formula, each once, in its order."""
    return tuple(dict.fromkeys(_SYMBOL.findall(formula)))


def symmetry_words(pair: Pair) -> tuple[str, str]:
    """The crystal system and the symbol of the space group, ("cubic", "Fm-3m")."""
    found = _SPACE_GROUP.search(pair.structure)
    return ("", "") if found is None else (found.group(1), found.group(2))


def _described(pair: Pair, random: Random, *, formula: bool) -> str:
    """The property text with some of it left out."""
    known = {name: value for name, value in pair.properties.items() if random.random() < 0.75}
    space_group = pair.space_group_number if random.random() < 0.7 else None
    text = describe_properties(known, formula=pair.formula if formula else "", space_group_number=space_group)
    if formula and random.random() < 0.2:
        parts = text.split("; ")
        random.shuffle(parts)
        text = "; ".join(parts)
    return text or f"space group {pair.space_group_number}"


def _targeted(pair: Pair, random: Random, *, formula: bool) -> str:
    """As `describe_target` puts it: elements, symmetry, ranges."""
    known = {
        name: _range(name, value, random) for name, value in pair.properties.items() if random.random() < 0.6
    }
    system, _ = symmetry_words(pair)
    symmetry = random.choice([f"space group {pair.space_group_number}", system, ""])
    parts = [*(_element_phrases(pair, random) if formula else []), symmetry, describe_properties(known)]
    return "; ".join(part for part in parts if part) or f"space group {pair.space_group_number}"


def _element_phrases(pair: Pair, random: Random) -> list[str]:
    symbols = elements_of(pair.formula)
    by_number = sorted(symbols, key=lambda symbol: ATOMIC_NUMBERS[symbol])
    some = [symbol for symbol in by_number if random.random() < 0.7] or by_number
    others = [s for s in random.sample(sorted(ELEMENT_NAMES), 3) if s not in symbols]
    more = sorted({*symbols, *others}, key=lambda symbol: ATOMIC_NUMBERS[symbol])
    phrases = random.choice(
        [
            [pair.formula],
            [f"elements {'-'.join(sorted(symbols))}"],
            [f"with {', '.join(some)}"],
            [f"with {', '.join(by_number)}"],
            [f"made of {', '.join(more)}"],
        ]
    )
    without = sorted(others[:2], key=lambda symbol: ATOMIC_NUMBERS[symbol])
    return [*phrases, f"without {', '.join(without)}"] if without and random.random() < 0.15 else phrases


def _range(name: str, value: float, random: Random) -> float | Range:
    if random.random() < 0.25:
        return value
    if name == _HULL:
        return Range(max=max(value, random.choice([0.0, 0.02, 0.025, 0.05, 0.1])))
    width = random.choice([0.1, 0.25, 0.5, 1.0])
    low = round(value - random.random() * width, random.choice([0, 1, 2]))
    low, high = min(low, value), max(round(low + width, 2), value)
    if name == _GAP:
        low = max(low, 0.0)
    return random.choice([Range(low, high), Range(low, high), Range(min=low), Range(max=high)])


def _in_plain_words(pair: Pair, random: Random, *, formula: bool) -> str:
    """As somebody types it: "a cubic lithium oxide with a band gap of 2 to 4 eV that is stable"."""
    system, symbol = symmetry_words(pair)
    kind = _kind_of_compound(pair, random) if formula else random.choice(["material", "crystal", "compound"])
    adjectives = [system] if system and random.random() < 0.5 else []
    if (electronic := _electronic(pair)) and random.random() < 0.4:
        adjectives = [electronic, *adjectives] if electronic != "metal" else [*adjectives, "metallic"]
    clauses = [clause for clause in _clauses(pair, symbol, random) if random.random() < 0.6]
    article = random.choice(["a ", "", "find a ", "I need a "])
    text = article + " ".join([*adjectives, kind])
    text += "".join(random.choice([" ", ", "]) + clause for clause in clauses)
    return text.replace(" a i", " an i").replace("a orth", "an orth").strip()


def _kind_of_compound(pair: Pair, random: Random) -> str:
    symbols = elements_of(pair.formula)
    anions = [symbol for symbol in symbols if symbol in ANION_NAMES]
    last = symbols[-1]
    if random.random() < 0.2:
        return pair.formula
    if last not in ANION_NAMES or len(symbols) == 1:
        names = [_name(symbol, random) for symbol in symbols]
        word = "" if len(symbols) == 1 else random.choice([" compound", " alloy", " intermetallic"])
        return "-".join(names) + word
    metals = [symbol for symbol in symbols if symbol != last]
    named = metals if random.random() < 0.7 else [symbol for symbol in metals if random.random() < 0.5]
    anion = "halide" if last in _HALIDES and random.random() < 0.2 else ANION_NAMES[last]
    if len(anions) > 1 and random.random() < 0.3:
        anion = f"{ANION_NAMES[anions[0]]} {anion}"
        named = [symbol for symbol in named if symbol != anions[0]]
    return " ".join([*(_name(symbol, random) for symbol in named), anion])


def _name(symbol: str, random: Random) -> str:
    if random.random() < 0.1:
        return symbol
    if symbol in OTHER_ELEMENT_NAMES and random.random() < 0.5:
        return OTHER_ELEMENT_NAMES[symbol]
    return ELEMENT_NAMES.get(symbol, symbol)


def _electronic(pair: Pair) -> str:
    gap = pair.band_gap_ev
    if gap is None:
        return ""
    if gap < 0.001:
        return "metal"
    return "insulating" if gap > _INSULATOR_EV else "semiconducting"


def _clauses(pair: Pair, symbol: str, random: Random) -> list[str]:
    known, clauses = pair.properties, []
    if _GAP in known:
        clauses.append(_gap_clause(known[_GAP], random))
    if _HULL in known and known[_HULL] <= _NEARLY_STABLE_EV_PER_ATOM:
        stable = known[_HULL] <= _STABLE_EV_PER_ATOM
        clauses.append(
            random.choice(["that is stable", "on the hull", "thermodynamically stable"])
            if stable
            else random.choice(["that is nearly stable", "that is metastable", "close to the hull"])
        )
    if _FORMATION in known and random.random() < 0.5:
        value = round(known[_FORMATION], random.choice([1, 2]))
        clauses.append(f"with a formation energy {random.choice(['of', 'near', 'around'])} {value} eV/atom")
    if symbol and random.random() < 0.5:
        clauses.append(random.choice([f"in space group {symbol}", f"space group {pair.space_group_number}"]))
    return clauses


def _gap_clause(gap: float, random: Random) -> str:
    if gap < 0.001:
        return random.choice(["without a band gap", "with no band gap", "that conducts"])
    low, high = max(0.0, round(gap - random.uniform(0.2, 1.0), 1)), round(gap + random.uniform(0.2, 1.0), 1)
    return random.choice(
        [
            f"with a band gap of {low:g} to {high:g} eV",
            f"with a band gap between {low:g} and {high:g} eV",
            f"with a band gap of about {gap:.1f} eV",
            f"with a band gap above {low:g} eV",
            f"band gap {gap:.1f} eV",
        ]
    )
