"""Facts about people of the past, none of them living; their works are in `facts_works.py`.

`born` and `died` are years of the common era, "c." where scholars are not sure, or "BC". `nationality` is the
adjective most books use; a second one is given where a life was shared. `about` follows "He/She ...".
"""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Person(NamedTuple):
    """One person; `pronoun` is he or she."""

    name: str
    born: str
    died: str
    nationality: str
    occupation: str
    pronoun: str
    about: str


SCIENTISTS = read_table(
    Person,
    """
Albert Einstein|1879|1955|German|physicist|he|developed the theory of relativity
Isaac Newton|1642|1727|English|physicist and mathematician|he|described gravity and the laws of motion
Galileo Galilei|1564|1642|Italian|astronomer and physicist|he|discovered four moons of Jupiter with a telescope
Nicolaus Copernicus|1473|1543|Polish|astronomer|he|taught that the Earth moves around the Sun
Johannes Kepler|1571|1630|German|astronomer|he|found that the planets move in ellipses
Tycho Brahe|1546|1601|Danish|astronomer|he|measured the places of stars and planets very exactly
Charles Darwin|1809|1882|English|naturalist|he|explained evolution by natural selection
Marie Curie|1867|1934|Polish-French|physicist and chemist|she|discovered polonium and radium
Pierre Curie|1859|1906|French|physicist|he|studied radioactivity together with Marie Curie
Louis Pasteur|1822|1895|French|chemist|he|showed that germs cause disease and made a vaccine against rabies
Robert Koch|1843|1910|German|physician|he|discovered the bacterium that causes tuberculosis
Alexander Fleming|1881|1955|Scottish|physician|he|discovered penicillin
Edward Jenner|1749|1823|English|physician|he|introduced vaccination against smallpox
Gregor Mendel|1822|1884|Austrian|botanist and monk|he|found the laws of heredity by growing peas
Carl Linnaeus|1707|1778|Swedish|botanist|he|gave plants and animals their two-part Latin names
Alexander von Humboldt|1769|1859|German|naturalist and explorer|he|travelled through South America and described its nature
Michael Faraday|1791|1867|English|physicist|he|discovered electromagnetic induction
James Clerk Maxwell|1831|1879|Scottish|physicist|he|described electricity and magnetism in a single theory
Alessandro Volta|1745|1827|Italian|physicist|he|invented the electric battery
André-Marie Ampère|1775|1836|French|physicist|he|studied the forces between electric currents
Georg Ohm|1789|1854|German|physicist|he|found the law that links voltage, current and resistance
Heinrich Hertz|1857|1894|German|physicist|he|proved that radio waves exist
Wilhelm Röntgen|1845|1923|German|physicist|he|discovered X-rays
Max Planck|1858|1947|German|physicist|he|founded quantum theory
Niels Bohr|1885|1962|Danish|physicist|he|made a model of the atom with electrons on fixed orbits
Werner Heisenberg|1901|1976|German|physicist|he|stated the uncertainty principle
Erwin Schrödinger|1887|1961|Austrian|physicist|he|found the wave equation of quantum mechanics
Paul Dirac|1902|1984|English|physicist|he|predicted antimatter
Wolfgang Pauli|1900|1958|Austrian|physicist|he|stated the exclusion principle
Enrico Fermi|1901|1954|Italian|physicist|he|built the first nuclear reactor
Ernest Rutherford|1871|1937|New Zealand|physicist|he|discovered the atomic nucleus
Lise Meitner|1878|1968|Austrian|physicist|she|explained nuclear fission
Otto Hahn|1879|1968|German|chemist|he|discovered nuclear fission
Richard Feynman|1918|1988|American|physicist|he|drew diagrams for the behaviour of particles
Chien-Shiung Wu|1912|1997|Chinese-American|physicist|she|showed that parity is not conserved in beta decay
Dmitri Mendeleev|1834|1907|Russian|chemist|he|made the first widely used periodic table
Antoine Lavoisier|1743|1794|French|chemist|he|explained burning as a reaction with oxygen
John Dalton|1766|1844|English|chemist|he|proposed that matter is made of atoms of different weights
Humphry Davy|1778|1829|English|chemist|he|isolated sodium, potassium and other metals
Robert Boyle|1627|1691|Irish|chemist and physicist|he|found how the volume of a gas depends on its pressure
Joseph Priestley|1733|1804|English|chemist|he|discovered oxygen
Henry Cavendish|1731|1810|English|chemist and physicist|he|discovered hydrogen
Alfred Nobel|1833|1896|Swedish|chemist and inventor|he|invented dynamite and founded the Nobel Prizes
Fritz Haber|1868|1934|German|chemist|he|found a way to make ammonia from nitrogen and hydrogen
Linus Pauling|1901|1994|American|chemist|he|explained the nature of the chemical bond
Dorothy Hodgkin|1910|1994|English|chemist|she|found the structures of penicillin and insulin
Rosalind Franklin|1920|1958|English|chemist|she|took X-ray pictures that helped to find the structure of DNA
Francis Crick|1916|2004|English|biologist|he|described the double helix of DNA with James Watson
Barbara McClintock|1902|1992|American|biologist|she|discovered genes that change their place
Rachel Carson|1907|1964|American|biologist and writer|she|warned of the harm that pesticides do to nature
Andreas Vesalius|1514|1564|Flemish|anatomist|he|wrote a great book on the human body
William Harvey|1578|1657|English|physician|he|described the circulation of the blood
Antonie van Leeuwenhoek|1632|1723|Dutch|naturalist|he|saw bacteria with microscopes of his own making
Robert Hooke|1635|1703|English|scientist|he|first called the small units of life cells
Christiaan Huygens|1629|1695|Dutch|physicist and astronomer|he|discovered Titan and built the first pendulum clock
Edmond Halley|1656|1742|English|astronomer|he|predicted the return of a comet
William Herschel|1738|1822|German-British|astronomer|he|discovered Uranus
Caroline Herschel|1750|1848|German-British|astronomer|she|discovered several comets
Edwin Hubble|1889|1953|American|astronomer|he|showed that other galaxies exist and that they move away from us
Henrietta Swan Leavitt|1868|1921|American|astronomer|she|found how to measure distances with stars that change their brightness
Alfred Wegener|1880|1930|German|geophysicist|he|proposed that the continents drift
Charles Lyell|1797|1875|Scottish|geologist|he|argued that slow changes shaped the Earth
Mary Anning|1799|1847|English|fossil collector|she|found skeletons of ichthyosaurs and plesiosaurs
Stephen Hawking|1942|2018|English|physicist|he|showed that black holes give off radiation
Leonhard Euler|1707|1783|Swiss|mathematician|he|wrote on almost every part of mathematics
Carl Friedrich Gauss|1777|1855|German|mathematician|he|made great discoveries in number theory
Pierre de Fermat|1607|1665|French|mathematician|he|left a famous theorem that was proved only after three centuries
Blaise Pascal|1623|1662|French|mathematician and philosopher|he|built a calculating machine and studied chance
René Descartes|1596|1650|French|philosopher and mathematician|he|joined algebra with geometry and wrote: I think, therefore I am
Gottfried Wilhelm Leibniz|1646|1716|German|philosopher and mathematician|he|invented calculus independently of Isaac Newton
Bernhard Riemann|1826|1866|German|mathematician|he|stated a famous hypothesis about prime numbers
David Hilbert|1862|1943|German|mathematician|he|listed twenty-three great problems of mathematics
Emmy Noether|1882|1935|German|mathematician|she|linked symmetries with conservation laws
Sofia Kovalevskaya|1850|1891|Russian|mathematician|she|was one of the first women to be a professor of mathematics
Sophie Germain|1776|1831|French|mathematician|she|worked on number theory and elasticity
Évariste Galois|1811|1832|French|mathematician|he|founded a theory of equations before his death at twenty
Srinivasa Ramanujan|1887|1920|Indian|mathematician|he|found thousands of formulas, mostly on his own
Georg Cantor|1845|1918|German|mathematician|he|created the theory of sets
Kurt Gödel|1906|1978|Austrian|mathematician and logician|he|proved that arithmetic cannot be both complete and consistent
Alan Turing|1912|1954|English|mathematician|he|founded the theory of computing
Ada Lovelace|1815|1852|English|mathematician|she|wrote what is often called the first computer program
Charles Babbage|1791|1871|English|mathematician|he|designed a mechanical computer
George Boole|1815|1864|English|mathematician|he|put logic into the form of algebra
John von Neumann|1903|1957|Hungarian-American|mathematician|he|shaped the design of modern computers
Claude Shannon|1916|2001|American|mathematician|he|founded information theory
Grace Hopper|1906|1992|American|computer scientist|she|wrote one of the first compilers
Benjamin Franklin|1706|1790|American|scientist and statesman|he|showed that lightning is electricity
Thomas Edison|1847|1931|American|inventor|he|made a practical electric light bulb
Nikola Tesla|1856|1943|Serbian-American|inventor|he|developed motors for alternating current
James Watt|1736|1819|Scottish|engineer|he|improved the steam engine
Alexander Graham Bell|1847|1922|Scottish-American|inventor|he|patented the telephone
Guglielmo Marconi|1874|1937|Italian|inventor|he|sent radio signals across the Atlantic Ocean
Rudolf Diesel|1858|1913|German|engineer|he|invented the engine that bears his name
Karl Benz|1844|1929|German|engineer|he|built one of the first practical motor cars
Johannes Gutenberg|c. 1400|1468|German|printer|he|introduced printing with movable type to Europe
Louis Braille|1809|1852|French|teacher|he|invented a writing system for the blind
Samuel Morse|1791|1872|American|inventor and painter|he|developed a code for the telegraph
George Stephenson|1781|1848|English|engineer|he|built early railways and steam locomotives
Isambard Kingdom Brunel|1806|1859|English|engineer|he|built bridges, railways and great steamships
Gustave Eiffel|1832|1923|French|engineer|he|built the Eiffel Tower
Wilbur Wright|1867|1912|American|inventor and aviator|he|built the first successful aeroplane together with Orville Wright
Orville Wright|1871|1948|American|inventor and aviator|he|flew the first successful aeroplane in 1903

""",
)

