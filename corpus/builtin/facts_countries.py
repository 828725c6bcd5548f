"""Facts about countries: the 193 member states of the United Nations, and Vatican City.

Regions follow the statistical regions of the United Nations, but Mexico stands beside its northern neighbours. `borders` are ISO codes of neighbours on land, without
those of overseas territories. `languages` are the official or most widely spoken ones. `independence` is a year and,
where one state can be named, from whom. `shape` is C (with a coast), L
(landlocked, perhaps on the Caspian Sea) or I (made of islands).
"""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Country(NamedTuple):
    """One sovereign state; `name` carries its article ("the Netherlands")."""

    name: str
    iso: str
    capital: str
    region: str
    adjective: str
    languages: str
    currency: str
    borders: str
    shape: str
    waters: str
    independence: str
    famous: str

    @property
    def title(self) -> str:
        """The name without its article."""
        return self.name.removeprefix("the ")


REGIONS = {  # region: continent
    "Northern Africa": "Africa",
    "Western Africa": "Africa",
    "Central Africa": "Africa",
    "Eastern Africa": "Africa",
    "Southern Africa": "Africa",
    "Northern America": "North America",
    "Central America": "North America",
    "the Caribbean": "North America",
    "South America": "South America",
    "Central Asia": "Asia",
    "Eastern Asia": "Asia",
    "Southeast Asia": "Asia",
    "Southern Asia": "Asia",
    "Western Asia": "Asia",
    "Eastern Europe": "Europe",
    "Northern Europe": "Europe",
    "Southern Europe": "Europe",
    "Western Europe": "Europe",
    "Australasia": "Oceania",
    "Melanesia": "Oceania",
    "Micronesia": "Oceania",
    "Polynesia": "Oceania",
}

