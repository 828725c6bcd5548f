"""Facts about cities, rivers, mountains, lakes, seas, deserts, islands, and the states of the United States.

A country is written as in `facts_countries.py`; several are separated by commas.
"""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Place(NamedTuple):
    """One city, river, mountain or other place; `about` follows its name."""

    name: str
    countries: str
    about: str


class State(NamedTuple):
    """One state of the United States; `admitted` is the year in which it ratified the constitution or was admitted."""

    name: str
    capital: str
    code: str
    admitted: str
    largest: str
    nickname: str


CITIES = read_table(
    Place,
    """
Sydney|Australia|is famous for its opera house and harbour bridge
Melbourne|Australia|is known for coffee, trams and a great tennis tournament
Perth|Australia|lies on the coast of the Indian Ocean
Salzburg|Austria|is the birthplace of Wolfgang Amadeus Mozart
Antwerp|Belgium|has a large port and is a centre of the diamond trade
Bruges|Belgium|has canals and old brick houses
São Paulo|Brazil|is the most populous city of South America
Rio de Janeiro|Brazil|is known for its carnival and the statue of Christ the Redeemer
Toronto|Canada|lies on Lake Ontario and has a very high tower
Montreal|Canada|is a large French-speaking city on the Saint Lawrence River
Vancouver|Canada|lies between the Pacific Ocean and high mountains
Shanghai|China|has one of the busiest ports of the world
Guangzhou|China|is a centre of trade on the Pearl River
Xi'an|China|is known for the Terracotta Army
Medellín|Colombia|is called the city of eternal spring
Dubrovnik|Croatia|is surrounded by old stone walls
Alexandria|Egypt|was founded by Alexander the Great and had a famous library
Marseille|France|is a large port on the Mediterranean Sea
Lyon|France|stands where the Saône flows into the Rhône
Bordeaux|France|is known for its wine
Strasbourg|France|is a seat of the European Parliament
Nice|France|lies on the coast of the Mediterranean Sea
Hamburg|Germany|has a large port on the river Elbe
Munich|Germany|is the capital of Bavaria and holds the Oktoberfest
Cologne|Germany|has a great Gothic cathedral on the Rhine
Frankfurt|Germany|is a centre of banking on the river Main
Leipzig|Germany|is the city where Johann Sebastian Bach worked for many years
Thessaloniki|Greece|is a port on the Aegean Sea
Mumbai|India|is the centre of the Hindi film industry
Kolkata|India|was once the capital of British India
Varanasi|India|is a holy city on the Ganges
Agra|India|is the city of the Taj Mahal
Isfahan|Iran|is known for its blue mosques and a great square
Florence|Italy|was a centre of the Renaissance
Venice|Italy|is built on islands and has canals instead of streets
Milan|Italy|is known for fashion and a great cathedral
Naples|Italy|lies near the volcano Vesuvius
Osaka|Japan|is known for its castle and its food
Kyoto|Japan|was the seat of the emperor for more than a thousand years
Hiroshima|Japan|was destroyed by an atomic bomb in 1945 and was rebuilt
Almaty|Kazakhstan|lies at the foot of high mountains
Mombasa|Kenya|is a port on the Indian Ocean
Timbuktu|Mali|was a centre of learning on the edge of the Sahara
Marrakesh|Morocco|is known for its red walls and its markets
Casablanca|Morocco|has a great mosque on the shore of the Atlantic Ocean
Rotterdam|the Netherlands|has the largest port of Europe
The Hague|the Netherlands|is the seat of the International Court of Justice
Auckland|New Zealand|lies between two harbours
Lagos|Nigeria|is one of the most populous cities of Africa
Bergen|Norway|is the gateway to the western fjords
Karachi|Pakistan|is a port on the Arabian Sea
Cusco|Peru|was the capital of the Inca Empire
Kraków|Poland|was once the seat of the Polish kings
Gdańsk|Poland|is a port on the Baltic Sea
Porto|Portugal|gave its name to port wine
Saint Petersburg|Russia|was founded by Peter the Great in 1703
Vladivostok|Russia|is the eastern end of the Trans-Siberian Railway
Mecca|Saudi Arabia|is the holiest city of Islam
Cape Town|South Africa|lies at the foot of Table Mountain
Johannesburg|South Africa|grew up around gold mines
Busan|South Korea|is a large port on the Korea Strait
Barcelona|Spain|is known for the Sagrada Família
Seville|Spain|is known for flamenco and orange trees
Granada|Spain|is the city of the Alhambra
Gothenburg|Sweden|is a port on the western coast
Geneva|Switzerland|is a seat of the United Nations and of the Red Cross
Zürich|Switzerland|is a centre of banking on a lake
Aleppo|Syria|is one of the oldest cities that are still inhabited
Istanbul|Turkey|lies on two continents, Europe and Asia
Dubai|the United Arab Emirates|has the tallest building of the world
Odesa|Ukraine|is a port on the Black Sea
Edinburgh|the United Kingdom|is the capital of Scotland
Cardiff|the United Kingdom|is the capital of Wales
Belfast|the United Kingdom|is the capital of Northern Ireland
Manchester|the United Kingdom|was a centre of the cotton industry
Liverpool|the United Kingdom|is the home of the Beatles
Oxford|the United Kingdom|has the oldest university of the English-speaking world
Cambridge|the United Kingdom|has a university that was founded in 1209
New York City|the United States|is the most populous city of the United States
Los Angeles|the United States|is the home of the film industry of Hollywood
Chicago|the United States|lies on Lake Michigan
San Francisco|the United States|is known for the Golden Gate Bridge
New Orleans|the United States|is known as the birthplace of jazz
Philadelphia|the United States|is the city where the Declaration of Independence was signed
Samarkand|Uzbekistan|was an important city on the Silk Road
Ho Chi Minh City|Vietnam|was formerly called Saigon
""",
)

