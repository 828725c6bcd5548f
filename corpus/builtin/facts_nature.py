"""Facts about animals, plants and the human body."""

from typing import NamedTuple

from corpus.builtin.sentences import read_table


class Animal(NamedTuple):
    """One kind of animal; `group` is its class, `diet` what it eats, `home` where it lives."""

    name: str
    plural: str
    group: str
    diet: str
    home: str
    about: str


class Plant(NamedTuple):
    """One kind of plant or fruit; `kind` is tree, grain, vegetable, fruit, flower or spice plant."""

    name: str
    kind: str
    about: str


class Organ(NamedTuple):
    """One part of the human body."""

    name: str
    about: str


GROUPS = {  # class: what its members have in common
    "mammal": "feed their young with milk",
    "bird": "have feathers and lay eggs",
    "reptile": "have scales and breathe with lungs",
    "amphibian": "have moist skin without scales",
    "fish": "live in water and breathe with gills",
    "insect": "have six legs",
    "arachnid": "have eight legs",
    "mollusc": "have soft bodies, often in a shell",
    "crustacean": "have hard outer shells and mostly live in water",
}

ANIMALS = read_table(
    Animal,
    """
lion|lions|mammal|meat|the savannas of Africa and one forest in India|lives in groups that are called prides
tiger|tigers|mammal|meat|the forests of Asia|has a striped coat and is the largest of the cats
leopard|leopards|mammal|meat|Africa and Asia|has a spotted coat and climbs trees well
cheetah|cheetahs|mammal|meat|the savannas of Africa and a part of Iran|is the fastest animal on land
jaguar|jaguars|mammal|meat|the forests of Central and South America|is the largest cat of the Americas
lynx|lynxes|mammal|meat|the forests of the north|has tufts of hair on its ears
domestic cat|domestic cats|mammal|meat|houses and farms all over the world|catches mice and has been kept by people for thousands of years
dog|dogs|mammal|mostly meat|the company of people all over the world|descends from the wolf and was the first domestic animal
wolf|wolves|mammal|meat|forests, mountains and tundra of the northern half of the Earth|hunts in packs
red fox|red foxes|mammal|small animals and fruit|fields, forests and towns|has a bushy tail
brown bear|brown bears|mammal|plants, fish and meat|the forests of Europe, Asia and North America|sleeps through much of the winter
polar bear|polar bears|mammal|seals|the Arctic|has white fur and black skin
giant panda|giant pandas|mammal|bamboo|the mountains of China|is a black and white bear
raccoon|raccoons|mammal|plants and small animals|North America|has a black mask around its eyes
African elephant|African elephants|mammal|grass, leaves and bark|Africa|is the largest animal on land
Asian elephant|Asian elephants|mammal|grass, leaves and bark|the forests of Asia|has smaller ears than the African elephant
giraffe|giraffes|mammal|leaves|the savannas of Africa|is the tallest animal
zebra|zebras|mammal|grass|Africa|has black and white stripes
white rhinoceros|white rhinoceroses|mammal|grass|the savannas of Africa|has two horns and a wide mouth
hippopotamus|hippopotamuses|mammal|grass|the rivers and lakes of Africa|spends its days in the water
horse|horses|mammal|grass|pastures all over the world|was the main means of transport for thousands of years
donkey|donkeys|mammal|grass|dry lands and farms|is related to the horse and has long ears
cow|cows|mammal|grass|farms all over the world|gives milk and chews its food twice
sheep|sheep|mammal|grass|farms and mountains|gives wool
goat|goats|mammal|grass and leaves|farms and mountains|climbs very well
pig|pigs|mammal|plants and small animals|farms and forests|has a sensitive snout
dromedary|dromedaries|mammal|dry plants|the deserts of Africa and Arabia|is a camel with one hump
Bactrian camel|Bactrian camels|mammal|dry plants|the steppes of Central Asia|has two humps
llama|llamas|mammal|grass|the Andes|carries loads in the mountains
reindeer|reindeer|mammal|lichens and grass|the far north|is the only deer whose females have antlers too
moose|moose|mammal|leaves and water plants|the northern forests|is the largest deer
American bison|American bison|mammal|grass|the plains of North America|is the heaviest land animal of North America
hare|hares|mammal|grass|fields and meadows|is born with fur and open eyes
rabbit|rabbits|mammal|grass|meadows and forests|digs burrows
red squirrel|red squirrels|mammal|nuts and seeds|the forests of Europe and Asia|hides nuts for the winter
beaver|beavers|mammal|bark and leaves|rivers and lakes|builds dams
house mouse|house mice|mammal|seeds and scraps|houses and fields|lives close to people
hedgehog|hedgehogs|mammal|insects and worms|Europe, Asia and Africa|rolls up into a ball of spines
mole|moles|mammal|worms and insects|the soil|digs tunnels and hardly sees
common vampire bat|common vampire bats|mammal|blood|Central and South America|can fly and finds its way in the dark
kangaroo|kangaroos|mammal|grass|Australia|carries its young in a pouch and jumps on its hind legs
koala|koalas|mammal|leaves of eucalyptus trees|Australia|sleeps for most of the day
platypus|platypuses|mammal|small water animals|the rivers of Australia|lays eggs although it is a mammal
chimpanzee|chimpanzees|mammal|fruit, leaves and meat|the forests of Africa|uses tools and is one of the closest relatives of humans
gorilla|gorillas|mammal|leaves and fruit|the forests of Africa|is the largest of the apes
orangutan|orangutans|mammal|fruit|Borneo and Sumatra|has red hair and lives in trees
ring-tailed lemur|ring-tailed lemurs|mammal|fruit and leaves|Madagascar|has a long tail with black and white rings
giant anteater|giant anteaters|mammal|ants and termites|Central and South America|has a long tongue and no teeth
blue whale|blue whales|mammal|krill|the oceans|is the largest animal that has ever lived
sperm whale|sperm whales|mammal|squid|the oceans|dives very deep
orca|orcas|mammal|fish, seals and other animals|the oceans|is black and white and is the largest dolphin
bottlenose dolphin|bottlenose dolphins|mammal|fish and squid|warm seas|lives in groups and finds its prey by sound
walrus|walruses|mammal|clams|the Arctic|has two long tusks
ostrich|ostriches|bird|plants and insects|Africa|is the largest bird and cannot fly
emperor penguin|emperor penguins|bird|fish, squid and krill|Antarctica|cannot fly and keeps its egg warm on its feet
golden eagle|golden eagles|bird|meat|mountains and open land|is a strong bird of prey
peregrine falcon|peregrine falcons|bird|other birds|cliffs and towers all over the world|is the fastest animal when it dives
barn owl|barn owls|bird|mice and voles|fields and barns|hunts at night
raven|ravens|bird|meat, seeds and fruit|the northern half of the Earth|is a clever black bird
house sparrow|house sparrows|bird|seeds and insects|towns and farms|lives close to people
barn swallow|barn swallows|bird|insects|fields and farms|flies to warm countries for the winter
white stork|white storks|bird|frogs, insects and mice|meadows of Europe and Africa|builds large nests on roofs
flamingo|flamingos|bird|algae and small crustaceans|shallow lakes|owes its pink colour to its food
hummingbird|hummingbirds|bird|nectar and insects|the Americas|can hover in the air
Arctic tern|Arctic terns|bird|fish|the Arctic and the Antarctic|flies from one end of the Earth to the other each year
wandering albatross|wandering albatrosses|bird|squid and fish|the southern oceans|has the widest wings of all living birds
chicken|chickens|bird|seeds and insects|farms all over the world|lays eggs for people
mallard|mallards|bird|plants and small animals|ponds and rivers|is the ancestor of most domestic ducks
mute swan|mute swans|bird|water plants|lakes and rivers|is white and has an orange beak
kiwi|kiwis|bird|worms and insects|New Zealand|cannot fly and has a long beak
emu|emus|bird|plants and insects|Australia|is the second tallest living bird
Nile crocodile|Nile crocodiles|reptile|meat|the rivers and lakes of Africa|lies in wait for animals that come to drink
American alligator|American alligators|reptile|meat|the swamps of the southern United States|has a broad, round snout
green sea turtle|green sea turtles|reptile|seagrass and algae|warm seas|comes to the beach to lay its eggs
Galápagos tortoise|Galápagos tortoises|reptile|plants|the Galápagos Islands|can live for more than a hundred years
Komodo dragon|Komodo dragons|reptile|meat|a few islands of Indonesia|is the largest lizard
chameleon|chameleons|reptile|insects|Africa and Madagascar|can change its colour
king cobra|king cobras|reptile|snakes|the forests of Asia|is the longest venomous snake
green anaconda|green anacondas|reptile|meat|the swamps of South America|is the heaviest snake
common frog|common frogs|amphibian|insects and worms|ponds and meadows of Europe|begins its life as a tadpole
fire salamander|fire salamanders|amphibian|worms and insects|the forests of Europe|is black and yellow
axolotl|axolotls|amphibian|small water animals|a lake in Mexico|keeps its gills all its life
great white shark|great white sharks|fish|fish and seals|the oceans|is the largest fish that hunts large prey
whale shark|whale sharks|fish|plankton|warm oceans|is the largest fish
Atlantic salmon|Atlantic salmon|fish|small fish|the Atlantic Ocean and its rivers|returns to its river to lay its eggs
European eel|European eels|fish|small animals|rivers of Europe and the Sargasso Sea|crosses the ocean to lay its eggs
seahorse|seahorses|fish|tiny crustaceans|seagrass and corals|carries its young in a pouch of the male
clownfish|clownfish|fish|plankton and algae|the reefs of warm seas|lives among sea anemones
piranha|piranhas|fish|fish, insects and plants|the rivers of South America|has sharp teeth
honey bee|honey bees|insect|nectar and pollen|hives|makes honey and dances to show the way to flowers
monarch butterfly|monarch butterflies|insect|nectar|the Americas|flies to Mexico for the winter
ant|ants|insect|seeds, nectar and insects|nests in soil and wood|lives in large colonies with a queen
ladybird|ladybirds|insect|mostly aphids|gardens and fields|is often red with black spots
mosquito|mosquitoes|insect|nectar and, in females, blood|wet places|can carry malaria
dragonfly|dragonflies|insect|other insects|ponds and streams|is a very fast flier with four wings
garden spider|garden spiders|arachnid|insects|gardens of Europe and North America|spins a round web
scorpion|scorpions|arachnid|insects and spiders|warm and dry lands|has a sting at the end of its tail
garden snail|garden snails|mollusc|leaves|gardens and woods|carries its shell on its back
common octopus|common octopuses|mollusc|crabs and shellfish|the sea floor|has eight arms and three hearts
giant squid|giant squid|mollusc|fish and squid|the deep ocean|has eyes as large as plates
blue mussel|blue mussels|mollusc|plankton|rocky coasts|filters the water for food
European lobster|European lobsters|crustacean|small sea animals|the coasts of Europe|has two strong claws
Antarctic krill|Antarctic krill|crustacean|tiny algae|the Southern Ocean|is the food of whales and penguins
""",
)

