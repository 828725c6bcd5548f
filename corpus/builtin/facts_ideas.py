"""Facts about languages, mathematical notions, units of measurement, instruments and sports."""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Language(NamedTuple):
    """One language: its family or branch and its script."""

    name: str
    family: str
    script: str
    hello: str


class Notion(NamedTuple):
    """One notion of mathematics or science, or a thing such as an instrument or a sport."""

    name: str
    kind: str
    about: str
    example: str


class Unit(NamedTuple):
    """One unit of measurement."""

    name: str
    symbol: str
    quantity: str
    about: str


LANGUAGES = read_table(
    Language,
    """
English|Germanic|Latin|hello
German|Germanic|Latin|hallo
Dutch|Germanic|Latin|hallo
Swedish|Germanic|Latin|hej
Danish|Germanic|Latin|hej
Norwegian|Germanic|Latin|hei
Icelandic|Germanic|Latin|halló
Afrikaans|Germanic|Latin|hallo
French|Romance|Latin|bonjour
Spanish|Romance|Latin|hola
Portuguese|Romance|Latin|olá
Italian|Romance|Latin|ciao
Romanian|Romance|Latin|salut
Catalan|Romance|Latin|hola
Russian|Slavic|Cyrillic|privet
Ukrainian|Slavic|Cyrillic|pryvit
Polish|Slavic|Latin|cześć
Czech|Slavic|Latin|ahoj
Slovak|Slavic|Latin|ahoj
Slovene|Slavic|Latin|živjo
Croatian|Slavic|Latin|bok
Bulgarian|Slavic|Cyrillic|zdravei
Lithuanian|Baltic|Latin|labas
Latvian|Baltic|Latin|sveiki
Irish|Celtic|Latin|dia duit
Greek|Hellenic|Greek|geia
Albanian|Albanian|Latin|përshëndetje
Armenian|Armenian|Armenian|barev
Persian|Iranian|Arabic|salam
Hindi|Indo-Aryan|Devanagari|namaste
Nepali|Indo-Aryan|Devanagari|namaste
Bengali|Indo-Aryan|Bengali|nomoshkar
Urdu|Indo-Aryan|Arabic|salam
Sinhala|Indo-Aryan|Sinhala|ayubowan
Finnish|Uralic|Latin|hei
Estonian|Uralic|Latin|tere
Hungarian|Uralic|Latin|szia
Turkish|Turkic|Latin|merhaba
Azerbaijani|Turkic|Latin|salam
Uzbek|Turkic|Latin|salom
Arabic|Semitic|Arabic|marhaba
Hebrew|Semitic|Hebrew|shalom
Maltese|Semitic|Latin|bonġu
Amharic|Semitic|Ethiopic|selam
Swahili|Bantu|Latin|habari
Zulu|Bantu|Latin|sawubona
Georgian|Kartvelian|Georgian|gamarjoba
Mandarin Chinese|Sinitic|Chinese|nǐ hǎo
Japanese|Japonic|Japanese|konnichiwa
Korean|Koreanic|Korean|annyeong
Vietnamese|Austroasiatic|Latin|xin chào
Khmer|Austroasiatic|Khmer|suosdei
Thai|Kra-Dai|Thai|sawatdi
Malay|Austronesian|Latin|helo
Indonesian|Austronesian|Latin|halo
Samoan|Austronesian|Latin|talofa
Māori|Austronesian|Latin|kia ora
Tamil|Dravidian|Tamil|vanakkam
Guarani|Tupian|Latin|maitei
""",
)

