"""The wordings of generated conversations: facts, small talk, and what is said of others."""

from typing import NamedTuple

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