COUNTRIES = read_table(
    Country,
    """
Afghanistan|AF|Kabul|Southern Asia|Afghan|Pashto, Dari|Afghan afghani|CN IR PK TJ TM UZ|L||1919 the United Kingdom|carpets, pomegranates and the mountains of the Hindu Kush
Albania|AL|Tirana|Southern Europe|Albanian|Albanian|Albanian lek|GR ME MK RS|C|the Adriatic Sea, the Ionian Sea|1912 the Ottoman Empire|mountains, beaches and thousands of old concrete bunkers
Algeria|DZ|Algiers|Northern Africa|Algerian|Arabic, Berber|Algerian dinar|LY ML MR MA NE TN|C|the Mediterranean Sea|1962 France|the Sahara, natural gas and the Roman ruins of Timgad
Andorra|AD|Andorra la Vella|Southern Europe|Andorran|Catalan|euro|FR ES|L|||skiing, duty-free shops and mountain villages
Angola|AO|Luanda|Central Africa|Angolan|Portuguese|Angolan kwanza|CD CG NA ZM|C|the Atlantic Ocean|1975 Portugal|oil, diamonds and the Kalandula Falls
Antigua and Barbuda|AG|St. John's|the Caribbean|Antiguan|English|East Caribbean dollar||I|the Caribbean Sea, the Atlantic Ocean|1981 the United Kingdom|white beaches, sailing and cricket
Argentina|AR|Buenos Aires|South America|Argentine|Spanish|Argentine peso|BO BR CL PY UY|C|the Atlantic Ocean|1816 Spain|tango, beef and the plains of the Pampas
Armenia|AM|Yerevan|Western Asia|Armenian|Armenian|Armenian dram|AZ GE IR TR|L||1991 the Soviet Union|old monasteries, apricots and flat bread called lavash
Australia|AU|Canberra|Australasia|Australian|English|Australian dollar||C|the Indian Ocean, the Pacific Ocean||kangaroos, the Great Barrier Reef and the Sydney Opera House
Austria|AT|Vienna|Western Europe|Austrian|German|euro|CZ DE HU IT LI SK SI CH|L|||classical music, coffee houses and the Alps
Azerbaijan|AZ|Baku|Western Asia|Azerbaijani|Azerbaijani|Azerbaijani manat|AM GE IR RU TR|L|the Caspian Sea|1991 the Soviet Union|oil, mud volcanoes and burning natural gas
the Bahamas|BS|Nassau|the Caribbean|Bahamian|English|Bahamian dollar||I|the Atlantic Ocean|1973 the United Kingdom|coral reefs, clear water and swimming pigs
Bahrain|BH|Manama|Western Asia|Bahraini|Arabic|Bahraini dinar||I|the Persian Gulf|1971 the United Kingdom|pearls, oil and motor racing
Bangladesh|BD|Dhaka|Southern Asia|Bangladeshi|Bengali|Bangladeshi taka|IN MM|C|the Bay of Bengal|1971 Pakistan|rivers, jute and the mangrove forest of the Sundarbans
Barbados|BB|Bridgetown|the Caribbean|Barbadian|English|Barbadian dollar||I|the Atlantic Ocean|1966 the United Kingdom|rum, beaches and cricket
Belarus|BY|Minsk|Eastern Europe|Belarusian|Belarusian, Russian|Belarusian ruble|LV LT PL RU UA|L||1991 the Soviet Union|forests, lakes and European bison
Belgium|BE|Brussels|Western Europe|Belgian|Dutch, French, German|euro|FR DE LU NL|C|the North Sea|1830 the Netherlands|chocolate, beer and comic strips
Belize|BZ|Belmopan|Central America|Belizean|English|Belize dollar|GT MX|C|the Caribbean Sea|1981 the United Kingdom|the Great Blue Hole, a long barrier reef and Maya ruins
Benin|BJ|Porto-Novo|Western Africa|Beninese|French|West African CFA franc|BF NE NG TG|C|the Gulf of Guinea|1960 France|the old kingdom of Dahomey, cotton and villages on stilts
Bhutan|BT|Thimphu|Southern Asia|Bhutanese|Dzongkha|Bhutanese ngultrum|CN IN|L|||Buddhist monasteries, archery and the idea of gross national happiness
Bolivia|BO|Sucre|South America|Bolivian|Spanish, Quechua, Aymara|Bolivian boliviano|AR BR CL PY PE|L||1825 Spain|the salt flat of Uyuni, silver mines and high mountain plains
Bosnia and Herzegovina|BA|Sarajevo|Southern Europe|Bosnian|Bosnian, Croatian, Serbian|convertible mark|HR ME RS|C|the Adriatic Sea|1992 Yugoslavia|the old bridge of Mostar, green rivers and strong coffee
Botswana|BW|Gaborone|Southern Africa|Botswanan|English, Tswana|Botswana pula|NA ZA ZM ZW|L||1966 the United Kingdom|diamonds, elephants and the Okavango Delta
Brazil|BR|Brasília|South America|Brazilian|Portuguese|Brazilian real|AR BO CO GY PY PE SR UY VE|C|the Atlantic Ocean|1822 Portugal|football, carnival and the Amazon rainforest
Brunei|BN|Bandar Seri Begawan|Southeast Asia|Bruneian|Malay|Brunei dollar|MY|I|the South China Sea|1984 the United Kingdom|oil, golden mosques and the water village of its capital
Bulgaria|BG|Sofia|Eastern Europe|Bulgarian|Bulgarian|euro|GR MK RO RS TR|C|the Black Sea|1908 the Ottoman Empire|rose oil, yoghurt and the Rila Monastery
Burkina Faso|BF|Ouagadougou|Western Africa|Burkinabe|French, Mossi|West African CFA franc|BJ CI GH ML NE TG|L||1960 France|cotton, gold and a famous film festival
Burundi|BI|Gitega|Eastern Africa|Burundian|Kirundi, French|Burundian franc|CD RW TZ|L||1962 Belgium|royal drummers, coffee and Lake Tanganyika
Cambodia|KH|Phnom Penh|Southeast Asia|Cambodian|Khmer|Cambodian riel|LA TH VN|C|the Gulf of Thailand|1953 France|the temples of Angkor, rice and silk
Cameroon|CM|Yaoundé|Central Africa|Cameroonian|French, English|Central African CFA franc|CF TD CG GQ GA NG|C|the Gulf of Guinea|1960 France|football, rainforests and Mount Cameroon
Canada|CA|Ottawa|Northern America|Canadian|English, French|Canadian dollar|US|C|the Atlantic Ocean, the Pacific Ocean, the Arctic Ocean||maple syrup, ice hockey and wide forests
Cape Verde|CV|Praia|Western Africa|Cape Verdean|Portuguese|Cape Verdean escudo||I|the Atlantic Ocean|1975 Portugal|morna music, volcanoes and sea winds
the Central African Republic|CF|Bangui|Central Africa|Central African|French, Sango|Central African CFA franc|CM TD CD CG SD SS|L||1960 France|rainforests, diamonds and forest elephants
Chad|TD|N'Djamena|Central Africa|Chadian|Arabic, French|Central African CFA franc|CM CF LY NE NG SD|L||1960 France|Lake Chad, desert lakes and rock arches
Chile|CL|Santiago|South America|Chilean|Spanish|Chilean peso|AR BO PE|C|the Pacific Ocean|1818 Spain|copper, wine and the Atacama Desert
China|CN|Beijing|Eastern Asia|Chinese|Mandarin Chinese|renminbi|AF BT IN KZ KG LA MN MM NP KP PK RU TJ VN|C|the Yellow Sea, the East China Sea, the South China Sea||the Great Wall, tea and giant pandas
Colombia|CO|Bogotá|South America|Colombian|Spanish|Colombian peso|BR EC PA PE VE|C|the Caribbean Sea, the Pacific Ocean||coffee, emeralds and orchids
the Comoros|KM|Moroni|Eastern Africa|Comorian|Comorian, Arabic, French|Comorian franc||I|the Indian Ocean|1975 France|vanilla, ylang-ylang and the volcano Karthala
Costa Rica|CR|San José|Central America|Costa Rican|Spanish|Costa Rican colón|NI PA|C|the Caribbean Sea, the Pacific Ocean|1821 Spain|rainforests, sloths and having no army
Croatia|HR|Zagreb|Southern Europe|Croatian|Croatian|euro|BA HU ME RS SI|C|the Adriatic Sea|1991 Yugoslavia|more than a thousand islands, the walls of Dubrovnik and the Plitvice Lakes
Cuba|CU|Havana|the Caribbean|Cuban|Spanish|Cuban peso||I|the Caribbean Sea, the Atlantic Ocean, the Gulf of Mexico||cigars, old cars and son music
Cyprus|CY|Nicosia|Western Asia|Cypriot|Greek, Turkish|euro||I|the Mediterranean Sea|1960 the United Kingdom|halloumi cheese, beaches and the myth of Aphrodite
the Czech Republic|CZ|Prague|Eastern Europe|Czech|Czech|Czech koruna|AT DE PL SK|L||1993|glass, beer and castles
the Democratic Republic of the Congo|CD|Kinshasa|Central Africa|Congolese|French, Lingala, Swahili|Congolese franc|AO BI CF CG RW SS TZ UG ZM|C|the Atlantic Ocean|1960 Belgium|copper, cobalt and the okapi
Denmark|DK|Copenhagen|Northern Europe|Danish|Danish|Danish krone|DE|C|the North Sea, the Baltic Sea||fairy tales, bicycles and toy bricks
Djibouti|DJ|Djibouti City|Eastern Africa|Djiboutian|French, Arabic|Djiboutian franc|ER ET SO|C|the Gulf of Aden, the Red Sea|1977 France|the salt lake Assal, ports and whale sharks
Dominica|DM|Roseau|the Caribbean|Dominican|English|East Caribbean dollar||I|the Caribbean Sea, the Atlantic Ocean|1978 the United Kingdom|hot springs, rainforests and a boiling lake
the Dominican Republic|DO|Santo Domingo|the Caribbean|Dominican|Spanish|Dominican peso|HT|I|the Caribbean Sea, the Atlantic Ocean|1844 Haiti|baseball, merengue and beaches
East Timor|TL|Dili|Southeast Asia|Timorese|Portuguese, Tetum|United States dollar|ID|I|the Timor Sea|2002|coffee, crocodile legends and coral reefs
Ecuador|EC|Quito|South America|Ecuadorian|Spanish|United States dollar|CO PE|C|the Pacific Ocean||the Galápagos Islands, bananas and volcanoes
Egypt|EG|Cairo|Northern Africa|Egyptian|Arabic|Egyptian pound|IL LY SD|C|the Mediterranean Sea, the Red Sea|1922 the United Kingdom|the pyramids, the Sphinx and the Nile
El Salvador|SV|San Salvador|Central America|Salvadoran|Spanish|United States dollar|GT HN|C|the Pacific Ocean|1821 Spain|volcanoes, coffee and stuffed tortillas called pupusas
Equatorial Guinea|GQ|Malabo|Central Africa|Equatoguinean|Spanish, French, Portuguese|Central African CFA franc|CM GA|C|the Gulf of Guinea|1968 Spain|oil, cocoa and rainforests
Eritrea|ER|Asmara|Eastern Africa|Eritrean|Tigrinya, Arabic|Eritrean nakfa|DJ ET SD|C|the Red Sea|1993 Ethiopia|cycling, the Dahlak islands and modernist buildings
Estonia|EE|Tallinn|Northern Europe|Estonian|Estonian|euro|LV RU|C|the Baltic Sea|1991 the Soviet Union|digital government, bogs and song festivals
Eswatini|SZ|Mbabane|Southern Africa|Swazi|English, Swazi|Swazi lilangeni|MZ ZA|L||1968 the United Kingdom|its monarchy, the reed dance and sugar cane
Ethiopia|ET|Addis Ababa|Eastern Africa|Ethiopian|Amharic, Oromo|Ethiopian birr|DJ ER KE SO SS SD|L|||coffee, rock churches and long-distance runners
Fiji|FJ|Suva|Melanesia|Fijian|English, Fijian, Hindi|Fijian dollar||I|the Pacific Ocean|1970 the United Kingdom|rugby, coral reefs and sugar
Finland|FI|Helsinki|Northern Europe|Finnish|Finnish, Swedish|euro|NO RU SE|C|the Baltic Sea|1917 Russia|lakes, saunas and forests
France|FR|Paris|Western Europe|French|French|euro|AD BE DE IT LU MC ES CH|C|the Atlantic Ocean, the Mediterranean Sea, the English Channel||wine, cheese and the Eiffel Tower
Gabon|GA|Libreville|Central Africa|Gabonese|French|Central African CFA franc|CM CG GQ|C|the Atlantic Ocean|1960 France|rainforests, oil and forest elephants
the Gambia|GM|Banjul|Western Africa|Gambian|English|Gambian dalasi|SN|C|the Atlantic Ocean|1965 the United Kingdom|its long river, birds and groundnuts
Georgia|GE|Tbilisi|Western Asia|Georgian|Georgian|Georgian lari|AM AZ RU TR|C|the Black Sea|1991 the Soviet Union|old wine-making, mountain towers and polyphonic songs
Germany|DE|Berlin|Western Europe|German|German|euro|AT BE CZ DK FR LU NL PL CH|C|the North Sea, the Baltic Sea||cars, castles and Christmas markets
Ghana|GH|Accra|Western Africa|Ghanaian|English|Ghanaian cedi|BF CI TG|C|the Gulf of Guinea|1957 the United Kingdom|cocoa, gold and kente cloth
Greece|GR|Athens|Southern Europe|Greek|Greek|euro|AL BG MK TR|C|the Aegean Sea, the Ionian Sea|1830 the Ottoman Empire|ancient temples, olives and islands
Grenada|GD|St. George's|the Caribbean|Grenadian|English|East Caribbean dollar||I|the Caribbean Sea|1974 the United Kingdom|nutmeg, cocoa and an underwater sculpture park
Guatemala|GT|Guatemala City|Central America|Guatemalan|Spanish|Guatemalan quetzal|BZ SV HN MX|C|the Pacific Ocean, the Caribbean Sea|1821 Spain|Maya ruins, volcanoes and coffee
Guinea|GN|Conakry|Western Africa|Guinean|French|Guinean franc|CI GW LR ML SN SL|C|the Atlantic Ocean|1958 France|bauxite, kora music and waterfalls
Guinea-Bissau|GW|Bissau|Western Africa|Bissau-Guinean|Portuguese|West African CFA franc|GN SN|C|the Atlantic Ocean|1974 Portugal|cashew nuts and the Bissagos Islands
Guyana|GY|Georgetown|South America|Guyanese|English|Guyanese dollar|BR SR VE|C|the Atlantic Ocean|1966 the United Kingdom|the Kaieteur Falls, rainforests and sugar
Haiti|HT|Port-au-Prince|the Caribbean|Haitian|Haitian Creole, French|Haitian gourde|DO|I|the Caribbean Sea, the Atlantic Ocean|1804 France|painting, music and the Citadelle fortress
Honduras|HN|Tegucigalpa|Central America|Honduran|Spanish|Honduran lempira|GT SV NI|C|the Caribbean Sea, the Pacific Ocean|1821 Spain|the Maya ruins of Copán, bananas and coral islands
Hungary|HU|Budapest|Eastern Europe|Hungarian|Hungarian|Hungarian forint|AT HR RO RS SK SI UA|L|||thermal baths, paprika and goulash
Iceland|IS|Reykjavík|Northern Europe|Icelandic|Icelandic|Icelandic króna||I|the Atlantic Ocean|1944 Denmark|geysers, glaciers and volcanoes
India|IN|New Delhi|Southern Asia|Indian|Hindi, English|Indian rupee|BD BT CN MM NP PK|C|the Arabian Sea, the Bay of Bengal, the Indian Ocean|1947 the United Kingdom|the Taj Mahal, spices and cinema
Indonesia|ID|Jakarta|Southeast Asia|Indonesian|Indonesian|Indonesian rupiah|TL MY PG|I|the Indian Ocean, the Pacific Ocean, the Java Sea|1945 the Netherlands|thousands of islands, batik cloth and the temple of Borobudur
Iran|IR|Tehran|Southern Asia|Iranian|Persian|Iranian rial|AF AM AZ IQ PK TM TR|C|the Persian Gulf, the Gulf of Oman, the Caspian Sea||carpets, poetry and the ruins of Persepolis
Iraq|IQ|Baghdad|Western Asia|Iraqi|Arabic, Kurdish|Iraqi dinar|IR JO KW SA SY TR|C|the Persian Gulf|1932 the United Kingdom|ancient Mesopotamia, dates and oil
Ireland|IE|Dublin|Northern Europe|Irish|English, Irish|euro|GB|I|the Atlantic Ocean, the Irish Sea|1922 the United Kingdom|green hills, folk music and writers
Israel|IL|Jerusalem|Western Asia|Israeli|Hebrew|Israeli new shekel|EG JO LB SY|C|the Mediterranean Sea, the Red Sea|1948|holy places, technology and the Dead Sea
Italy|IT|Rome|Southern Europe|Italian|Italian|euro|AT FR SM SI CH VA|C|the Mediterranean Sea, the Adriatic Sea, the Tyrrhenian Sea||pasta, Renaissance art and the Colosseum
Ivory Coast|CI|Yamoussoukro|Western Africa|Ivorian|French|West African CFA franc|BF GH GN LR ML|C|the Gulf of Guinea|1960 France|cocoa, coffee and football
Jamaica|JM|Kingston|the Caribbean|Jamaican|English|Jamaican dollar||I|the Caribbean Sea|1962 the United Kingdom|reggae, sprinters and Blue Mountain coffee
Japan|JP|Tokyo|Eastern Asia|Japanese|Japanese|Japanese yen||I|the Pacific Ocean, the Sea of Japan||cherry blossoms, fast trains and Mount Fuji
Jordan|JO|Amman|Western Asia|Jordanian|Arabic|Jordanian dinar|IQ IL SA SY|C|the Red Sea|1946 the United Kingdom|the rock city of Petra, the Dead Sea and the desert of Wadi Rum
Kazakhstan|KZ|Astana|Central Asia|Kazakh|Kazakh, Russian|Kazakhstani tenge|CN KG RU TM UZ|L|the Caspian Sea|1991 the Soviet Union|wide steppes, horses and the Baikonur space centre
Kenya|KE|Nairobi|Eastern Africa|Kenyan|Swahili, English|Kenyan shilling|ET SO SS TZ UG|C|the Indian Ocean|1963 the United Kingdom|safaris, tea and long-distance runners
Kiribati|KI|South Tarawa|Micronesia|I-Kiribati|English, Gilbertese|Australian dollar||I|the Pacific Ocean|1979 the United Kingdom|coral atolls, fishing and coconuts
Kuwait|KW|Kuwait City|Western Asia|Kuwaiti|Arabic|Kuwaiti dinar|IQ SA|C|the Persian Gulf|1961 the United Kingdom|oil, pearl diving and the Kuwait Towers
Kyrgyzstan|KG|Bishkek|Central Asia|Kyrgyz|Kyrgyz, Russian|Kyrgyz som|CN KZ TJ UZ|L||1991 the Soviet Union|mountains, nomads and the lake Issyk-Kul
Laos|LA|Vientiane|Southeast Asia|Laotian|Lao|Lao kip|KH CN MM TH VN|L||1953 France|Buddhist temples, the Mekong and sticky rice
Latvia|LV|Riga|Northern Europe|Latvian|Latvian|euro|BY EE LT RU|C|the Baltic Sea|1991 the Soviet Union|art nouveau houses, choirs and amber
Lebanon|LB|Beirut|Western Asia|Lebanese|Arabic|Lebanese pound|IL SY|C|the Mediterranean Sea|1943 France|cedars, Phoenician ruins and small dishes called mezze
Lesotho|LS|Maseru|Southern Africa|Basotho|Sotho, English|Lesotho loti|ZA|L||1966 the United Kingdom|high mountains, blankets and ponies
Liberia|LR|Monrovia|Western Africa|Liberian|English|Liberian dollar|CI GN SL|C|the Atlantic Ocean|1847|rubber, iron ore and rainforests
Libya|LY|Tripoli|Northern Africa|Libyan|Arabic|Libyan dinar|DZ TD EG NE SD TN|C|the Mediterranean Sea|1951|oil, the Sahara and the Roman city of Leptis Magna
Liechtenstein|LI|Vaduz|Western Europe|Liechtenstein|German|Swiss franc|AT CH|L|||postage stamps, banks and Alpine castles
Lithuania|LT|Vilnius|Northern Europe|Lithuanian|Lithuanian|euro|BY LV PL RU|C|the Baltic Sea|1990 the Soviet Union|basketball, amber and the Hill of Crosses
Luxembourg|LU|Luxembourg City|Western Europe|Luxembourgish|Luxembourgish, French, German|euro|BE FR DE|L|||banks, castles and free public transport
Madagascar|MG|Antananarivo|Eastern Africa|Malagasy|Malagasy, French|Malagasy ariary||I|the Indian Ocean|1960 France|lemurs, baobab trees and vanilla
Malawi|MW|Lilongwe|Eastern Africa|Malawian|English, Chewa|Malawian kwacha|MZ TZ ZM|L||1964 the United Kingdom|Lake Malawi, tea and tobacco
Malaysia|MY|Kuala Lumpur|Southeast Asia|Malaysian|Malay|Malaysian ringgit|BN ID TH|C|the South China Sea, the Strait of Malacca|1957 the United Kingdom|rainforests, palm oil and the Petronas Towers
the Maldives|MV|Malé|Southern Asia|Maldivian|Dhivehi|Maldivian rufiyaa||I|the Indian Ocean|1965 the United Kingdom|coral atolls, tuna and beaches
Mali|ML|Bamako|Western Africa|Malian|Bambara, French|West African CFA franc|DZ BF GN CI MR NE SN|L||1960 France|Timbuktu, mud-brick mosques and music
Malta|MT|Valletta|Southern Europe|Maltese|Maltese, English|euro||I|the Mediterranean Sea|1964 the United Kingdom|stone temples, knights and harbours
the Marshall Islands|MH|Majuro|Micronesia|Marshallese|Marshallese, English|United States dollar||I|the Pacific Ocean|1986 the United States|coral atolls, stick charts and canoes
Mauritania|MR|Nouakchott|Western Africa|Mauritanian|Arabic|Mauritanian ouguiya|DZ ML SN|C|the Atlantic Ocean|1960 France|iron ore, very long trains and the Sahara
Mauritius|MU|Port Louis|Eastern Africa|Mauritian|Mauritian Creole, English, French|Mauritian rupee||I|the Indian Ocean|1968 the United Kingdom|sugar, lagoons and the extinct dodo
Mexico|MX|Mexico City|Northern America|Mexican|Spanish|Mexican peso|BZ GT US|C|the Pacific Ocean, the Gulf of Mexico, the Caribbean Sea|1821 Spain|maize, Aztec and Maya ruins and mariachi music
the Federated States of Micronesia|FM|Palikir|Micronesia|Micronesian|English|United States dollar||I|the Pacific Ocean|1986 the United States|the ruins of Nan Madol, stone money and diving
Moldova|MD|Chișinău|Eastern Europe|Moldovan|Romanian|Moldovan leu|RO UA|L||1991 the Soviet Union|wine cellars, orchards and sunflowers
Monaco|MC|Monaco|Western Europe|Monégasque|French|euro|FR|C|the Mediterranean Sea||motor racing, yachts and a casino
Mongolia|MN|Ulaanbaatar|Eastern Asia|Mongolian|Mongolian|Mongolian tögrög|CN RU|L|||steppes, horses and round felt tents
Montenegro|ME|Podgorica|Southern Europe|Montenegrin|Montenegrin|euro|AL BA HR RS|C|the Adriatic Sea|2006|the Bay of Kotor, black mountains and deep canyons
Morocco|MA|Rabat|Northern Africa|Moroccan|Arabic, Berber|Moroccan dirham|DZ|C|the Atlantic Ocean, the Mediterranean Sea|1956 France|markets, the Atlas Mountains and mint tea
Mozambique|MZ|Maputo|Eastern Africa|Mozambican|Portuguese|Mozambican metical|SZ MW ZA TZ ZM ZW|C|the Indian Ocean|1975 Portugal|prawns, long beaches and cashew nuts
Myanmar|MM|Naypyidaw|Southeast Asia|Burmese|Burmese|Myanmar kyat|BD CN IN LA TH|C|the Bay of Bengal, the Andaman Sea|1948 the United Kingdom|golden pagodas, rubies and the temples of Bagan
Namibia|NA|Windhoek|Southern Africa|Namibian|English|Namibian dollar|AO BW ZA ZM|C|the Atlantic Ocean|1990 South Africa|the Namib Desert, high dunes and diamonds
Nauru|NR|Yaren|Micronesia|Nauruan|Nauruan, English|Australian dollar||I|the Pacific Ocean|1968 Australia|phosphate, sea birds and its very small size
Nepal|NP|Kathmandu|Southern Asia|Nepalese|Nepali|Nepalese rupee|CN IN|L|||Mount Everest, temples and trekking
the Netherlands|NL|Amsterdam|Western Europe|Dutch|Dutch|euro|BE DE|C|the North Sea||tulips, windmills and canals
New Zealand|NZ|Wellington|Australasia|New Zealand|English, Māori|New Zealand dollar||I|the Pacific Ocean, the Tasman Sea||sheep, rugby and the flightless kiwi
Nicaragua|NI|Managua|Central America|Nicaraguan|Spanish|Nicaraguan córdoba|CR HN|C|the Caribbean Sea, the Pacific Ocean|1821 Spain|volcanoes, a great lake and poetry
Niger|NE|Niamey|Western Africa|Nigerien|French, Hausa|West African CFA franc|DZ BJ BF TD LY ML NG|L||1960 France|uranium, dinosaur fossils and desert caravans
Nigeria|NG|Abuja|Western Africa|Nigerian|English, Hausa, Yoruba, Igbo|Nigerian naira|BJ CM TD NE|C|the Gulf of Guinea|1960 the United Kingdom|oil, films and Afrobeat music
North Korea|KP|Pyongyang|Eastern Asia|North Korean|Korean|North Korean won|CN KR RU|C|the Yellow Sea, the Sea of Japan|1948|mass games, mountains and ginseng
North Macedonia|MK|Skopje|Southern Europe|Macedonian|Macedonian, Albanian|Macedonian denar|AL BG GR RS|L||1991 Yugoslavia|Lake Ohrid, peppers and monasteries
Norway|NO|Oslo|Northern Europe|Norwegian|Norwegian|Norwegian krone|FI RU SE|C|the North Sea, the Norwegian Sea, the Barents Sea|1905 Sweden|fjords, salmon and skiing
Oman|OM|Muscat|Western Asia|Omani|Arabic|Omani rial|SA AE YE|C|the Arabian Sea, the Gulf of Oman||frankincense, forts and deserts
Pakistan|PK|Islamabad|Southern Asia|Pakistani|Urdu, English|Pakistani rupee|AF CN IN IR|C|the Arabian Sea|1947 the United Kingdom|cricket, K2 and the ruins of Mohenjo-daro
Palau|PW|Ngerulmud|Micronesia|Palauan|Palauan, English|United States dollar||I|the Pacific Ocean|1994 the United States|rock islands, a lake full of jellyfish and diving
Panama|PA|Panama City|Central America|Panamanian|Spanish|Panamanian balboa|CO CR|C|the Caribbean Sea, the Pacific Ocean|1903 Colombia|its canal, ships and rainforests
Papua New Guinea|PG|Port Moresby|Melanesia|Papua New Guinean|English, Tok Pisin, Hiri Motu|Papua New Guinean kina|ID|I|the Pacific Ocean, the Coral Sea|1975 Australia|birds of paradise, hundreds of languages and rainforests
Paraguay|PY|Asunción|South America|Paraguayan|Spanish, Guarani|Paraguayan guaraní|AR BO BR|L||1811 Spain|the Itaipu Dam, yerba mate and harp music
Peru|PE|Lima|South America|Peruvian|Spanish, Quechua|Peruvian sol|BO BR CL CO EC|C|the Pacific Ocean|1821 Spain|Machu Picchu, potatoes and llamas
the Philippines|PH|Manila|Southeast Asia|Philippine|Filipino, English|Philippine peso||I|the Pacific Ocean, the South China Sea|1946 the United States|more than seven thousand islands, rice terraces and beaches
Poland|PL|Warsaw|Eastern Europe|Polish|Polish|Polish złoty|BY CZ DE LT RU SK UA|C|the Baltic Sea|1918|salt mines, dumplings and the music of Chopin
Portugal|PT|Lisbon|Southern Europe|Portuguese|Portuguese|euro|ES|C|the Atlantic Ocean||explorers, cork and fado music
Qatar|QA|Doha|Western Asia|Qatari|Arabic|Qatari riyal|SA|C|the Persian Gulf|1971 the United Kingdom|natural gas, falcons and pearl diving
the Republic of the Congo|CG|Brazzaville|Central Africa|Congolese|French|Central African CFA franc|AO CM CF CD GA|C|the Atlantic Ocean|1960 France|rainforests, gorillas and oil
Romania|RO|Bucharest|Eastern Europe|Romanian|Romanian|Romanian leu|BG HU MD RS UA|C|the Black Sea||painted monasteries, the Danube Delta and the legend of Dracula
Russia|RU|Moscow|Eastern Europe|Russian|Russian|Russian ruble|AZ BY CN EE FI GE KZ KP LV LT MN NO PL UA|C|the Arctic Ocean, the Pacific Ocean, the Baltic Sea, the Black Sea||ballet, novels and the Trans-Siberian Railway
Rwanda|RW|Kigali|Eastern Africa|Rwandan|Kinyarwanda, English, French|Rwandan franc|BI CD TZ UG|L||1962 Belgium|mountain gorillas, hills and coffee
Saint Kitts and Nevis|KN|Basseterre|the Caribbean|Kittitian|English|East Caribbean dollar||I|the Caribbean Sea|1983 the United Kingdom|an old sugar railway, beaches and the fortress of Brimstone Hill
Saint Lucia|LC|Castries|the Caribbean|Saint Lucian|English|East Caribbean dollar||I|the Caribbean Sea, the Atlantic Ocean|1979 the United Kingdom|the twin peaks of the Pitons, bananas and jazz
Saint Vincent and the Grenadines|VC|Kingstown|the Caribbean|Vincentian|English|East Caribbean dollar||I|the Caribbean Sea, the Atlantic Ocean|1979 the United Kingdom|arrowroot, sailing and a volcano
Samoa|WS|Apia|Polynesia|Samoan|Samoan, English|Samoan tālā||I|the Pacific Ocean|1962 New Zealand|tattoos, rugby and coconuts
San Marino|SM|San Marino|Southern Europe|Sammarinese|Italian|euro|IT|L|||three towers on a mountain, stamps and its great age as a republic
São Tomé and Príncipe|ST|São Tomé|Central Africa|São Toméan|Portuguese|São Tomé and Príncipe dobra||I|the Gulf of Guinea|1975 Portugal|cocoa, rainforests and beaches
Saudi Arabia|SA|Riyadh|Western Asia|Saudi|Arabic|Saudi riyal|IQ JO KW OM QA AE YE|C|the Red Sea, the Persian Gulf||oil, deserts and the holy cities of Mecca and Medina
Senegal|SN|Dakar|Western Africa|Senegalese|French, Wolof|West African CFA franc|GM GN GW ML MR|C|the Atlantic Ocean|1960 France|wrestling, drums and rice with fish
Serbia|RS|Belgrade|Southern Europe|Serbian|Serbian|Serbian dinar|AL BA BG HR HU ME MK RO|L|||raspberries, brass bands and monasteries
Seychelles|SC|Victoria|Eastern Africa|Seychellois|Seychellois Creole, English, French|Seychellois rupee||I|the Indian Ocean|1976 the United Kingdom|granite beaches, giant tortoises and the coco de mer
Sierra Leone|SL|Freetown|Western Africa|Sierra Leonean|English|Sierra Leonean leone|GN LR|C|the Atlantic Ocean|1961 the United Kingdom|diamonds, beaches and a great natural harbour
Singapore|SG|Singapore|Southeast Asia|Singaporean|English, Malay, Mandarin Chinese, Tamil|Singapore dollar||I|the Strait of Malacca, the South China Sea|1965 Malaysia|a busy port, gardens and street food
Slovakia|SK|Bratislava|Eastern Europe|Slovak|Slovak|euro|AT CZ HU PL UA|L||1993|castles, caves and the Tatra Mountains
Slovenia|SI|Ljubljana|Southern Europe|Slovenian|Slovene|euro|AT HR HU IT|C|the Adriatic Sea|1991 Yugoslavia|caves, bees and Lake Bled
the Solomon Islands|SB|Honiara|Melanesia|Solomon Island|English|Solomon Islands dollar||I|the Pacific Ocean|1978 the United Kingdom|coral reefs, shell money and panpipes
Somalia|SO|Mogadishu|Eastern Africa|Somali|Somali, Arabic|Somali shilling|DJ ET KE|C|the Indian Ocean, the Gulf of Aden|1960|camels, poetry and a very long coast
South Africa|ZA|Pretoria|Southern Africa|South African|Zulu, Xhosa, Afrikaans, English|South African rand|BW SZ LS MZ NA ZW|C|the Atlantic Ocean, the Indian Ocean||gold, diamonds and Table Mountain
South Korea|KR|Seoul|Eastern Asia|South Korean|Korean|South Korean won|KP|C|the Yellow Sea, the Sea of Japan|1948|electronics, pop music and fermented cabbage called kimchi
South Sudan|SS|Juba|Eastern Africa|South Sudanese|English|South Sudanese pound|CF CD ET KE SD UG|L||2011 Sudan|cattle, oil and the swamps of the White Nile
Spain|ES|Madrid|Southern Europe|Spanish|Spanish|euro|AD FR PT|C|the Atlantic Ocean, the Mediterranean Sea||flamenco, olive oil and the Alhambra
Sri Lanka|LK|Sri Jayawardenepura Kotte|Southern Asia|Sri Lankan|Sinhala, Tamil|Sri Lankan rupee||I|the Indian Ocean|1948 the United Kingdom|tea, cinnamon and Buddhist temples
Sudan|SD|Khartoum|Northern Africa|Sudanese|Arabic, English|Sudanese pound|CF TD EG ER ET LY SS|C|the Red Sea|1956|the pyramids of Meroë, gum arabic and the meeting of two Niles
Suriname|SR|Paramaribo|South America|Surinamese|Dutch|Surinamese dollar|BR GY|C|the Atlantic Ocean|1975 the Netherlands|rainforests, bauxite and wooden houses
Sweden|SE|Stockholm|Northern Europe|Swedish|Swedish|Swedish krona|FI NO|C|the Baltic Sea||pop music, forests and the Nobel Prize
Switzerland|CH|Bern|Western Europe|Swiss|German, French, Italian, Romansh|Swiss franc|AT FR DE IT LI|L|||watches, chocolate and the Alps
Syria|SY|Damascus|Western Asia|Syrian|Arabic|Syrian pound|IQ IL JO LB TR|C|the Mediterranean Sea|1946 France|ancient cities, olive soap and the ruins of Palmyra
Tajikistan|TJ|Dushanbe|Central Asia|Tajik|Tajik|Tajikistani somoni|AF CN KG UZ|L||1991 the Soviet Union|the Pamir Mountains, cotton and aluminium
Tanzania|TZ|Dodoma|Eastern Africa|Tanzanian|Swahili, English|Tanzanian shilling|BI CD KE MW MZ RW UG ZM|C|the Indian Ocean|1961 the United Kingdom|Kilimanjaro, the Serengeti and Zanzibar
Thailand|TH|Bangkok|Southeast Asia|Thai|Thai|Thai baht|KH LA MY MM|C|the Gulf of Thailand, the Andaman Sea||temples, spicy food and elephants
Togo|TG|Lomé|Western Africa|Togolese|French|West African CFA franc|BJ BF GH|C|the Gulf of Guinea|1960 France|phosphate, mud tower houses and a narrow shape
Tonga|TO|Nuku'alofa|Polynesia|Tongan|Tongan, English|Tongan pa'anga||I|the Pacific Ocean|1970 the United Kingdom|its monarchy, rugby and humpback whales
Trinidad and Tobago|TT|Port of Spain|the Caribbean|Trinidadian|English|Trinidad and Tobago dollar||I|the Caribbean Sea, the Atlantic Ocean|1962 the United Kingdom|steel drums, calypso and a lake of asphalt
Tunisia|TN|Tunis|Northern Africa|Tunisian|Arabic|Tunisian dinar|DZ LY|C|the Mediterranean Sea|1956 France|the ruins of Carthage, olives and beaches
Turkey|TR|Ankara|Western Asia|Turkish|Turkish|Turkish lira|AM AZ BG GE GR IR IQ SY|C|the Mediterranean Sea, the Aegean Sea, the Black Sea||bazaars, coffee and the ruins of Troy
Turkmenistan|TM|Ashgabat|Central Asia|Turkmen|Turkmen|Turkmenistan manat|AF IR KZ UZ|L|the Caspian Sea|1991 the Soviet Union|carpets, horses and a burning gas crater
Tuvalu|TV|Funafuti|Polynesia|Tuvaluan|Tuvaluan, English|Australian dollar||I|the Pacific Ocean|1978 the United Kingdom|low coral atolls, fishing and its internet domain
Uganda|UG|Kampala|Eastern Africa|Ugandan|English, Swahili|Ugandan shilling|CD KE RW SS TZ|L||1962 the United Kingdom|mountain gorillas, bananas and Lake Victoria
Ukraine|UA|Kyiv|Eastern Europe|Ukrainian|Ukrainian|Ukrainian hryvnia|BY HU MD PL RO RU SK|C|the Black Sea, the Sea of Azov|1991 the Soviet Union|wheat, sunflowers and embroidered shirts
the United Arab Emirates|AE|Abu Dhabi|Western Asia|Emirati|Arabic|UAE dirham|OM SA|C|the Persian Gulf, the Gulf of Oman|1971 the United Kingdom|oil, skyscrapers and the Burj Khalifa
the United Kingdom|GB|London|Northern Europe|British|English|pound sterling|IE|I|the North Sea, the Atlantic Ocean, the English Channel, the Irish Sea||tea, its monarchy and the plays of Shakespeare
the United States|US|Washington, D.C.|Northern America|American|English|United States dollar|CA MX|C|the Atlantic Ocean, the Pacific Ocean, the Gulf of Mexico, the Arctic Ocean|1776 Great Britain|films, jazz and the Grand Canyon
Uruguay|UY|Montevideo|South America|Uruguayan|Spanish|Uruguayan peso|AR BR|C|the Atlantic Ocean||football, beef and yerba mate
Uzbekistan|UZ|Tashkent|Central Asia|Uzbek|Uzbek|Uzbekistani sum|AF KZ KG TJ TM|L||1991 the Soviet Union|the Silk Road, cotton and the tiled squares of Samarkand
Vanuatu|VU|Port Vila|Melanesia|Vanuatuan|Bislama, English, French|Vanuatu vatu||I|the Pacific Ocean|1980|active volcanoes, land diving and kava
Vatican City|VA|Vatican City|Southern Europe|Vatican|Italian, Latin|euro|IT|L|||the Pope, St. Peter's Basilica and the Sistine Chapel
Venezuela|VE|Caracas|South America|Venezuelan|Spanish|Venezuelan bolívar|BR CO GY|C|the Caribbean Sea, the Atlantic Ocean||oil, baseball and Angel Falls
Vietnam|VN|Hanoi|Southeast Asia|Vietnamese|Vietnamese|Vietnamese đồng|KH CN LA|C|the South China Sea, the Gulf of Thailand|1945 France|rice, coffee and Ha Long Bay
Yemen|YE|Sanaa|Western Asia|Yemeni|Arabic|Yemeni rial|OM SA|C|the Red Sea, the Arabian Sea, the Gulf of Aden||tower houses, coffee and the island of Socotra
Zambia|ZM|Lusaka|Eastern Africa|Zambian|English|Zambian kwacha|AO BW CD MW MZ NA TZ ZW|L||1964 the United Kingdom|copper, the Victoria Falls and walking safaris
Zimbabwe|ZW|Harare|Eastern Africa|Zimbabwean|Shona, Ndebele, English|Zimbabwe Gold|BW MZ ZA ZM|L||1980 the United Kingdom|stone ruins, the Victoria Falls and stone sculpture
""",
)