WRITERS = read_table(
    Person,
    """
William Shakespeare|1564|1616|English|playwright and poet|he|wrote Hamlet, Macbeth and Romeo and Juliet
Christopher Marlowe|1564|1593|English|playwright and poet|he|wrote a famous play about Doctor Faustus
Geoffrey Chaucer|c. 1343|1400|English|poet|he|wrote The Canterbury Tales
John Milton|1608|1674|English|poet|he|wrote Paradise Lost
Daniel Defoe|c. 1660|1731|English|writer|he|wrote Robinson Crusoe
Jonathan Swift|1667|1745|Irish|writer|he|wrote Gulliver's Travels
William Blake|1757|1827|English|poet and painter|he|wrote Songs of Innocence and of Experience
William Wordsworth|1770|1850|English|poet|he|wrote about nature and the Lake District
Lord Byron|1788|1824|English|poet|he|wrote Don Juan and died in Greece
John Keats|1795|1821|English|poet|he|wrote odes to a nightingale and to autumn
Mary Shelley|1797|1851|English|writer|she|wrote Frankenstein
Jane Austen|1775|1817|English|novelist|she|wrote Pride and Prejudice and Emma
Charlotte Brontë|1816|1855|English|novelist|she|wrote Jane Eyre
Emily Brontë|1818|1848|English|novelist and poet|she|wrote Wuthering Heights
Charles Dickens|1812|1870|English|novelist|he|wrote Oliver Twist and Great Expectations
George Eliot|1819|1880|English|novelist|she|wrote Middlemarch
Lewis Carroll|1832|1898|English|writer and mathematician|he|wrote Alice's Adventures in Wonderland
Robert Louis Stevenson|1850|1894|Scottish|writer|he|wrote Treasure Island
Robert Burns|1759|1796|Scottish|poet|he|wrote Auld Lang Syne
Walter Scott|1771|1832|Scottish|novelist and poet|he|wrote Ivanhoe
Oscar Wilde|1854|1900|Irish|writer|he|wrote The Picture of Dorian Gray
Bram Stoker|1847|1912|Irish|writer|he|wrote Dracula
William Butler Yeats|1865|1939|Irish|poet|he|won the Nobel Prize in Literature in 1923
James Joyce|1882|1941|Irish|writer|he|wrote Ulysses
Samuel Beckett|1906|1989|Irish|playwright|he|wrote Waiting for Godot
George Bernard Shaw|1856|1950|Irish|playwright|he|wrote Pygmalion
Arthur Conan Doyle|1859|1930|Scottish|writer|he|created the detective Sherlock Holmes
Rudyard Kipling|1865|1936|English|writer|he|wrote The Jungle Book
H. G. Wells|1866|1946|English|writer|he|wrote The Time Machine
Virginia Woolf|1882|1941|English|writer|she|wrote Mrs Dalloway and To the Lighthouse
Agatha Christie|1890|1976|English|writer|she|created the detective Hercule Poirot
J. R. R. Tolkien|1892|1973|English|writer|he|wrote The Hobbit and The Lord of the Rings
George Orwell|1903|1950|English|writer|he|wrote Animal Farm and Nineteen Eighty-Four
Edgar Allan Poe|1809|1849|American|writer and poet|he|wrote The Raven and many dark tales
Herman Melville|1819|1891|American|novelist|he|wrote Moby-Dick
Walt Whitman|1819|1892|American|poet|he|wrote Leaves of Grass
Emily Dickinson|1830|1886|American|poet|she|wrote nearly eighteen hundred short poems
Mark Twain|1835|1910|American|writer|he|wrote The Adventures of Tom Sawyer
Henry David Thoreau|1817|1862|American|writer|he|wrote Walden
Harriet Beecher Stowe|1811|1896|American|writer|she|wrote Uncle Tom's Cabin
Jack London|1876|1916|American|writer|he|wrote The Call of the Wild
F. Scott Fitzgerald|1896|1940|American|novelist|he|wrote The Great Gatsby
Ernest Hemingway|1899|1961|American|writer|he|wrote The Old Man and the Sea
John Steinbeck|1902|1968|American|writer|he|wrote The Grapes of Wrath
Toni Morrison|1931|2019|American|novelist|she|wrote Beloved
Victor Hugo|1802|1885|French|writer|he|wrote Les Misérables and The Hunchback of Notre-Dame
Alexandre Dumas|1802|1870|French|writer|he|wrote The Three Musketeers
Honoré de Balzac|1799|1850|French|novelist|he|wrote The Human Comedy
Gustave Flaubert|1821|1880|French|novelist|he|wrote Madame Bovary
Émile Zola|1840|1902|French|novelist|he|wrote Germinal
Jules Verne|1828|1905|French|writer|he|wrote Around the World in Eighty Days
Charles Baudelaire|1821|1867|French|poet|he|wrote The Flowers of Evil
Marcel Proust|1871|1922|French|novelist|he|wrote In Search of Lost Time
Albert Camus|1913|1960|French|writer|he|wrote The Stranger and The Plague
Antoine de Saint-Exupéry|1900|1944|French|writer and pilot|he|wrote The Little Prince
Molière|1622|1673|French|playwright|he|wrote the comedies Tartuffe and The Misanthrope
Voltaire|1694|1778|French|writer and philosopher|he|wrote Candide
Jean-Jacques Rousseau|1712|1778|Genevan|philosopher|he|wrote The Social Contract
Simone de Beauvoir|1908|1986|French|writer and philosopher|she|wrote The Second Sex
Johann Wolfgang von Goethe|1749|1832|German|writer|he|wrote Faust
Friedrich Schiller|1759|1805|German|playwright and poet|he|wrote William Tell and the Ode to Joy
Heinrich Heine|1797|1856|German|poet|he|wrote a poem about the Lorelei
Thomas Mann|1875|1955|German|novelist|he|wrote Buddenbrooks and The Magic Mountain
Bertolt Brecht|1898|1956|German|playwright|he|wrote The Threepenny Opera
Immanuel Kant|1724|1804|German|philosopher|he|wrote the Critique of Pure Reason
Friedrich Nietzsche|1844|1900|German|philosopher|he|wrote Thus Spoke Zarathustra
Karl Marx|1818|1883|German|philosopher and economist|he|wrote Das Kapital
Franz Kafka|1883|1924|Bohemian|writer|he|wrote The Metamorphosis and The Trial
Rainer Maria Rilke|1875|1926|Austrian|poet|he|wrote the Duino Elegies
Sigmund Freud|1856|1939|Austrian|physician|he|founded psychoanalysis
Hans Christian Andersen|1805|1875|Danish|writer|he|wrote The Little Mermaid and other fairy tales
Søren Kierkegaard|1813|1855|Danish|philosopher|he|wrote Either/Or
Henrik Ibsen|1828|1906|Norwegian|playwright|he|wrote A Doll's House and Peer Gynt
Selma Lagerlöf|1858|1940|Swedish|writer|she|wrote The Wonderful Adventures of Nils
Astrid Lindgren|1907|2002|Swedish|writer|she|created Pippi Longstocking
August Strindberg|1849|1912|Swedish|playwright|he|wrote Miss Julie
Alexander Pushkin|1799|1837|Russian|poet|he|wrote Eugene Onegin
Nikolai Gogol|1809|1852|Russian|writer|he|wrote Dead Souls
Fyodor Dostoevsky|1821|1881|Russian|novelist|he|wrote Crime and Punishment
Leo Tolstoy|1828|1910|Russian|writer|he|wrote War and Peace and Anna Karenina
Anton Chekhov|1860|1904|Russian|playwright and writer|he|wrote The Cherry Orchard
Anna Akhmatova|1889|1966|Russian|poet|she|wrote Requiem
Dante Alighieri|1265|1321|Italian|poet|he|wrote the Divine Comedy
Petrarch|1304|1374|Italian|poet|he|wrote sonnets to Laura
Giovanni Boccaccio|1313|1375|Italian|writer|he|wrote The Decameron
Niccolò Machiavelli|1469|1527|Italian|philosopher|he|wrote The Prince
Carlo Collodi|1826|1890|Italian|writer|he|wrote The Adventures of Pinocchio
Miguel de Cervantes|1547|1616|Spanish|writer|he|wrote Don Quixote
Lope de Vega|1562|1635|Spanish|playwright|he|wrote hundreds of plays
Federico García Lorca|1898|1936|Spanish|poet and playwright|he|wrote Blood Wedding
Luís de Camões|c. 1524|1580|Portuguese|poet|he|wrote The Lusiads
Fernando Pessoa|1888|1935|Portuguese|poet|he|wrote under many invented names
Adam Mickiewicz|1798|1855|Polish|poet|he|wrote Pan Tadeusz
Jorge Luis Borges|1899|1986|Argentine|writer|he|wrote Ficciones
Pablo Neruda|1904|1973|Chilean|poet|he|wrote Twenty Love Poems and a Song of Despair
Gabriela Mistral|1889|1957|Chilean|poet|she|won the Nobel Prize in Literature in 1945
Gabriel García Márquez|1927|2014|Colombian|writer|he|wrote One Hundred Years of Solitude
Rabindranath Tagore|1861|1941|Indian|poet|he|wrote Gitanjali
Chinua Achebe|1930|2013|Nigerian|novelist|he|wrote Things Fall Apart
Naguib Mahfouz|1911|2006|Egyptian|novelist|he|wrote the Cairo Trilogy
Omar Khayyam|1048|1131|Persian|poet and mathematician|he|wrote quatrains and studied cubic equations
Rumi|1207|1273|Persian|poet|he|wrote the Masnavi
Li Bai|701|762|Chinese|poet|he|wrote of wine, friendship and the moon
Du Fu|712|770|Chinese|poet|he|wrote of war and the sorrows of the people
Matsuo Bashō|1644|1694|Japanese|poet|he|was a master of the haiku
Lu Xun|1881|1936|Chinese|writer|he|wrote The True Story of Ah Q
""",
)