RIVERS = read_table(
    Place,
    """
the Nile|Uganda, South Sudan, Sudan, Egypt|flows into the Mediterranean Sea and is one of the two longest rivers of the world
the Amazon|Peru, Colombia, Brazil|carries more water than any other river and flows into the Atlantic Ocean
the Congo|the Democratic Republic of the Congo, the Republic of the Congo|crosses the equator twice and is the deepest river known
the Niger|Guinea, Mali, Niger, Nigeria|flows in a great bend into the Gulf of Guinea
the Zambezi|Zambia, Angola, Namibia, Zimbabwe, Mozambique|falls over the Victoria Falls
the Orange River|Lesotho, South Africa, Namibia|flows into the Atlantic Ocean
the Yangtze|China|is the longest river of Asia
the Yellow River|China|carries yellow soil and is called the cradle of Chinese civilization
the Mekong|China, Myanmar, Laos, Thailand, Cambodia, Vietnam|ends in a wide delta on the South China Sea
the Ganges|India, Bangladesh|is holy to Hindus and flows into the Bay of Bengal
the Indus|China, India, Pakistan|flows into the Arabian Sea
the Brahmaputra|China, India, Bangladesh|rises in Tibet and joins the Ganges
the Irrawaddy|Myanmar|flows into the Andaman Sea
the Euphrates|Turkey, Syria, Iraq|is one of the two rivers of Mesopotamia
the Tigris|Turkey, Syria, Iraq|is one of the two rivers of Mesopotamia
the Jordan|Israel, Jordan|flows into the Dead Sea
the Volga|Russia|is the longest river of Europe and flows into the Caspian Sea
the Ob|Russia|flows through Siberia into the Arctic Ocean
the Yenisei|Russia|flows through Siberia into the Arctic Ocean
the Lena|Russia|flows through Siberia into the Arctic Ocean
the Amur|China, Russia|forms a part of the border between two countries
the Danube|Germany, Austria, Slovakia, Hungary, Croatia, Serbia, Romania, Bulgaria, Moldova, Ukraine|flows through four capitals into the Black Sea
the Rhine|Switzerland, Liechtenstein, Austria, Germany, France, the Netherlands|flows from the Alps to the North Sea
the Elbe|the Czech Republic, Germany|flows into the North Sea
the Oder|the Czech Republic, Poland, Germany|flows into the Baltic Sea
the Vistula|Poland|flows into the Baltic Sea
the Seine|France|flows through Paris into the English Channel
the Loire|France|is the longest river of France and is lined with castles
the Rhône|Switzerland, France|flows through Lake Geneva into the Mediterranean Sea
the Garonne|France, Spain|rises in the Pyrenees and flows through Toulouse and Bordeaux
the Thames|the United Kingdom|flows through Oxford and London into the North Sea
the Severn|the United Kingdom|is the longest river of Great Britain
the Shannon|Ireland|is the longest river of Ireland
the Po|Italy|is the longest river of Italy and flows into the Adriatic Sea
the Tiber|Italy|flows through Rome
the Ebro|Spain|flows into the Mediterranean Sea
the Tagus|Spain, Portugal|is the longest river of the Iberian Peninsula
the Douro|Spain, Portugal|flows through Porto into the Atlantic Ocean
the Dnieper|Russia, Belarus, Ukraine|flows through Kyiv into the Black Sea
the Mississippi|the United States|flows into the Gulf of Mexico
the Missouri|the United States|is the longest river of North America and joins the Mississippi
the Colorado|the United States, Mexico|carved the Grand Canyon
the Rio Grande|the United States, Mexico|forms a part of the border between two countries
the Yukon|Canada, the United States|flows into the Bering Sea
the Mackenzie|Canada|is the longest river of Canada and flows into the Arctic Ocean
the Saint Lawrence|Canada, the United States|leads from the Great Lakes to the Atlantic Ocean
the Paraná|Brazil, Paraguay, Argentina|is the second longest river of South America
the Orinoco|Venezuela, Colombia|flows into the Atlantic Ocean
the Murray|Australia|is the longest river of Australia
""",
)

