"""Facts about works of literature, music and art, and about inventions."""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Work(NamedTuple):
    """A book, a play, a piece of music or a picture; `author` is a name of the tables of people."""

    title: str
    year: str
    form: str
    author: str
    about: str


class Invention(NamedTuple):
    """A device, a method or a discovery; `verb` says what its inventor did in the year."""

    name: str
    verb: str
    inventor: str
    year: str
    about: str


WORKS = read_table(
    Work,
    """
Hamlet|c. 1600|tragedy|William Shakespeare|tells of a prince of Denmark whose father has been murdered
Romeo and Juliet|c. 1595|tragedy|William Shakespeare|tells of two lovers from hostile families in Verona
Macbeth|c. 1606|tragedy|William Shakespeare|tells of a Scottish nobleman who kills his king
Othello|c. 1603|tragedy|William Shakespeare|tells of a general of Venice who is driven to jealousy
King Lear|c. 1605|tragedy|William Shakespeare|tells of an old king and his three daughters
The Tempest|c. 1611|play|William Shakespeare|tells of a magician on an island
A Midsummer Night's Dream|c. 1595|comedy|William Shakespeare|tells of lovers and fairies in a wood near Athens
Twelfth Night|c. 1601|comedy|William Shakespeare|tells of twins who are parted by a shipwreck
The Merchant of Venice|c. 1597|comedy|William Shakespeare|tells of a loan and a pound of flesh
The Canterbury Tales|c. 1400|collection of stories|Geoffrey Chaucer|lets a group of pilgrims tell stories on the road
Paradise Lost|1667|epic poem|John Milton|tells of Adam and Eve and of the fall of Satan
Robinson Crusoe|1719|novel|Daniel Defoe|tells of a sailor who lives for many years on an island
Gulliver's Travels|1726|novel|Jonathan Swift|tells of journeys to lands of dwarfs and giants
Frankenstein|1818|novel|Mary Shelley|tells of a student who makes a living creature
Pride and Prejudice|1813|novel|Jane Austen|tells of Elizabeth Bennet and Mr Darcy
Emma|1815|novel|Jane Austen|tells of a young woman who likes to make matches
Jane Eyre|1847|novel|Charlotte Brontë|tells of a governess and the master of a dark house
Wuthering Heights|1847|novel|Emily Brontë|tells of love and revenge on the moors of Yorkshire
Oliver Twist|1838|novel|Charles Dickens|tells of an orphan among thieves in London
A Christmas Carol|1843|short novel|Charles Dickens|tells of the miser Scrooge and three spirits
Great Expectations|1861|novel|Charles Dickens|tells of an orphan named Pip
Middlemarch|1871|novel|George Eliot|tells of life in an English town
Alice's Adventures in Wonderland|1865|children's book|Lewis Carroll|tells of a girl who falls down a rabbit hole
Treasure Island|1883|novel|Robert Louis Stevenson|tells of pirates and buried gold
Ivanhoe|1819|novel|Walter Scott|tells of a knight in the time of Richard the Lionheart
The Picture of Dorian Gray|1890|novel|Oscar Wilde|tells of a portrait that grows old in place of a man
Dracula|1897|novel|Bram Stoker|tells of a vampire from Transylvania
Ulysses|1922|novel|James Joyce|tells of a single day in Dublin
Waiting for Godot|1953|play|Samuel Beckett|shows two men who wait for somebody who never comes
Pygmalion|1913|play|George Bernard Shaw|tells of a flower seller who learns to speak like a lady
The Jungle Book|1894|collection of stories|Rudyard Kipling|tells of Mowgli, a boy raised by wolves
The Time Machine|1895|novel|H. G. Wells|tells of a journey to a distant future
Mrs Dalloway|1925|novel|Virginia Woolf|tells of one day of a woman in London
The Hobbit|1937|novel|J. R. R. Tolkien|tells of Bilbo Baggins and a dragon
The Lord of the Rings|1954|novel|J. R. R. Tolkien|tells of a ring that must be destroyed
Animal Farm|1945|short novel|George Orwell|tells of animals who drive out their farmer
Nineteen Eighty-Four|1949|novel|George Orwell|tells of a state that watches everybody
The Raven|1845|poem|Edgar Allan Poe|tells of a bird that says only one word
Moby-Dick|1851|novel|Herman Melville|tells of the hunt for a white whale
Leaves of Grass|1855|collection of poems|Walt Whitman|celebrates nature and the human body
The Adventures of Tom Sawyer|1876|novel|Mark Twain|tells of a boy on the Mississippi
Walden|1854|book|Henry David Thoreau|describes a simple life beside a pond
Uncle Tom's Cabin|1852|novel|Harriet Beecher Stowe|describes the cruelty of slavery
The Call of the Wild|1903|short novel|Jack London|tells of a dog in the far north
The Great Gatsby|1925|novel|F. Scott Fitzgerald|tells of a rich man on Long Island
The Old Man and the Sea|1952|short novel|Ernest Hemingway|tells of a fisherman and a great fish
The Grapes of Wrath|1939|novel|John Steinbeck|tells of a poor family on the way to California
Beloved|1987|novel|Toni Morrison|tells of a woman who has escaped from slavery
Les Misérables|1862|novel|Victor Hugo|tells of Jean Valjean, who has been in prison for stealing bread
The Three Musketeers|1844|novel|Alexandre Dumas|tells of d'Artagnan and his friends
Madame Bovary|1857|novel|Gustave Flaubert|tells of an unhappy wife in a French province
Germinal|1885|novel|Émile Zola|tells of a strike of coal miners
Around the World in Eighty Days|1872|novel|Jules Verne|tells of Phileas Fogg and his bet
The Flowers of Evil|1857|collection of poems|Charles Baudelaire|finds beauty in the dark sides of the city
The Stranger|1942|novel|Albert Camus|tells of a man in Algiers who feels nothing
The Little Prince|1943|children's book|Antoine de Saint-Exupéry|tells of a boy from a very small planet
Tartuffe|1664|comedy|Molière|tells of a hypocrite
Candide|1759|short novel|Voltaire|makes fun of the idea that all is for the best
Faust|1808|play|Johann Wolfgang von Goethe|tells of a scholar who makes a pact with the devil
William Tell|1804|play|Friedrich Schiller|tells of an archer in Switzerland
The Magic Mountain|1924|novel|Thomas Mann|is set in a sanatorium at Davos
The Metamorphosis|1915|short novel|Franz Kafka|tells of a man who wakes up as an insect
The Little Mermaid|1837|fairy tale|Hans Christian Andersen|tells of a girl of the sea who loves a prince
A Doll's House|1879|play|Henrik Ibsen|tells of Nora, who leaves her husband
Pippi Longstocking|1945|children's book|Astrid Lindgren|tells of the strongest girl in the world
Eugene Onegin|1833|novel in verse|Alexander Pushkin|tells of a bored young man who rejects Tatyana
Dead Souls|1842|novel|Nikolai Gogol|tells of a man who buys the names of dead peasants
Crime and Punishment|1866|novel|Fyodor Dostoevsky|tells of a poor student who commits a murder
War and Peace|1869|novel|Leo Tolstoy|tells of Russian families in the time of Napoleon
Anna Karenina|1878|novel|Leo Tolstoy|tells of a married woman who falls in love
The Cherry Orchard|1904|play|Anton Chekhov|tells of a family that must sell its land
Divine Comedy|c. 1321|epic poem|Dante Alighieri|describes a journey through hell, purgatory and heaven
The Decameron|c. 1353|collection of stories|Giovanni Boccaccio|lets ten young people tell a hundred stories
The Prince|1532|book|Niccolò Machiavelli|explains how rulers keep their power
The Adventures of Pinocchio|1883|children's book|Carlo Collodi|tells of a wooden puppet whose nose grows
Don Quixote|1605|novel|Miguel de Cervantes|tells of a man who fights against windmills
The Lusiads|1572|epic poem|Luís de Camões|celebrates the voyage of Vasco da Gama
One Hundred Years of Solitude|1967|novel|Gabriel García Márquez|tells of the Buendía family in the town of Macondo
Things Fall Apart|1958|novel|Chinua Achebe|tells of a village in Nigeria when the missionaries come
The Four Seasons|1725|set of violin concertos|Antonio Vivaldi|describes spring, summer, autumn and winter
Brandenburg Concerto No. 5|1721|concerto|Johann Sebastian Bach|has a long solo for the harpsichord
Messiah|1741|oratorio|George Frideric Handel|contains the chorus Hallelujah
The Magic Flute|1791|opera|Wolfgang Amadeus Mozart|tells of Tamino, Pamina and the Queen of the Night
Don Giovanni|1787|opera|Wolfgang Amadeus Mozart|tells of a seducer who is dragged to hell
Ninth Symphony|1824|symphony|Ludwig van Beethoven|ends with a chorus, the Ode to Joy
Fidelio|1805|opera|Ludwig van Beethoven|tells of a woman who frees her husband from prison
The Barber of Seville|1816|opera|Gioachino Rossini|tells of Figaro, who helps a count to win Rosina
Symphonie fantastique|1830|symphony|Hector Berlioz|describes the dreams of an artist in love
The Ring of the Nibelung|1876|cycle of four operas|Richard Wagner|tells of gods, giants and a stolen ring
Aida|1871|opera|Giuseppe Verdi|is set in ancient Egypt
La traviata|1853|opera|Giuseppe Verdi|tells of Violetta, who dies of consumption in Paris
The Blue Danube|1867|waltz|Johann Strauss II|is played every New Year in Vienna
Carmen|1875|opera|Georges Bizet|tells of a proud woman in Seville
Pictures at an Exhibition|1874|suite for piano|Modest Mussorgsky|describes a walk past pictures
Swan Lake|1877|ballet|Pyotr Ilyich Tchaikovsky|tells of a princess who has been turned into a swan
The Nutcracker|1892|ballet|Pyotr Ilyich Tchaikovsky|tells of a girl and her Christmas present
New World Symphony|1893|symphony|Antonín Dvořák|was written in the United States
Tosca|1900|opera|Giacomo Puccini|is set in Rome
La bohème|1896|opera|Giacomo Puccini|tells of poor young artists in Paris
The Planets|1918|suite for orchestra|Gustav Holst|has one movement for each of seven planets
Boléro|1928|piece for orchestra|Maurice Ravel|repeats one melody, louder and louder
The Rite of Spring|1913|ballet|Igor Stravinsky|caused a scandal when it was first danced in Paris
Peter and the Wolf|1936|fairy tale with music|Sergei Prokofiev|gives each animal its own instrument
Rhapsody in Blue|1924|piece for piano and orchestra|George Gershwin|joins classical music and jazz
Mona Lisa|c. 1503|painting|Leonardo da Vinci|shows a woman with a faint smile and hangs in the Louvre
The Last Supper|c. 1498|painting|Leonardo da Vinci|shows Jesus with his disciples and is in Milan
David|1504|statue|Michelangelo|stands in Florence
The Birth of Venus|c. 1485|painting|Sandro Botticelli|shows a goddess on a shell
The School of Athens|c. 1511|fresco|Raphael|shows the philosophers of Greece
The Night Watch|1642|painting|Rembrandt|shows a company of citizens with their weapons
Girl with a Pearl Earring|c. 1665|painting|Johannes Vermeer|shows a young woman with a blue and yellow turban
Las Meninas|1656|painting|Diego Velázquez|shows a princess of Spain with her maids
The Starry Night|1889|painting|Vincent van Gogh|shows a village under a whirling sky
Sunflowers|1888|series of paintings|Vincent van Gogh|shows yellow flowers in a vase
The Thinker|1904|statue|Auguste Rodin|shows a man deep in thought
Liberty Leading the People|1830|painting|Eugène Delacroix|shows a woman with a flag on a barricade
The Scream|1893|painting|Edvard Munch|shows a figure with an open mouth on a bridge
The Kiss|1908|painting|Gustav Klimt|shows two lovers in golden robes
Guernica|1937|painting|Pablo Picasso|shows the suffering of a bombed town
The Persistence of Memory|1931|painting|Salvador Dalí|shows soft watches in a landscape
Nighthawks|1942|painting|Edward Hopper|shows people in a diner at night
The Great Wave off Kanagawa|c. 1831|woodblock print|Hokusai|shows a huge wave in front of Mount Fuji
The Hay Wain|1821|painting|John Constable|shows a cart in a shallow river
""",
)