ARTISTS = read_table(
    Person,
    """
Claudio Monteverdi|1567|1643|Italian|composer|he|wrote the opera L'Orfeo
Henry Purcell|1659|1695|English|composer|he|wrote the opera Dido and Aeneas
Antonio Vivaldi|1678|1741|Italian|composer|he|wrote The Four Seasons
Johann Sebastian Bach|1685|1750|German|composer|he|wrote the Brandenburg Concertos and the St Matthew Passion
George Frideric Handel|1685|1759|German-British|composer|he|wrote the oratorio Messiah
Joseph Haydn|1732|1809|Austrian|composer|he|wrote more than a hundred symphonies
Wolfgang Amadeus Mozart|1756|1791|Austrian|composer|he|wrote The Magic Flute and Don Giovanni
Ludwig van Beethoven|1770|1827|German|composer|he|wrote nine symphonies, some of them when he was deaf
Franz Schubert|1797|1828|Austrian|composer|he|wrote more than six hundred songs
Niccolò Paganini|1782|1840|Italian|violinist and composer|he|was the most famous violinist of his time
Gioachino Rossini|1792|1868|Italian|composer|he|wrote The Barber of Seville
Hector Berlioz|1803|1869|French|composer|he|wrote the Symphonie fantastique
Felix Mendelssohn|1809|1847|German|composer|he|wrote music for A Midsummer Night's Dream
Fanny Mendelssohn|1805|1847|German|composer and pianist|she|wrote more than four hundred pieces of music
Frédéric Chopin|1810|1849|Polish|composer and pianist|he|wrote nocturnes, waltzes and mazurkas for the piano
Robert Schumann|1810|1856|German|composer|he|wrote Carnaval and many songs
Clara Schumann|1819|1896|German|pianist and composer|she|was one of the great pianists of her century
Franz Liszt|1811|1886|Hungarian|composer and pianist|he|wrote the Hungarian Rhapsodies
Richard Wagner|1813|1883|German|composer|he|wrote The Ring of the Nibelung
Giuseppe Verdi|1813|1901|Italian|composer|he|wrote Aida and La traviata
Bedřich Smetana|1824|1884|Czech|composer|he|wrote a tone poem about the river Vltava
Johann Strauss II|1825|1899|Austrian|composer|he|wrote The Blue Danube
Johannes Brahms|1833|1897|German|composer|he|wrote A German Requiem
Georges Bizet|1838|1875|French|composer|he|wrote the opera Carmen
Modest Mussorgsky|1839|1881|Russian|composer|he|wrote Pictures at an Exhibition
Pyotr Ilyich Tchaikovsky|1840|1893|Russian|composer|he|wrote Swan Lake and The Nutcracker
Antonín Dvořák|1841|1904|Czech|composer|he|wrote the New World Symphony
Edvard Grieg|1843|1907|Norwegian|composer|he|wrote music for Peer Gynt
Nikolai Rimsky-Korsakov|1844|1908|Russian|composer|he|wrote Scheherazade
Edward Elgar|1857|1934|English|composer|he|wrote the Enigma Variations
Giacomo Puccini|1858|1924|Italian|composer|he|wrote La bohème and Tosca
Gustav Mahler|1860|1911|Austrian|composer|he|wrote great symphonies and was a conductor
Claude Debussy|1862|1918|French|composer|he|wrote La mer
Richard Strauss|1864|1949|German|composer|he|wrote Der Rosenkavalier
Jean Sibelius|1865|1957|Finnish|composer|he|wrote Finlandia
Erik Satie|1866|1925|French|composer|he|wrote three Gymnopédies
Scott Joplin|c. 1868|1917|American|composer|he|wrote the Maple Leaf Rag
Sergei Rachmaninoff|1873|1943|Russian|composer and pianist|he|wrote four piano concertos
Gustav Holst|1874|1934|English|composer|he|wrote The Planets
Maurice Ravel|1875|1937|French|composer|he|wrote Boléro
Béla Bartók|1881|1945|Hungarian|composer|he|collected folk songs
Igor Stravinsky|1882|1971|Russian|composer|he|wrote The Rite of Spring
Sergei Prokofiev|1891|1953|Russian|composer|he|wrote Peter and the Wolf
George Gershwin|1898|1937|American|composer|he|wrote Rhapsody in Blue
Louis Armstrong|1901|1971|American|trumpeter and singer|he|was one of the great figures of jazz
Duke Ellington|1899|1974|American|composer and pianist|he|led a famous jazz orchestra
Dmitri Shostakovich|1906|1975|Russian|composer|he|wrote fifteen symphonies
Edith Piaf|1915|1963|French|singer|she|sang La Vie en rose
Leonardo da Vinci|1452|1519|Italian|painter and engineer|he|painted the Mona Lisa
Michelangelo|1475|1564|Italian|sculptor and painter|he|painted the ceiling of the Sistine Chapel
Raphael|1483|1520|Italian|painter|he|painted The School of Athens
Sandro Botticelli|c. 1445|1510|Italian|painter|he|painted The Birth of Venus
Caravaggio|1571|1610|Italian|painter|he|painted with strong light and deep shadow
Artemisia Gentileschi|1593|c. 1656|Italian|painter|she|painted Judith Slaying Holofernes
Albrecht Dürer|1471|1528|German|painter and engraver|he|drew a famous picture of a young hare
Jan van Eyck|c. 1390|1441|Flemish|painter|he|painted the Arnolfini Portrait
Pieter Bruegel the Elder|c. 1525|1569|Flemish|painter|he|painted scenes from the life of peasants
Peter Paul Rubens|1577|1640|Flemish|painter|he|painted large altarpieces and scenes from myths
Rembrandt|1606|1669|Dutch|painter|he|painted The Night Watch
Johannes Vermeer|1632|1675|Dutch|painter|he|painted Girl with a Pearl Earring
Vincent van Gogh|1853|1890|Dutch|painter|he|painted The Starry Night
Piet Mondrian|1872|1944|Dutch|painter|he|painted grids of black lines and bright colours
El Greco|1541|1614|Greek|painter|he|painted in Toledo in Spain
Diego Velázquez|1599|1660|Spanish|painter|he|painted Las Meninas
Francisco Goya|1746|1828|Spanish|painter|he|painted The Third of May 1808
Pablo Picasso|1881|1973|Spanish|painter and sculptor|he|painted Guernica
Joan Miró|1893|1983|Spanish|painter|he|painted dreamlike signs and shapes
Salvador Dalí|1904|1989|Spanish|painter|he|painted The Persistence of Memory
Antoni Gaudí|1852|1926|Spanish|architect|he|designed the Sagrada Família in Barcelona
Eugène Delacroix|1798|1863|French|painter|he|painted Liberty Leading the People
Édouard Manet|1832|1883|French|painter|he|painted Olympia
Claude Monet|1840|1926|French|painter|he|painted water lilies again and again
Edgar Degas|1834|1917|French|painter|he|painted dancers of the ballet
Berthe Morisot|1841|1895|French|painter|she|was one of the leading Impressionists
Pierre-Auguste Renoir|1841|1919|French|painter|he|painted people in sunlight
Paul Cézanne|1839|1906|French|painter|he|painted apples and a mountain in Provence
Paul Gauguin|1848|1903|French|painter|he|painted in Tahiti
Auguste Rodin|1840|1917|French|sculptor|he|made The Thinker
Henri Matisse|1869|1954|French|painter|he|painted with bright colours and cut shapes from paper
J. M. W. Turner|1775|1851|English|painter|he|painted light, sea and storms
John Constable|1776|1837|English|painter|he|painted The Hay Wain
Christopher Wren|1632|1723|English|architect|he|designed St Paul's Cathedral in London
Caspar David Friedrich|1774|1840|German|painter|he|painted Wanderer above the Sea of Fog
Gustav Klimt|1862|1918|Austrian|painter|he|painted The Kiss
Edvard Munch|1863|1944|Norwegian|painter|he|painted The Scream
Wassily Kandinsky|1866|1944|Russian|painter|he|was one of the first abstract painters
Kazimir Malevich|1879|1935|Russian|painter|he|painted a black square
Hokusai|1760|1849|Japanese|painter and printmaker|he|made The Great Wave off Kanagawa
Hiroshige|1797|1858|Japanese|printmaker|he|made pictures of the road from Edo to Kyoto
Frida Kahlo|1907|1954|Mexican|painter|she|painted many portraits of herself
Diego Rivera|1886|1957|Mexican|painter|he|painted large murals
Georgia O'Keeffe|1887|1986|American|painter|she|painted large flowers and the deserts of New Mexico
Edward Hopper|1882|1967|American|painter|he|painted Nighthawks
Andy Warhol|1928|1987|American|artist|he|painted soup cans
Frank Lloyd Wright|1867|1959|American|architect|he|designed the house called Fallingwater
Charlie Chaplin|1889|1977|English|actor and film director|he|played the Tramp in silent films
Walt Disney|1901|1966|American|film producer|he|created Mickey Mouse
Alfred Hitchcock|1899|1980|English|film director|he|made Psycho and The Birds
Akira Kurosawa|1910|1998|Japanese|film director|he|made Seven Samurai
""",
)

