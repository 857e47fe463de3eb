"""Numbers of `retain plan`, as a person types them."""

import pytest

from retain.cli import plan
from retain.errors import ParamsError


def test_powers_of_ten_are_whole_numbers() -> None:
    assert [plan._number("--series", text) for text in ("1e7", "64", " 8")] == [10_000_000, 64, 8]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "inf", "nan", "1e300", "x" * 9999])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ParamsError, match="--series has") as raised:
        plan._number("--series", text)
    assert len(str(raised.value)) < 300