NOTIONS = read_table(
    Notion,
    """
prime number|notion of mathematics|is a whole number above one that only one and itself divide|The first prime numbers are 2, 3, 5, 7 and 11.
even number|notion of mathematics|is a whole number that two divides|The numbers 2, 4, 6 and 8 are even.
odd number|notion of mathematics|is a whole number that two does not divide|The numbers 1, 3, 5 and 7 are odd.
square number|notion of mathematics|is a whole number multiplied by itself|The first square numbers are 1, 4, 9, 16 and 25.
cube number|notion of mathematics|is a whole number multiplied by itself twice|The first cube numbers are 1, 8, 27, 64 and 125.
triangular number|notion of mathematics|is the sum of the first whole numbers|The first triangular numbers are 1, 3, 6, 10 and 15.
perfect number|notion of mathematics|is equal to the sum of its smaller divisors|The first perfect numbers are 6, 28 and 496.
Fibonacci number|notion of mathematics|is the sum of the two numbers before it in its sequence|The sequence begins with 1, 1, 2, 3, 5, 8 and 13.
factorial|notion of mathematics|is the product of all whole numbers from one up to a given number|The factorial of 5 is 120.
fraction|notion of mathematics|is a part of a whole, written as one number above another|One half is equal to two quarters.
percentage|notion of mathematics|is a part of a hundred|One quarter is 25 percent.
circle|notion of mathematics|is the set of points at the same distance from a centre|The circumference of a circle is its diameter multiplied by pi.
pi|notion of mathematics|is the ratio of the circumference of a circle to its diameter|The first digits of pi are 3.14159.
triangle|notion of mathematics|is a figure with three sides|The angles of a flat triangle add up to 180 degrees.
square|notion of mathematics|is a figure with four equal sides and four right angles|The area of a square is its side multiplied by itself.
rectangle|notion of mathematics|is a figure with four right angles|The area of a rectangle is its length multiplied by its width.
pentagon|notion of mathematics|is a figure with five sides|The angles of a pentagon add up to 540 degrees.
hexagon|notion of mathematics|is a figure with six sides|The cells of a honeycomb are hexagons.
octagon|notion of mathematics|is a figure with eight sides|Many stop signs are octagons.
cube|notion of mathematics|is a solid with six square faces|A die is usually a cube.
sphere|notion of mathematics|is the set of points in space at the same distance from a centre|A ball has the shape of a sphere.
cylinder|notion of mathematics|is a solid with two equal round ends|A can has the shape of a cylinder.
right angle|notion of mathematics|is an angle of 90 degrees|A rectangle has four right angles.
Pythagorean theorem|notion of mathematics|links the three sides of a triangle with a right angle|The squares of the two short sides add up to the square of the long side.
equation|notion of mathematics|says that two expressions are equal|The equation x + 2 = 5 has the solution 3.
function|notion of mathematics|assigns one value to each input|The function that doubles a number assigns 8 to 4.
derivative|notion of mathematics|measures how fast a function changes|The derivative of x squared is two times x.
integral|notion of mathematics|measures the area under a curve|Integrals and derivatives are linked by the fundamental theorem of calculus.
mean|notion of mathematics|is the sum of some numbers divided by their count|The mean of 2, 4 and 6 is 4.
median|notion of mathematics|is the middle one of some ordered numbers|The median of 1, 5 and 100 is 5.
probability|notion of mathematics|says how likely an event is|The probability of heads with a fair coin is one half.
set|notion of mathematics|is a collection of distinct things|The empty set has no members.
matrix|notion of mathematics|is a table of numbers|Matrices are used to describe rotations.
vector|notion of mathematics|has a length and a direction|Forces are described by vectors.
logarithm|notion of mathematics|is the exponent that gives a number|The logarithm of 1000 to the base 10 is 3.
algorithm|notion of computing|is a list of exact steps that solves a problem|A recipe is a kind of algorithm.
bit|notion of computing|is the smallest unit of information|A bit is either 0 or 1.
byte|notion of computing|is a group of eight bits|A byte can take 256 different values.
computer program|notion of computing|is a list of instructions for a computer|Ada Lovelace described a program for a machine that was never finished.
atom|notion of physics|is the smallest part of a chemical element|The atomic number of an element is the number of its protons.
molecule|notion of chemistry|is a group of atoms that are bound together|A molecule of water has two atoms of hydrogen and one atom of oxygen.
proton|notion of physics|is a particle with a positive charge|The nucleus of hydrogen is a single proton.
electron|notion of physics|is a particle with a negative charge|Electrons surround the nucleus of an atom.
neutron|notion of physics|is a particle without an electric charge|Neutrons are found in atomic nuclei.
photon|notion of physics|is a particle of light|A photon has no mass at rest.
gravity|notion of physics|pulls bodies towards each other|The Sun holds the planets by gravity.
energy|notion of physics|is the ability to do work|Energy can change its form, but it is never lost.
friction|notion of physics|slows bodies that rub against each other|Oil lowers the friction in machines.
photosynthesis|notion of biology|turns light, water and carbon dioxide into sugar and oxygen|Green plants live by photosynthesis.
cell|notion of biology|is the smallest unit of life|Bacteria are single cells.
DNA|notion of biology|is the molecule that stores the genes|It has the shape of a double helix.
evolution|notion of biology|is the change of living things over many generations|Charles Darwin explained it by natural selection.
ecosystem|notion of biology|is made of the living things of a place and their surroundings|A pond is a small ecosystem.
violin|musical instrument|has four strings and is played with a bow|The violin is the smallest member of its family in the orchestra.
cello|musical instrument|has four strings and stands between the knees of the player|The cello sounds lower than the viola.
guitar|musical instrument|usually has six strings that are plucked|The guitar is used in folk, rock and classical music.
harp|musical instrument|has many strings that are plucked|The harp is a national symbol of Ireland.
piano|musical instrument|has 88 keys that move small hammers|The piano was invented in Italy about 1700.
organ|musical instrument|makes sound by air in pipes|Johann Sebastian Bach was a master of the organ.
flute|musical instrument|is a woodwind without a reed|The flute is held to the side.
clarinet|musical instrument|is a woodwind with a single reed|Wolfgang Amadeus Mozart wrote a concerto for the clarinet.
oboe|musical instrument|is a woodwind with a double reed|The orchestra tunes to the note of the oboe.
trumpet|musical instrument|is a brass instrument with a bright sound|Louis Armstrong played the trumpet.
saxophone|musical instrument|was invented by the Belgian Adolphe Sax|The saxophone is important in jazz.
drum|musical instrument|is struck with sticks or hands|Drums are among the oldest instruments.
football|sport|is played by two teams of eleven players|The World Cup of football is held every four years.
basketball|sport|is played by two teams of five players|James Naismith invented basketball in 1891.
volleyball|sport|is played by two teams of six players across a net|The ball must not touch the ground.
tennis|sport|is played with rackets across a net|Wimbledon is the oldest tennis tournament.
cricket|sport|is played by two teams of eleven players with bats and wickets|Cricket is very popular in India.
baseball|sport|is played by two teams of nine players|Baseball is popular in the United States and Japan.
ice hockey|sport|is played on ice with a puck|Ice hockey is very popular in Canada.
chess|game|is played on a board of 64 squares|Each player begins with sixteen pieces.
marathon|race|is a run of 42.195 kilometres|It is named after a battle in ancient Greece.
judo|sport|is a martial art from Japan|Kanō Jigorō founded judo in 1882.
""",
)

