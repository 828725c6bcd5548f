"""Articles about animals, plants and the human body."""

from collections.abc import Iterator

from corpus.builtin.facts_nature import ANIMALS, GROUPS, ORGANS, PLANTS, Animal, Organ, Plant
from corpus.builtin.sentences import Draft, a, capitalized, series

# Names that countries, cities or fruits of the same spelling make ambiguous.
CLASHES = {"orange": "Orange (fruit)"}


def facts(animal: Animal) -> dict[str, str]:
    """Return what the sentence patterns about an animal may name."""
    return animal._asdict() | {
        "an_animal": a(animal.name),
        "a_group": a(animal.group),
        "groups": animal.group if animal.group == "fish" else animal.group + "s",
        "trait": GROUPS[animal.group],
    }


def say_group(draft: Draft, animal: Animal) -> None:
    """Tell the class of an animal."""
    draft.say(
        "The {name} is {a_group}.", "{an_animal} is {a_group}.", "{plural} are {groups}.", **facts(animal)
    )


def say_food(draft: Draft, animal: Animal) -> None:
    """Tell what an animal eats."""
    draft.say("The {name} eats {diet}.", "{plural} eat {diet}.", "{plural} feed on {diet}.", **facts(animal))


def animal_article(animal: Animal) -> Draft:
    """Write the article of an animal."""
    draft, known = Draft(capitalized(animal.name)), facts(animal)
    say_group(draft, animal)
    draft.say("The {name} {about}.", **known)
    draft.section("Life")
    say_food(draft, animal)
    draft.say(
        "{plural} live in {home}.",
        "The {name} is found in {home}.",
        **known,
    )
    draft.section("Classification")
    draft.say("Like all {groups}, {plural} {trait}.", "All {groups} {trait}.", **known)
    others = [other.plural for other in ANIMALS if other.group == animal.group and other is not animal]
    place = ANIMALS.index(animal) % max(1, len(others) - 4)
    draft.say(
        "Other {groups} are {others}.",
        "{others} are {groups} too.",
        others=series(others[place : place + 4]),
        **known,
    )
    return draft


def food_article(animal: Animal) -> Draft:
    """Write a second article, on the way of life of an animal."""
    draft, known = Draft(f"Way of life of {animal.plural}"), facts(animal)
    draft.say("{plural} live in {home}.", "Look for {plural} in {home}.", **known)
    say_food(draft, animal)
    say_group(draft, animal)
    draft.say("The {name} {about}.", **known)
    return draft


def plant_article(plant: Plant) -> Draft:
    """Write the article of a plant."""
    draft = Draft(CLASHES.get(plant.name, capitalized(plant.name)))
    known = plant._asdict() | {"a_kind": a(plant.kind), "named": plant_name(plant)}
    draft.say("{named} is {a_kind}.", **known)
    draft.say("It {about}.", "{named} {about}.", **known)
    others = [plant_name(other) for other in PLANTS if other.kind == plant.kind and other is not plant]
    if others:
        draft.section("See also")
        draft.say("Other examples are {others}.", "Of the same kind are {others}.", others=series(others[:5]))
    return draft


def plant_name(plant: Plant) -> str:
    """Return the name as the subject of a sentence: "the oak", but "wheat"."""
    uncounted = ("grain", "spice plant", "fibre plant", "shrub")
    return plant.name if plant.kind in uncounted else f"the {plant.name}"


def organ_article(organ: Organ) -> Draft:
    """Write the article of a part of the body."""
    draft = Draft(f"{capitalized(organ.name)} (human body)")
    draft.say(
        "The {name} is a part of the human body.", "The {name} belongs to the human body.", **organ._asdict()
    )
    draft.say("The {name} {about}.", "It {about}.", **organ._asdict())
    others = [other for other in ORGANS if other is not organ]
    place = ORGANS.index(organ) % (len(others) - 3)
    draft.section("Other parts of the body")
    for other in others[place : place + 3]:
        draft.say("The {name} {about}.", **other._asdict())
    return draft


def lists() -> Iterator[Draft]:
    """Write a list for each class of animals, one of plants, and one of the human body."""
    for group, trait in GROUPS.items():
        groups = group if group == "fish" else group + "s"
        draft = Draft(capitalized(group))
        draft.say("{groups} are animals that {trait}.", groups=groups, trait=trait)
        for place, animal in enumerate(animal for animal in ANIMALS if animal.group == group):
            if place % 5 == 0:
                draft.paragraph()
            say_group(draft, animal)
            say_food(draft, animal)
            draft.say("The {name} {about}.", **facts(animal))
        yield draft
    for title, kinds in (
        ("List of trees", ("tree",)),
        ("List of food plants", ("grain", "vegetable", "fruit")),
    ):
        draft = Draft(title)
        draft.say("This list names well-known plants.")
        for plant in PLANTS:
            if plant.kind in kinds:
                draft.say("{named} is {a_kind}.", named=plant_name(plant), a_kind=a(plant.kind))
                draft.say("It {about}.", about=plant.about)
        yield draft
    draft = Draft("Human body")
    draft.say("The human body is made of many organs, bones and cells.")
    for organ in ORGANS:
        draft.say("The {name} {about}.", **organ._asdict())
    yield draft


def drafts() -> Iterator[Draft]:
    """Write all articles about nature."""
    for animal in ANIMALS:
        yield animal_article(animal)
        yield food_article(animal)
    yield from map(plant_article, PLANTS)
    yield from map(organ_article, ORGANS)
    yield from lists()
