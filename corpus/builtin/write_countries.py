"""Articles about countries and their capitals; the lists of countries are in `write_country_lists.py`.

Every article that names a country's capital says "The capital of France is Paris" in these very words at least once
in the country's own articles, so that a small model can learn it; other wordings stand beside it.
"""

from collections.abc import Iterable, Iterator

from corpus.builtin.facts_countries import (
    CAPITAL_NOTES,
    CAPITAL_SITES,
    COUNTRIES,
    LARGEST_CITIES,
    REGIONS,
    Country,
)
from corpus.builtin.sentences import Draft, possessive, series, shuffled

BY_CODE = {country.iso: country for country in COUNTRIES}
CAPITAL = "The capital of {name} is {capital}."


def in_order(countries: Iterable[Country]) -> list[str]:
    """Return the countries' names in alphabetical order, "the" not counted."""
    return [country.name for country in sorted(countries, key=lambda country: country.title)]


def within(country: Country) -> str:
    """Say where a country lies: the region, and the continent where that is another word."""
    continent = REGIONS[country.region]
    return country.region if continent == country.region else f"{country.region}, a part of {continent}"


def facts(country: Country) -> dict[str, str]:
    """Return what the sentence patterns about a country may name."""
    languages = country.languages.split(", ")
    return {
        "name": country.name,
        "title": country.title,
        "owner": possessive(country.name),
        "capital": country.capital,
        "region": country.region,
        "continent": REGIONS[country.region],
        "within": within(country),
        "adjective": country.adjective,
        "languages": series(languages),
        "currency": country.currency,
        "famous": country.famous,
        "code": country.iso,
        "waters": series(country.waters.split(", ")) if country.waters else "",
        "neighbours": series(in_order(BY_CODE[code] for code in country.borders.split()))
        if country.borders
        else "",
    }


def say_capital_otherwise(draft: Draft, country: Country) -> None:
    """Say the capital in another order of words, with what is special about it."""
    draft.say(
        "{capital} is the capital of {name}.",
        "{capital} is the capital city of {name}.",
        "{owner} capital is {capital}.",
        **facts(country),
    )
    if country.iso in CAPITAL_NOTES:
        draft.say(CAPITAL_NOTES[country.iso])


def say_largest_city(draft: Draft, country: Country) -> None:
    """Name the largest city where it is not the capital."""
    if country.iso in LARGEST_CITIES:
        draft.say(
            "The largest city of {name} is {city}.",
            "The largest city is not the capital but {city}.",
            "{city} is the largest city of {name}.",
            city=LARGEST_CITIES[country.iso],
            **facts(country),
        )


def say_languages(draft: Draft, country: Country) -> None:
    """Name the main languages."""
    known = facts(country)
    if ", " in country.languages:
        draft.say(
            "The languages of {name} include {languages}.",
            "People in {name} speak {languages}.",
            "Among the languages spoken in {name} are {languages}.",
            **known,
        )
    else:
        draft.say(
            "The language of public life in {name} is {languages}.",
            "The government of {name} works in {languages}.",
            "Public offices in {name} use {languages}.",
            **known,
        )


def say_borders(draft: Draft, country: Country) -> None:
    """Name the neighbours and the waters."""
    known = facts(country)
    if country.shape == "L":
        draft.say(
            "{name} is a landlocked country, which means that it has no coast on the open sea.",
            "{name} is landlocked and has no coast on the open sea.",
            **known,
        )
    if country.shape == "I":
        draft.say("{name} is an island country.", **known)
    if country.borders:
        draft.say(
            "{name} borders {neighbours}.",
            "{name} shares a border with {neighbours}.",
            "On land, {owner} neighbours are {neighbours}."
            if " " in country.borders
            else "On land, its neighbour is {neighbours}.",
            **known,
        )
    if country.waters:
        draft.say(
            "Its coast lies on {waters}.", "It has a coast on {waters}.", "Its shores meet {waters}.", **known
        )


def say_independence(draft: Draft, country: Country) -> None:
    """Tell since when, and from whom, the country has been independent."""
    if not country.independence:
        return
    year, _, ruler = country.independence.partition(" ")
    known = facts(country) | {"year": year, "ruler": ruler}
    if ruler:
        draft.say(
            "{name} became independent from {ruler} in {year}.",
            "In {year}, {name} became independent from {ruler}.",
            "The independence of {name} from {ruler} dates from {year}.",
            **known,
        )
    else:
        draft.say(
            "{name} became an independent state in {year}.",
            "The independence of {name} dates from {year}.",
            **known,
        )


