"""Facts about the Solar System, the stars and the exploration of space."""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Planet(NamedTuple):
    """One planet, in the order of the distance from the Sun; `year` is Earth days or years, `moons` major ones."""

    name: str
    kind: str
    diameter_km: str
    distance_million_km: str
    year: str
    moons: str
    namesake: str
    about: str


class Moon(NamedTuple):
    """One moon of a planet or dwarf planet."""

    name: str
    planet: str
    discovery: str
    about: str


class Body(NamedTuple):
    """Another body of the sky: a dwarf planet, an asteroid, a star, a galaxy or a comet."""

    name: str
    kind: str
    about: str


class Mission(NamedTuple):
    """One flight into space; `launch` is its year."""

    name: str
    launch: str
    kind: str
    about: str


PLANETS = read_table(
    Planet,
    """
Mercury|rocky planet|4,879|58|88 Earth days||the Roman messenger of the gods|is the smallest planet, and its surface is covered with craters
Venus|rocky planet|12,104|108|225 Earth days||the Roman goddess of love|is the hottest planet, because its thick air of carbon dioxide holds the heat
Earth|rocky planet|12,742|150|365 days and about six hours|the Moon||is the only place where life is known to exist, and oceans cover most of its surface
Mars|rocky planet|6,779|228|687 Earth days|Phobos, Deimos|the Roman god of war|is called the Red Planet, because rust colours its soil
Jupiter|gas giant|139,820|778|about twelve Earth years|Io, Europa, Ganymede, Callisto|the king of the Roman gods|is the largest planet, and a storm called the Great Red Spot has been seen on it for centuries
Saturn|gas giant|116,460|1,430|about 29 Earth years|Titan, Rhea, Iapetus, Dione, Tethys, Enceladus, Mimas|the Roman god of sowing|is famous for its bright rings of ice
Uranus|ice giant|50,724|2,870|about 84 Earth years|Titania, Oberon, Umbriel, Ariel, Miranda|the Greek god of the sky|is tilted so far that it seems to roll around the Sun on its side
Neptune|ice giant|49,244|4,500|about 165 Earth years|Triton|the Roman god of the sea|is the windiest planet, and it was found by calculation before it was seen
""",
)

MOONS = read_table(
    Moon,
    """
the Moon|Earth||always turns the same side to the Earth and causes the tides
Phobos|Mars|1877 Asaph Hall|circles its planet in less than eight hours
Deimos|Mars|1877 Asaph Hall|is the smaller of the two moons of Mars
Io|Jupiter|1610 Galileo Galilei|has more active volcanoes than any other known body
Europa|Jupiter|1610 Galileo Galilei|has an ocean of water under a crust of ice
Ganymede|Jupiter|1610 Galileo Galilei|is the largest moon of the Solar System
Callisto|Jupiter|1610 Galileo Galilei|has one of the most heavily cratered surfaces that are known
Titan|Saturn|1655 Christiaan Huygens|has a thick atmosphere and lakes of liquid methane
Iapetus|Saturn|1671 Giovanni Domenico Cassini|has one bright side and one dark side
Rhea|Saturn|1672 Giovanni Domenico Cassini|is the second largest moon of Saturn
Tethys|Saturn|1684 Giovanni Domenico Cassini|is made mostly of ice and has a huge canyon
Dione|Saturn|1684 Giovanni Domenico Cassini|has bright cliffs of ice
Mimas|Saturn|1789 William Herschel|has one very large crater, named after William Herschel
Enceladus|Saturn|1789 William Herschel|throws jets of water from its south pole
Titania|Uranus|1787 William Herschel|is the largest moon of Uranus
Oberon|Uranus|1787 William Herschel|is the second largest moon of Uranus
Ariel|Uranus|1851 William Lassell|has the brightest surface of the moons of Uranus
Umbriel|Uranus|1851 William Lassell|has the darkest surface of the large moons of Uranus
Miranda|Uranus|1948 Gerard Kuiper|has cliffs many kilometres high
Triton|Neptune|1846 William Lassell|circles its planet backwards and has geysers of nitrogen
Charon|Pluto|1978 James Christy|always turns the same side to its dwarf planet
""",
)

