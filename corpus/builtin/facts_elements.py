"""Facts about the 118 chemical elements, in the order of their atomic numbers.

`mass` is the standard atomic weight, rounded, and empty where no stable mixture exists. `phase` is that at room
temperature, empty where too few atoms were ever made to tell. `discovery` is a year and who discovered, isolated or
first made the element, or "antiquity", or empty where the claim is divided. `about` continues "The element ...".
"""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Element(NamedTuple):
    """One chemical element."""

    number: str
    symbol: str
    name: str
    mass: str
    category: str
    phase: str
    discovery: str
    about: str


ELEMENTS = read_table(
    Element,
    """
1|H|hydrogen|1.008|nonmetal|gas|1766 Henry Cavendish|is the most common element in the universe and burns to water
2|He|helium|4.003|noble gas|gas|1868 Pierre Janssen and Norman Lockyer|was found in sunlight before it was found on Earth, and fills balloons
3|Li|lithium|6.94|alkali metal|solid|1817 Johan August Arfwedson|is the lightest metal and is used in rechargeable batteries
4|Be|beryllium|9.012|alkaline earth metal|solid|1798 Louis-Nicolas Vauquelin|is a light, stiff metal found in the gems beryl and emerald
5|B|boron|10.81|metalloid|solid|1808 Joseph Louis Gay-Lussac and Louis Jacques Thénard|is a part of borax and of glass that withstands heat
6|C|carbon|12.011|nonmetal|solid|antiquity|forms diamond, graphite and the compounds of all living things
7|N|nitrogen|14.007|nonmetal|gas|1772 Daniel Rutherford|makes up about 78 percent of dry air and is needed by plants
8|O|oxygen|15.999|nonmetal|gas|1774 Joseph Priestley|makes up about 21 percent of dry air and keeps fires burning
9|F|fluorine|18.998|halogen|gas|1886 Henri Moissan|is a pale yellow gas and the most reactive of all elements
10|Ne|neon|20.180|noble gas|gas|1898 William Ramsay and Morris Travers|glows orange-red in glass tubes and is used in signs
11|Na|sodium|22.990|alkali metal|solid|1807 Humphry Davy|is a soft metal that reacts with water and is a part of table salt
12|Mg|magnesium|24.305|alkaline earth metal|solid|1808 Humphry Davy|is a light metal that burns with a bright white flame
13|Al|aluminium|26.982|post-transition metal|solid|1825 Hans Christian Ørsted|is a light metal used for cans, foil and aircraft
14|Si|silicon|28.085|metalloid|solid||is found in sand and is used to make computer chips
15|P|phosphorus|30.974|nonmetal|solid|1669 Hennig Brand|is a part of bones and of DNA, and is used in fertilizers
16|S|sulfur|32.06|nonmetal|solid|antiquity|is a yellow solid that burns with a blue flame
17|Cl|chlorine|35.45|halogen|gas|1774 Carl Wilhelm Scheele|is a yellow-green gas that is used to clean water
18|Ar|argon|39.95|noble gas|gas|1894 Lord Rayleigh and William Ramsay|makes up nearly one percent of the air and shields metal during welding
19|K|potassium|39.098|alkali metal|solid|1807 Humphry Davy|is a soft metal that plants need and that fertilizers contain
20|Ca|calcium|40.078|alkaline earth metal|solid|1808 Humphry Davy|is a part of bones, teeth, chalk and limestone
21|Sc|scandium|44.956|transition metal|solid|1879 Lars Fredrik Nilson|is named after Scandinavia and makes aluminium alloys stronger
22|Ti|titanium|47.867|transition metal|solid|1791 William Gregor|is named after the Titans and is both strong and light
23|V|vanadium|50.942|transition metal|solid|1801 Andrés Manuel del Río|is named after a Norse goddess and makes steel harder
24|Cr|chromium|51.996|transition metal|solid|1797 Louis-Nicolas Vauquelin|is a shiny metal that keeps stainless steel from rusting
25|Mn|manganese|54.938|transition metal|solid|1774 Johan Gottlieb Gahn|is used in steel and in dry batteries
26|Fe|iron|55.845|transition metal|solid|antiquity|is the main part of steel and rusts in moist air
27|Co|cobalt|58.933|transition metal|solid|1735 Georg Brandt|gives glass a deep blue colour and is used in batteries
28|Ni|nickel|58.693|transition metal|solid|1751 Axel Fredrik Cronstedt|is used in coins, batteries and stainless steel
29|Cu|copper|63.546|transition metal|solid|antiquity|is a reddish metal that conducts electricity well
30|Zn|zinc|65.38|transition metal|solid|1746 Andreas Marggraf|protects iron from rust and is a part of brass
31|Ga|gallium|69.723|post-transition metal|solid|1875 Paul-Émile Lecoq de Boisbaudran|melts in a warm hand and is named after the Latin word for France
32|Ge|germanium|72.630|metalloid|solid|1886 Clemens Winkler|is named after Germany and was used in the first transistors
33|As|arsenic|74.922|metalloid|solid|1250 Albertus Magnus|is a famous poison
34|Se|selenium|78.971|nonmetal|solid|1817 Jöns Jacob Berzelius|is named after the Moon and was used in light meters
35|Br|bromine|79.904|halogen|liquid|1826 Antoine Jérôme Balard|is a red-brown liquid with a strong smell
36|Kr|krypton|83.798|noble gas|gas|1898 William Ramsay and Morris Travers|takes its name from the Greek word for hidden and is used in lamps
37|Rb|rubidium|85.468|alkali metal|solid|1861 Robert Bunsen and Gustav Kirchhoff|is named after the red lines in its spectrum
38|Sr|strontium|87.62|alkaline earth metal|solid|1790 Adair Crawford|is named after a Scottish village and colours fireworks red
39|Y|yttrium|88.906|transition metal|solid|1794 Johan Gadolin|is named after the Swedish village of Ytterby
40|Zr|zirconium|91.224|transition metal|solid|1789 Martin Heinrich Klaproth|resists corrosion and clads the fuel of nuclear reactors
41|Nb|niobium|92.906|transition metal|solid|1801 Charles Hatchett|is named after Niobe and is used in superconducting magnets
42|Mo|molybdenum|95.95|transition metal|solid|1778 Carl Wilhelm Scheele|makes steel strong at high temperatures
43|Tc|technetium||transition metal|solid|1937 Carlo Perrier and Emilio Segrè|was the first element to be made artificially
44|Ru|ruthenium|101.07|transition metal|solid|1844 Karl Ernst Claus|is named after a Latin word for Russia
45|Rh|rhodium|102.906|transition metal|solid|1804 William Hyde Wollaston|is a rare metal used to clean the exhaust of cars
46|Pd|palladium|106.42|transition metal|solid|1802 William Hyde Wollaston|is named after the asteroid Pallas and absorbs much hydrogen
47|Ag|silver|107.868|transition metal|solid|antiquity|is a shiny metal used for coins, cutlery and jewellery
48|Cd|cadmium|112.414|transition metal|solid|1817 Friedrich Stromeyer|is a poisonous metal used in some batteries and yellow paints
49|In|indium|114.818|post-transition metal|solid|1863 Ferdinand Reich and Hieronymous Theodor Richter|is named after the indigo line in its spectrum and is used in flat screens
50|Sn|tin|118.710|post-transition metal|solid|antiquity|is used in solder and, with copper, in bronze
51|Sb|antimony|121.760|metalloid|solid|antiquity|was used as eye make-up in ancient times
52|Te|tellurium|127.60|metalloid|solid|1782 Franz-Joseph Müller von Reichenstein|is named after the Latin word for earth
53|I|iodine|126.904|halogen|solid|1811 Bernard Courtois|forms a violet vapour and is needed by the thyroid gland
54|Xe|xenon|131.293|noble gas|gas|1898 William Ramsay and Morris Travers|takes its name from the Greek word for strange and is used in bright lamps
55|Cs|caesium|132.905|alkali metal|solid|1860 Robert Bunsen and Gustav Kirchhoff|keeps the time in atomic clocks
56|Ba|barium|137.327|alkaline earth metal|solid|1808 Humphry Davy|colours fireworks green
57|La|lanthanum|138.905|lanthanide|solid||gives its name to the lanthanides and is used in camera lenses
58|Ce|cerium|140.116|lanthanide|solid|1803 Jöns Jacob Berzelius and Wilhelm Hisinger|is named after the dwarf planet Ceres and is used in lighter flints
59|Pr|praseodymium|140.908|lanthanide|solid|1885 Carl Auer von Welsbach|gives glass and enamel a yellow-green colour
60|Nd|neodymium|144.242|lanthanide|solid|1885 Carl Auer von Welsbach|is used in very strong magnets
61|Pm|promethium||lanthanide|solid|1945 Jacob Marinsky, Lawrence Glendenin and Charles Coryell|is named after Prometheus and is radioactive
62|Sm|samarium|150.36|lanthanide|solid|1879 Paul-Émile Lecoq de Boisbaudran|is named after the mineral samarskite and is used in magnets
63|Eu|europium|151.964|lanthanide|solid|1901 Eugène-Anatole Demarçay|is named after Europe and gives screens their red colour
64|Gd|gadolinium|157.25|lanthanide|solid|1880 Jean Charles Galissard de Marignac|is named after Johan Gadolin and is used in medical images
65|Tb|terbium|158.925|lanthanide|solid|1843 Carl Gustaf Mosander|is named after the village of Ytterby and glows green in lamps and screens
66|Dy|dysprosium|162.500|lanthanide|solid|1886 Paul-Émile Lecoq de Boisbaudran|takes its name from the Greek word for hard to get at
67|Ho|holmium|164.930|lanthanide|solid|1878 Marc Delafontaine and Jacques-Louis Soret|is named after the Latin name of Stockholm
68|Er|erbium|167.259|lanthanide|solid|1843 Carl Gustaf Mosander|is named after the village of Ytterby and amplifies light in glass fibres
69|Tm|thulium|168.934|lanthanide|solid|1879 Per Teodor Cleve|is named after Thule, an ancient name for the far north
70|Yb|ytterbium|173.045|lanthanide|solid|1878 Jean Charles Galissard de Marignac|is one of four elements named after the village of Ytterby
71|Lu|lutetium|174.967|lanthanide|solid|1907 Georges Urbain|is named after Lutetia, the Roman name of Paris
72|Hf|hafnium|178.486|transition metal|solid|1923 Dirk Coster and George de Hevesy|is named after the Latin name of Copenhagen
73|Ta|tantalum|180.948|transition metal|solid|1802 Anders Gustaf Ekeberg|is named after Tantalus and is used in small capacitors
74|W|tungsten|183.84|transition metal|solid|1783 Juan José Elhuyar and Fausto Elhuyar|has the highest melting point of all metals and made the threads of light bulbs
75|Re|rhenium|186.207|transition metal|solid|1925 Walter Noddack, Ida Tacke and Otto Berg|is named after the river Rhine and is used in jet engines
76|Os|osmium|190.23|transition metal|solid|1803 Smithson Tennant|is the densest of the natural elements
77|Ir|iridium|192.217|transition metal|solid|1803 Smithson Tennant|is named after the rainbow and resists corrosion very well
78|Pt|platinum|195.084|transition metal|solid||is a precious metal used in jewellery and catalysts
79|Au|gold|196.967|transition metal|solid|antiquity|is a yellow precious metal used for coins, jewellery and electronics
80|Hg|mercury|200.592|transition metal|liquid|antiquity|is the only metal that is liquid at room temperature and was used in thermometers
81|Tl|thallium|204.38|post-transition metal|solid|1861 William Crookes|is a very poisonous metal named after a green line in its spectrum
82|Pb|lead|207.2|post-transition metal|solid|antiquity|is a soft, heavy metal that stops X-rays
83|Bi|bismuth|208.980|post-transition metal|solid||forms colourful crystals and is used in stomach medicines
84|Po|polonium||post-transition metal|solid|1898 Marie Curie and Pierre Curie|is named after Poland and is highly radioactive
85|At|astatine||halogen||1940 Dale Corson, Kenneth MacKenzie and Emilio Segrè|takes its name from the Greek word for unstable
86|Rn|radon||noble gas|gas||is a radioactive gas that seeps out of the ground
87|Fr|francium||alkali metal||1939 Marguerite Perey|is named after France and is very rare and radioactive
88|Ra|radium||alkaline earth metal|solid|1898 Marie Curie and Pierre Curie|is radioactive and once made the hands of watches glow
89|Ac|actinium||actinide|solid||gives its name to the actinides and glows blue in the dark
90|Th|thorium|232.038|actinide|solid|1829 Jöns Jacob Berzelius|is named after the Norse god Thor
91|Pa|protactinium|231.036|actinide|solid||decays into actinium
92|U|uranium|238.029|actinide|solid|1789 Martin Heinrich Klaproth|is named after the planet Uranus and is the fuel of nuclear power stations
93|Np|neptunium||actinide|solid|1940 Edwin McMillan and Philip Abelson|is named after the planet Neptune
94|Pu|plutonium||actinide|solid|1940 Glenn Seaborg and his colleagues|is named after Pluto and has powered space probes
95|Am|americium||actinide|solid|1944 Glenn Seaborg and his colleagues|is named after the Americas and is used in smoke detectors
96|Cm|curium||actinide|solid|1944 Glenn Seaborg and his colleagues|is named after Marie and Pierre Curie
97|Bk|berkelium||actinide|solid|1949 Stanley Thompson, Albert Ghiorso and Glenn Seaborg|is named after the city of Berkeley in California
98|Cf|californium||actinide|solid|1950 Stanley Thompson, Kenneth Street, Albert Ghiorso and Glenn Seaborg|is named after California
99|Es|einsteinium||actinide|solid|1952 Albert Ghiorso and his colleagues|is named after Albert Einstein
100|Fm|fermium||actinide||1952 Albert Ghiorso and his colleagues|is named after Enrico Fermi
101|Md|mendelevium||actinide||1955 Albert Ghiorso and his colleagues|is named after Dmitri Mendeleev
102|No|nobelium||actinide|||is named after Alfred Nobel
103|Lr|lawrencium||actinide|||is named after Ernest Lawrence
104|Rf|rutherfordium||transition metal|||is named after Ernest Rutherford
105|Db|dubnium||transition metal|||is named after the Russian town of Dubna
106|Sg|seaborgium||transition metal||1974 Albert Ghiorso and his colleagues|is named after Glenn Seaborg
107|Bh|bohrium||transition metal||1981 Peter Armbruster and Gottfried Münzenberg|is named after Niels Bohr
108|Hs|hassium||transition metal||1984 Peter Armbruster and Gottfried Münzenberg|is named after the German state of Hesse
109|Mt|meitnerium||transition metal||1982 Peter Armbruster and Gottfried Münzenberg|is named after Lise Meitner
110|Ds|darmstadtium||transition metal||1994 Sigurd Hofmann and his colleagues|is named after the German city of Darmstadt
111|Rg|roentgenium||transition metal||1994 Sigurd Hofmann and his colleagues|is named after Wilhelm Röntgen
112|Cn|copernicium||transition metal||1996 Sigurd Hofmann and his colleagues|is named after Nicolaus Copernicus
113|Nh|nihonium||post-transition metal||2004 Kōsuke Morita and his colleagues|takes its name from a Japanese word for Japan
114|Fl|flerovium||post-transition metal|||is named after the Flerov laboratory in Dubna
115|Mc|moscovium||post-transition metal|||is named after the region of Moscow
116|Lv|livermorium||post-transition metal|||is named after the Livermore laboratory in California
117|Ts|tennessine||halogen|||is named after the state of Tennessee
118|Og|oganesson||noble gas|||is named after Yuri Oganessian
""",
)

