"""Events, works and debates for the humanities tasks."""

# ruff: noqa: E501 (a table reads best with one row on a line)

from __future__ import annotations

EVENTS = (
    ("the founding of Rome, by legend", -753), ("the death of Socrates", -399), ("the death of Julius Caesar", -44),
    ("the end of the Western Roman Empire", 476), ("the crowning of Charlemagne", 800), ("the Norman conquest of England", 1066),
    ("the sealing of Magna Carta", 1215), ("the fall of Constantinople", 1453), ("the first voyage of Columbus", 1492),
    ("the publication of Don Quixote, part one", 1605), ("the Peace of Westphalia", 1648), ("the Lisbon earthquake", 1755),
    ("the American Declaration of Independence", 1776), ("the start of the French Revolution", 1789),
    ("the Battle of Waterloo", 1815), ("the opening of the Suez Canal", 1869), ("the start of the First World War", 1914),
    ("the end of the Second World War", 1945), ("the first landing on the moon", 1969), ("the fall of the Berlin Wall", 1989),
)  # fmt: skip

WORKS = (
    ("Hamlet", "play", "William Shakespeare"), ("Faust", "play", "Johann Wolfgang von Goethe"), ("the Iliad", "epic", "Homer"),
    ("Don Quixote", "novel", "Miguel de Cervantes"), ("War and Peace", "novel", "Leo Tolstoy"), ("Emma", "novel", "Jane Austen"),
    ("the Divine Comedy", "poem", "Dante"), ("the Aeneid", "epic", "Virgil"), ("Candide", "tale", "Voltaire"),
    ("Frankenstein", "novel", "Mary Shelley"), ("the Magic Flute", "opera", "Mozart"), ("Aida", "opera", "Verdi"),
    ("the Republic", "dialogue", "Plato"), ("Guernica", "painting", "Picasso"), ("the Mona Lisa", "painting", "Leonardo da Vinci"),
    ("the Four Seasons", "set of concertos", "Vivaldi"), ("the Thinker", "sculpture", "Rodin"), ("Middlemarch", "novel", "George Eliot"),
)  # fmt: skip

DEBATES = (
    "museums", "school uniforms", "public libraries", "old monuments", "learning Latin", "voting at sixteen", "city markets",
    "free theatre tickets", "long novels", "handwriting", "national holidays", "street art", "local dialects", "homework",
)  # fmt: skip

PROS = ("they bring people together", "they teach patience", "they keep memories alive", "they open new views",
         "they give everyone a chance", "they make life richer")  # fmt: skip

CONS = ("they cost a lot of money", "they take much time", "they do not suit everyone", "they can feel old-fashioned",
         "they need constant care", "they are hard to judge")  # fmt: skip
