"""Sentences of a made language, with another order of words: small enough to learn in a second."""

from itertools import product
from typing import Any

from retain.config.loader import parse
from retain.kinds.translate.config import Problem
from retain.kinds.translate.dataset import Pair

ADJECTIVES = {"rote": "roja", "alte": "vieja", "neue": "nueva", "weite": "lejana", "tote": "muda"}
NOUNS = {"Katze": "gata", "Stadt": "villa", "Frau": "dama", "Insel": "isla", "Rose": "rosa"}
VERBS = {"kommt": "viene", "lacht": "ríe", "bleibt": "queda", "geht": "va"}
ENDS = {".": ".", " heute.": " hoy.", " nicht?": " no?"}


def made_pairs() -> list[Pair]:
    """Return 300 pairs: the adjective comes behind its noun."""
    return [
        Pair(f"Die {a} {n} {v}{e}", f"La {NOUNS[n]} {ADJECTIVES[a]} {VERBS[v]}{ENDS[e]}")
        for a, n, v, e in product(ADJECTIVES, NOUNS, VERBS, ENDS)
    ]


def problem(**sections: Any) -> Problem:
    """Return a problem of these pairs."""
    entry: dict[str, dict[str, Any]] = {
        "data": {
            "path": "pairs.tsv",
            "languages": ["German", "Spanish"],
            "pieces": 90,
            "validation": 20,
            "test": 40,
        },
        "model": {"hidden_size": 32, "embedding_size": 24, "dropout": 0.0},
        "training": {
            "cells": ["lstm", "rnn"],
            "learning_rate": 0.02,
            "sentences": 8,
            "max_epochs": 10,
            "ema_decay": 0.9,
        },
        "evaluation": {"beam": 2, "bootstrap": 100},
    }
    merged = {name: entry.get(name, {}) | sections.get(name, {}) for name in entry}
    given = {"kind": "translate", "preset": "fast", "gate": sections.get("gate", []), **merged}
    parsed = parse("small", given)
    assert isinstance(parsed, Problem)
    return parsed
