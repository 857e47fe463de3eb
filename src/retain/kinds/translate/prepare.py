"""The stage `prepare` of a translation problem: pairs of sentences to numbers; imports no torch."""

import re
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from retain.errors import DataError
from retain.kinds import text_files
from retain.kinds.translate import dataset, pieces
from retain.kinds.translate.config import Data, Problem
from retain.kinds.translate.dataset import PARTS, Corpus, Ints, Pair, Schema
from retain.kinds.word_pattern import joined_words
from retain.words import clipped

WORD = re.compile(joined_words(r"\w", "'"))


def prepare(problem: Problem, root: Path, out: Path) -> None:
    """Read a problem's pairs and write their pieces into `out`."""
    data = problem.data
    pairs, digest = read_pairs(data, root)
    kept, counts = choose(data, pairs)
    corpus = encode(data, kept, digest)
    dataset.save(corpus, kept, out)
    sizes = ", ".join(f"{len(corpus.part(part)):,} {part}" for part in PARTS)
    left_out = ", ".join(f"{count:,} {why}" for why, count in counts.items() if count)
    print(f"{sizes} pairs of sentences; left out: {left_out or 'none'}")


def read_pairs(data: Data, root: Path) -> tuple[list[Pair], str]:
    """Read the pairs that `data` names, normalised, and the md5 of the files' bytes.

    Raises:
        DataError: a file is missing, empty, damaged or no UTF-8, a line has no tab, or two files
            have unequal numbers of lines; it names file and line.
    """
    if data.source is None or data.target is None:
        if (root / data.path).is_dir():
            raise DataError(
                f"{data.path} is a folder: name two files in it that have a sentence a line, "
                "data.source and data.target, or a table of pairs as data.path"
            )
        texts, digest = text_files.read_files([data.path], root)
        lines = enumerate(_lines(texts[data.path]), start=1)
        return [_split(line, data.path, number) for number, line in lines], digest
    names = [f"{data.path}/{name}" for name in (data.source, data.target)]
    texts, digest = text_files.read_files(names, root)
    sides = [_lines(text) for text in texts.values()]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{names[0]} has {len(sides[0]):,} lines and {names[1]} {len(sides[1]):,}: line by "
            "line one is the translation of the other, so give as many"
        )
    pairs = [
        Pair(pieces.normalise(ours), pieces.normalise(theirs))
        for ours, theirs in zip(*sides, strict=True)
    ]
    return pairs, digest


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _split(line: str, name: str, number: int) -> Pair:
    """Return the pair of a line; an empty line is a pair of empty sentences."""
    columns = line.split("\t")
    if len(columns) < 2 and line.strip():
        raise DataError(
            f"{name}, line {number:,}: no tab; write a sentence, a tab and its translation"
        )
    source, target = columns[:2] if len(columns) > 1 else ("", "")
    return Pair(pieces.normalise(source), pieces.normalise(target))


def choose(data: Data, pairs: list[Pair]) -> tuple[list[Pair], dict[str, int]]:
    """Return the pairs to learn from, each once, and how many others there were, by the reason."""
    counts: Counter[str] = Counter()
    kept: dict[Pair, None] = {}
    common = _common(data, pairs)
    for pair in pairs:
        if reason := _unfit(data, pair, common) or ("given twice" if pair in kept else ""):
            counts[reason] += 1
        else:
            kept[pair] = None
    return list(kept), dict(counts)


def _unfit(data: Data, pair: Pair, common: list[set[str]]) -> str:
    """Say why a pair is not learned from; "" if it is."""
    words = [sentence.split() for sentence in pair]
    if not all(words):
        return "with an empty side"
    if max(map(len, words)) > data.max_words:
        return f"of more than {data.max_words} words"
    if max(len(word) for side in words for word in side) > pieces.MOST_PIECES:
        return f"with a word of more than {pieces.MOST_PIECES} letters"
    if any(special in sentence for sentence in pair for special in pieces.SPECIAL):
        return f"with {', '.join(pieces.SPECIAL)}"
    if any({*split_words(text)} - known for text, known in zip(pair, common, strict=False)):
        return "with a rare word"
    return ""


def _common(data: Data, pairs: list[Pair]) -> list[set[str]]:
    """Return the commonest words of each language; empty where params.yaml asks for none."""
    if data.common_words is None:
        return []
    common = []
    for side, most in enumerate(data.common_words):
        counts = Counter(word for pair in pairs for word in split_words(pair[side]))
        common.append(set(sorted(counts, key=lambda word: (-counts[word], word))[:most]))
    return common


