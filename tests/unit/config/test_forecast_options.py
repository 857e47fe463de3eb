"""The options of a forecast are checked wherever they come from."""

import pytest

from retain.config.forecasts import ForecastOptions
from retain.errors import ParamsError


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("fill_with", "thetha", "fill_with is 'thetha'; did you mean `theta`?"),
        ("fill_with", "x", "fill_with is 'x'; valid here: theta, seasonal_naive"),
        ("unseen", "refused", "unseen is 'refused'; did you mean `refuse`?"),
        ("unseen", True, "unseen is True; valid here: refuse, unknown"),
    ],
)
def test_a_value_that_is_none_of_those_known(key: str, value: str, sentence: str) -> None:
    with pytest.raises(ParamsError) as error:
        ForecastOptions(**{key: value})
    assert str(error.value) == sentence


@pytest.mark.parametrize("value", [None, "theta", "seasonal_naive"])
def test_a_known_method(value: str | None) -> None:
    assert ForecastOptions(fill_with=value, unseen="unknown").fill_with == value