LEADERS = read_table(
    Person,
    """
Alexander the Great|356 BC|323 BC|Macedonian|king|he|conquered an empire from Greece to India
Julius Caesar|100 BC|44 BC|Roman|general and statesman|he|conquered Gaul and was murdered in Rome
Cleopatra|69 BC|30 BC|Egyptian|queen|she|was the last ruler of ancient Egypt before it became Roman
Augustus|63 BC|AD 14|Roman|emperor|he|was the first emperor of Rome
Socrates|c. 470 BC|399 BC|Greek|philosopher|he|taught by asking questions
Plato|c. 427 BC|c. 347 BC|Greek|philosopher|he|wrote The Republic and founded the Academy in Athens
Aristotle|384 BC|322 BC|Greek|philosopher|he|wrote on logic, nature and politics and taught Alexander the Great
Archimedes|c. 287 BC|c. 212 BC|Greek|mathematician|he|explained why bodies float
Confucius|551 BC|479 BC|Chinese|philosopher|he|taught respect, learning and good government
Charlemagne|c. 747|814|Frankish|king and emperor|he|was crowned emperor in Rome in 800
William the Conqueror|c. 1028|1087|Norman|king|he|won the Battle of Hastings and became King of England
Saladin|c. 1137|1193|Kurdish|sultan|he|took Jerusalem from the crusaders
Genghis Khan|c. 1162|1227|Mongol|ruler|he|founded the Mongol Empire
Marco Polo|1254|1324|Venetian|traveller|he|described his journey to China
Ibn Battuta|1304|c. 1368|Moroccan|traveller|he|journeyed through much of Africa and Asia
Joan of Arc|c. 1412|1431|French|military leader|she|led French soldiers at Orléans
Christopher Columbus|1451|1506|Genoese|explorer|he|sailed to America in 1492
Vasco da Gama|c. 1460|1524|Portuguese|explorer|he|found the sea route from Europe to India
Ferdinand Magellan|c. 1480|1521|Portuguese|explorer|he|led the voyage that first sailed around the world
Martin Luther|1483|1546|German|theologian|he|began the Reformation
Suleiman the Magnificent|1494|1566|Ottoman|sultan|he|ruled the Ottoman Empire at the height of its power
Elizabeth I|1533|1603|English|queen|she|ruled when the Spanish Armada was defeated
Francis Drake|c. 1540|1596|English|explorer|he|sailed around the world
Louis XIV|1638|1715|French|king|he|built the Palace of Versailles
Peter the Great|1672|1725|Russian|emperor|he|founded Saint Petersburg
Catherine the Great|1729|1796|Russian|empress|she|ruled Russia for thirty-four years
Maria Theresa|1717|1780|Austrian|ruler|she|ruled the lands of the Habsburgs for forty years
James Cook|1728|1779|English|explorer|he|mapped New Zealand and the east coast of Australia
George Washington|1732|1799|American|general and statesman|he|was the first President of the United States
Thomas Jefferson|1743|1826|American|statesman|he|wrote most of the Declaration of Independence
Napoleon|1769|1821|French|general and emperor|he|ruled much of Europe and lost the Battle of Waterloo
Simón Bolívar|1783|1830|Venezuelan|general and statesman|he|led much of South America to independence
José de San Martín|1778|1850|Argentine|general|he|led Argentina, Chile and Peru to independence
Toussaint Louverture|1743|1803|Haitian|general|he|led the revolution in Haiti
Abraham Lincoln|1809|1865|American|statesman|he|was President of the United States during the Civil War
Queen Victoria|1819|1901|British|queen|she|ruled the United Kingdom for more than sixty-three years
Otto von Bismarck|1815|1898|German|statesman|he|united Germany in 1871
Giuseppe Garibaldi|1807|1882|Italian|general|he|fought for the unity of Italy
Florence Nightingale|1820|1910|English|nurse|she|founded modern nursing
Henry Dunant|1828|1910|Swiss|humanitarian|he|founded the Red Cross
David Livingstone|1813|1873|Scottish|explorer and missionary|he|was the first European to see the Victoria Falls
Roald Amundsen|1872|1928|Norwegian|explorer|he|was the first person to reach the South Pole
Robert Falcon Scott|1868|1912|English|explorer|he|reached the South Pole in 1912 and died on the way back
Ernest Shackleton|1874|1922|Irish|explorer|he|saved all his men when his ship was crushed by ice
Fridtjof Nansen|1861|1930|Norwegian|explorer and statesman|he|crossed Greenland on skis
Emmeline Pankhurst|1858|1928|English|suffragette|she|fought for the right of women to vote
Mahatma Gandhi|1869|1948|Indian|lawyer and leader|he|led India to independence without violence
Jawaharlal Nehru|1889|1964|Indian|statesman|he|was the first Prime Minister of India
Sun Yat-sen|1866|1925|Chinese|statesman|he|was the first president of the Republic of China
Mustafa Kemal Atatürk|1881|1938|Turkish|general and statesman|he|founded the Republic of Turkey
Vladimir Lenin|1870|1924|Russian|revolutionary|he|led the October Revolution in 1917
Winston Churchill|1874|1965|British|statesman|he|was Prime Minister of the United Kingdom during the Second World War
Franklin D. Roosevelt|1882|1945|American|statesman|he|was elected President of the United States four times
Eleanor Roosevelt|1884|1962|American|diplomat|she|helped to write the Universal Declaration of Human Rights
Charles de Gaulle|1890|1970|French|general and statesman|he|was the first president of the Fifth Republic of France
Martin Luther King Jr.|1929|1968|American|minister and activist|he|gave the speech I Have a Dream
Rosa Parks|1913|2005|American|activist|she|refused to give up her seat on a bus in Montgomery
John F. Kennedy|1917|1963|American|statesman|he|was President of the United States from 1961 to 1963
Nelson Mandela|1918|2013|South African|statesman|he|was the first black president of South Africa
Kwame Nkrumah|1909|1972|Ghanaian|statesman|he|led Ghana to independence
Wangari Maathai|1940|2011|Kenyan|activist|she|founded a movement that planted millions of trees
Anne Frank|1929|1945|German-Dutch|diarist|she|wrote a diary while hiding in Amsterdam
Amelia Earhart|1897|1937|American|aviator|she|was the first woman to fly alone across the Atlantic Ocean
Charles Lindbergh|1902|1974|American|aviator|he|flew alone from New York to Paris in 1927
Yuri Gagarin|1934|1968|Soviet|cosmonaut|he|was the first human in space
Neil Armstrong|1930|2012|American|astronaut|he|was the first person to walk on the Moon
Edmund Hillary|1919|2008|New Zealand|mountaineer|he|climbed Mount Everest with Tenzing Norgay in 1953
Mother Teresa|1910|1997|Albanian-Indian|nun|she|cared for the poor of Calcutta
Mikhail Gorbachev|1931|2022|Russian|statesman|he|was the last leader of the Soviet Union
""",
)
