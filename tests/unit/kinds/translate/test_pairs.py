"""Files of pairs, the groups and parts they are drawn into, and pieces of words."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retain.errors import DataError, ParamsError
from retain.kinds.translate import dataset, pieces, prepare
from retain.kinds.translate.config import Data
from retain.kinds.translate.dataset import GROUP, PARTS, SOURCE_LENGTH, Pair
from tests.unit.kinds.translate.made import made_pairs, problem


def data(**changed: Any) -> Data:
    return Data.model_validate({"path": "pairs.tsv", "validation": 5, "test": 10, **changed})


def read(root: Path, content: bytes, **changed: Any) -> list[Pair]:
    (root / "pairs.tsv").write_bytes(content)
    return prepare.read_pairs(data(**changed), root)[0]


def test_a_table_has_a_pair_a_line_and_other_columns_are_not_read(tmp_path: Path) -> None:
    content = "\ufeffGeh.\tGo.\tCC BY 2.0\r\nHallo!  \tHi!\n".encode()
    assert read(tmp_path, content) == [("Geh.", "Go."), ("Hallo!", "Hi!")]
    (tmp_path / "pairs.tsv.gz").write_bytes(gzip.compress(content))
    assert prepare.read_pairs(data(path="pairs.tsv.gz"), tmp_path)[0] == read(tmp_path, content)


def test_two_files_of_a_folder_are_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "a.de").write_text("Geh.\nHallo!\n", encoding="utf-8")
    (tmp_path / "both" / "a.en").write_text("Go.\nHi!", encoding="utf-8")
    both = data(path="both", source="a.de", target="a.en")
    assert prepare.read_pairs(both, tmp_path)[0] == [("Geh.", "Go."), ("Hallo!", "Hi!")]
    (tmp_path / "both" / "a.en").write_text("Go.\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"both/a.de has 2 lines and both/a.en 1"):
        prepare.read_pairs(both, tmp_path)


FAULTS = {
    "no tab": (b"Geh.\tGo.\nHallo Hi\n", "pairs.tsv, line 2: no tab"),
    "latin": ("Geh.\tGo.\nHöre\tListen\n".encode("latin1"), r"line 2, byte 11 \(0xf6\): not UTF-8"),
    "empty": (b" \n", "pairs.tsv is empty"),
    "null": (b"Geh.\tGo.\nHallo!\tH\0i!\n", "line 2: a null character"),
}


@pytest.mark.parametrize(("content", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_of_a_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pairs\.tsv does not exist"):
        prepare.read_pairs(data(), tmp_path)
    (tmp_path / "pairs.gz").write_bytes(gzip.compress(b"Geh.\tGo.\n")[:-9])
    with pytest.raises(DataError, match=r"pairs.gz: damaged or no gzip file"):
        prepare.read_pairs(data(path="pairs.gz"), tmp_path)
    with pytest.raises(DataError, match="is a folder: name two files"):
        prepare.read_pairs(data(path="."), tmp_path)


def test_pairs_that_are_left_out_are_counted() -> None:
    pairs = [("a b c", "x"), ("a", "x y"), ("a", ""), ("a", "x y"), ("b a", "y x"), ("b c", "x")]
    kept, counts = prepare.choose(
        data(max_words=2, common_words=(2, 2)), [Pair(*pair) for pair in pairs]
    )
    assert kept == [("a", "x y"), ("b a", "y x")]
    assert counts == {
        "of more than 2 words": 1,
        "with an empty side": 1,
        "given twice": 1,
        "with a rare word": 1,
    }


def test_marks_of_the_vocabulary_and_endless_words_are_no_text() -> None:
    pairs = [Pair("a", "b <pad> </s> c"), Pair("x<s>y", "z"), Pair("a", "b" * 501), Pair("a", "b")]
    kept, counts = prepare.choose(data(), pairs)
    assert kept == [("a", "b")]
    assert counts == {"with <pad>, <unk>, <s>, </s>": 2, "with a word of more than 500 letters": 1}


def test_pairs_that_share_a_sentence_are_one_group_also_by_way_of_others() -> None:
    pairs = [("Geh!", "Go."), ("Nein.", "No."), ("Geht.", "go!"), ("Geht", "Leave."), ("Ja", "No")]
    assert prepare.group([Pair(*pair) for pair in pairs]).tolist() == [0, 1, 0, 0, 1]


def test_a_group_is_in_one_part_and_the_order_of_the_file_does_not_matter() -> None:
    pairs = [Pair(f"s{n // 2}", f"t{n}") for n in range(200)]
    drawn = dict(zip(pairs, _drawn(pairs), strict=True))
    assert sorted(drawn.values()) == [0] * 186 + [1] * 4 + [2] * 10
    assert all(drawn[pairs[n]] == drawn[pairs[n + 1]] for n in range(0, 200, 2))
    shuffled = [pairs[n] for n in np.random.default_rng(1).permutation(200)]
    assert dict(zip(shuffled, _drawn(shuffled), strict=True)) == drawn
    other = _drawn(pairs, seed=2)
    assert other != [*drawn.values()]


def _drawn(pairs: list[Pair], **changed: Any) -> list[int]:
    parts: list[int] = prepare.draw(
        data(**{"validation": 4} | changed), pairs, prepare.group(pairs)
    ).tolist()
    return parts


def test_new_pairs_leave_most_others_in_their_part() -> None:
    pairs = [Pair(f"s{n}", f"t{n}") for n in range(500)]
    before = np.array(_drawn(pairs[:450]))
    after = np.array(_drawn(pairs)[:450])
    assert (before != after).sum() <= 6


def test_too_few_pairs_are_refused() -> None:
    pairs = [Pair(f"s{n}", f"t{n}") for n in range(20)]
    with pytest.raises(DataError, match=r"20 pairs are too few for 4 of validation, 10 of test"):
        _drawn(pairs)


def test_pairs_of_few_targets_are_refused_with_the_commonest() -> None:
    pairs = [Pair(f"s{n}", "spam" if n % 3 else "ham") for n in range(300)]
    message = r"200 of 300 pairs share sentences, 200 of them the target 'spam', and must be in one"
    with pytest.raises(DataError, match=message):
        _drawn(pairs, validation=50, test=60)


def test_pieces_are_joined_to_the_sentence_they_were_cut_from() -> None:
    sentences = ["Wie heißt du?", "Ich weiß – „nicht“, wie's geht."] * 20
    clean = [pieces.normalise(sentence) for sentence in sentences]
    learned = pieces.train(clean, 80)
    assert [learned.join(numbers) for numbers in learned.encode(clean)] == clean
    assert clean[1] == 'Ich weiß – "nicht", wie\'s geht.'
    assert len(learned) <= 80


def test_pieces_are_learned_alike_each_time() -> None:
    sentences = [pair.source for pair in made_pairs()]
    learned = pieces.train(sentences, 120)
    assert pieces.train(sentences, 120).text == learned.text
    assert learned.labels([pieces.PAD, pieces.UNKNOWN, pieces.BEGIN, pieces.END]) == [
        *pieces.SPECIAL
    ]


def test_a_letter_that_is_not_known_is_named() -> None:
    learned = pieces.train(["ab ba"] * 9, 60)
    with pytest.raises(DataError, match="letter 4, 'c', is none that the model was trained on"):
        learned.read("ab c")
    with pytest.raises(DataError, match="is no sentence to translate"):
        learned.read("  ")


def test_groups_hold_sources_of_one_length_and_every_pair_once(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    groups = dataset.Groups(corpus, "train", 8)
    assert sorted(np.concatenate(groups.groups)) == corpus.part("train").tolist()
    for group in groups.groups:
        assert len(group) <= 8
        assert len(set(corpus.index[group, SOURCE_LENGTH])) == 1


def test_a_batch_has_the_pieces_of_its_pairs(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    groups = dataset.Groups(corpus, "train", 64)
    schema, lengths = corpus.schema, set()
    for number, chosen in enumerate(groups.groups):
        source, inputs, targets = groups.batch(np.array([number]))[0]
        assert inputs[0].tolist() == [pieces.BEGIN] * len(chosen)
        for column, pair in enumerate(chosen.tolist()):
            sentences, written = corpus.pairs[pair], targets[:, column].tolist()
            end = written.index(pieces.END)
            assert schema.source.join(source[:, column].tolist()) == sentences.source
            assert schema.target.join(written[:end]) == sentences.target
            assert set(written[end + 1 :]) <= {pieces.PAD}
            assert inputs[1 : end + 1, column].tolist() == written[:end]
            lengths.add(len(written) - end)
    assert len(lengths) > 1  # some are padded


def test_prepared_data_are_read_as_they_were_written(tmp_path: Path) -> None:
    corpus = _corpus(tmp_path)
    again = dataset.load(tmp_path / "prepared")
    assert again.schema == corpus.schema
    assert again.index.tolist() == corpus.index.tolist()
    assert {PARTS[part] for part in again.index[:, 0]} == {*PARTS}
    test = {*again.index[again.part("test"), GROUP]}
    assert not test & {*again.index[again.part("train"), GROUP]}


def _corpus(root: Path) -> dataset.Corpus:
    lines = "".join(f"{pair.source}\t{pair.target}\n" for pair in made_pairs())
    (root / "pairs.tsv").write_text(lines, encoding="utf-8")
    (root / "prepared").mkdir()
    prepare.prepare(problem(), root, root / "prepared")
    return dataset.load(root / "prepared")


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "one file": ({"data": {"path": "a", "source": "a.de"}}, "name both source and target"),
    "same file": ({"data": {"path": "a", "source": "b", "target": "b"}}, "are the same file"),
    "attention": ({"model": {"attention": "some"}}, "model.attention"),
    "baseline": ({"gate": [{"check": "beats", "baseline": "ngram"}]}, "nearest, word_by_word"),
}


@pytest.mark.parametrize(("sections", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_params_is_named(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        problem(**sections)


def test_each_cell_is_trained_without_attention_too() -> None:
    beside = problem().beside["no_attention"]
    assert beside.model.attention == "none"
    assert beside.training == problem().training
    assert not problem(training={"no_attention": False}).beside
    assert not problem(model={"attention": "none"}).beside
