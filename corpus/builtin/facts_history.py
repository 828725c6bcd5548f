"""Facts about events of history."""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Event(NamedTuple):
    """One event: `year` is when it happened or began, `about` a clause that follows "In that year"."""

    year: str
    name: str
    place: str
    about: str
    later: str


EVENTS = read_table(
    Event,
    """
1066|the Battle of Hastings|England|William the Conqueror defeated King Harold|After the battle the Normans ruled England.
1088|the founding of the University of Bologna|Italy|teachers and students formed what is often called the oldest university in Europe|The university still exists.
1099|the capture of Jerusalem by the First Crusade|the Middle East|crusaders took Jerusalem|The crusaders held the city until Saladin took it in 1187.
1206|the founding of the Mongol Empire|Mongolia|Genghis Khan became ruler of all the Mongols|The Mongol Empire became the largest empire on connected land.
1215|the sealing of Magna Carta|England|King John agreed to limit his power|Magna Carta became a symbol of the rule of law.
1271|the departure of Marco Polo|Venice|Marco Polo set out for China|Marco Polo came home after twenty-four years.
1337|the beginning of the Hundred Years' War|France and England|the kings of France and England began to fight over the French crown|The Hundred Years' War ended in 1453.
1347|the arrival of the Black Death in Europe|Europe|ships brought the plague to Sicily|The disease killed a large part of the people of Europe.
1368|the founding of the Ming dynasty|China|Zhu Yuanzhang became emperor|The dynasty ruled China until 1644.
1431|the death of Joan of Arc|France|Joan of Arc was burned at Rouen|Joan of Arc was later declared a saint.
1453|the fall of Constantinople|the Byzantine Empire|the Ottoman army of Mehmed II took Constantinople|The Byzantine Empire came to its end.
1455|the printing of the Gutenberg Bible|Germany|Johannes Gutenberg was finishing his printed Bible|Printed books spread through all of Europe.
1488|the rounding of the Cape of Good Hope|Africa|Bartolomeu Dias sailed around the southern end of Africa|The way to India was open.
1492|the first voyage of Christopher Columbus|the Atlantic Ocean|Christopher Columbus sailed from Spain and reached America|Christopher Columbus made three more voyages.
1498|the voyage of Vasco da Gama to India|the Indian Ocean|Vasco da Gama reached India by sea|Portugal became a great trading power.
1517|the beginning of the Reformation|Germany|Martin Luther published his ninety-five theses|The western church was divided.
1521|the fall of Tenochtitlan|Mexico|Spanish soldiers and their allies conquered the Aztec capital|Mexico City stands on its ruins.
1522|the first voyage around the world|the oceans|the last ship of Ferdinand Magellan came back to Spain|This ship had sailed around the whole Earth.
1543|the publication of the heliocentric system|Poland|Nicolaus Copernicus published his book on the movements of the heavens|The book changed the picture of the world.
1571|the Battle of Lepanto|Greece|a Christian fleet defeated the Ottoman fleet|The Battle of Lepanto was one of the last great battles of galleys.
1582|the introduction of the Gregorian calendar|Rome|Pope Gregory XIII reformed the calendar|Ten days were left out in October.
1588|the defeat of the Spanish Armada|the English Channel|a great Spanish fleet failed to conquer England|Many ships were lost in storms.
1609|the first use of a telescope by Galileo|Italy|Galileo Galilei began to look at the sky with a telescope|Galileo Galilei soon found four moons of Jupiter.
1618|the beginning of the Thirty Years' War|Central Europe|a war began with a revolt in Prague|The Thirty Years' War ended with the Peace of Westphalia in 1648.
1620|the voyage of the Mayflower|the Atlantic Ocean|the Pilgrims sailed to North America|The Pilgrims founded the colony of Plymouth.
1648|the Peace of Westphalia|Germany|treaties ended the Thirty Years' War|The independence of the Netherlands and of Switzerland was recognized.
1666|the Great Fire of London|England|a fire destroyed much of London|Christopher Wren built the new cathedral.
1683|the second siege of Vienna|Austria|an Ottoman army besieged Vienna without success|The Ottoman Empire lost Hungary soon after.
1687|the publication of the laws of motion|England|Isaac Newton published his great book, the Principia|The Principia became a foundation of physics.
1703|the founding of Saint Petersburg|Russia|Peter the Great founded a new city on the Baltic Sea|Saint Petersburg was the capital of Russia for about two centuries.
1755|the Lisbon earthquake|Portugal|an earthquake and a great wave destroyed Lisbon|The city was rebuilt with wide streets.
1756|the beginning of the Seven Years' War|Europe and the colonies|a war began that was fought on several continents|The Seven Years' War ended in 1763.
1776|the Declaration of Independence of the United States|Philadelphia|thirteen colonies declared their independence from Great Britain|The fourth of July became a national holiday.
1783|the first flight of people in a balloon|France|two men flew over Paris in a balloon of the Montgolfier brothers|Ballooning became a fashion.
1788|the beginning of the British colony in Australia|Australia|the First Fleet arrived at Sydney|The colony began as a prison.
1789|the beginning of the French Revolution|France|the people of Paris stormed the Bastille|The fourteenth of July became a national holiday.
1791|the beginning of the Haitian Revolution|Haiti|slaves rose against their masters|Haiti became independent in 1804.
1796|the first vaccination against smallpox|England|Edward Jenner gave a boy the first vaccination|Smallpox was declared eradicated in 1980.
1799|the discovery of the Rosetta Stone|Egypt|French soldiers found a stone with three scripts|The stone helped Jean-François Champollion to read hieroglyphs.
1803|the Louisiana Purchase|North America|the United States bought a vast territory from France|The size of the country was about doubled.
1804|the coronation of Napoleon|France|Napoleon crowned himself emperor|His rule ended in 1815.
1805|the Battle of Trafalgar|Spain|the British fleet of Horatio Nelson defeated the French and Spanish fleets|Nelson died in the battle.
1815|the Battle of Waterloo|Belgium|Napoleon lost his last battle|Napoleon was sent to the island of Saint Helena.
1825|the opening of the Stockton and Darlington Railway|England|the first public railway with steam locomotives was opened|Railways soon spread over the world.
1833|the law that ended slavery in the British Empire|the United Kingdom|parliament passed a law against slavery|The law came into force in 1834.
1837|the accession of Queen Victoria|the United Kingdom|Victoria became queen|Queen Victoria ruled until 1901.
1845|the beginning of the Great Famine in Ireland|Ireland|a disease destroyed the potatoes of Ireland|Many people died, and many left the country.
1848|the wave of revolutions of 1848|Europe|people in many countries of Europe rose against their rulers|Most of these revolutions failed.
1851|the Great Exhibition|the United Kingdom|goods from all over the world were shown in the Crystal Palace in London|Millions of people came to see it.
1859|the publication of On the Origin of Species|the United Kingdom|Charles Darwin published his book on evolution|The book founded modern biology.
1861|the beginning of the American Civil War|the United States|war began between the northern and the southern states|The American Civil War ended in 1865 with the end of slavery.
1863|the founding of the Red Cross|Switzerland|a committee was founded in Geneva to help wounded soldiers|Henry Dunant received the first Nobel Peace Prize in 1901.
1867|the Canadian Confederation|Canada|three British colonies formed the Dominion of Canada|The first of July became a national holiday.
1869|the opening of the Suez Canal|Egypt|a canal between the Mediterranean Sea and the Red Sea was opened|Ships no longer had to sail around Africa.
1871|the unification of Germany|Germany|the German Empire was proclaimed at Versailles|Otto von Bismarck became its chancellor.
1876|the first telephone call|the United States|Alexander Graham Bell spoke to his assistant over a wire|The telephone changed daily life.
1883|the eruption of Krakatoa|Indonesia|the volcano erupted with a sound heard thousands of kilometres away|Ash coloured the evening sky all over the world.
1889|the opening of the Eiffel Tower|France|a tower of iron was opened in Paris for a world's fair|The Eiffel Tower was the tallest structure of the world until 1930.
1893|the women's vote in New Zealand|New Zealand|New Zealand was the first country in which all women could vote|Other countries followed later.
1896|the revival of the Olympic Games|Greece|athletes from several countries met in Athens|The Olympic Games are held every four years.
1901|the first award of the Nobel Prizes|Sweden|the first Nobel Prizes were given|Wilhelm Röntgen received the prize in physics.
1903|the first flight of the Wright brothers|the United States|Orville Wright flew for twelve seconds|Aviation grew quickly afterwards.
1905|the publication of the theory of special relativity|Switzerland|Albert Einstein published his theory|Albert Einstein was working in the patent office at Bern.
1906|the San Francisco earthquake|the United States|an earthquake and fires destroyed much of San Francisco|The city was soon rebuilt.
1911|the first journey to the South Pole|Antarctica|Roald Amundsen reached the South Pole|Robert Falcon Scott came five weeks later.
1912|the sinking of the Titanic|the Atlantic Ocean|the ship struck an iceberg on her first voyage|More than 1,500 people died.
1914|the beginning of the First World War|Europe|a war began after a murder in Sarajevo|The First World War ended in 1918.
1917|the Russian Revolution|Russia|the emperor gave up his throne, and the Bolsheviks later took power|The Soviet Union was founded in 1922.
1918|the end of the First World War|Europe|an armistice was signed on 11 November|The Treaty of Versailles followed in 1919.
1919|the Treaty of Versailles|France|a treaty of peace was signed in the palace of Versailles|The League of Nations was founded in 1920.
1920|the founding of the League of Nations|Switzerland|many states joined in a league to keep the peace|The United Nations took its place.
1922|the discovery of the tomb of Tutankhamun|Egypt|Howard Carter found the tomb of a young pharaoh|The treasures of the tomb are in Egypt.
1923|the founding of the Republic of Turkey|Turkey|Turkey became a republic|Mustafa Kemal Atatürk was its first president.
1927|the flight of Charles Lindbergh|the Atlantic Ocean|Charles Lindbergh flew alone from New York to Paris|The flight of Lindbergh took more than thirty-three hours.
1928|the discovery of penicillin|the United Kingdom|Alexander Fleming found that a mould killed bacteria|Penicillin has saved millions of lives.
1929|the Wall Street crash|the United States|the prices of shares fell sharply in New York|The Great Depression followed.
1930|the first World Cup of football|Uruguay|thirteen teams played in Montevideo|Uruguay won the cup.
1936|the opening of the Olympic Games in Berlin|Germany|the games were held in Berlin|Jesse Owens won four gold medals.
1937|the opening of the Golden Gate Bridge|the United States|a great bridge was opened in San Francisco|The towers of the Golden Gate Bridge are painted orange.
1939|the beginning of the Second World War|Europe|Germany invaded Poland|The Second World War ended in 1945.
1941|the attack on Pearl Harbor|the United States|Japan attacked an American harbour in Hawaii|The United States entered the Second World War.
1944|the landing of the Allies in Normandy|France|Allied soldiers landed on the coast of Normandy|Paris was freed in August.
1945|the end of the Second World War|Europe and Asia|Germany surrendered in May, and Japan announced its surrender in August|The United Nations was founded in the same year.
1947|the partition of British India|India|British India was divided into India and Pakistan|Jawaharlal Nehru became Prime Minister of India.
1948|the Universal Declaration of Human Rights|France|the United Nations adopted the declaration in Paris|The declaration has been translated into hundreds of languages.
1949|the founding of the People's Republic of China|China|Mao Zedong proclaimed the republic in Beijing|The government of the Republic of China moved to Taiwan.
1953|the first ascent of Mount Everest|Nepal|Edmund Hillary and Tenzing Norgay reached the top|Thousands of climbers have followed.
1957|the launch of Sputnik 1|the Soviet Union|the first artificial satellite was launched|The space age began.
1961|the flight of Yuri Gagarin|the Soviet Union|Yuri Gagarin was the first human in space|The flight of Gagarin lasted 108 minutes.
1963|the March on Washington|the United States|Martin Luther King Jr. spoke of his dream|The Civil Rights Act followed in 1964.
1967|the first transplant of a human heart|South Africa|Christiaan Barnard transplanted a heart in Cape Town|Such operations are done all over the world today.
1969|the first landing on the Moon|the Moon|Neil Armstrong and Buzz Aldrin walked on the Moon|Five more landings followed until 1972.
1971|the first electronic mail between computers|the United States|Ray Tomlinson sent the first message of this kind over a network|Ray Tomlinson chose the sign @ for the addresses.
1973|the opening of the Sydney Opera House|Australia|the opera house was opened in Sydney|Jørn Utzon had designed it.
1975|the end of the Vietnam War|Vietnam|Saigon fell to the army of North Vietnam|Vietnam was united in 1976.
1978|the birth of the first child after fertilization outside the body|the United Kingdom|Louise Brown was born|Millions of children have been born in this way.
1980|the eradication of smallpox|the world|the World Health Organization declared that smallpox was eradicated|Smallpox was the first human disease to be eradicated.
1986|the Chernobyl disaster|Ukraine|a reactor of a nuclear power station exploded|A large area had to be abandoned.
1989|the fall of the Berlin Wall|Germany|the border between East and West Berlin was opened|Germany was united in 1990.
1990|the reunification of Germany|Germany|East Germany joined the Federal Republic of Germany|The third of October became a national holiday.
1991|the end of the Soviet Union|the Soviet Union|the Soviet Union was dissolved into fifteen states|Russia was the largest of them.
1993|the founding of the European Union|Europe|the Maastricht Treaty came into force|The euro was introduced in 1999.
1994|the first democratic election in South Africa|South Africa|people of all groups could vote|Nelson Mandela became president.
1997|the victory of Deep Blue over a chess champion|the United States|the computer Deep Blue won a match against Garry Kasparov|Computers have played better than people since then.
1999|the introduction of the euro|Europe|eleven countries began to use the euro in banking|Coins and notes followed in 2002.
2003|the completion of the human genome project|the world|scientists announced that they had read most of the human genome|The last gaps were closed later.
2004|the tsunami in the Indian Ocean|the Indian Ocean|an earthquake near Sumatra caused a great wave|More than 200,000 people died.
2010|the opening of the Burj Khalifa|the United Arab Emirates|the tallest building of the world was opened in Dubai|The Burj Khalifa is 828 metres high.
2011|the founding of the Republic of South Sudan|South Sudan|South Sudan became independent from Sudan|Juba became its capital.
2012|the discovery of the Higgs boson|Switzerland|scientists at CERN announced a new particle|Peter Higgs had predicted it in 1964.
2015|the first detection of gravitational waves|the United States|two detectors felt the waves of two merging black holes|Albert Einstein had predicted such waves.
""",
)