UNITS = read_table(
    Unit,
    """
metre|m|length|has been defined by the speed of light since 1983
kilogram|kg|mass|has been defined by the Planck constant since 2019
second|s|time|has been defined by the vibrations of caesium atoms since 1967
ampere|A|electric current|is named after André-Marie Ampère
kelvin|K|temperature|is named after Lord Kelvin
mole|mol|amount of substance|stands for about 602 sextillion particles
candela|cd|luminous intensity|is about the light of one candle
newton|N|force|is named after Isaac Newton
joule|J|energy|is named after James Prescott Joule
watt|W|power|is named after James Watt
pascal|Pa|pressure|is named after Blaise Pascal
hertz|Hz|frequency|is named after Heinrich Hertz
volt|V|electric voltage|is named after Alessandro Volta
ohm|Ω|electric resistance|is named after Georg Ohm
coulomb|C|electric charge|is named after Charles-Augustin de Coulomb
farad|F|capacitance|is named after Michael Faraday
tesla|T|magnetic flux density|is named after Nikola Tesla
becquerel|Bq|radioactivity|is named after Henri Becquerel
degree Celsius|°C|temperature|is named after Anders Celsius
litre|L|volume|is equal to one cubic decimetre
hectare|ha|area|is equal to 10,000 square metres
kilometre|km|length|is equal to 1,000 metres
centimetre|cm|length|is the hundredth part of a metre
millimetre|mm|length|is the thousandth part of a metre
inch|in|length|is equal to 2.54 centimetres
foot|ft|length|is equal to twelve inches
mile|mi|length|is equal to about 1.609 kilometres
nautical mile|nmi|length|is equal to 1,852 metres
gram|g|mass|is the thousandth part of a kilogram
tonne|t|mass|is equal to 1,000 kilograms
pound|lb|mass|is equal to about 0.454 kilograms
minute|min|time|is equal to sixty seconds
hour|h|time|is equal to sixty minutes
day|d|time|is equal to 24 hours
light-year|ly|length|is the distance that light travels in one year
astronomical unit|au|length|is about the distance between the Earth and the Sun
""",
)
