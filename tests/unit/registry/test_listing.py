"""What is read of versions without a registry: ages, a person's decisions, a dvc.lock."""

import dataclasses
import doctest
from pathlib import Path

import pytest

from retain.errors import RegistryError
from retain.registry import listing, promotion, rebuild, registrations
from retain.registry.listing import Row
from retain.registry.promotion import Promotion

HEADER = "at,by,why,champion,previous,newest\n"
LOCK = """\
schema: '2.0'
stages:
  evaluate@small:
    cmd: python pipelines/evaluate.py small lstm rnn
    outs:
    - path: reports/small/metrics.json
      hash: md5
      md5: aaaa
      size: 9
  register@small:
    cmd: python pipelines/register.py small
    deps:
    - path: models/small/lstm
      hash: md5
      md5: bbbb.dir
      size: 9
    - path: src/retain/registry.py
      hash: md5
      md5: cccc
      size: 9
    params:
      params.yaml:
        problems.small.gate:
        - check: finite
    outs:
    - path: reports/small/verdict.json
      hash: md5
      md5: dddd
      size: 9
  register@smaller:
    cmd: python pipelines/register.py smaller
"""


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(listing) == (0, 2)


@pytest.mark.parametrize(
    ("seconds", "age"), [(0, "now"), (3600, "1 hour"), (86_399, "23 hours"), (1e7, "115 days")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: float, age: str) -> None:
    assert listing.age(seconds) == age


def test_a_table_has_the_columns_of_the_kinds_in_it() -> None:
    blank = Row("", 1, [], {}, "", "now", "–", "passed", "", "", "")
    letters = dataclasses.replace(blank, name="letters", metrics={"bits": 2.1, "loss": 1.0})
    sales = dataclasses.replace(blank, name="sales", metrics={"mae": 3.0})
    for rows, columns in (([letters], ["bits"]), ([sales, letters], ["MAE", "bits"])):
        shown = [str(column.header) for column in listing.table(rows).columns]
        assert shown == ["model", "version", "aliases", *columns, "age", "trained on", "verdict"]


def test_what_a_person_decided_is_read_line_by_line(tmp_path: Path) -> None:
    assert promotion.ledger(tmp_path, "small") == []
    path = promotion.ledger_path(tmp_path, "small")
    path.parent.mkdir(parents=True)
    path.write_text(f'{HEADER}2026-01-01T00:00:00+00:00,a <a@b.c>,"worse, they say",1,2,3\n')
    assert promotion.ledger(tmp_path, "small") == [
        Promotion("2026-01-01T00:00:00+00:00", "a <a@b.c>", "worse, they say", "1", "2", "3")
    ]


@pytest.mark.parametrize("line", ["2026-01-01,a,b", "2026-01-01,a,b,1,2,3,4"])
def test_a_line_that_is_none_of_ours_is_named(tmp_path: Path, line: str) -> None:
    path = promotion.ledger_path(tmp_path, "small")
    path.parent.mkdir(parents=True)
    path.write_text(f"{HEADER}2026-01-01,a,b,1,2,3\n{line}\n")
    with pytest.raises(RegistryError, match=r"models/small/promotions.csv, line 3: expected"):
        promotion.ledger(tmp_path, "small")


def test_of_a_lock_what_dvc_keeps_of_a_stage_is_read() -> None:
    assert registrations._paths(LOCK, "register@small") == {
        "models/small/lstm": "bbbb.dir",
        "reports/small/verdict.json": "dddd",
    }
    assert registrations._paths(LOCK, "evaluate@small") == {"reports/small/metrics.json": "aaaa"}
    assert registrations._paths(LOCK, "register@smaller") == {}
    assert registrations._paths(LOCK, "register@other") == {}
    conflict = LOCK.replace("      md5: bbbb.dir\n", "    <<<<<<< ours\n      md5: bbbb.dir\n")
    assert registrations._paths(conflict, "register@small") == {}


def test_without_a_history_there_is_nothing_to_rebuild_from(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="there is no commit"):
        next(rebuild.rehydrate(tmp_path, "small"))