BODIES = read_table(
    Body,
    """
the Sun|star|gives the Earth its light and heat, and holds the planets in their orbits
Sirius|star|is the brightest star of the night sky and lies in the constellation Canis Major
Canopus|star|is the second brightest star of the night sky and lies in the constellation Carina
Vega|star|is the brightest star of the constellation Lyra
Arcturus|star|is an orange giant in the constellation Boötes
Betelgeuse|star|is a red supergiant in the constellation Orion
Rigel|star|is a blue supergiant in the constellation Orion
Polaris|star|stands close to the north celestial pole and is called the North Star
Proxima Centauri|star|is the nearest star to the Sun, at a distance of about 4.2 light-years
Antares|star|is a red supergiant in the constellation Scorpius
Aldebaran|star|is an orange giant in the constellation Taurus
Altair|star|is the brightest star of the constellation Aquila
Deneb|star|is the brightest star of the constellation Cygnus
Spica|star|is the brightest star of the constellation Virgo
Ceres|dwarf planet|is the largest body of the asteroid belt, and Giuseppe Piazzi discovered it in 1801
Pluto|dwarf planet|was discovered by Clyde Tombaugh in 1930 and was counted as a planet until 2006
Eris|dwarf planet|was discovered in 2005 and is almost as large as Pluto
Haumea|dwarf planet|spins so fast that it has the shape of an egg
Makemake|dwarf planet|was discovered in 2005 and is named after a god of Easter Island
Vesta|asteroid|was discovered by Heinrich Olbers in 1807 and is one of the largest asteroids
Halley's Comet|comet|returns about every 76 years and was last seen near the Sun in 1986
the Milky Way|galaxy|is the galaxy that holds the Sun and some hundred billion other stars
the Andromeda Galaxy|galaxy|is the nearest large galaxy to our own
""",
)

MISSIONS = read_table(
    Mission,
    """
Sputnik 1|1957|satellite|was the first artificial satellite and was launched by the Soviet Union
Explorer 1|1958|satellite|was the first satellite of the United States
Vostok 1|1961|crewed spaceflight|carried Yuri Gagarin, the first human in space, once around the Earth
Vostok 6|1963|crewed spaceflight|carried Valentina Tereshkova, the first woman in space
Mariner 4|1964|space probe|sent the first close pictures of Mars
Apollo 8|1968|crewed spaceflight|carried the first people around the Moon
Apollo 11|1969|crewed spaceflight|landed the first people on the Moon, Neil Armstrong and Buzz Aldrin
Venera 7|1970|space probe|was the first probe to send data from the surface of Venus
Salyut 1|1971|space station|was the first space station
Pioneer 10|1972|space probe|was the first probe to pass Jupiter
Viking 1|1975|space probe|landed on Mars and sent pictures of its surface
Voyager 1|1977|space probe|passed Jupiter and Saturn and later left the region of the solar wind
Voyager 2|1977|space probe|is the only probe that has visited Uranus and Neptune
Giotto|1985|space probe|flew close to Halley's Comet
Galileo|1989|space probe|was the first probe to orbit Jupiter
the Hubble Space Telescope|1990|space telescope|has sent sharp pictures of stars and galaxies for decades
Cassini|1997|space probe|orbited Saturn and landed a probe on Titan
the International Space Station|1998|space station|has been inhabited without a break since the year 2000
New Horizons|2006|space probe|was the first probe to fly past Pluto
Curiosity|2011|Mars rover|has explored the crater Gale on Mars since 2012
the James Webb Space Telescope|2021|space telescope|observes the sky in infrared light
""",
)