def split_words(sentence: str) -> list[str]:
    """Return the words of a sentence in lower case, without punctuation."""
    return WORD.findall(sentence.lower())


def encode(data: Data, pairs: list[Pair], digest: str) -> Corpus:
    """Draw the parts, learn the pieces of the training part, and cut all pairs into them.

    Raises:
        DataError: there are too few pairs.
    """
    groups = group(pairs)
    parts = draw(data, pairs, groups)
    learned = [
        pieces.train(
            [pair[side] for pair, part in zip(pairs, parts, strict=True) if part == 0], data.pieces
        )
        for side in range(2)
    ]
    columns, tokens = [parts, groups], []
    for side, vocabulary in enumerate(learned):
        encoded = vocabulary.encode([pair[side] for pair in pairs])
        lengths = np.array([len(sentence) for sentence in encoded], np.int64)
        columns += [np.cumsum(lengths) - lengths, lengths]
        tokens.append(np.concatenate([np.array(each, np.uint16) for each in encoded]))
    schema = Schema(data.languages, learned[0], learned[1], digest)
    return Corpus(schema, tokens[0], tokens[1], np.stack(columns, axis=1))


def group(pairs: list[Pair]) -> Ints:
    """Number the groups of pairs that share a source or a target, also by way of others.

    Case and punctuation do not count. Groups are numbered in the order of their first pairs.
    """
    parents: dict[tuple[int, str], tuple[int, str]] = {}

    def root(node: tuple[int, str]) -> tuple[int, str]:
        while (parent := parents.setdefault(node, node)) != node:
            parents[node] = node = parents[parent]
        return node

    firsts = []
    for pair in pairs:
        source, target = (
            (side, " ".join(split_words(sentence)) or sentence)
            for side, sentence in enumerate(pair)
        )
        parents[root(target)] = root(source)
        firsts.append(source)
    numbers: dict[tuple[int, str], int] = {}
    return np.array([numbers.setdefault(root(node), len(numbers)) for node in firsts], np.int64)


def draw(data: Data, pairs: list[Pair], groups: Ints) -> Ints:
    """Return the number of the part of each pair; all pairs of a group are in one.

    A part is a little smaller than asked for where no group fits into what is left of it.
    Groups are ordered by a checksum of their least sentence and the seed, so the order of the file
    does not matter, and new pairs leave most of the others where they are.

    Raises:
        DataError: there are too few pairs, or most share a sentence.
    """
    least: dict[int, str] = {}
    for pair, number in zip(pairs, groups.tolist(), strict=True):
        least[number] = min(least.get(number, pair.source), pair.source)
    keys = {n: (zlib.crc32(f"{data.seed} {least[n]}".encode()), least[n]) for n in least}
    sizes = np.bincount(groups, minlength=1)
    wanted = {2: data.test, 1: data.validation}
    part_of = np.zeros(len(sizes), np.int64)
    for number in sorted(keys, key=lambda number: keys[number]):
        for part, left in wanted.items():
            if sizes[number] <= left:
                part_of[number], wanted[part] = part, left - int(sizes[number])
                break
        if not any(wanted.values()):
            break
    parts: Ints = part_of[groups] if len(pairs) else groups
    sizes = np.bincount(parts, minlength=len(PARTS))
    if not sizes.all() or sizes[0] < data.test + data.validation:
        _check_groups(data, pairs, groups)
        raise DataError(
            f"{data.path}: {len(pairs):,} pairs are too few for {data.validation:,} of validation, "
            f"{data.test:,} of test and more than both to learn from; give more, or set "
            "data.validation and data.test"
        )
    return parts


def _check_groups(data: Data, pairs: list[Pair], groups: Ints) -> None:
    """Raise DataError if too few pairs are left beside the largest group."""
    counts = np.bincount(groups, minlength=1)
    largest = int(counts.argmax())
    if counts[largest] > 1 and len(pairs) - counts[largest] < data.validation + data.test:
        shared = Counter(
            pair.target for pair, number in zip(pairs, groups, strict=True) if number == largest
        )
        ((target, count),) = shared.most_common(1)
        raise DataError(
            f"{data.path}: {counts[largest]:,} of {len(pairs):,} pairs share sentences, {count:,} "
            f"of them the target {clipped(target)!r}, and must be in one part; the others are too "
            f"few for {data.validation:,} of validation and {data.test:,} of test: give pairs with "
            "more different sentences, or set data.validation and data.test"
        )