MOUNTAINS = read_table(
    Place,
    """
Mount Everest|Nepal, China|is the highest mountain above sea level, with a height of 8,849 metres
K2|Pakistan, China|is the second highest mountain, with a height of 8,611 metres
Kangchenjunga|Nepal, India|is the third highest mountain, with a height of 8,586 metres
Lhotse|Nepal, China|is the fourth highest mountain, with a height of 8,516 metres
Makalu|Nepal, China|is the fifth highest mountain, with a height of 8,485 metres
Nanga Parbat|Pakistan|has a height of 8,126 metres
Annapurna|Nepal|has a height of 8,091 metres
Aconcagua|Argentina|is the highest mountain of South America
Chimborazo|Ecuador|has the point of the Earth's surface that is farthest from its centre
Cotopaxi|Ecuador|is a volcano in the Andes
Denali|the United States|is the highest mountain of North America
Mount Rainier|the United States|is a volcano near Seattle
Mauna Kea|the United States|is a volcano in Hawaii with large telescopes
Mount Logan|Canada|is the highest mountain of Canada
Pico de Orizaba|Mexico|is the highest mountain of Mexico
Popocatépetl|Mexico|is an active volcano not far from the capital
Kilimanjaro|Tanzania|is the highest mountain of Africa, with a height of 5,895 metres
Mount Kenya|Kenya|is the second highest mountain of Africa
Toubkal|Morocco|is the highest mountain of the Atlas
Mount Cameroon|Cameroon|is an active volcano near the Gulf of Guinea
Elbrus|Russia|is the highest mountain of the Caucasus, with a height of 5,642 metres
Mont Blanc|France, Italy|is the highest mountain of the Alps
the Matterhorn|Switzerland, Italy|has the shape of a pyramid and was first climbed in 1865
the Eiger|Switzerland|is famous for its steep north face
Zugspitze|Germany, Austria|is the highest mountain of Germany
Grossglockner|Austria|is the highest mountain of Austria
Triglav|Slovenia|is the highest mountain of Slovenia
Mount Olympus|Greece|was the home of the gods in Greek myths
Vesuvius|Italy|is the volcano that buried Pompeii in AD 79
Etna|Italy|is an active volcano on Sicily
Teide|Spain|is a volcano on the island of Tenerife
Ben Nevis|the United Kingdom|is the highest mountain of Scotland
Snowdon|the United Kingdom|is the highest mountain of Wales
Galdhøpiggen|Norway|is the highest mountain of Norway
Kebnekaise|Sweden|is the highest mountain of Sweden
Musala|Bulgaria|is the highest mountain of the Balkans
Mount Ararat|Turkey|is the highest mountain of Turkey
Damavand|Iran|is the highest mountain of Iran
Mount Fuji|Japan|is the highest mountain of Japan, with a height of 3,776 metres
Krakatoa|Indonesia|is a volcano that erupted with great force in 1883
Kinabalu|Malaysia|is the highest mountain of Malaysia
Pinatubo|the Philippines|is a volcano that erupted with great force in 1991
Aoraki|New Zealand|is the highest mountain of New Zealand and is also called Mount Cook
Mount Kosciuszko|Australia|is the highest mountain of the Australian mainland
""",
)

