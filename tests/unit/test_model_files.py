"""Model folders that earlier versions of retain wrote stay readable, and predict what they did."""

import io
from pathlib import Path

import pandas as pd
import pytest

from retain.kinds.forecast.predict import predictor as forecast
from retain.kinds.recall import predictor as recall
from retain.kinds.text import predictor as text

FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "format-1"
LOAD = {"forecast": forecast.load, "recall": recall.load, "text": text.load}


@pytest.mark.parametrize("folder", sorted(FORMAT_1.glob("*/")), ids=lambda folder: folder.name)
def test_a_model_of_format_1_predicts_what_it_did_when_it_was_written(folder: Path) -> None:
    model = LOAD[folder.name.partition("_")[0]](folder / "model")
    prediction = model.predict(pd.read_csv(folder / "input.csv"))
    as_read = pd.read_csv(io.StringIO(prediction.to_csv(index=False)))
    expected = pd.read_csv(folder / "output.csv")
    pd.testing.assert_frame_equal(as_read, expected, rtol=1e-5, atol=1e-7)
