"""Geo codes: `CC` continent, `CC-LL` country, `CC-LL-PP` province, with octoDNS's own grouping of countries.

The two tables are data files beside this module; the dataplane reads the same `continents.txt`, so that a rule means one thing on both
sides whatever a location database says of continents.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources


@cache
def continents() -> Mapping[str, frozenset[str]]:
    """Each continent's countries (ISO 3166-1 alpha-2)."""
    return _read_table("continents.txt")


@cache
def provinces() -> Mapping[str, frozenset[str]]:
    """The subdivisions (ISO 3166-2, without the country) of the countries that have any in geo codes."""
    return _read_table("provinces.txt")


@cache
def continent_of(country: str) -> str | None:
    """octoDNS's continent for a country; None for codes that it lacks, such as XK."""
    return next((continent for continent, countries in continents().items() if country in countries), None)


def why_not_geo(code: str) -> str | None:
    """What is wrong with a geo code, naming the mend, or None."""
    continent, *rest = code.split("-")
    if len(rest) > 2:
        return "has more than three parts; write continent, continent-country or continent-country-province"
    if continent not in continents():
        return f"does not begin with a continent; those are {', '.join(continents())}"
    if not rest:
        return None
    country = rest[0]
    if country not in continents()[continent]:
        actual = continent_of(country)
        return f"has the wrong continent; write {actual}-{country}" if actual else f"names no country of {continent}"
    if len(rest) == 1 or rest[1] in provinces().get(country, ()):
        return None
    if country not in provinces():
        return f"names a province of {country}; only {' and '.join(provinces())} have provinces, write {continent}-{country}"
    return f"names no province of {country}"


def _read_table(file: str) -> Mapping[str, frozenset[str]]:
    lines = resources.files(__package__).joinpath(file).read_text(encoding="ascii").splitlines()
    return {key: frozenset(codes.split()) for key, _, codes in (line.partition(":") for line in lines)}
