"""Lists of countries by region, language, currency or first letter, and articles about the borders between them."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from corpus.builtin.facts_countries import COUNTRIES, REGIONS, Country
from corpus.builtin.sentences import Draft, capitalized, in_words
from corpus.builtin.write_countries import BY_CODE, CAPITAL, facts, say_languages


def list_article(
    title: str, lead: str, countries: list[Country], entry: Callable[[Draft, Country], None]
) -> Draft:
    """Write a list with a few sentences for each country, six countries to a paragraph."""
    draft = Draft(title)
    draft.say(lead, count=in_words(len(countries)))
    for place, country in enumerate(countries):
        if place % 6 == 0:
            draft.paragraph()
        entry(draft, country)
    return draft


def plain_entry(draft: Draft, country: Country) -> None:
    """Say the capital, and nothing else."""
    draft.say(CAPITAL, **facts(country))


def varied_entry(draft: Draft, country: Country) -> None:
    """Say the capital in one of several ways."""
    draft.say(
        CAPITAL,
        "The capital of {name}, a country in {region}, is {capital}.",
        "{capital} is the capital of {name}.",
        "In {name}, the capital is {capital}.",
        **facts(country),
    )


def currency_entry(draft: Draft, country: Country) -> None:
    """Say the capital and the currency."""
    draft.say(CAPITAL, **facts(country))
    draft.say(
        "The currency of {name} is the {currency}.",
        "In {capital} one pays with the {currency}.",
        **facts(country),
    )


def region_entry(draft: Draft, country: Country) -> None:
    """Say the region, the capital and the languages."""
    known = facts(country)
    draft.say("{name} is a country in {region}.", "{name} belongs to {region}.", **known)
    draft.say(CAPITAL, **known)
    say_languages(draft, country)


def groups(key: Callable[[Country], str | list[str]]) -> dict[str, list[Country]]:
    """Gather the countries by what `key` says of each, one or several names."""
    gathered: dict[str, list[Country]] = defaultdict(list)
    for country in COUNTRIES:
        names = key(country)
        for name in [names] if isinstance(names, str) else names:
            gathered[name].append(country)
    return dict(sorted(gathered.items()))


def lists() -> Iterator[Draft]:
    """Write every list of countries."""
    for region, members in groups(lambda c: c.region).items():
        lead = f"This list names the {{count}} countries of {region}."
        yield list_article(f"List of countries in {region}", lead, members, region_entry)
    for continent, members in groups(lambda c: REGIONS[c.region]).items():
        lead = f"This list gives the capitals of {{count}} countries in {continent}."
        yield list_article(f"Capitals of {continent}", lead, members, plain_entry)
        lead = f"This list gives the currencies of {{count}} countries in {continent}."
        yield list_article(f"Currencies of {continent}", lead, members, currency_entry)
    for letter, members in groups(lambda c: c.title[0]).items():
        if len(members) > 1:
            lead = f"These are the countries whose English name begins with the letter {letter}."
            yield list_article(f"Countries that begin with {letter}", lead, members, plain_entry)
    for letter, members in groups(lambda c: c.capital[0]).items():
        if len(members) > 1:
            lead = f"These are the capitals whose name begins with the letter {letter}."
            yield list_article(f"Capitals that begin with {letter}", lead, members, varied_entry)
    for language, members in groups(lambda c: c.languages.split(", ")).items():
        if len(members) > 1:
            lead = f"{language} is one of the languages of the {{count}} countries in this list."
            yield list_article(f"List of countries where {language} is spoken", lead, members, varied_entry)
    for shape, members in groups(lambda c: c.shape).items():
        if shape == "L":
            lead = "A landlocked country has no coast on the open sea, and this list names {count} of them."
            yield list_article("Landlocked country", lead, members, plain_entry)
        elif shape == "I":
            lead = "An island country lies on one or more islands, and this list names {count} of them."
            yield list_article("Island country", lead, members, plain_entry)
    for currency, members in groups(lambda c: c.currency).items():
        if len(members) > 1:
            lead = f"The {currency} is the currency of {{count}} countries in this list."
            yield list_article(capitalized(currency), lead, members, varied_entry)


def border_article(country: Country, neighbour: Country) -> Draft:
    """Write the article of the border between two countries."""
    draft = Draft(f"Border between {country.name} and {neighbour.name}")
    one, two = facts(country), facts(neighbour)
    draft.say(
        "{one} and {two} are neighbours and share a border.",
        "{one} borders {two}.",
        "{one} and {two} have a common border.",
        one=country.name,
        two=neighbour.name,
    )
    for known in (one, two):
        draft.say(CAPITAL, **known)
    if country.region == neighbour.region:
        draft.say("Both countries belong to {region}.", "Both countries lie in {region}.", **one)
    else:
        draft.say(
            "{one} belongs to {first}, and {two} belongs to {second}.",
            "{one} lies in {first}, and {two} lies in {second}.",
            one=country.name,
            two=neighbour.name,
            first=country.region,
            second=neighbour.region,
        )
    draft.section("Travel")
    if country.currency == neighbour.currency:
        draft.say("The currency of both countries is the {currency}.", **one)
    else:
        draft.say(
            "Travellers from {one} to {two} change the {money} for the {other}.",
            "The {money} is the currency of {one}, and the {other} is the currency of {two}.",
            one=country.name,
            two=neighbour.name,
            money=country.currency,
            other=neighbour.currency,
        )
    shared = [name for name in country.languages.split(", ") if name in neighbour.languages.split(", ")]
    if shared:
        draft.say("Both countries use {shared}.", shared=shared[0])
    for known in (one, two):
        draft.say("{name} is known for {famous}.", **known)
    return draft


def drafts() -> Iterator[Draft]:
    """Write all lists and all borders."""
    yield from lists()
    for country in COUNTRIES:
        for code in country.borders.split():
            if country.iso < code:
                yield border_article(country, BY_CODE[code])
