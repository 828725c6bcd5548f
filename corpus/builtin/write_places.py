"""Articles about cities, rivers, mountains, waters, deserts and islands, and the states of the United States."""

from collections.abc import Iterator

from corpus.builtin.facts_countries import COUNTRIES
from corpus.builtin.facts_places import CITIES, LANDS, MOUNTAINS, OCEANS, RIVERS, STATES, WATERS, Place, State
from corpus.builtin.sentences import Draft, a, capitalized, in_words, possessive, series
from corpus.builtin.write_countries import within

BY_NAME = {country.name: country for country in COUNTRIES}
CAPITAL = "The capital of {name} is {capital}."


def say_countries(draft: Draft, place: Place) -> None:
    """Say the capital of each country that a place belongs to."""
    for name in place.countries.split(", "):
        country = BY_NAME[name]
        draft.say(CAPITAL, name=name, capital=country.capital)
        draft.say(
            "{name} is a country in {region}.",
            "{name} lies in {within}.",
            "{name} is known for {famous}.",
            name=name,
            region=country.region,
            within=within(country),
            famous=country.famous,
        )


def city_article(city: Place) -> Draft:
    """Write the article of a city that is not a national capital."""
    draft = Draft(city.name)
    draft.say("{name} is a city in {countries}.", **city._asdict())
    draft.say("It {about}.", "{name} {about}.", "The city {about}.", **city._asdict())
    draft.section("Country")
    say_countries(draft, city)
    others = [other.name for other in CITIES if other.countries == city.countries and other is not city]
    if others:
        draft.say(
            "{others} lies in the same country." if len(others) == 1 else "{others} lie in the same country.",
            others=series(others[:5]),
        )
    return draft


def place_article(place: Place, kind: str) -> Draft:
    """Write the article of a river, a mountain or another place."""
    draft = Draft(
        capitalized(place.name.removeprefix("the ")) + (f" ({kind})" if place.name in CLASHES else "")
    )
    names = place.countries.split(", ")
    known = place._asdict() | {"a_kind": a(kind), "where": series(names)}
    patterns = {
        "river": ("{name} is a river that flows through {where}.", "{name} is a river in {where}."),
        "mountain": (
            "{name} is a mountain in {where}."
            if len(names) == 1
            else "{name} is a mountain on the border of {where}.",
        ),
        "mountain range": ("{name} are a mountain range in {where}.", "{name} are mountains in {where}."),
    }.get(kind, ("{name} is {a_kind} in {where}.",))
    draft.say(*patterns, **known)
    draft.say(
        "{they} {about}.", "{name} {about}.", they="They" if kind == "mountain range" else "It", **known
    )
    draft.section("Countries" if len(names) > 1 else "Country")
    say_countries(draft, place)
    return draft


# Places that share their name with a country or a state.
CLASHES = ("the Niger", "the Jordan", "the Mississippi", "the Missouri", "the Colorado")


def kind_of_land(place: Place) -> str:
    """Tell deserts, mountain ranges and islands apart."""
    if place.about.split()[0] not in ("is", "was", "lies"):
        return "mountain range"
    return "desert" if place.name.startswith("the ") else "island"


def state_facts(state: State) -> dict[str, str]:
    """Return what the sentence patterns about a state may name."""
    return state._asdict() | {"owner": possessive(state.name), "number": in_words(len(STATES))}


def say_largest(draft: Draft, state: State) -> None:
    """Name the largest city of a state."""
    if state.largest == state.capital:
        draft.say(
            "{capital} is also the largest city of the state.",
            "The capital is also the largest city of the state.",
            **state_facts(state),
        )
    else:
        draft.say(
            "The largest city of the state is {largest}.",
            "The largest city of {name} is {largest}.",
            **state_facts(state),
        )


