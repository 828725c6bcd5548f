"""Articles about the planets, their moons, the stars and the flights to them."""

from collections.abc import Iterator

from corpus.builtin.facts_space import BODIES, MISSIONS, MOONS, PLANETS, Body, Mission, Moon, Planet
from corpus.builtin.sentences import Draft, a, capitalized, in_words, ordinal_in_words, possessive, series

CLOSEST = "The planet closest to the Sun is Mercury."
LARGEST = "The largest planet of the Solar System is Jupiter."


def facts(planet: Planet) -> dict[str, str]:
    """Return what the sentence patterns about a planet may name."""
    place = PLANETS.index(planet) + 1
    return planet._asdict() | {
        "place": ordinal_in_words(place),
        "place_digit": str(place),
        "a_kind": a(planet.kind),
        "owner": possessive(planet.name),
        "moons": series(planet.moons.split(", ")) if planet.moons else "",
    }


def say_order(draft: Draft, planet: Planet) -> None:
    """Tell where a planet stands among the others."""
    known = facts(planet)
    draft.say(
        "{name} is the {place} planet from the Sun.",
        "Counted from the Sun, {name} is the {place} planet.",
        "The {place} planet from the Sun is {name}.",
        **known,
    )
    if planet.name == "Mercury":
        draft.say(CLOSEST)
    if planet.name == "Neptune":
        draft.say("The planet farthest from the Sun is Neptune.")
    if planet.name == "Jupiter":
        draft.say(LARGEST)


def say_moons(draft: Draft, planet: Planet) -> None:
    """Name the moons."""
    known = facts(planet)
    if not planet.moons:
        draft.say("{name} has no moons.", "No moon circles {name}.", **known)
    elif ", " in planet.moons:
        draft.say(
            "The moons of {name} include {moons}.",
            "Among the moons of {name} are {moons}."
            if planet.name != "Mars"
            else "The two moons of {name} are {moons}.",
            **known,
        )
    else:
        draft.say(
            "The largest moon of {name} is {moons}."
            if planet.name != "Earth"
            else "The Earth has one moon, {moons}.",
            **known,
        )


def planet_article(planet: Planet) -> Draft:
    """Write the main article of a planet."""
    draft, known = Draft(planet.name), facts(planet)
    say_order(draft, planet)
    draft.say("It is {a_kind}.", "{name} is {a_kind}.", **known)
    draft.say("{name} {about}.", "The planet {about}.", **known)
    draft.section("Orbit")
    draft.say(
        "{name} circles the Sun at an average distance of about {distance_million_km} million kilometres.",
        "The average distance between {name} and the Sun is about {distance_million_km} million kilometres.",
        **known,
    )
    draft.say(
        "One year on {name} lasts {year}.", "{name} needs {year} for one orbit around the Sun.", **known
    )
    draft.section("Size and moons")
    draft.say(
        "Its diameter is about {diameter_km} kilometres.",
        "The diameter of {name} is about {diameter_km} kilometres.",
        **known,
    )
    say_moons(draft, planet)
    if planet.namesake:
        draft.section("Name")
        draft.say("{name} is named after {namesake}.", "The planet bears the name of {namesake}.", **known)
    draft.section("Solar System")
    place = PLANETS.index(planet)
    if place > 0:
        draft.say("The next planet towards the Sun is {other}.", other=PLANETS[place - 1].name)
    if place < 7:
        draft.say("The next planet away from the Sun is {other}.", other=PLANETS[place + 1].name)
    draft.say(CLOSEST)
    draft.say(LARGEST)
    return draft


def observation_article(planet: Planet) -> Draft:
    """Write how a planet is seen and visited."""
    draft, known = Draft(f"Observation of {planet.name}"), facts(planet)
    say_order(draft, planet)
    if planet.name in ("Uranus", "Neptune"):
        draft.say("A telescope is needed to see {name} well.", **known)
    else:
        draft.say(
            "{name} can be seen without a telescope.", "{name} has been known since antiquity.", **known
        )
    draft.say("Astronomers know that {name} {about}.", **known)
    for mission in MISSIONS:
        if planet.name in mission.about:
            draft.say("{name} {about}.", **mission._asdict())
    say_moons(draft, planet)
    return draft


def moon_article(moon: Moon) -> Draft:
    """Write the article of a moon."""
    draft, known = Draft(capitalized(moon.name.removeprefix("the "))), moon._asdict()
    if moon.name == "the Moon":
        draft.say("The Moon is the only moon of the Earth.")
    else:
        draft.say("{name} is a moon of {planet}.", "{name} is one of the moons of {planet}.", **known)
    draft.say("It {about}.", "{name} {about}.", **known)
    say_found(draft, moon)
    draft.section("Planet")
    for planet in PLANETS:
        if planet.name == moon.planet:
            say_order(draft, planet)
            say_moons(draft, planet)
    return draft