WATERS = read_table(
    Place,
    """
Lake Victoria|Uganda, Kenya, Tanzania|is the largest lake of Africa
Lake Tanganyika|Tanzania, the Democratic Republic of the Congo, Burundi, Zambia|is the longest freshwater lake of the world
Lake Malawi|Malawi, Mozambique, Tanzania|is home to hundreds of kinds of cichlid fish
Lake Chad|Chad, Cameroon, Niger, Nigeria|has become much smaller since the 1960s
Lake Baikal|Russia|is the deepest lake of the world
Lake Ladoga|Russia|is the largest lake that lies wholly in Europe
Lake Superior|the United States, Canada|is the largest of the Great Lakes
Lake Michigan|the United States|is the only one of the Great Lakes that lies in a single country
Lake Ontario|the United States, Canada|is the smallest of the Great Lakes by area
Great Bear Lake|Canada|is the largest lake that lies wholly in Canada
Lake Titicaca|Peru, Bolivia|lies high in the Andes
Lake Geneva|Switzerland, France|is crossed by the Rhône
Lake Constance|Germany, Switzerland, Austria|is crossed by the Rhine
Lake Garda|Italy|is the largest lake of Italy
Lake Balaton|Hungary|is the largest lake of Central Europe
Loch Ness|the United Kingdom|is known for the legend of a monster
Lake Ohrid|North Macedonia, Albania|is one of the oldest lakes of Europe
Lake Van|Turkey|is the largest lake of Turkey
the Dead Sea|Israel, Jordan|is a very salty lake and the lowest place on land
the Caspian Sea|Russia, Kazakhstan, Turkmenistan, Iran, Azerbaijan|is the largest enclosed body of water in the world
Lake Taupo|New Zealand|lies in the crater of an old volcano
""",
)

OCEANS = read_table(
    Place,
    """
the Pacific Ocean||is the largest and deepest ocean of the world
the Atlantic Ocean||separates Europe and Africa from the Americas
the Indian Ocean||lies between Africa, Asia and Australia
the Southern Ocean||surrounds Antarctica
the Arctic Ocean||is the smallest ocean and surrounds the North Pole
""",
)

LANDS = read_table(
    Place,
    """
the Sahara|Algeria, Chad, Egypt, Libya, Mali, Mauritania, Niger, Sudan, Tunisia, Morocco|is the largest hot desert of the world
the Gobi|Mongolia, China|is a cold desert where fossils of dinosaurs are found
the Kalahari|Botswana, Namibia, South Africa|is a dry region of red sand
the Namib|Namibia, Angola|is a very old desert on the coast of the Atlantic Ocean
the Atacama Desert|Chile|is one of the driest places on Earth
the Sonoran Desert|the United States, Mexico|is the home of the giant saguaro cactus
the Thar Desert|India, Pakistan|is also called the Great Indian Desert
the Andes|Venezuela, Colombia, Ecuador, Peru, Bolivia, Chile, Argentina|are the longest mountain range on land
the Alps|France, Monaco, Italy, Switzerland, Liechtenstein, Germany, Austria, Slovenia|are the highest mountains of Central Europe
the Pyrenees|France, Spain, Andorra|separate the Iberian Peninsula from the rest of Europe
the Carpathians|Romania, Ukraine, Slovakia, Poland, Hungary, the Czech Republic|form a great arc in the east of Europe
the Himalayas|Nepal, India, Bhutan, China, Pakistan|hold the highest mountains of the world
the Rocky Mountains|Canada, the United States|run along the west of North America
the Urals|Russia, Kazakhstan|are often taken as the border between Europe and Asia
the Atlas Mountains|Morocco, Algeria, Tunisia|separate the Sahara from the coast
Borneo|Indonesia, Malaysia, Brunei|is the third largest island of the world
New Guinea|Indonesia, Papua New Guinea|is the second largest island of the world
Sumatra|Indonesia|is crossed by the equator and has tigers and orangutans
Java|Indonesia|is the most populous island of the world
Honshu|Japan|is the largest island of Japan
Hokkaido|Japan|is the northernmost of the main islands of Japan
Tasmania|Australia|lies south of the mainland and is the home of the Tasmanian devil
Sicily|Italy|is the largest island of the Mediterranean Sea
Sardinia|Italy|is the second largest island of the Mediterranean Sea
Corsica|France|is the birthplace of Napoleon
Crete|Greece|was the home of the Minoan civilization
Great Britain|the United Kingdom|is the largest island of Europe
Hispaniola|Haiti, the Dominican Republic|is the second largest island of the Caribbean
Zanzibar|Tanzania|is known for cloves
Baffin Island|Canada|is the largest island of Canada
""",
)

