"""Sentences as pieces of words: byte pair encoding (Sennrich et al. 2016) by `tokenizers`.

A tokenizer is kept as the text of its tokenizer.json. It is trained on one thread, and gives the
same bytes each time.
"""

import os
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from retain.errors import DataError
from retain.kinds.word_pattern import compose

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, UNKNOWN, BEGIN, END = range(4)  # the first numbers of every vocabulary
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
MOST_PIECES = 500  # of a sentence that is read
BLANK = "▁"  # stands for the blank before a word
BLANKS = re.compile(r"\s+")
SAME = str.maketrans("’‘‚“”„«»", '\'\'\'"""""')


def normalise(sentence: str) -> str:
    """Return a sentence in the form that the networks read: NFC, plain quotes, single blanks."""
    return BLANKS.sub(" ", compose(sentence).translate(SAME)).strip()


class Pieces:
    """The pieces of one language.

    Args:
        text: the content of a tokenizer.json.
    """

    def __init__(self, text: str):
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pieces) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        _one_thread()
        from tokenizers import Tokenizer

        try:
            return Tokenizer.from_str(self.text)
        except Exception as error:  # the library has no other class
            raise ValueError(f"a damaged tokenizer: {error}") from None

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Return the numbers of the pieces of normalised sentences."""
        encoded = self._tokenizer.encode_batch(sentences, add_special_tokens=False)
        return [sentence.ids for sentence in encoded]

    def read(self, sentence: str) -> list[int]:
        """Return the numbers of the pieces of a sentence of a request.

        Raises:
            DataError: it is empty, or has a letter that no sentence of the training part has.
        """
        clean = normalise(sentence)
        if not clean:
            raise DataError(f"{sentence!r} is no sentence to translate; give some words")
        encoded = self._tokenizer.encode(clean, add_special_tokens=False)
        for number, (begin, end) in zip(encoded.ids, encoded.offsets, strict=True):
            if number == UNKNOWN:
                raise DataError(
                    f"letter {begin + 1}, {clean[begin:end]!r}, is none that the model was "
                    "trained on; leave it out"
                )
        return list(encoded.ids)

    def labels(self, numbers: Iterable[int]) -> list[str]:
        """Return pieces as text; a piece that begins a word has a blank in front."""
        names = (self._tokenizer.id_to_token(int(number)) or "" for number in numbers)
        return [name.replace(BLANK, " ") for name in names]

    def join(self, numbers: Iterable[int]) -> str:
        """Return the sentence of these pieces."""
        return "".join(self.labels(n for n in numbers if n > END)).strip()


def train(sentences: Sequence[str], size: int) -> Pieces:
    """Learn the pieces of normalised sentences.

    Args:
        size: of the vocabulary; fewer if the sentences have not so many.
    """
    _one_thread()
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(BLANK), pre_tokenizers.Punctuation()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(sentences, trainer)
    return Pieces(tokenizer.to_str())


def _one_thread() -> None:
    """Keep `tokenizers` from starting threads, which a fork would lose."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