PLANTS = read_table(
    Plant,
    """
oak|tree|bears acorns and can live for many centuries
beech|tree|has smooth grey bark
birch|tree|has white bark
pine|tree|has long needles and keeps them in winter
spruce|tree|has short needles and hanging cones
larch|tree|loses its needles in autumn
giant sequoia|tree|is one of the largest living things and grows in California
coast redwood|tree|is the tallest of all trees and grows in California
baobab|tree|stores water in its thick trunk
ginkgo|tree|has leaves like fans and has hardly changed since the time of the dinosaurs
olive tree|tree|bears the fruit from which olive oil is pressed
date palm|tree|bears sweet fruit in hot and dry lands
coconut palm|tree|grows on warm coasts
rubber tree|tree|gives a white sap from which rubber is made
cacao tree|tree|bears the beans from which chocolate is made
wheat|grain|is ground to flour for bread
rice|grain|is the main food of much of Asia
maize|grain|was first grown in Mexico
barley|grain|is used to brew beer
rye|grain|grows well in cool lands and makes dark bread
potato|vegetable|comes from the Andes and grows under the ground
carrot|vegetable|is an orange root
onion|vegetable|makes the eyes water when it is cut
cabbage|vegetable|has leaves that form a tight head
pumpkin|vegetable|has a hard rind and comes from the Americas
tomato|fruit|comes from the Americas and is used as a vegetable
apple|fruit|comes from the mountains of Central Asia
banana|fruit|grows in bunches in warm and wet lands
orange|fruit|is rich in vitamin C
lemon|fruit|is yellow and sour
grape|fruit|is used to make wine
strawberry|fruit|carries its seeds on the outside
pineapple|fruit|comes from South America
mango|fruit|comes from southern Asia
rose|flower|has thorns and a sweet smell
tulip|flower|grows from a bulb and is a symbol of the Netherlands
sunflower|flower|bears seeds that are pressed for oil
lotus|flower|grows in water and is sacred to Buddhists and Hindus
edelweiss|flower|grows high in the mountains
pepper|spice plant|bears the hot berries that are the most traded spice
vanilla|spice plant|is an orchid whose pods flavour ice cream
saffron|spice plant|is a crocus and gives the most expensive spice
cotton|fibre plant|bears white fibres that are spun into thread
flax|fibre plant|has blue flowers and gives the fibre for linen
tea|shrub|has leaves from which a hot drink is made
coffee|shrub|bears berries whose roasted seeds make a hot drink
""",
)

ORGANS = read_table(
    Organ,
    """
heart|pumps blood through the body and has four chambers
brain|controls the body and is the organ of thought
lung|takes oxygen from the air into the blood
liver|cleans the blood and makes bile
kidney|filters the blood and makes urine
stomach|breaks down food with acid
skin|covers the body and is its largest organ
eye|turns light into signals for the brain
ear|hears sounds and keeps the balance
nose|smells and warms the air
tongue|tastes food and helps in speaking
femur|is the longest bone of the body
skull|protects the brain
spine|holds the body upright and protects the spinal cord
rib cage|protects the heart and the lungs
diaphragm|is the most important muscle of breathing
pancreas|makes insulin
spleen|removes old blood cells
small intestine|takes food substances into the blood
large intestine|takes water from what is left of the food
stapes|is the smallest bone of the body and lies in the ear
red blood cell|carries oxygen
white blood cell|fights germs
neuron|carries electric signals
""",
)
