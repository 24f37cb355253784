"""Word lists for free writing: what a mood sounds like and what a place holds."""

# ruff: noqa: E501 (a table reads best with one row on a line)

from __future__ import annotations

MOODS: dict[str, dict[str, tuple[str, ...]]] = {
    "cheerful": {
        "adjective": ("bright", "merry", "sunny", "golden", "playful", "warm", "lively", "sweet", "rosy", "sparkling", "glad"),
        "verb": ("laughed", "danced", "skipped", "sang", "waved", "smiled", "whistled", "twirled", "clapped", "hummed", "grinned"),
        "adverb": ("happily", "gladly", "merrily", "brightly", "lightly", "warmly", "eagerly", "cheerily"),
        "feeling": ("joy", "delight", "laughter", "sunshine", "comfort", "friendship", "hope", "play"),
    },
    "gloomy": {
        "adjective": ("grey", "damp", "bleak", "hollow", "faded", "cold", "tired", "dusty", "pale", "crooked", "heavy"),
        "verb": ("sighed", "wept", "shivered", "lingered", "faltered", "frowned", "slumped", "mourned", "trudged", "brooded", "sank"),
        "adverb": ("sadly", "slowly", "wearily", "bitterly", "faintly", "dully", "hopelessly", "coldly"),
        "feeling": ("sorrow", "regret", "loss", "rain", "doubt", "loneliness", "ash", "silence"),
    },
    "mysterious": {
        "adjective": ("hidden", "silent", "strange", "veiled", "secret", "misty", "ancient", "shadowy", "nameless", "curious", "locked"),
        "verb": ("whispered", "vanished", "crept", "listened", "wondered", "flickered", "waited", "watched", "hesitated", "drifted", "stared"),
        "adverb": ("secretly", "silently", "oddly", "carefully", "suddenly", "dimly", "softly", "darkly"),
        "feeling": ("mystery", "witchcraft", "fog", "magic", "wonder", "moonlight", "suspicion", "twilight"),
    },
    "brave": {
        "adjective": ("bold", "fierce", "steady", "proud", "mighty", "fearless", "stern", "loyal", "tough", "noble", "blazing"),
        "verb": ("fought", "charged", "climbed", "stood", "shouted", "leapt", "advanced", "endured", "marched", "dared", "rose"),
        "adverb": ("boldly", "firmly", "proudly", "fiercely", "bravely", "loudly", "steadily", "nobly"),
        "feeling": ("courage", "honour", "victory", "strength", "fire", "duty", "glory", "will"),
    },
    "calm": {
        "adjective": ("quiet", "gentle", "soft", "still", "mild", "clear", "tender", "smooth", "restful", "patient", "silver"),
        "verb": ("rested", "breathed", "floated", "dozed", "strolled", "settled", "yawned", "paused", "mused", "glided", "reflected"),
        "adverb": ("quietly", "gently", "calmly", "evenly", "peacefully", "patiently", "lazily", "tenderly"),
        "feeling": ("peace", "rest", "balance", "sleep", "evening", "ease", "trust", "stillness"),
    },
    "funny": {
        "adjective": ("silly", "wobbly", "giant", "upside-down", "striped", "squeaky", "clumsy", "fluffy", "sticky", "purple", "odd"),
        "verb": ("giggled", "stumbled", "hiccuped", "bounced", "sneezed", "snorted", "slipped", "wiggled", "tripped", "honked", "burped"),
        "adverb": ("clumsily", "foolishly", "noisily", "wildly", "absurdly", "sloppily", "cheekily", "sideways"),
        "feeling": ("nonsense", "mischief", "mayhem", "chaos", "silliness", "banter", "slapstick", "confusion"),
    },
    "angry": {
        "adjective": ("harsh", "bitter", "burning", "sharp", "broken", "red", "jagged", "rude", "stormy", "savage", "grim"),
        "verb": ("stormed", "roared", "snapped", "stamped", "glared", "growled", "cursed", "raged", "hissed", "fumed", "barked"),
        "adverb": ("angrily", "roughly", "harshly", "furiously", "rudely", "hotly", "violently", "sourly"),
        "feeling": ("anger", "revenge", "thunder", "hatred", "spite", "envy", "rage", "poison"),
    },
    "romantic": {
        "adjective": ("lovely", "velvet", "scented", "starlit", "dear", "blushing", "dreamy", "crimson", "fond", "graceful", "precious"),
        "verb": ("blushed", "sighed", "longed", "adored", "swayed", "yearned", "gazed", "melted", "embraced", "promised", "glowed"),
        "adverb": ("fondly", "dearly", "sweetly", "shyly", "breathlessly", "devotedly", "dreamily", "lovingly"),
        "feeling": ("love", "longing", "passion", "devotion", "starlight", "tenderness", "perfume", "music"),
    },
}  # fmt: skip

PLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "harbour": (
        ("anchor", "net", "mast", "lantern", "crate", "rope", "ferry", "buoy", "barrel", "pier", "chain"),
        ("gull", "sailor", "fisher", "crab", "captain", "harbour cat", "pelican"),
    ),
    "forest": (
        ("fern", "stump", "path", "mushroom", "creek", "branch", "clearing", "nest", "pine cone", "log", "thicket"),
        ("owl", "fox", "badger", "hunter", "stag", "hedgehog", "woodcutter"),
    ),
    "castle": (
        ("tower", "banner", "gate", "throne", "torch", "moat", "shield", "stair", "cellar", "crown", "drawbridge"),
        ("knight", "queen", "jester", "page", "hound", "duke", "raven"),
    ),
    "desert": (
        ("dune", "well", "tent", "caravan", "cactus", "flute", "mirage", "carpet", "oasis", "bone", "water bag"),
        ("camel", "scorpion", "trader", "falcon", "nomad", "lizard", "guide"),
    ),
    "city": (
        ("tram", "alley", "poster", "balcony", "clock", "taxi", "fountain", "window", "bridge", "lamp post", "rooftop"),
        ("musician", "pigeon", "beggar", "driver", "policeman", "stray dog", "student"),
    ),
    "mountain valley": (
        ("ridge", "hut", "glacier", "cave", "trail", "boulder", "peak", "stream", "cable car", "ice axe", "meadow"),
        ("goat", "climber", "eagle", "shepherd", "marmot", "guide", "hermit"),
    ),
    "kitchen": (
        ("kettle", "spoon", "oven", "apron", "pie", "jar", "pan", "whisk", "table", "cake", "pepper mill"),
        ("cook", "waiter", "mouse", "guest", "kitchen maid", "fly", "butcher"),
    ),
    "library": (
        ("book", "ladder", "desk", "scroll", "lamp", "shelf", "map", "page", "letter", "catalogue", "bookmark"),
        ("librarian", "reader", "scholar", "bookworm", "moth", "professor", "caretaker"),
    ),
    "school": (
        (
            "bell",
            "chalk box",
            "corridor",
            "bench",
            "satchel",
            "globe",
            "ruler",
            "gym",
            "notebook",
            "inkpot",
            "blackboard",
        ),
        ("teacher", "pupil", "janitor", "headmaster", "hamster", "new girl", "inspector"),
    ),
    "circus": (
        ("drum", "tent", "ring", "trumpet", "trapeze", "cannon", "ticket", "costume", "wagon", "hoop", "tightrope"),
        ("clown", "acrobat", "poodle", "juggler", "elephant", "ringmaster", "magician"),
    ),
    "railway station": (
        (
            "train",
            "suitcase",
            "platform",
            "whistle",
            "signal",
            "timetable",
            "engine",
            "ticket",
            "clock",
            "kiosk",
            "tunnel",
        ),
        ("guard", "porter", "traveller", "conductor", "sparrow", "widow", "soldier"),
    ),
    "garden": (
        ("rose", "hedge", "pond", "swing", "gate", "apple tree", "statue", "shed", "spade", "path", "fountain"),
        ("bee", "gardener", "snail", "toad", "neighbour", "blackbird", "mole"),
    ),
    "sailing ship": (
        ("deck", "sail", "compass", "cabin", "barrel", "wheel", "chart", "hammock", "spyglass", "anchor", "hatch"),
        ("captain", "parrot", "cook", "cabin boy", "whale", "stowaway", "rat"),
    ),
    "market": (
        ("stall", "basket", "scale", "cheese", "coin", "melon", "scarf", "cart", "awning", "jug", "carpet"),
        ("baker", "merchant", "goose", "pickpocket", "farmer", "donkey", "fortune teller"),
    ),
}
"""What there is at each place: things, and beings that can act."""

PREPOSITIONS: dict[str, str] = {
    "harbour": "at", "forest": "in", "castle": "in", "desert": "in", "city": "in", "mountain valley": "in",
    "kitchen": "in", "library": "in", "school": "at", "circus": "at", "railway station": "at", "garden": "in",
    "sailing ship": "on", "market": "at",
}  # fmt: skip
"""The word before ``the`` and the place, where something happens there."""

ROLES = (
    "painter", "detective", "sailor", "baker", "orphan", "wizard", "knight", "poet", "gardener", "thief", "doctor",
    "dancer", "pilot", "hunter", "queen", "farmer", "ghost", "robot", "teacher", "pirate", "clockmaker", "singer",
    "soldier", "inventor", "spy", "beekeeper", "postman", "juggler",
)  # fmt: skip

TIMES = (
    "one morning", "at dawn", "after the storm", "late in autumn", "at midnight", "on a Sunday", "in early spring",
    "before breakfast", "one winter evening", "at noon", "on the last day of school", "after a long journey",
    "during the festival", "on a foggy afternoon", "in the hottest week of summer", "when the moon rose",
)  # fmt: skip