def state_article(state: State) -> Draft:
    """Write the article of a state."""
    draft, known = Draft(state_title(state)), state_facts(state)
    draft.say(
        "{name} is a state of the United States.",
        "{name} is one of the {number} states of the United States.",
        **known,
    )
    draft.say("The state capital of {name} is {capital}.", **known)
    say_largest(draft, state)
    draft.section("History")
    if int(state.admitted) <= 1790:
        draft.say(
            "{name} was one of the first thirteen states and ratified the constitution in {admitted}.",
            **known,
        )
    else:
        draft.say(
            "{name} became a state in {admitted}.", "{name} was admitted to the Union in {admitted}.", **known
        )
    draft.section("Name and symbols")
    draft.say("{name} is called {nickname}.", "The nickname of {name} is {nickname}.", **known)
    draft.say(
        "The postal code of {name} is {code}.", "Letters to {name} bear the postal code {code}.", **known
    )
    draft.section("Country")
    draft.say(
        "{name} belongs to the United States, which is governed from Washington, D.C.",
        "{name} belongs to the United States, and {capital} is only the capital of the state.",
        "The government of the whole country sits not in {capital} but in Washington, D.C.",
        **known,
    )
    return draft


def state_title(state: State) -> str:
    """Return a title that no country, city or river has."""
    return f"{state.name} (state)" if state.name in ("Georgia", "Washington", "New York") else state.name


def state_capital_article(state: State) -> Draft:
    """Write the article of the capital of a state."""
    draft, known = Draft(f"{state.capital}, {state.name}"), state_facts(state)
    draft.say(
        "{capital} is the capital of the state of {name}.",
        "{capital} is a city in the United States and the capital of {name}.",
        **known,
    )
    draft.say("The state capital of {name} is {capital}.", **known)
    say_largest(draft, state)
    draft.say("{name} is called {nickname}.", "{owner} nickname is {nickname}.", **known)
    if int(state.admitted) <= 1790:
        draft.say("{name} was one of the first thirteen states of the United States.", **known)
    else:
        draft.say("{name} has been a state of the United States since {admitted}.", **known)
    return draft


def lists() -> Iterator[Draft]:
    """Write the lists of places and states."""
    tables = (("cities", CITIES), ("rivers", RIVERS), ("mountains", MOUNTAINS), ("lakes", WATERS))
    for plural, table in tables:
        draft = Draft(f"List of {plural}")
        draft.say("This list names some of the {plural} of the world.", plural=plural)
        for number, place in enumerate(table):
            if number % 6 == 0:
                draft.paragraph()
            draft.say("{name} {about}.", **place._asdict())
        yield draft
    for title in ("List of states of the United States", "State capitals of the United States"):
        draft = Draft(title)
        draft.say("The United States has {count} states.", count=in_words(len(STATES)))
        for number, state in enumerate(STATES):
            if number % 6 == 0:
                draft.paragraph()
            draft.say("The state capital of {name} is {capital}.", **state_facts(state))
            if title.startswith("List"):
                draft.say(
                    "{name} is called {nickname}.",
                    "The postal code of {name} is {code}.",
                    **state_facts(state),
                )
        yield draft
    draft = Draft("Ocean")
    draft.say("An ocean is a very large body of salt water, and the Earth has five of them.")
    for ocean in OCEANS:
        draft.say("{name} {about}.", **ocean._asdict())
    yield draft


def ocean_article(ocean: Place) -> Draft:
    """Write the article of an ocean."""
    draft = Draft(ocean.name.removeprefix("the "))
    draft.say("{name} is one of the five oceans of the Earth.", **ocean._asdict())
    draft.say("It {about}.", "{name} {about}.", **ocean._asdict())
    coast = [country for country in COUNTRIES if ocean.name in country.waters.split(", ")]
    if coast:
        draft.section("Countries")
        for country in coast:
            draft.say(
                "{name} has a coast on it, and its capital is {capital}.",
                CAPITAL,
                "{name}, with the capital {capital}, lies on this ocean.",
                name=country.name,
                capital=country.capital,
            )
    return draft


def drafts() -> Iterator[Draft]:
    """Write all articles about places."""
    yield from map(city_article, CITIES)
    for kind, table in (("river", RIVERS), ("mountain", MOUNTAINS), ("lake", WATERS)):
        for place in table:
            yield place_article(place, kind)
    for place in LANDS:
        yield place_article(place, kind_of_land(place))
    yield from map(ocean_article, OCEANS)
    yield from map(state_article, STATES)
    yield from map(state_capital_article, STATES)
    yield from lists()