INVENTIONS = read_table(
    Invention,
    """
the telephone|patented|Alexander Graham Bell|1876|carries speech over wires
the electric battery|invented|Alessandro Volta|1800|turns chemical energy into electric current
the electric light bulb|improved|Thomas Edison|1879|gives light when a thin thread glows
the phonograph|invented|Thomas Edison|1877|records sound and plays it again
the diesel engine|built|Rudolf Diesel|1897|burns fuel without a spark
the motor car|patented|Karl Benz|1886|moves by its own engine
dynamite|patented|Alfred Nobel|1867|is a safer explosive than pure nitroglycerine
the first successful aeroplane|flew|Orville Wright|1903|was heavier than air and had wings and an engine
penicillin|discovered|Alexander Fleming|1928|kills many kinds of bacteria
the X-ray|discovered|Wilhelm Röntgen|1895|passes through soft parts of the body and shows the bones
the pendulum clock|built|Christiaan Huygens|1656|keeps time by a swinging weight
the lightning rod|invented|Benjamin Franklin|1752|leads lightning safely into the ground
braille|invented|Louis Braille|1824|lets blind people read with their fingers
the periodic table|published|Dmitri Mendeleev|1869|orders the chemical elements
smallpox vaccination|introduced|Edward Jenner|1796|protects people from a deadly disease
electromagnetic induction|discovered|Michael Faraday|1831|makes electric current from moving magnets
the first nuclear reactor|built|Enrico Fermi|1942|made heat by splitting atoms
transatlantic radio|demonstrated|Guglielmo Marconi|1901|carries signals across the ocean without wires
the theory of general relativity|published|Albert Einstein|1915|explains gravity by the curvature of space and time
the heliocentric system|published|Nicolaus Copernicus|1543|puts the Sun in the middle of the planets
the laws of motion|published|Isaac Newton|1687|describe how forces move bodies
natural selection|published|Charles Darwin|1859|explains how species change over time
the electric motor for alternating current|patented|Nikola Tesla|1888|turns electric current into motion
the rabies vaccine|first used|Louis Pasteur|1885|saves people who have been bitten by sick animals
information theory|founded|Claude Shannon|1948|measures information in bits
""",
)