STATES = read_table(
    State,
    """
Alabama|Montgomery|AL|1819|Huntsville|the Yellowhammer State
Alaska|Juneau|AK|1959|Anchorage|the Last Frontier
Arizona|Phoenix|AZ|1912|Phoenix|the Grand Canyon State
Arkansas|Little Rock|AR|1836|Little Rock|the Natural State
California|Sacramento|CA|1850|Los Angeles|the Golden State
Colorado|Denver|CO|1876|Denver|the Centennial State
Connecticut|Hartford|CT|1788|Bridgeport|the Constitution State
Delaware|Dover|DE|1787|Wilmington|the First State
Florida|Tallahassee|FL|1845|Jacksonville|the Sunshine State
Georgia|Atlanta|GA|1788|Atlanta|the Peach State
Hawaii|Honolulu|HI|1959|Honolulu|the Aloha State
Idaho|Boise|ID|1890|Boise|the Gem State
Illinois|Springfield|IL|1818|Chicago|the Prairie State
Indiana|Indianapolis|IN|1816|Indianapolis|the Hoosier State
Iowa|Des Moines|IA|1846|Des Moines|the Hawkeye State
Kansas|Topeka|KS|1861|Wichita|the Sunflower State
Kentucky|Frankfort|KY|1792|Louisville|the Bluegrass State
Louisiana|Baton Rouge|LA|1812|New Orleans|the Pelican State
Maine|Augusta|ME|1820|Portland|the Pine Tree State
Maryland|Annapolis|MD|1788|Baltimore|the Old Line State
Massachusetts|Boston|MA|1788|Boston|the Bay State
Michigan|Lansing|MI|1837|Detroit|the Great Lakes State
Minnesota|Saint Paul|MN|1858|Minneapolis|the North Star State
Mississippi|Jackson|MS|1817|Jackson|the Magnolia State
Missouri|Jefferson City|MO|1821|Kansas City|the Show Me State
Montana|Helena|MT|1889|Billings|the Treasure State
Nebraska|Lincoln|NE|1867|Omaha|the Cornhusker State
Nevada|Carson City|NV|1864|Las Vegas|the Silver State
New Hampshire|Concord|NH|1788|Manchester|the Granite State
New Jersey|Trenton|NJ|1787|Newark|the Garden State
New Mexico|Santa Fe|NM|1912|Albuquerque|the Land of Enchantment
New York|Albany|NY|1788|New York City|the Empire State
North Carolina|Raleigh|NC|1789|Charlotte|the Tar Heel State
North Dakota|Bismarck|ND|1889|Fargo|the Peace Garden State
Ohio|Columbus|OH|1803|Columbus|the Buckeye State
Oklahoma|Oklahoma City|OK|1907|Oklahoma City|the Sooner State
Oregon|Salem|OR|1859|Portland|the Beaver State
Pennsylvania|Harrisburg|PA|1787|Philadelphia|the Keystone State
Rhode Island|Providence|RI|1790|Providence|the Ocean State
South Carolina|Columbia|SC|1788|Charleston|the Palmetto State
South Dakota|Pierre|SD|1889|Sioux Falls|the Mount Rushmore State
Tennessee|Nashville|TN|1796|Nashville|the Volunteer State
Texas|Austin|TX|1845|Houston|the Lone Star State
Utah|Salt Lake City|UT|1896|Salt Lake City|the Beehive State
Vermont|Montpelier|VT|1791|Burlington|the Green Mountain State
Virginia|Richmond|VA|1788|Virginia Beach|the Old Dominion
Washington|Olympia|WA|1889|Seattle|the Evergreen State
West Virginia|Charleston|WV|1863|Charleston|the Mountain State
Wisconsin|Madison|WI|1848|Milwaukee|the Badger State
Wyoming|Cheyenne|WY|1890|Cheyenne|the Equality State
""",
)
