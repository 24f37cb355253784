"""Plain English word lists that several task templates draw from."""

from __future__ import annotations

PLAIN_WORDS = (
    "acorn", "amber", "anchor", "apple", "arrow", "autumn", "badge", "bamboo", "barrel", "basket", "beacon", "bench",
    "bottle", "branch", "bridge", "bronze", "bucket", "butter", "button", "cabin", "cactus", "candle", "canyon",
    "carpet", "castle", "cedar", "chalk", "cherry", "circle", "clover", "cobalt", "copper", "coral", "cotton", "crane",
    "crystal", "curtain", "dagger", "daisy", "desert", "diamond", "dolphin", "dragon", "eagle", "ember", "engine",
    "falcon", "feather", "fiddle", "flint", "forest", "fossil", "fountain", "galaxy", "garden", "garlic", "ginger",
    "glacier", "granite", "hammer", "harbor", "hazel", "helmet", "honey", "horizon", "island", "ivory", "jacket",
    "jasmine", "jewel", "jungle", "kettle", "ladder", "lagoon", "lantern", "lemon", "lily", "linen", "lobster",
    "lumber", "magnet", "mango", "maple", "marble", "meadow", "melon", "mirror", "mosaic", "mountain", "needle",
    "nickel", "nutmeg", "oasis", "ocean", "olive", "onion", "orchard", "otter", "oyster", "paddle", "palace", "panther",
    "parrot", "pebble", "pencil", "pepper", "pigeon", "pillow", "planet", "plum", "pocket", "pony", "poppy", "prairie",
    "pumpkin", "quartz", "quiver", "rabbit", "raven", "ribbon", "river", "rocket", "saddle", "saffron", "salmon",
    "sandal", "satin", "scarf", "shadow", "shell", "silver", "spider", "spruce", "stone", "summer", "sunset", "temple",
    "thistle", "thunder", "timber", "tulip", "tunnel", "turtle", "valley", "velvet", "violet", "walnut", "whistle",
    "willow", "window", "winter", "yarrow", "zebra", "zinc",
)  # fmt: skip

FIRST_NAMES = (
    "Ada", "Amir", "Anna", "Ben", "Bruno", "Carla", "Chen", "Clara", "Dara", "David", "Elena", "Emil", "Farah", "Felix",
    "Fiona", "Gita", "Grace", "Hana", "Hugo", "Ida", "Ivan", "Jonas", "Julia", "Kofi", "Lara", "Leo", "Lina", "Lucas",
    "Maya", "Milan", "Mina", "Nadia", "Nina", "Noah", "Olga", "Omar", "Paul", "Petra", "Rosa", "Ruben", "Sara", "Simon",
    "Sofia", "Tariq", "Theo", "Tomas", "Vera", "Viktor", "Yara", "Zoe",
)  # fmt: skip

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

GOODS = (
    "apples", "pears", "books", "pencils", "candles", "eggs", "stamps", "tickets", "coins", "marbles", "cups", "plates",
    "chairs", "lamps", "shells", "stones", "buttons", "cards", "boxes", "bottles", "flowers", "lemons", "plums",
    "biscuits", "keys", "bricks", "maps", "ribbons", "hats", "scarves",
)  # fmt: skip