# What an honest reader must know where the word "capital" is not the whole story.
CAPITAL_NOTES = {
    "BJ": "Porto-Novo is the official capital, while the government works mostly in Cotonou.",
    "BO": "Sucre is the constitutional capital, while the government and the parliament sit in La Paz.",
    "BI": "Gitega is the political capital, while Bujumbura remains the centre of trade.",
    "CI": "Yamoussoukro is the official capital, while most offices are still in Abidjan.",
    "CL": "The National Congress of Chile meets in Valparaíso.",
    "GQ": "Malabo stands on an island, and a newer city, Ciudad de la Paz, has been built on the mainland as a seat of government.",
    "ID": "A new capital named Nusantara is being built on the island of Borneo.",
    "IL": "The status of Jerusalem is disputed, and most foreign embassies are in or near Tel Aviv.",
    "LK": "Sri Jayawardenepura Kotte is the seat of the parliament, while the neighbouring city of Colombo is the commercial centre.",
    "ME": "The old royal capital of Montenegro is Cetinje.",
    "MY": "Many offices of the federal government are in Putrajaya.",
    "NL": "The government and the parliament of the Netherlands sit in The Hague.",
    "NR": "Nauru has no official capital city, but its government offices are in the district of Yaren.",
    "SZ": "The parliament and the royal family of Eswatini are in Lobamba.",
    "TZ": "The largest city, Dar es Salaam, was the capital of Tanzania before Dodoma.",
    "YE": "During the civil war the internationally recognized government has worked from Aden.",
    "ZA": "Pretoria is the seat of the government, while the parliament meets in Cape Town and the highest court of appeal sits in Bloemfontein.",
    "CH": "Swiss law does not call Bern a capital but the federal city, and the government and the parliament sit there.",
    "KI": "The parliament of Kiribati meets on one of the islets of South Tarawa.",
}