def say_found(draft: Draft, moon: Moon) -> None:
    """Tell who discovered a moon."""
    year, _, person = moon.discovery.partition(" ")
    if year:
        draft.say(
            "{name} was discovered by {person} in {year}.",
            "{person} discovered {name} in {year}.",
            "In {year}, {person} discovered {name}.",
            name=moon.name,
            person=person,
            year=year,
        )


def body_article(body: Body) -> Draft:
    """Write the article of a star, dwarf planet, comet or galaxy."""
    draft = Draft(capitalized(body.name.removeprefix("the ")))
    known = body._asdict() | {"a_kind": a(body.kind)}
    draft.say("{name} is {a_kind}.", **known)
    draft.say("{name} {about}.", "It {about}.", **known)
    others = [other.name for other in BODIES if other.kind == body.kind and other is not body]
    if body.kind in ("star", "dwarf planet"):
        draft.section("See also")
        draft.say("Other {kind}s are {others}.", others=series(others[:6]), **known)
    if body.name == "the Sun":
        draft.section("Planets")
        draft.say("{count} planets circle the Sun.", count=in_words(len(PLANETS)))
        draft.say(CLOSEST)
        draft.say("In order from the Sun, the planets are {names}.", names=series(p.name for p in PLANETS))
    return draft


def mission_article(mission: Mission) -> Draft:
    """Write the article of a flight into space."""
    draft = Draft(
        capitalized(mission.name.removeprefix("the "))
        + (" (spacecraft)" if mission.name == "Galileo" else "")
    )
    known = mission._asdict() | {"a_kind": a(mission.kind)}
    draft.say("{name} was launched in {launch}.", "The launch of {name} took place in {launch}.", **known)
    draft.say("{name} {about}.", "It {about}.", **known)
    draft.say("It is listed as {a_kind}.", "In lists of missions it counts as {a_kind}.", **known)
    same = [m.name for m in MISSIONS if m.launch == mission.launch and m is not mission]
    if same:
        draft.say("{other} was launched in the same year.", other=same[0])
    for planet in PLANETS:
        if planet.name in mission.about:
            draft.section(planet.name)
            say_order(draft, planet)
            draft.say("{name} {about}.", **facts(planet))
    return draft


def lists() -> Iterator[Draft]:
    """Write the lists of planets, moons and missions."""
    for title in (
        "Solar System",
        "Planet",
        "List of planets",
        "Order of the planets",
        "Sizes of the planets",
    ):
        draft = Draft(title)
        draft.say("The Solar System is made of the Sun and everything that circles it.")
        draft.say(
            "It has {count} planets.", "The number of its planets is {count}.", count=in_words(len(PLANETS))
        )
        draft.say(CLOSEST)
        draft.section("Planets")
        for planet in PLANETS:
            say_order(draft, planet)
            if title.startswith("Size"):
                draft.say("The diameter of {name} is about {diameter_km} kilometres.", **facts(planet))
            elif title != "Order of the planets":
                draft.say("{name} {about}.", **facts(planet))
        draft.section("Records")
        draft.say(CLOSEST)
        draft.say(LARGEST)
        draft.say("The smallest planet of the Solar System is Mercury.")
        draft.say("The hottest planet of the Solar System is Venus.")
        yield draft
    draft = Draft("List of moons")
    draft.say("A moon is a natural body that circles a planet or a dwarf planet.")
    for moon in MOONS:
        draft.say("{name} is a moon of {planet}.", "{name} circles {planet}.", **moon._asdict())
        say_found(draft, moon)
    yield draft
    draft = Draft("Timeline of space exploration")
    draft.say("This timeline names some of the flights that led to the exploration of space.")
    for mission in MISSIONS:
        draft.say(
            "In {launch}, {name} was launched.", "{name} was launched in {launch}.", **mission._asdict()
        )
        draft.say("{name} {about}.", "It {about}.", **mission._asdict())
    yield draft


def drafts() -> Iterator[Draft]:
    """Write all articles about space."""
    for planet in PLANETS:
        yield planet_article(planet)
        if planet.name != "Earth":
            yield observation_article(planet)
    yield from map(moon_article, MOONS)
    yield from map(body_article, BODIES)
    yield from map(mission_article, MISSIONS)
    yield from lists()
