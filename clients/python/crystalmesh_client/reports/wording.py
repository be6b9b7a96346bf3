"""How a report says things: names of properties with their units, numbers, times, names of enum values."""

from __future__ import annotations

import math
from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from crystalmesh.crystal.v1 import target_pb2
from crystalmesh_client.plots.markup import escaped
from crystalmesh_client.properties import PropertyValue, property_name

HULL = "energy_above_hull_ev_per_atom"
MINUS = "\N{MINUS SIGN}"

# Title and unit of each property.
_PROPERTIES: Mapping[str, tuple[str, str]] = {
    "formation_energy_ev_per_atom": ("formation energy", "eV/atom"),
    "band_gap_ev": ("band gap", "eV"),
    HULL: ("energy above hull", "eV/atom"),
    "bulk_modulus_gpa": ("bulk modulus", "GPa"),
    "shear_modulus_gpa": ("shear modulus", "GPa"),
    "magnetization_mu_b_per_cubic_angstrom": ("magnetization", "μB/Å³"),
    "density_g_per_cubic_centimeter": ("density", "g/cm³"),
    "atoms_in_cell": ("atoms in the primitive cell", ""),
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def property_title(name: str) -> str:
    """What people call a property: "band gap"."""
    return _PROPERTIES[name][0] if name in _PROPERTIES else name.replace("_", " ")


def property_unit(name: str) -> str:
    """The unit in the name of a property: "eV/atom"; empty where it has none."""
    return _PROPERTIES[name][1] if name in _PROPERTIES else ""


def bounds_text(wanted: target_pb2.PropertyRange, scale: float = 1.0) -> str:
    """A range without its unit, in few characters: "2 to 4", "≤ 50"."""
    low = number(scale * wanted.min) if wanted.HasField("min") else None
    high = number(scale * wanted.max) if wanted.HasField("max") else None
    return f"≥ {low}" if high is None else f"≤ {high}" if low is None else f"{low} to {high}"


def range_text(wanted: target_pb2.PropertyRange) -> str:
    """A range with its unit: "2 to 4 eV", "at most 0.05 eV/atom"."""
    low = number(wanted.min) if wanted.HasField("min") else None
    high = number(wanted.max) if wanted.HasField("max") else None
    unit = property_unit(property_name(wanted.property))
    bounds = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
    return f"{bounds} {unit}".strip()


def number(value: float, digits: int = 6) -> str:
    """A number without needless digits, and with a minus sign that is one."""
    return f"{value:.{digits}g}".replace("-", MINUS)


def signed_mev(ev_per_atom: float) -> str:
    """An energy in meV with its sign: "+12", "−3", "0"."""
    if not math.isfinite(ev_per_atom):
        return number(ev_per_atom)
    mev = round(1000 * ev_per_atom)
    return f"{mev:+,d}".replace("-", MINUS) if mev else "0"


def rounded(value: PropertyValue) -> str:
    """A value with half of its 95% interval, where it has one: "5.1 ± 0.4"."""
    return value.rounded.replace("-", MINUS)


def source_text(value: PropertyValue) -> str:
    """Where a value comes from: "prediction alignn-mp 1.2"; empty where nobody says."""
    kind = {"unspecified": "", "dft": "DFT", "geometry": "the structure"}.get(
        value.source.kind, value.source.kind
    )
    name = " ".join(filter(None, (value.source.name, value.source.version)))
    return f"{kind} {name}".strip()


def enum_words(descriptor_name: str, prefix: str) -> str:
    """The name of an enum value in words: "OFF_TARGET" of REJECTION_REASON_OFF_TARGET is "off target"."""
    return descriptor_name.removeprefix(prefix).lower().replace("_", " ")


def seconds_of(duration: Duration) -> float:
    """A duration in seconds."""
    return duration.seconds + duration.nanos * 1e-9


def duration_text(seconds: float) -> str:
    """A time that people can imagine: "14 min 20 s", "0.8 s"."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = math.floor(seconds + 0.5)
    parts = (
        (whole // _DAY, "d"),
        (whole % _DAY // _HOUR, "h"),
        (whole % _HOUR // _MINUTE, "min"),
        (whole % _MINUTE, "s"),
    )
    told = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(told[:2])


def moment_text(moment: Timestamp) -> str:
    """A moment, to the minute, in UTC."""
    return moment.ToDatetime().strftime("%Y-%m-%d %H:%M UTC")


def rows(*pairs: tuple[str, str]) -> str:
    """A list of names and what they stand for, those without a value left out; the values are markup."""
    items = "".join(f"<dt>{escaped(name)}</dt><dd>{value}</dd>" for name, value in pairs if value)
    return f"<dl>{items}</dl>" if items else ""


def badge(words: str, kind: str = "") -> str:
    """A word or two in a frame; the kind is its class."""
    return f'<li class="{kind}">{escaped(words)}</li>' if kind else f"<li>{escaped(words)}</li>"