LARGEST_CITIES = {
    "AE": "Dubai", "AU": "Sydney", "BJ": "Cotonou", "BO": "Santa Cruz de la Sierra", "BR": "São Paulo",
    "BZ": "Belize City", "CA": "Toronto", "CH": "Zürich", "CI": "Abidjan", "CM": "Douala", "CN": "Shanghai",
    "BI": "Bujumbura", "KZ": "Almaty", "LK": "Colombo", "MA": "Casablanca", "MM": "Yangon", "NG": "Lagos",
    "NZ": "Auckland", "PK": "Karachi", "PH": "Quezon City", "PW": "Koror", "TR": "Istanbul", "TZ": "Dar es Salaam",
    "US": "New York City", "VN": "Ho Chi Minh City", "ZA": "Johannesburg",
}  # fmt: skip

# Where a capital stands, to follow "The city stands".
CAPITAL_SITES = {
    "Abu Dhabi": "on an island in the Persian Gulf", "Accra": "on the coast of the Gulf of Guinea",
    "Algiers": "on a bay of the Mediterranean Sea", "Amsterdam": "on the river Amstel", "Athens": "on a plain near the Aegean Sea",
    "Baghdad": "on the river Tigris", "Baku": "on the shore of the Caspian Sea", "Bamako": "on the river Niger",
    "Bangkok": "on the river Chao Phraya", "Bangui": "on the river Ubangi", "Beirut": "on the coast of the Mediterranean Sea",
    "Belgrade": "where the river Sava meets the Danube", "Berlin": "on the river Spree", "Bern": "in a bend of the river Aare",
    "Bogotá": "on a high plain in the Andes", "Bratislava": "on the river Danube, close to Austria and Hungary",
    "Brazzaville": "on the river Congo, across from Kinshasa", "Bridgetown": "on Carlisle Bay", "Budapest": "on both banks of the river Danube",
    "Buenos Aires": "on the wide estuary of the Río de la Plata", "Cairo": "on the river Nile", "Canberra": "inland, between Sydney and Melbourne",
    "Caracas": "in a valley near the Caribbean coast", "Copenhagen": "on the islands of Zealand and Amager", "Dakar": "on the Cap-Vert peninsula",
    "Damascus": "on the river Barada", "Doha": "on the shore of the Persian Gulf", "Dublin": "on the river Liffey",
    "Freetown": "on a peninsula with a great natural harbour", "Georgetown": "at the mouth of the river Demerara",
    "Hanoi": "on the Red River", "Havana": "on the north-western coast of the island", "Helsinki": "on the Gulf of Finland",
    "Islamabad": "at the foot of the Margalla Hills", "Jakarta": "on the north-western coast of Java", "Juba": "on the White Nile",
    "Kabul": "in a high valley of the Hindu Kush", "Kampala": "near the northern shore of Lake Victoria", "Kathmandu": "in a valley of the Himalayas",
    "Khartoum": "where the White Nile and the Blue Nile meet", "Kinshasa": "on the river Congo, across from Brazzaville",
    "Kuala Lumpur": "where the rivers Gombak and Klang meet", "Kyiv": "on the river Dnieper",
    "Lima": "on a desert plain beside the Pacific Ocean", "Lisbon": "at the mouth of the river Tagus", "Ljubljana": "on the river Ljubljanica",
    "London": "on the river Thames", "Luanda": "on the coast of the Atlantic Ocean", "Madrid": "on the river Manzanares, near the middle of the country",
    "Malabo": "on the island of Bioko", "Manila": "on Manila Bay", "Maputo": "on the coast of the Indian Ocean",
    "Mexico City": "in a high valley among mountains and volcanoes", "Minsk": "on the river Svislach", "Mogadishu": "on the coast of the Indian Ocean",
    "Monrovia": "on Cape Mesurado", "Montevideo": "on the estuary of the Río de la Plata", "Moscow": "on the river Moskva",
    "Muscat": "between mountains and the Gulf of Oman", "N'Djamena": "where the rivers Chari and Logone meet", "Nassau": "on the island of New Providence",
    "New Delhi": "on the river Yamuna", "Niamey": "on the river Niger", "Oslo": "at the head of the Oslofjord",
    "Ottawa": "on the Ottawa River", "Panama City": "at the Pacific entrance of the Panama Canal", "Paramaribo": "on the river Suriname",
    "Paris": "on the river Seine", "Phnom Penh": "where the Tonlé Sap and the Mekong meet", "Prague": "on the river Vltava",
    "Pyongyang": "on the river Taedong", "Quito": "high in the Andes, close to the equator", "Rabat": "on the Atlantic Ocean, at the mouth of the Bou Regreg",
    "Reykjavík": "on the shore of Faxa Bay", "Riga": "on the river Daugava", "Rome": "on the river Tiber", "San José": "in the Central Valley",
    "Santiago": "on the river Mapocho, below the Andes", "Santo Domingo": "at the mouth of the river Ozama", "Sarajevo": "on the river Miljacka",
    "Seoul": "on the river Han", "Skopje": "on the river Vardar", "Sofia": "at the foot of the mountain Vitosha",
    "Stockholm": "on fourteen islands where Lake Mälaren meets the Baltic Sea", "Tallinn": "on the Gulf of Finland",
    "Tbilisi": "on the river Kura", "Tehran": "at the foot of the Alborz mountains", "Tokyo": "on Tokyo Bay", "Tripoli": "on the coast of the Mediterranean Sea",
    "Vaduz": "near the river Rhine", "Vienna": "on the river Danube", "Vientiane": "on the river Mekong", "Vilnius": "on the river Neris",
    "Warsaw": "on the river Vistula", "Washington, D.C.": "on the river Potomac", "Wellington": "on Cook Strait, at the southern tip of the North Island",
    "Windhoek": "on a high plateau in the middle of the country", "Yerevan": "within sight of Mount Ararat", "Zagreb": "on the river Sava",
    "Addis Ababa": "on a high plateau near the middle of the country", "Nairobi": "on the Nairobi River, at a height of about 1,700 metres",
    "Valletta": "on a peninsula between two harbours", "Nicosia": "on the river Pedieos",
}  # fmt: skip
