"""What params.yaml says of a warm start, and who may write it."""

from pathlib import Path

import pytest

from retain.config import loader
from retain.errors import ParamsError
from retain.project import params_file
from retain.retraining import publish

MD5 = "0123456789abcdef0123456789abcdef.dir"
PARAMS = """\
problems:
  sales:
    kind: forecast
    data: {path: sales.csv, horizon: 2, context_length: 4}
    training:
      cells: [lstm]   # alone
      warm_start: champion  # from the second training on
      seed: 2
    gate: []
"""


def write(root: Path, text: str) -> Path:
    (root / "params.yaml").write_text(text, encoding="utf-8")
    return root


def test_the_parent_is_written_below_warm_start_and_every_other_byte_stays(tmp_path: Path) -> None:
    write(tmp_path, PARAMS)
    for md5 in (MD5, MD5.replace("0", "f")):
        params_file.set_parent(tmp_path, "sales", {"lstm": md5})
        text = (tmp_path / "params.yaml").read_text(encoding="utf-8")
        line = f"      parent: {{lstm: {md5}}}\n"
        assert text == PARAMS.replace("second training on\n", f"second training on\n{line}")
        assert loader.load(tmp_path)["sales"].training.parents == {"lstm": md5}
        (tmp_path / "params.yaml").write_bytes(text.replace("\n", "\r\n").encode())
        params_file.set_parent(tmp_path, "sales", {"lstm": md5})
        assert (tmp_path / "params.yaml").read_bytes().count(b"\r\n") == text.count("\n")
        assert publish.PARENT.sub("", text) == PARAMS, "a retraining publishes that change alone"


def test_a_section_on_one_line_is_refused_and_kept(tmp_path: Path) -> None:
    text = PARAMS[: PARAMS.index("    training")] + (
        "    training: {cells: [lstm], warm_start: champion}\n    gate: []\n"
    )
    with pytest.raises(ParamsError, match="as a block"):
        params_file.set_parent(write(tmp_path, text), "sales", {"lstm": MD5})
    assert (tmp_path / "params.yaml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "cells: [lstm]",
            "cells: [lstm, rnn]\n      parent: {lstm: " + MD5 + "}",
            "no model of rnn",
        ),
        ("seed: 2", "parent: {lstm: abc}", "string should match pattern"),
        ("seed: 2", "rehearsals: 1", "rehearsals are scored on"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in PARAMS
    with pytest.raises(ParamsError, match=words):
        loader.load(write(tmp_path, PARAMS.replace(old, new)))


def test_a_text_starts_at_random(tmp_path: Path) -> None:
    text = "problems:\n  p:\n    kind: text\n    data: {path: t.txt}\n    gate: []\n"
    loader.load(write(tmp_path, text))
    warm = text + "    training: {warm_start: champion}\n"
    with pytest.raises(ParamsError, match="a network of kind text starts at random"):
        loader.load(write(tmp_path, warm))


def test_without_a_warm_start_the_recipe_is_what_it_was(tmp_path: Path) -> None:
    write(tmp_path, PARAMS.replace("warm_start: champion", "warm_start: none"))
    dumped = loader.load(tmp_path)["sales"].training.model_dump(mode="json")
    assert not {"warm_start", "parent", "mask_contexts"} & dumped.keys()
