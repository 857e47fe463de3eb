"""Generated conversations in which a person introduces themselves, and asks later what they said.

There are four facts: name, town, favourite colour and food. Each may be told, changed, and asked
for in several wordings; between are small talk, and lines in which other people's names, towns,
colours and foods occur. The replies follow from the lines and the facts alone.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from retain.kinds.chat.turns import Conversation, Turn

NOT_TOLD = "you have not told me"
VALUES: dict[str, tuple[str, ...]] = {
    fact: tuple(words.split())
    for fact, words in {
        "name": "adam anna ben clara david elena emma felix george hannah henry ida jack julia "
        "kevin laura leo lucy maria martin nina oliver paul peter rosa ruth sam sarah simon thomas "
        "victor zoe",
        "town": "athens berlin boston cairo chicago delhi denver dublin geneva hamburg helsinki "
        "istanbul kyoto lima lisbon london madrid melbourne milan moscow nairobi oslo paris prague "
        "quito rome seoul sydney tokyo toronto vienna warsaw",
        "colour": "black blue brown green grey orange pink purple red silver white yellow",
        "food": "apples bread cake cheese cherries chocolate curry dumplings eggs fish grapes "
        "honey lentils mangoes noodles olives pancakes pasta pizza potatoes rice salad soup sushi",
    }.items()
}


class Wordings(NamedTuple):
    """The wordings of a fact, with braces for its value; each line has its reply."""

    told: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str], ...]
    asked: tuple[str, ...]
    answer: str


FACTS: dict[str, Wordings] = {
    "name": Wordings(
        (
            ("my name is {}", "nice to meet you {}"),
            ("i am {}", "hello {}"),
            ("i am called {}", "nice to meet you {}"),
            ("you can call me {}", "i will call you {}"),
            ("people call me {}", "hello {}"),
        ),
        (
            ("my name is {} now", "from now on i call you {}"),
            ("from now on call me {}", "i will call you {}"),
            ("i changed my name to {}", "from now on i call you {}"),
        ),
        (
            "what is my name",
            "who am i",
            "do you know my name",
            "do you remember my name",
            "tell me my name",
            "how am i called",
        ),
        "your name is {}",
    ),
    "town": Wordings(
        (
            ("i live in {}", "{} is a nice town"),
            ("my home is in {}", "{} is a nice town"),
            ("i have a flat in {}", "i would like to see {}"),
            ("my town is {}", "i would like to see {}"),
        ),
        (
            ("i moved to {}", "how do you like {}"),
            ("now i live in {}", "how do you like {}"),
            ("my new home is in {}", "i hope you are happy in {}"),
            ("i live in {} now", "i hope you are happy in {}"),
        ),
        (
            "where do i live",
            "in which town do i live",
            "what is my town",
            "do you know where i live",
            "do you remember where my home is",
            "where is my home",
        ),
        "you live in {}",
    ),
    "colour": Wordings(
        (
            ("my favourite colour is {}", "{} is a good colour"),
            ("i like {} best of all colours", "{} is a good colour"),
            ("the colour i love is {}", "yes {} is beautiful"),
            ("no colour is as beautiful as {}", "yes {} is beautiful"),
        ),
        (
            ("my favourite colour is {} now", "so now it is {}"),
            ("now i like {} better", "so now it is {}"),
            ("my new favourite colour is {}", "so {} it is"),
        ),
        (
            "what is my favourite colour",
            "which colour do i like best",
            "do you know my favourite colour",
            "which colour do i love",
            "do you remember my colour",
        ),
        "your favourite colour is {}",
    ),
    "food": Wordings(
        (
            ("my favourite food is {}", "i hear that {} can be very good"),
            ("i love to eat {}", "i hear that {} can be very good"),
            ("i like {} best of all food", "then i wish you a plate of {}"),
            ("i could eat {} every day", "then i wish you a plate of {}"),
        ),
        (
            ("my favourite food is {} now", "so now you eat {}"),
            ("now i love to eat {}", "so now you eat {}"),
            ("my new favourite food is {}", "so {} it is"),
        ),
        (
            "what is my favourite food",
            "what do i love to eat",
            "do you know my favourite food",
            "which food do i like best",
            "do you remember what i love to eat",
            "what should i eat",
        ),
        "you love to eat {}",
    ),
}
# Others' names, towns, colours and foods: nothing of it is a fact of the person.
OTHERS = (
    ("my friend is called {name}", "it is good to have a friend"),
    ("my sister is {name}", "i have no sister"),
    ("i met {name} today", "how was it"),
    ("{name} is my neighbour", "good neighbours are a gift"),
    ("{name} says hello", "hello to {name}"),
    ("do you know {name}", "no i do not know {name}"),
    ("i was in {town} last year", "did you like it there"),
    ("the train to {town} was late", "trains are often late"),
    ("my brother lives in {town}", "do you visit him"),
    ("{name} lives in {town}", "is it far from here"),
    ("{name} moved to {town}", "people move a lot"),
    ("have you been in {town}", "no i have never been in {town}"),
    ("i bought a {colour} coat", "i am sure it is warm"),
    ("my door is {colour}", "a door should please the eye"),
    ("the favourite colour of {name} is {colour}", "many people like it"),
    ("the sky is {colour} today", "i can not see the sky"),
    ("do you like {colour}", "i can not see colours"),
    ("we had {food} today", "was it good"),
    ("{name} loves to eat {food}", "many people do"),
    ("my mother cooks {food} for {name}", "that is kind of her"),
    ("the favourite food of my brother is {food}", "then cook it for him"),
    ("do you like {food}", "i do not eat"),
)
SMALL_TALK = (
    ("hello", "hello"),
    ("good morning", "good morning to you"),
    ("how are you", "i am fine thank you"),
    ("thank you", "you are welcome"),
    ("what is your name", "i am a bot without a name"),
    ("who are you", "i am a bot without a name"),
    ("where do you live", "i live in a computer"),
    ("what do you eat", "i do not eat"),
    ("it rains today", "take an umbrella with you"),
    ("the sun shines", "then go for a walk"),
    ("i am tired", "then sleep a little"),
    ("i am hungry", "then it is time to eat"),
    ("i read a book", "what is it about"),
    ("i have a dog", "does it bark at night"),
    ("my work was hard today", "you can rest now"),
    ("tell me a joke", "i do not know a joke"),
    ("what time is it", "i have no clock"),
    ("i do not know what to say", "then tell me about your day"),
    ("do you like music", "i can not hear music"),
    ("you are a good bot", "thank you"),
)
OPENINGS = ("hello", "well", "oh", "by the way", "listen")  # of any line
OPENED, OTHER, TOLD, CHANGED, BEFORE = 0.2, 0.6, 0.85, 0.25, 0.25
HELD_OUT = 4  # of as many pairs of name and town one is in the test part alone


class Noise:
    """Random numbers that are a function of a seed, a stream and a number."""

    def __init__(self, seed: int, stream: int, number: int):
        self._generator = np.random.Generator(np.random.Philox(key=(4 * seed + stream, number)))
        self._drawn: list[float] = []

    def share(self) -> float:
        """Draw a number from 0 to 1."""
        if not self._drawn:
            self._drawn = self._generator.random(512).tolist()
        return self._drawn.pop()

    def below(self, count: int) -> int:
        """Draw a whole number from 0 to `count` − 1."""
        return int(self.share() * count)


def one(options: Sequence[str], noise: Noise) -> str:
    """Draw one of several words."""
    return options[noise.below(len(options))]


def vocabulary() -> tuple[str, ...]:
    """Return every word that a line or a reply may have."""
    texts = [NOT_TOLD, *OPENINGS]
    for values in VALUES.values():
        texts += values
    for pairs in (OTHERS, SMALL_TALK, *(fact.told + fact.changed for fact in FACTS.values())):
        texts += [text for pair in pairs for text in pair]
    for wordings in FACTS.values():
        texts += [*wordings.asked, wordings.answer]
    words = {word for text in texts for word in text.split() if not word.startswith("{")}
    return tuple(sorted(words))


def conversation(turns: int, test: bool, noise: Noise) -> Conversation:
    """Generate a conversation.

    The turns between two mentions of a fact are log-uniform, up to the whole conversation.

    Args:
        turns: its length.
        test: whether its pairs of name and town are those that no other part has.
        noise: the source of all random numbers.
    """
    plan = _plan(turns, noise)
    values = {fact: one(words, noise) for fact, words in VALUES.items()}
    values["town"] = one(_towns(values["name"], test), noise)
    last: dict[str, int] = {}  # the turn in which a fact was last said
    changed: set[str] = set()
    conversation = []
    for turn, (event, fact) in enumerate(plan):
        if not event:
            conversation.append(_small_talk(values, noise))
            continue
        wordings = FACTS[fact]
        if event == "asked":
            line = one(wordings.asked, noise)
            since = turn - last[fact] if fact in last else 0
            reply = wordings.answer.format(values[fact]) if since else NOT_TOLD
            value = values[fact] if since else ""
            parts = (_opened(line, noise), reply, event, fact, value, since, fact in changed)
            conversation.append(Turn(*parts))
            if not since:
                continue
        else:
            if event == "changed":
                values[fact] = _another(fact, values, test, noise)
                changed.add(fact)
            pairs = wordings.changed if event == "changed" else wordings.told
            line, reply = pairs[noise.below(len(pairs))]
            line, reply = line.format(values[fact]), reply.format(values[fact])
            conversation.append(Turn(_opened(line, noise), reply, event, fact, values[fact]))
        last[fact] = turn
    return tuple(conversation)


def _plan(turns: int, noise: Noise) -> list[tuple[str, str]]:
    """Draw for each turn what happens, told, changed or asked, and which fact; or nothing."""
    plan = [("", "")] * turns

    def put(turn: int, event: str, fact: str) -> int:
        while turn < turns and plan[turn][0]:
            turn += 1
        if turn < turns:
            plan[turn] = (event, fact)
        return turn

    def gap() -> int:
        return max(1, round(math.pow(turns, noise.share())))

    for fact in FACTS:
        if noise.share() > TOLD:
            turn = put(noise.below(turns), "asked", fact)
            put(turn + gap(), "asked", fact)
            continue
        turn = noise.below(max(1, turns // 3))
        if noise.share() < BEFORE:
            turn = put(turn, "asked", fact) + 1
        turn = put(turn, "told", fact)
        while (turn := turn + gap()) < turns:
            turn = put(turn, "changed" if noise.share() < CHANGED else "asked", fact)
    return plan


def _towns(name: str, test: bool) -> list[str]:
    """Return the towns that a person of this name may live in, in the test part or elsewhere."""
    number = VALUES["name"].index(name)
    return [
        town
        for place, town in enumerate(VALUES["town"])
        if ((place + number) % HELD_OUT == 0) is test
    ]


def _another(fact: str, values: dict[str, str], test: bool, noise: Noise) -> str:
    """Draw another value of a fact."""
    options: Sequence[str] = VALUES[fact]
    if fact == "town":
        options = _towns(values["name"], test)
    elif fact == "name":
        options = [name for name in options if values["town"] in _towns(name, test)]
    return one([option for option in options if option != values[fact]], noise)


def _small_talk(values: dict[str, str], noise: Noise) -> Turn:
    """Draw a line that tells nothing, of others or of nobody; no value of the person is in it."""
    if noise.share() > OTHER:
        line, reply = SMALL_TALK[noise.below(len(SMALL_TALK))]
        return Turn(_opened(line, noise), reply)
    line, reply = OTHERS[noise.below(len(OTHERS))]
    others = {}
    for fact, words in VALUES.items():
        others[fact] = one(words, noise)
        while others[fact] == values[fact]:
            others[fact] = one(words, noise)
    return Turn(_opened(line.format(**others), noise), reply.format(**others))


def _opened(line: str, noise: Noise) -> str:
    return f"{one(OPENINGS, noise)} {line}" if noise.share() < OPENED else line
