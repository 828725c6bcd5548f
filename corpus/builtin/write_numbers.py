"""Articles about numbers: everything in them is computed."""

from collections.abc import Iterator
from math import isqrt

from corpus.builtin.facts_elements import ELEMENTS
from corpus.builtin.sentences import Draft, in_words, ordinal, ordinal_in_words, series

LARGEST = 240
ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip


def roman(number: int) -> str:
    """Write a number in Roman numerals: 1999 is "MCMXCIX"."""
    numeral = ""
    for value, letters in ROMAN:
        count, number = divmod(number, value)
        numeral += letters * count
    return numeral


def prime_factors(number: int) -> list[int]:
    """Return the prime factors in order, with repetitions: 12 is 2 x 2 x 3."""
    factors, divisor = [], 2
    while number > 1:
        if number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        else:
            divisor += 1
    return factors


def divisors(number: int) -> list[int]:
    """Return all divisors in order."""
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def say_kind(draft: Draft, number: int) -> None:
    """Say whether a number is even, prime or a square."""
    parity = "even" if number % 2 == 0 else "odd"
    draft.say(
        "{number} is an {parity} number.", "The number {number} is {parity}.", number=number, parity=parity
    )
    factors = prime_factors(number)
    if len(factors) == 1:
        draft.say(
            "{number} is a prime number.",
            "It is a prime number.",
            "The number {number} is prime.",
            number=number,
        )
    elif factors:
        draft.say(
            "It is not prime, because {number} is {product}.",
            "Its prime factors give {number} = {product}.",
            "As a product of primes, {number} is {product}.",
            number=number,
            product=" × ".join(map(str, factors)),  # noqa: RUF001 (the sign of multiplication is the right one)
        )
    else:
        draft.say("One is neither prime nor a product of primes.")
    root = isqrt(number)
    if root * root == number:
        draft.say(
            "{number} is the square of {root}.",
            "It is a square number, because {root} times {root} is {number}.",
            number=number,
            root=root,
        )


def say_neighbours(draft: Draft, number: int) -> None:
    """Say the numbers around a number."""
    draft.say(
        "{number} comes after {before} and before {after}.",
        "The number before {number} is {before}, and the number after it is {after}.",
        number=number,
        before=number - 1,
        after=number + 1,
    )


def number_article(number: int) -> Draft:
    """Write the article of a number."""
    draft = Draft(f"{number} (number)")
    draft.say(
        "{number} is a natural number.",
        "{number}, written {words}, is a natural number.",
        number=number,
        words=in_words(number),
    )
    draft.say(
        "In words it is {words}, and its ordinal is {rank}.",
        "The number {number} is called {words}, and its ordinal is {rank}.",
        number=number,
        words=in_words(number),
        rank=ordinal(number),
    )
    say_neighbours(draft, number)
    draft.section("Mathematics")
    say_kind(draft, number)
    if len(divisors(number)) > 2:
        draft.say(
            "Its divisors are {all}.",
            "The divisors of {number} are {all}.",
            number=number,
            all=series(map(str, divisors(number))),
        )
    draft.say(
        "Twice {number} is {double}.", "{number} plus {number} is {double}.", number=number, double=2 * number
    )
    draft.say(
        "The square of {number} is {square}.",
        "{number} times {number} is {square}.",
        number=number,
        square=f"{number * number:,}",
    )
    draft.section("Other uses")
    draft.say(
        "In Roman numerals, {number} is {roman}.",
        "The Roman numeral for {number} is {roman}.",
        number=number,
        roman=roman(number),
    )
    if number <= len(ELEMENTS):
        element = ELEMENTS[number - 1]
        draft.say("The atomic number of {name} is {number}.", name=element.name, number=number)
        draft.say("The chemical symbol of {name} is {symbol}.", name=element.name, symbol=element.symbol)
    return draft


def table_article(factor: int) -> Draft:
    """Write a multiplication table."""
    draft = Draft(f"Multiplication table of {in_words(factor)}")
    draft.say("This table multiplies {words} by the numbers from one to twelve.", words=in_words(factor))
    for other in range(1, 13):
        draft.say(
            "{other} times {factor} is {product}.",
            other=in_words(other),
            factor=in_words(factor),
            product=in_words(other * factor),
        )
    return draft


def lists() -> Iterator[Draft]:
    """Write the lists of special numbers."""
    numbers = range(1, LARGEST + 1)
    for title, members in (
        ("List of prime numbers", [n for n in numbers if len(prime_factors(n)) == 1]),
        ("List of square numbers", [n for n in numbers if isqrt(n) ** 2 == n]),
        ("List of cube numbers", [n**3 for n in range(1, 13)]),
        ("List of powers of two", [2**n for n in range(1, 17)]),
        ("List of triangular numbers", [n * (n + 1) // 2 for n in range(1, 22)]),
    ):
        draft = Draft(title)
        kind = title.removeprefix("List of ")
        draft.say("The first {kind} are {names}.", kind=kind, names=series(map(str, members)))
        for place, number in enumerate(members[:20], 1):
            draft.say(
                "{number} is the {rank} of the {kind}.",
                number=number,
                rank=ordinal_in_words(place),
                kind=kind,
            )
        yield draft
    draft = Draft("Roman numerals")
    draft.say("Roman numerals write numbers with the letters I, V, X, L, C, D and M.")
    for value in (1, 4, 5, 9, 10, 40, 50, 90, 100, 400, 500, 900, 1000):
        draft.say(
            "{roman} stands for {words}.",
            "{words} is written {roman}.",
            roman=roman(value),
            words=in_words(value),
        )
    yield draft


def drafts() -> Iterator[Draft]:
    """Write all articles about numbers."""
    yield from map(number_article, range(1, LARGEST + 1))
    yield from map(table_article, range(2, 13))
    yield from lists()