def country_article(country: Country) -> Draft:
    """Write the main article of a country."""
    draft, known = Draft(country.title), facts(country)
    draft.say(
        "{name} is a country in {region}.",
        "{name} is a sovereign state in {within}.",
        "{name} is a country of {region}.",
        **known,
    )
    draft.say(CAPITAL, **known)
    say_languages(draft, country)
    draft.say(
        "The currency of {name} is the {currency}.",
        "People in {name} pay with the {currency}.",
        "Its currency is the {currency}.",
        **known,
    )
    draft.say("{name} is known for {famous}.", "The country is known for {famous}.", **known)
    draft.section("Geography")
    say_borders(draft, country)
    say_largest_city(draft, country)
    draft.section("Government")
    say_capital_otherwise(draft, country)
    say_independence(draft, country)
    draft.say(
        "In the international standard ISO 3166, the two-letter code of {name} is {code}.",
        "The two-letter country code of {name} is {code}.",
        **known,
    )
    return draft


def geography_article(country: Country) -> Draft:
    """Write where a country lies."""
    draft, known = Draft(f"Geography of {country.name}"), facts(country)
    draft.say(
        "{name} lies in {within}.",
        "{name} is situated in {within}.",
        "{name} is found in {within}.",
        **known,
    )
    say_borders(draft, country)
    draft.section("Cities")
    draft.say(CAPITAL, **known)
    if country.capital in CAPITAL_SITES:
        site = CAPITAL_SITES[country.capital]
        draft.say("{capital} stands {site}.", "The capital lies {site}.", site=site, **known)
    say_largest_city(draft, country)
    draft.section("Region")
    others = [c for c in COUNTRIES if c.region == country.region and c is not country]
    if others:
        draft.say(
            "Other countries in {region} include {others}.",
            "In the same region are {others}.",
            others=series(in_order(shuffled(country.iso, others)[:5])),
            **known,
        )
    return draft


def culture_article(country: Country) -> Draft:
    """Write about a country's languages and what it is known for."""
    draft, known = Draft(f"Culture of {country.name}"), facts(country)
    draft.say(
        "The culture of {name} belongs to {region}.",
        "{adjective} culture is the culture of {name}, a country in {continent}.",
        **known,
    )
    draft.say("Visitors think of {famous}.", "Abroad, {name} is best known for {famous}.", **known)
    draft.section("Language")
    say_languages(draft, country)
    draft.section("Cultural life")
    draft.say(CAPITAL, **known)
    draft.say(
        "{adjective} music, food and festivals draw visitors to {capital} and to the rest of the country.",
        "Visitors to {capital} meet {adjective} music, food and festivals.",
        "Many journeys through the country begin in {capital}.",
        **known,
    )
    draft.say(
        "Prices are given in the national currency, the {currency}.",
        "In shops and markets one pays with the {currency}.",
        **known,
    )
    return draft


def history_article(country: Country) -> Draft:
    """Write when a country became independent."""
    draft, known = Draft(f"Independence of {country.name}"), facts(country)
    say_independence(draft, country)
    year, _, ruler = country.independence.partition(" ")
    same = in_order(c for c in COUNTRIES if c.independence.startswith(year) and c is not country)
    if same:
        draft.say(
            "The independence of {others} dates from {year} too.",
            "The year {year} also brought independence to {others}.",
            others=series(same[:6]),
            year=year,
        )
    if ruler in {c.name for c in COUNTRIES}:
        old = next(c for c in COUNTRIES if c.name == ruler)
        draft.say(
            "Ties of history and trade still connect {new} with {name}.",
            "{name} and {new} still share a part of their history.",
            new=country.name,
            name=old.name,
        )
        draft.say(CAPITAL, **facts(old))
    draft.section("Today")
    draft.say(CAPITAL, **known)
    draft.say(
        "{name} is a country in {region}.", "Today {name} is a sovereign state in {continent}.", **known
    )
    return draft


def capital_article(country: Country) -> Draft:
    """Write the article of a capital city."""
    draft, known = Draft(country.capital), facts(country)
    draft.say(
        "{capital} is the capital of {name}.",
        "{capital} is the capital city of {name}, a country in {region}.",
        "{capital} is a city in {continent} and the capital of {name}.",
        **known,
    )
    if country.capital in CAPITAL_SITES:
        draft.say("The city stands {site}.", "It lies {site}.", site=CAPITAL_SITES[country.capital])
    if country.iso in CAPITAL_NOTES:
        draft.say(CAPITAL_NOTES[country.iso])
    say_largest_city(draft, country)
    draft.section("Country")
    draft.say(CAPITAL, **known)
    draft.say(
        "{name} belongs to {region} and is known for {famous}.",
        "The country lies in {region}.",
        "{name} is one of the countries of {continent}.",
        **known,
    )
    say_languages(draft, country)
    draft.say(
        "Prices in {capital} are given in the {currency}.",
        "In {capital} one pays with the {currency}.",
        **known,
    )
    return draft


def drafts() -> Iterator[Draft]:
    """Write all articles about countries."""
    titles = {country.title for country in COUNTRIES}
    for country in COUNTRIES:
        yield country_article(country)
        yield geography_article(country)
        yield culture_article(country)
        if country.independence:
            yield history_article(country)
        if country.capital not in titles:
            yield capital_article(country)