# Category: what its members have in common, to follow its plural.
CATEGORIES = {
    "alkali metal": "are soft, reactive metals with one outer electron",
    "alkaline earth metal": "are reactive metals with two outer electrons",
    "transition metal": "fill the middle of the periodic table",
    "post-transition metal": "are softer than the transition metals and melt at lower temperatures",
    "metalloid": "stand between the metals and the nonmetals",
    "nonmetal": "conduct heat and electricity poorly",
    "halogen": "form salts with metals and need one more electron for a full shell",
    "noble gas": "have full outer shells and hardly react with other elements",
    "lanthanide": "resemble lanthanum and stand in a row below the main table",
    "actinide": "are all radioactive and stand in a row below the main table",
}

# Known or suspected before the pure element was won in the year of the table.
ISOLATED = {"F", "Na", "K", "Mg", "Ca", "Ba", "B", "Zn", "Al", "Mn", "W"}

NOBLE_GASES = (2, 10, 18, 36, 54, 86, 118)


def period(number: int) -> int:
    """Return the row of the periodic table that holds the element of this atomic number."""
    return 1 + sum(number > end for end in NOBLE_GASES)


def group(number: int) -> int | None:
    """Return the column, 1 to 18, of an element; None in the two rows of lanthanides and actinides."""
    if 57 <= number <= 71 or 89 <= number <= 103:
        return None
    if number <= 2:
        return 1 if number == 1 else 18
    row = period(number)
    place = number - NOBLE_GASES[row - 2]
    if place <= 2:
        return place
    return 18 - (NOBLE_GASES[row - 1] - number)
