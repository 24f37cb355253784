"""The shelf of topics for science and the humanities: each with a few plain, true sentences."""

# ruff: noqa: E501 (a table reads best with one row on a line)

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what it is (completes "X is ..."), an example, why it matters and three words that belong to it."""

    name: str
    field: str
    what: str
    example: str
    matters: str
    words: tuple[str, str, str]


STEM_TOPICS = (
    Topic("gravity", "physics", "the force that pulls masses together", "an apple falling from a tree", "it keeps planets on their paths", ("mass", "weight", "orbit")),
    Topic("friction", "physics", "the force that resists sliding", "brakes slowing a bicycle", "it lets us walk without slipping", ("surface", "heat", "grip")),
    Topic("inertia", "physics", "the tendency of a body to keep its motion", "a passenger leaning forward when a bus stops", "it explains why seat belts are needed", ("mass", "motion", "rest")),
    Topic("electric current", "physics", "the flow of electric charge", "charge moving through a copper wire", "it carries energy to our homes", ("wire", "charge", "ampere")),
    Topic("magnetism", "physics", "the force between magnets and moving charges", "a compass needle turning north", "it drives motors and generators", ("pole", "field", "iron")),
    Topic("refraction", "physics", "the bending of light between two media", "a straw that looks broken in water", "it makes lenses possible", ("light", "lens", "angle")),
    Topic("sound", "physics", "a wave of pressure in matter", "the ring of a bell", "it lets animals communicate", ("pitch", "echo", "vibration")),
    Topic("pressure", "physics", "force spread over an area", "a sharp knife cutting well", "it explains how pumps work", ("force", "area", "pascal")),
    Topic("evaporation", "physics", "the change of a liquid into a gas below its boiling point", "a puddle drying in the sun", "it cools our skin when we sweat", ("vapour", "heat", "surface")),
    Topic("density", "physics", "mass per unit of volume", "oil floating on water", "it decides what floats and what sinks", ("mass", "volume", "buoyancy")),
    Topic("an atom", "chemistry", "the smallest unit of an element", "a single atom of helium", "all matter is made of atoms", ("nucleus", "electron", "proton")),
    Topic("a molecule", "chemistry", "a group of bonded atoms", "water with two hydrogen atoms and one oxygen atom", "its shape decides how a substance behaves", ("bond", "atom", "formula")),
    Topic("an acid", "chemistry", "a substance that gives off hydrogen ions in water", "the sour juice of a lemon", "it helps us to digest food", ("ion", "litmus", "vinegar")),
    Topic("a catalyst", "chemistry", "a substance that speeds up a reaction without being used up", "an enzyme in saliva", "it saves energy in industry", ("enzyme", "reaction", "rate")),
    Topic("oxidation", "chemistry", "the loss of electrons by a substance", "iron turning into rust", "it releases energy in fires and in cells", ("rust", "oxygen", "electron")),
    Topic("a solution", "chemistry", "an even mixture of one substance in another", "salt dissolved in water", "many reactions take place in it", ("solvent", "solute", "mixture")),
    Topic("distillation", "chemistry", "the separation of liquids by their boiling points", "alcohol separated from water", "it is used to refine oil", ("vapour", "cooling", "flask")),
    Topic("photosynthesis", "biology", "the way plants make sugar from light, water and carbon dioxide", "a green leaf in the sun", "it fills the air with oxygen", ("leaf", "light", "sugar")),
    Topic("a cell", "biology", "the smallest living unit of an organism", "a red blood cell", "every organism is built from cells", ("membrane", "nucleus", "tissue")),
    Topic("evolution", "biology", "the change of inherited traits over generations", "finches with different beaks", "it explains the variety of life", ("trait", "selection", "species")),
    Topic("digestion", "biology", "the breaking down of food into small molecules", "the stomach working on bread", "it feeds every cell of the body", ("stomach", "enzyme", "nutrient")),
    Topic("DNA", "biology", "the molecule that stores genetic information", "the genes in a human cell", "it is copied when cells divide", ("gene", "base", "helix")),
    Topic("an ecosystem", "biology", "a community of organisms and their surroundings", "a pond with frogs and reeds", "it recycles matter and energy", ("species", "habitat", "food web")),
    Topic("the immune system", "biology", "the defence of the body against germs", "white blood cells attacking a virus", "it protects us from disease", ("antibody", "virus", "vaccine")),
    Topic("pollination", "biology", "the transfer of pollen to a flower's stigma", "a bee visiting a blossom", "many fruits depend on it", ("pollen", "bee", "seed")),
    Topic("an earthquake", "earth science", "a sudden shaking of the ground", "plates slipping along a fault", "it teaches us about the inside of the earth", ("fault", "plate", "wave")),
    Topic("erosion", "earth science", "the wearing away of rock and soil", "a river carving a canyon", "it shapes valleys and coasts", ("wind", "river", "soil")),
    Topic("the water cycle", "earth science", "the movement of water between sea, air and land", "rain feeding a mountain stream", "it renews our drinking water", ("rain", "cloud", "river")),
    Topic("a volcano", "earth science", "an opening through which molten rock reaches the surface", "lava running down a slope", "it creates new land and fertile soil", ("lava", "ash", "crater")),
    Topic("a star", "astronomy", "a ball of hot gas that shines by nuclear fusion", "our own sun", "it gives light and heat to its planets", ("fusion", "light", "galaxy")),
    Topic("an eclipse", "astronomy", "an event in which one body blocks the light of another", "the moon covering the sun", "it helped people to understand orbits", ("moon", "shadow", "sun")),
    Topic("a comet", "astronomy", "a small icy body that grows a tail near the sun", "a bright tail in the night sky", "it preserves material from the early solar system", ("ice", "tail", "orbit")),
    Topic("an algorithm", "computing", "a finite list of steps that solves a problem", "sorting names by alphabet", "every program is built on it", ("step", "input", "output")),
    Topic("a database", "computing", "an organised collection of data", "the catalogue of a library", "it makes information easy to find", ("table", "query", "record")),
    Topic("a network", "computing", "a set of connected devices", "computers in an office", "it lets machines share data", ("router", "cable", "packet")),
    Topic("encryption", "computing", "the turning of a message into a secret code", "a locked bank connection", "it keeps private data safe", ("key", "code", "password")),
    Topic("a lever", "engineering", "a stiff bar that turns on a pivot", "a seesaw on a playground", "it multiplies a small force", ("pivot", "load", "effort")),
    Topic("a turbine", "engineering", "a wheel with blades turned by a moving fluid", "a wind wheel on a hill", "it produces most of our electricity", ("blade", "steam", "generator")),
    Topic("an arch", "engineering", "a curved structure that carries weight to its sides", "an old stone bridge", "it spans gaps without steel", ("stone", "load", "bridge")),
    Topic("insulation", "engineering", "material that slows the flow of heat", "wool inside a wall", "it saves fuel in winter", ("heat", "wall", "air")),
)  # fmt: skip

HUMANITIES_TOPICS = (
    Topic("the Renaissance", "history", "a period of renewed interest in art and learning in Europe", "the painters of Florence", "it changed how people saw themselves", ("art", "Florence", "learning")),
    Topic("the Industrial Revolution", "history", "the change from hand work to machines and factories", "steam engines in cotton mills", "it moved people from villages to cities", ("steam", "factory", "city")),
    Topic("the Silk Road", "history", "a net of trade routes between Asia and Europe", "caravans that carried silk and spices", "it spread goods and ideas", ("trade", "caravan", "silk")),
    Topic("the Roman Empire", "history", "a state that once ruled the lands around the Mediterranean", "the aqueducts that still stand", "its law and language shaped Europe", ("law", "Latin", "road")),
    Topic("ancient Egypt", "history", "an early civilization along the Nile", "the pyramids of Giza", "it left writing, art and monuments", ("Nile", "pharaoh", "pyramid")),
    Topic("feudalism", "history", "an order in which land was given in return for service", "a knight who served a lord", "it shaped life in the Middle Ages", ("lord", "land", "knight")),
    Topic("the printing press", "history", "a machine that copies texts with movable type", "the books printed in Mainz", "it made knowledge cheap", ("book", "type", "paper")),
    Topic("the French Revolution", "history", "the uprising that ended the old monarchy in France", "the storming of the Bastille", "it spread the idea of equal rights", ("liberty", "king", "Paris")),
    Topic("a city-state", "history", "a city that governs itself as a country", "ancient Athens", "it was an early place of democracy", ("Athens", "citizen", "wall")),
    Topic("an archive", "history", "a place where records are kept", "letters stored in a town hall", "it lets us check what really happened", ("record", "letter", "source")),
    Topic("ethics", "philosophy", "the study of right and wrong action", "the question whether one may lie to help a friend", "it guides our choices", ("duty", "virtue", "choice")),
    Topic("logic", "philosophy", "the study of correct reasoning", "a proof with two premises", "it helps us to find errors", ("premise", "proof", "conclusion")),
    Topic("stoicism", "philosophy", "a school that teaches calm in the face of fate", "the notes of Marcus Aurelius", "it teaches what we can control", ("calm", "fate", "virtue")),
    Topic("utilitarianism", "philosophy", "the view that the best act creates the most happiness", "a doctor who must choose whom to help first", "it makes us weigh results", ("happiness", "result", "benefit")),
    Topic("scepticism", "philosophy", "the habit of doubting claims without good reasons", "asking how a witness could know", "it protects us from false belief", ("doubt", "reason", "evidence")),
    Topic("free will", "philosophy", "the ability to choose one's own actions", "deciding to tell the truth", "it is the ground of responsibility", ("choice", "cause", "blame")),
    Topic("a metaphor", "literature", "a figure that speaks of one thing as if it were another", "calling time a thief", "it makes ideas vivid", ("image", "poem", "meaning")),
    Topic("an epic", "literature", "a long poem about heroes and great deeds", "the travels of Odysseus", "it keeps the memory of a people", ("hero", "journey", "verse")),
    Topic("tragedy", "literature", "a play in which a great person falls", "the story of Oedipus", "it moves us to pity and fear", ("fate", "stage", "hero")),
    Topic("a fable", "literature", "a short tale that teaches a lesson, often with animals", "the race of the hare and the tortoise", "it teaches wisdom to children", ("animal", "lesson", "tale")),
    Topic("a sonnet", "literature", "a poem of fourteen lines", "the love poems of Petrarch", "it trains a poet to be brief", ("rhyme", "line", "love")),
    Topic("irony", "literature", "saying one thing and meaning another", "praising the weather in a storm", "it lets writers criticise with a smile", ("tone", "contrast", "humour")),
    Topic("perspective", "art", "the method of showing depth on a flat surface", "a street whose lines meet at one point", "it made paintings look real", ("line", "depth", "horizon")),
    Topic("impressionism", "art", "a style that paints light with quick strokes", "the water lilies of Monet", "it opened the way to modern art", ("light", "colour", "brush")),
    Topic("a mosaic", "art", "a picture made of small coloured pieces", "the floors of Roman villas", "it lasts for centuries", ("stone", "glass", "pattern")),
    Topic("a fresco", "art", "a painting made on wet plaster", "the ceiling of the Sistine Chapel", "it becomes part of the wall", ("plaster", "wall", "pigment")),
    Topic("a symphony", "music", "a long work for orchestra in several movements", "the fifth by Beethoven", "it shows how themes can grow", ("orchestra", "theme", "movement")),
    Topic("counterpoint", "music", "the art of combining several melodies", "a fugue by Bach", "it gives music depth", ("melody", "voice", "fugue")),
    Topic("folk music", "music", "music passed on by ear within a community", "a harvest song", "it keeps old stories alive", ("song", "dance", "village")),
    Topic("democracy", "politics", "a form of rule in which the people decide by vote", "the election of a parliament", "it lets people change their leaders in peace", ("vote", "law", "people")),
    Topic("a constitution", "politics", "the basic law of a state", "the rules on how a president is chosen", "it limits the power of rulers", ("law", "rights", "court")),
    Topic("federalism", "politics", "the sharing of power between a centre and its regions", "the cantons of Switzerland", "it respects local differences", ("region", "power", "state")),
    Topic("a treaty", "politics", "a formal agreement between states", "a border drawn after a war", "it replaces war by rules", ("peace", "state", "border")),
    Topic("a myth", "religion and culture", "an old story that explains the world", "the tale of Prometheus and the fire", "it shows what a people values", ("god", "origin", "story")),
    Topic("a ritual", "religion and culture", "an action repeated in a fixed form", "lighting candles at a feast", "it binds a group together", ("feast", "symbol", "custom")),
    Topic("pilgrimage", "religion and culture", "a journey to a holy place", "the walk to Santiago", "it joins travel and faith", ("journey", "faith", "shrine")),
    Topic("a dialect", "language", "a local form of a language", "the speech of a mountain village", "it shows where people come from", ("accent", "region", "word")),
    Topic("an alphabet", "language", "a set of letters for the sounds of a language", "the Greek letters", "it makes reading easy to learn", ("letter", "sound", "script")),
    Topic("translation", "language", "the carrying over of meaning into another language", "a novel read in many countries", "it connects cultures", ("meaning", "text", "language")),
    Topic("rhetoric", "language", "the art of persuading with words", "a speech before a court", "it shapes public debate", ("speech", "audience", "argument")),
)  # fmt: skip
