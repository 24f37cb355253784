"""What characters say and do; the slots are filled from a palette."""

from __future__ import annotations

GREETINGS = (
    "Welcome, stranger, to my {adj} {place}!",
    "Ah, a visitor with {a_thing}!",
    "Who goes there by the {thing}?",
    "Come closer, I was just thinking of {feeling}.",
    "Good day, and mind the {adj} {noun}.",
    "At last somebody who understands {feeling}!",
    "Hush, the {being} is asleep by the {noun}.",
    "You look {adj}; sit down by the {noun}.",
    "{feeling} to you, my {adj} friend!",
    "So {a_being} sent you, I suppose?",
)
ANSWERS = (
    "I have always been {adj}, ever since the {being} {verb}.",
    "My {noun} is {adj}, but my heart is full of {feeling}.",
    "This morning I {verb} {adv} because of {a_being}.",
    "You see, {a_thing} means {feeling} to {a_being}.",
    "They call me {adj}, and I call them {adj}.",
    "Once I {verb} with {a_being} for three days.",
    "Between the {noun} and the {thing} I learned {feeling}.",
    "I would give {a_noun} for a little {feeling}.",
    "Nothing here is {adj} except the {noun}.",
    "If the {noun} could speak, it would speak {adv}.",
    "{a_being} taught me {feeling}, and I {verb}.",
    "Some days are {adj}, others smell of {feeling}.",
    "I keep {a_thing} under the {noun}.",
    "Ask the {being}: I {verb} {adv} all night.",
    "What is {feeling} without {a_thing}?",
    "Give me {feeling}, and I am {adj} again.",
    "The {adj} {being} and I {verb} by the {noun}.",
    "Every {noun} here has its own {feeling}.",
)
SECRETS = (
    "Listen: under the {noun} lies {a_thing}.",
    "Nobody knows that I {verb} when the {being} is {adj}.",
    "Years ago I stole {a_thing} for the sake of {feeling}.",
    "The truth is that the {being} {verb} {adv} at night.",
    "I am no {role} at all, I only love {feeling}.",
    "The old {being} told me of {feeling} and {a_thing}.",
    "My {noun} is false, and so is my {feeling}.",
    "{a_being} pays me with {feeling}.",
    "Behind the {thing} there is a door to {feeling}.",
    "I once {verb} so {adv} that {a_being} fled.",
)
OFFERS = (
    "Take {a_thing} and leave me my {feeling}.",
    "I will trade it for {a_noun} and some {feeling}.",
    "For you, only {a_thing}, and I give it {adv}.",
    "We could look for it {adv} near the {thing}.",
    "Let us share {a_noun} and speak of {feeling}.",
    "Bring me {a_thing}, and the {noun} is yours.",
    "{a_being} may help us, {adv}.",
    "How about {a_noun}, {adj} as {feeling}?",
    "I offer {feeling}, {a_thing} and my hand.",
    "Not for {feeling}, but perhaps for {a_thing}.",
)
QUESTIONS = (
    "Do you believe in {feeling}?",
    "Have you ever seen {a_thing}?",
    "What brings you to the {noun}?",
    "Would you hold my {adj} {noun}?",
    "Shall we ask the {adj} {being}?",
    "Is it {feeling} that you seek?",
    "Did {a_being} tell you so?",
    "Where did you leave your {noun}?",
)
FAREWELLS = (
    "Farewell, and may {feeling} follow you {adv}.",
    "Go now, before {a_being} wakes.",
    "Remember the {noun}, and remember {feeling}.",
    "Until we meet again by the {adj} {noun}!",
    "Take this {noun} as a sign of {feeling}.",
    "Walk {adv}, and greet the {being}.",
    "The {thing} will miss you.",
    "May your {noun} stay {adj}.",
)
ACTS = (
    "lifts {a_noun} {adv}",
    "points at the {thing}",
    "looks {adv} at the {noun}",
    "hides {a_thing}",
    "leans on the {noun}",
    "turns {adv}",
    "offers {a_noun}",
    "taps the {thing} {adv}",
    "nods to the {being}",
    "drops the {noun}",
)
PROPHECIES = (
    "You will meet {a_being} and feel {feeling}.",
    "Beware of the {thing}.",
    "Your path leads {adv} to {a_noun}.",
    "When the {being} comes, be {adj}.",
    "I see {feeling}, and behind it {a_thing}.",
    "One {noun} will be {adj}, one will be lost.",
    "{feeling} will find you {adv}.",
    "Do not follow {a_being} to the {noun}.",
)
USER_LINES: tuple[tuple[str, str], ...] = (
    ("What do you mean by that?", "answer"),
    ("And what did you do then?", "answer"),
    ("Do you have a secret?", "secret"),
    ("Can I trust you?", "answer"),
    ("What can you offer me?", "offer"),
    ("I do not believe you.", "secret"),
    ("What should I take with me?", "offer"),
    ("How do you feel about it?", "answer"),
    ("I must go soon. Say something to remember.", "farewell"),
    ("Who else knows about this?", "secret"),
)
