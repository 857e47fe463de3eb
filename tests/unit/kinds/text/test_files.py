"""Files of text as people have them."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from retain.config import loader
from retain.errors import DataError
from retain.kinds.text import dataset, prepare
from retain.kinds.text.config import Data, Problem

LINE = "It was a bright cold day in April.\n"


def data(path: str = "a.txt", **changed: Any) -> Data:
    return Data.model_validate({"path": path, **changed})


def write(root: Path, name: str, content: bytes) -> Path:
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return root


def test_a_file_is_read_in_small_letters_with_single_blanks(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", b"\xef\xbb\xbfMy  name\r\n\tis J\xc3\xbcrgen")
    text, digest = prepare.read_text(data(), tmp_path)
    assert text == "my name is jürgen"
    assert len(digest) == 32
    kept = data(lower=False, blanks="keep")
    assert prepare.read_text(kept, tmp_path)[0] == "My  name\n\tis Jürgen"


def test_a_compressed_file_and_a_folder_hold_the_same_text(tmp_path: Path) -> None:
    write(tmp_path, "a.txt.gz", gzip.compress(b"one\ntwo", mtime=0))
    write(tmp_path, "all/1.txt", b"one")
    write(tmp_path, "all/2.txt.gz", gzip.compress(b"two", mtime=0))
    write(tmp_path, "all/README.md", b"\xff")
    assert prepare.read_text(data("a.txt.gz"), tmp_path)[0] == "one two"
    assert prepare.read_text(data("all"), tmp_path)[0] == "one two"
    assert prepare.read_text(data(f"{tmp_path}/all"), Path())[0] == "one two"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"one\ntwo \xe4\n", "a.txt, line 2, byte 9 (0xe4): not UTF-8; save the file as"),
        ("a.txt", b" \n", "a.txt is empty; put text into it or remove it"),
        ("a.txt", b"one\n\0\n", "a.txt, line 2: a null character; this is no text file"),
        ("b.txt", b"one", "a.txt does not exist: correct the path in the section data"),
        ("a.txt/b.csv", b"one", "a.txt holds no file that ends in .txt or .txt.gz"),
        ("a.txt/b.txt.gz", b"one", "a.txt/b.txt.gz: damaged or no gzip file"),
        (
            "a.txt/b.txt.gz",
            gzip.compress(b"one", mtime=0)[:-9],
            "a.txt/b.txt.gz: damaged or no gzip file",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        prepare.read_text(data(), write(tmp_path, name, content))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_too_short_a_text_says_how_long_it_should_be(tmp_path: Path) -> None:
    problem = Problem.model_validate(
        {"kind": "text", "preset": "fast", "data": {"path": "a.txt"}, "gate": []}
    )
    write(tmp_path, "a.txt", LINE.encode() * 10)
    with pytest.raises(DataError, match="350 letters are too short a text: the validation part"):
        prepare.prepare(problem, tmp_path, tmp_path)


def test_what_was_read_is_known_by_its_md5(tmp_path: Path) -> None:
    (tmp_path / "prepared").mkdir()
    problem = Problem.model_validate(
        {"kind": "text", "preset": "fast", "data": {"path": "a.txt"}, "gate": []}
    )
    prepare.prepare(problem, write(tmp_path, "a.txt", LINE.encode() * 40), tmp_path / "prepared")
    schema = dataset.load(tmp_path / "prepared").schema
    assert schema.digest == prepare.read_text(data(), tmp_path)[1]
    assert len(schema.vocabulary) == len(set(LINE.lower().replace("\n", " "))) + 1


def test_the_test_part_of_the_sample_is_a_whole_novel() -> None:
    root = Path(__file__).parents[4]
    sample = loader.load(root)["text"]
    assert isinstance(sample, Problem)
    corpus = dataset.encode(sample.data, *prepare.read_text(sample.data, root))
    novel = corpus.schema.joined(corpus.part("test").tolist())
    assert novel.startswith("persuasion by jane austen (1818) chapter 1 sir walter elliot")
    assert novel.count("by jane austen") == 1
    assert "my name is " in corpus.schema.joined(corpus.part("train")[:10_000].tolist())
