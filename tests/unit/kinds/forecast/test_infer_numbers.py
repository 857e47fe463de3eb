"""How an unknown table is written: `retain add` finds it, or asks."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.errors import DataError
from retain.kinds.forecast.infer.entry import Inferred, infer

DAYS = 80


def rows(*columns: list[str], header: str = "date;sales") -> str:
    days = pd.date_range("2022-01-13", periods=DAYS).strftime("%Y-%m-%d")
    lines = [";".join(row) for row in zip(days, *columns, strict=True)]
    return "\n".join([header, *lines]) + "\n"


def numbers(seed: int = 0, low: float = 500, high: float = 2500) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).uniform(low, high, DAYS)


def add(folder: Path, content: str | bytes, name: str = "t.csv", **given: Any) -> Inferred:
    content = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(content)
    return infer("sales", name, folder, 7, given, 0.0)


def german(value: float, digits: int = 2) -> str:
    return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def y(found: Inferred) -> list[float]:
    values: list[float] = found.table.frame["y"].tolist()
    return values


@pytest.mark.parametrize(
    ("write", "keys"),
    [
        (german, {"decimal": ",", "thousands": "."}),
        (lambda v: f"{v:,.2f}", {"thousands": ","}),
        (lambda v: f"{v:.2f}", {}),
        (lambda v: f"{v:.2f}".replace(".", ","), {"decimal": ","}),
        (lambda v: f"{v:,.2f}".replace(",", "'"), {"thousands": "'"}),
        (
            lambda v: f"{v:,.2f}".replace(",", " ").replace(".", ","),
            {"decimal": ",", "thousands": " "},
        ),
        (lambda v: f"{v:,.2f} €", {"thousands": ","}),
        (lambda v: f"${v:,.2f}", {"thousands": ","}),
        (lambda v: f"{v:.2f} %", {}),
    ],
)
def test_numbers_as_they_are_written(tmp_path: Path, write: Any, keys: dict[str, str]) -> None:
    values = numbers()
    found = add(tmp_path, rows([write(value) for value in values]))
    np.testing.assert_allclose(y(found), np.round(values, 2))
    written = {key: found.data[key] for key in ("decimal", "thousands") if key in found.data}
    assert written == keys
    if "%" in write(1.0):
        assert "column `sales`: the sign % is left out; the numbers stay per cent" in (
            found.sentences
        )


@pytest.mark.parametrize("sign", [".", ","])
def test_a_sign_that_may_mean_two_things_is_asked_for(tmp_path: Path, sign: str) -> None:
    values = numbers().round()
    content = rows([f"{value:,.0f}".replace(",", sign) for value in values])
    with pytest.raises(DataError) as error:
        add(tmp_path, content)
    assert f"say which:\n  --thousands {sign}: it is 1774\n  --decimal {sign}: it is 1.774" in str(
        error.value
    )
    assert y(add(tmp_path, content, thousands=sign)) == values.tolist()
    as_decimal = [value / 1000 if value >= 1000 else value for value in values]
    assert y(add(tmp_path, content, decimal=sign)) == pytest.approx(as_decimal)


def test_another_column_tells_what_the_sign_means(tmp_path: Path) -> None:
    values = numbers(low=1000).round()
    counts = [f"{value:,.0f}".replace(",", ".") for value in values]
    prices = [f"{value:.2f}".replace(".", ",") for value in numbers(1, 1, 9)]
    found = add(tmp_path, rows(counts, prices, header="date;sales;price"))
    assert y(found) == values.tolist()


def test_columns_written_in_two_ways_are_asked_for(tmp_path: Path) -> None:
    points = [f"{value:.2f}" for value in numbers()]
    commas = [f"{value:.2f}".replace(".", ",") for value in numbers(1)]
    with pytest.raises(DataError, match=r"written in two ways: .*--decimal \. or --decimal ,"):
        add(tmp_path, rows(points, commas, header="date;sales;price"))


def test_signs_that_do_not_suit_another_column_are_asked_for(tmp_path: Path) -> None:
    counts = [f"{value:,.0f}".replace(",", ".") for value in numbers()]
    prices = [f"{value:.2f}" for value in numbers(1, 1, 9)]
    content = rows(counts, prices, header="date;sales;price")
    with pytest.raises(DataError) as error:
        add(tmp_path, content, thousands=".")
    assert "column `price`: " in str(error.value)
    assert "is no number with --thousands .; give other signs, or leave" in str(error.value)
    assert "past_covariates" not in add(tmp_path, content, thousands=".", drop=["price"]).data


@pytest.mark.parametrize("mark", ["#N/A", "-", "n/a", "--", "?", ".", "None", "#DIV/0!"])
def test_marks_of_missing_values_are_found(tmp_path: Path, mark: str) -> None:
    texts = [f"{value:.2f}" for value in numbers()]
    texts[10] = texts[20] = mark
    found = add(tmp_path, rows(texts))
    assert found.data["na_values"] == ["", "NaN", "nan", "NA", "null", mark]
    assert np.flatnonzero(np.isnan(y(found))).tolist() == [10, 20]
    assert f"na_values: {mark!r} (2 times) mean missing; --na-value names others" in (
        found.sentences
    )


def test_other_texts_are_asked_for(tmp_path: Path) -> None:
    texts = [f"{value:.2f}" for value in numbers()]
    texts[10] = "sold out"
    with pytest.raises(DataError) as error:
        add(tmp_path, rows(texts))
    assert "row 12: 'sold out'" in str(error.value)
    assert str(error.value).endswith("with --na-value 'sold out'")
    assert np.isnan(y(add(tmp_path, rows(texts), na_values=["sold out"]))[10])


@pytest.mark.parametrize(
    ("code", "low", "high"),
    [("-999", 10, 30), ("-999.0", 10, 30), ("9999", 10, 30), ("-1", 5, 30), ("-99", 0, 500)],
)
def test_numbers_that_may_mean_missing_are_asked_for(
    tmp_path: Path, code: str, low: float, high: float
) -> None:
    texts = [f"{value:.1f}" for value in numbers(0, low, high)]
    texts[10] = texts[20] = code
    with pytest.raises(DataError) as error:
        add(tmp_path, rows(texts))
    option = f"{float(code):g}"
    assert f"column `sales`: {option} stands there 2 times" in str(error.value)
    assert f"--na-value {option}" in str(error.value)
    assert f"--keep-value {option}" in str(error.value)
    missing = add(tmp_path, rows(texts), na_values=[option])
    assert np.flatnonzero(np.isnan(y(missing))).tolist() == [10, 20]
    kept = add(tmp_path, rows(texts), keep_values=[float(code)])
    assert y(kept)[10] == float(code)


def test_ordinary_extremes_are_not_asked_for(tmp_path: Path) -> None:
    for texts in (
        [f"{value:.0f}" for value in numbers(0, -5, 20)],
        ["0" if n % 9 else f"{n}" for n in range(DAYS)],
        [f"{n**3}" for n in range(DAYS)],
        [f"{value:.0f}" for value in numbers(0, 900, 1100)],
    ):
        add(tmp_path, rows(texts))


def test_zeros_far_below_the_rest_are_said(tmp_path: Path) -> None:
    texts = [f"{value:.1f}" for value in numbers(0, 95, 105)]
    texts[10] = texts[11] = "0"
    found = add(tmp_path, rows(texts))
    (told,) = [s for s in found.sentences if "--na-value 0" in s]
    assert told.startswith("column `sales`: 2 values are 0, and the others 95")


# Files


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    texts = [f"{value:.2f}" for value in numbers()]
    content = rows(texts, header="date;Wert München").encode(encoding)
    found = add(tmp_path, content)
    assert found.data["y"] == "Wert München"
    name = None if encoding == "utf-8-sig" else encoding
    assert found.data.get("encoding") == name
    assert any(s.startswith(f"encoding: {encoding}") for s in found.sentences) == bool(name)


def test_an_encoding_that_is_given(tmp_path: Path) -> None:
    texts = [f"{value:.2f}" for value in numbers()]
    content = rows(texts, header="date;Umsatz Łódź").encode("cp1250")
    found = add(tmp_path, content, encoding="cp1250")
    assert found.data["y"] == "Umsatz Łódź"


def test_lines_above_the_header(tmp_path: Path) -> None:
    texts = [f"{value:.2f}".replace(".", ",") for value in numbers()]
    texts[3] = "broken"
    content = "Sales report\nall shops\n\n" + rows(texts)
    with pytest.raises(DataError, match="row 8: 'broken'"):  # as an editor counts
        add(tmp_path, content)
    found = add(tmp_path, content, na_values=["broken"])
    assert found.data["skip_rows"] == 3
    assert len(found.table.frame) == DAYS
    (told,) = [s for s in found.sentences if s.startswith("skip_rows")]
    assert "'Sales report'" in told


@pytest.mark.parametrize("above", ["Exported by X; Y\n\n", "\n\n", "sep=;\n", "Report;\n"])
def test_titles_that_look_like_rows(tmp_path: Path, above: str) -> None:
    texts = [f"{value:.2f}" for value in numbers()]
    found = add(tmp_path, above + rows(texts))
    assert found.data["skip_rows"] == above.count("\n")
    assert len(found.table.frame) == DAYS
    blank = rows(texts).replace("\n", "\n\n", 3)  # blank lines below the header are no title
    assert "skip_rows" not in add(tmp_path, blank).data


def test_quotes_and_semicolons(tmp_path: Path) -> None:
    texts = [f'"{german(value)}"' for value in numbers()]
    notes = ['"a; b"'] * DAYS
    found = add(tmp_path, rows(texts, notes, header='"date";"sales";"note"'))
    assert y(found) == pytest.approx(np.round(numbers(), 2).tolist())


@pytest.mark.parametrize("suffix", ["xlsx", "ods"])
def test_workbooks(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip({"xlsx": "openpyxl", "ods": "odf"}[suffix])
    days = pd.date_range("2022-01-13", periods=DAYS)
    table = pd.DataFrame({"date": days, "shop": 7, "sales": numbers().round(2)})
    path = tmp_path / f"t.{suffix}"
    table.to_excel(path, index=False, sheet_name="Data")
    found = infer("sales", path.name, tmp_path, 7, {}, 0.0)
    assert y(found) == table["sales"].tolist()
    assert found.table.frame["ds"].tolist() == days.tolist()
    with pd.ExcelWriter(path) as book:
        table.to_excel(book, index=False, sheet_name="Data", startrow=2)
        table.head(3).to_excel(book, index=False, sheet_name="Notes")
    with pytest.raises(DataError, match=r"(?s)has 2 sheets.*--sheet Data: .*--sheet Notes: "):
        infer("sales", path.name, tmp_path, 7, {}, 0.0)
    found = infer("sales", path.name, tmp_path, 7, {"sheet": "Data"}, 0.0)
    assert found.data["skip_rows"] == 2
    assert y(found) == table["sales"].tolist()
    assert found.data["sheet"] == "Data"
    with pytest.raises(DataError, match="no sheet 'data'; did you mean `Data`"):
        infer("sales", path.name, tmp_path, 7, {"sheet": "data"}, 0.0)


def test_archives_that_are_no_workbook(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", "a,b\n")
    with pytest.raises(DataError, match="is a zip archive and no workbook"):
        infer("sales", "t.zip", tmp_path, 7, {}, 0.0)
