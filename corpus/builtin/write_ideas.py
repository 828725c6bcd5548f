"""Articles about languages, notions of the sciences, instruments, sports and units of measurement."""

from collections import defaultdict
from collections.abc import Iterator

from corpus.builtin.facts_countries import COUNTRIES
from corpus.builtin.facts_ideas import LANGUAGES, NOTIONS, UNITS, Language, Notion, Unit
from corpus.builtin.sentences import Draft, a, capitalized, series

# Names that take no article.
UNCOUNTED = """
baseball basketball chess cricket DNA energy evolution football friction gravity ice_hockey judo photosynthesis pi
tennis volleyball
""".split()


def language_article(language: Language) -> Draft:
    """Write the article of a language."""
    draft = Draft(f"{language.name} language")
    known = language._asdict() | {"a_family": a(language.family)}
    if language.family == language.name:
        draft.say("{name} is a language that forms a branch of its own.", **known)
    else:
        draft.say("{name} is {a_family} language.", "{name} is a language of the {family} group.", **known)
    draft.say("It is written in the {script} script.", "{name} is written in the {script} script.", **known)
    draft.say(
        'A common greeting in {name} is "{hello}".',
        'To greet somebody in {name}, one says "{hello}".',
        **known,
    )
    speakers = [country for country in COUNTRIES if language.name in country.languages.split(", ")]
    if speakers:
        speakers.sort(key=lambda country: country.adjective != language.name)  # France first for French
        draft.section("Countries")
        draft.say("{name} is spoken in {names}.", names=series([c.name for c in speakers][:12]), **known)
        for country in speakers[:8]:
            draft.say("The capital of {place} is {capital}.", place=country.name, capital=country.capital)
    others = [other.name for other in LANGUAGES if other.family == language.family and other is not language]
    if others:
        draft.section("Related languages")
        draft.say(
            "{others} are {family} languages too."
            if len(others) > 1
            else "{others} is {a_family} language too.",
            others=series(others),
            **known,
        )
    return draft


def notion_article(notion: Notion) -> Draft:
    """Write the article of a notion, an instrument or a sport."""
    plain = capitalized(notion.name)
    draft = Draft(
        f"{plain} ({notion.kind})" if notion.kind.startswith("notion") or notion.name == "organ" else plain
    )
    known = facts(notion)
    draft.say("{named} {about}.", **known)
    draft.say("It is {a_kind}.", "{named} is {a_kind}.", **known)
    draft.section("Example" if notion.kind.startswith("notion") else "Details")
    draft.say(notion.example)
    draft.section("See also")
    others = [facts(other)["named"] for other in NOTIONS if other.kind == notion.kind and other is not notion]
    place = NOTIONS.index(notion) % max(1, len(others) - 3)
    if others:
        draft.say(
            "Related articles treat {others}.",
            "Other articles treat {others}.",
            others=series(others[place : place + 4]),
        )
    return draft


def facts(notion: Notion) -> dict[str, str]:
    """Return what the sentence patterns about a notion may name."""
    named = notion.name if notion.name.replace(" ", "_") in UNCOUNTED else a(notion.name)
    if notion.kind in ("musical instrument", "race") or notion.name == "Pythagorean theorem":
        named = f"the {notion.name}"
    return notion._asdict() | {"named": named, "a_kind": a(notion.kind)}


def unit_article(unit: Unit) -> Draft:
    """Write the article of a unit of measurement."""
    draft = Draft(f"{capitalized(unit.name)} (unit)")
    known = unit._asdict() | {"a_name": a(unit.name)}
    draft.say("The {name} is a unit of {quantity}.", "The {name} measures {quantity}.", **known)
    draft.say("The symbol of the {name} is {symbol}.", "Its symbol is {symbol}.", **known)
    draft.say("It {about}.", "The {name} {about}.", **known)
    others = [other.name for other in UNITS if other.quantity == unit.quantity and other is not unit]
    if others:
        draft.section("Other units")
        draft.say(
            "The {others} is a unit of {quantity} too."
            if len(others) == 1
            else "Other units of {quantity} are the {others}.",
            others=series(others),
            **known,
        )
    return draft


def lists() -> Iterator[Draft]:
    """Write the lists of languages, notions and units."""
    families: dict[str, list[Language]] = defaultdict(list)
    for language in LANGUAGES:
        families[language.family].append(language)
    for family, members in families.items():
        if len(members) > 2:
            draft = Draft(f"{family} languages")
            draft.say(
                "The {family} languages include {names}.",
                family=family,
                names=series(m.name for m in members),
            )
            for member in members:
                draft.say(
                    "{name} is written in the {script} script.",
                    'A common greeting in {name} is "{hello}".',
                    **member._asdict(),
                )
            yield draft
    kinds: dict[str, list[Notion]] = defaultdict(list)
    for notion in NOTIONS:
        kinds[notion.kind].append(notion)
    for kind, notions in kinds.items():
        if len(notions) > 2:
            plural = kind.replace("notion", "notions") if kind.startswith("notion") else kind + "s"
            draft = Draft(f"List of {plural}")
            draft.say("This list explains some {plural}.", plural=plural)
            for notion in notions:
                draft.say("{named} {about}.", **facts(notion))
                draft.say(notion.example)
            yield draft
    draft = Draft("List of units of measurement")
    draft.say("This list names units of measurement and their symbols.")
    for unit in UNITS:
        draft.say("The {name} is a unit of {quantity}.", **unit._asdict())
        draft.say("The symbol of the {name} is {symbol}.", "The {name} {about}.", **unit._asdict())
    yield draft


def drafts() -> Iterator[Draft]:
    """Write all articles about languages, notions and units."""
    yield from map(language_article, LANGUAGES)
    yield from map(notion_article, NOTIONS)
    yield from map(unit_article, UNITS)
    yield from lists()
