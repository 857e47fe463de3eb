"""What an exported forecaster says of itself: metadata.json, for programs, and README.md."""

from typing import Any

from retain import __version__
from retain.config.exports import Format
from retain.kinds.forecast.data import calendars
from retain.kinds.forecast.predict.table_predictor import TablePredictor

TURNS = {
    "hour_of_day": "the time since midnight ÷ 24 hours",
    "day_of_week": "(0 on Monday to 6 on Sunday + the time since midnight ÷ 24 hours) ÷ 7",
    "day_of_year": "(the number of the day in its year, from 1, - 1) ÷ 365.25",
}
NEEDS = {"onnx": "onnxruntime and NumPy", "torch": "torch and NumPy"}


def metadata(model: TablePredictor, md5: str, how: Format) -> dict[str, Any]:
    """Describe inputs and outputs of the graph, and the model that it was made of.

    Args:
        md5: of the model's folder.
    """
    schema, data, config = model.schema, model.data, model.config
    moving = 1 + schema.past
    content: dict[str, Any] = {
        "format": how,
        "retain": __version__,
        "model": {"md5": md5, "cell": config["cell"], "trained_on": model.trained_on()},
        "y": list(data.value_columns or (data.y,)),
        "unit": data.unit,
        "frequency": schema.frequency,
        "timezone": data.timezone,
        "origin": schema.origin,
        "horizon": data.horizon,
        "context_length": data.context_length,
        "season_length": data.season_length,
        "levels": list(model.levels),
        "series": {name: number for number, name in enumerate(config["series"]["unique_id"], 1)},
        "past": list(schema.columns[1:moving]),
        "known": list(schema.columns[moving:]),
        "static": list(schema.static),
        "categories": schema.categories,
        "calendar": _calendar(model),
        "inputs": _inputs(model),
        "outputs": [
            _tensor("quantiles", ["series", data.horizon, len(model.levels)], "in the unit of y"),
            _tensor("mean", ["series", data.horizon], "in the unit of y"),
        ],
    }
    if model.pool is not None:
        content["pool"] = {"experts": list(model.pool.experts), "log": model.pool.log}
    return content


def _tensor(
    name: str, shape: list[str | int], meaning: str, kind: str = "float32"
) -> dict[str, Any]:
    return {"name": name, "shape": shape, "type": kind, "meaning": meaning}


def _inputs(model: TablePredictor) -> list[dict[str, Any]]:
    schema, data = model.schema, model.data
    steps = f"at least {data.reach}"
    tensors = [
        _tensor("y", ["series", steps], "the target, newest last, one value a step; NaN: missing"),
        _tensor("series", ["series"], "the number in `series`; 0 for a new series", "int64"),
    ]
    if schema.past:
        shape: list[str | int] = ["series", data.context_length, schema.past]
        tensors.append(_tensor("past", shape, "columns `past` of the newest steps; NaN: missing"))
    if schema.known:
        shape = ["series", data.context_length + data.horizon, schema.known]
        meaning = "columns `known` of the same steps and of those to forecast; NaN: missing"
        tensors.append(_tensor("known", shape, meaning))
    if schema.static:
        shape = ["series", len(schema.static)]
        tensors.append(_tensor("static", shape, "columns `static`; NaN: missing"))
    if (pool := model.pool) is not None:
        meaning = "by pool/: the experts' forecasts, in the unit of y"
        tensors.append(_tensor("experts", ["series", len(pool.experts), data.horizon], meaning))
        meaning = "by pool/: their blend's forecasts of the context, each one step ahead"
        tensors.append(_tensor("ahead", ["series", data.context_length], meaning))
    return tensors


def _calendar(model: TablePredictor) -> dict[str, str]:
    """Describe how each calendar column is computed from a time stamp."""
    data = model.data
    formulas = {}
    for name in calendars.feature_names(model.schema.frequency, data.calendar, data.holidays):
        cycle, _, part = name.rpartition("_")
        if cycle in TURNS:
            formulas[name] = f"{part}(2π · {TURNS[cycle]})"
        else:
            formulas[name] = f"the number of holidays of {data.holidays} in the step"
    return formulas


def text(model: TablePredictor, content: dict[str, Any]) -> str:
    """Return README.md: what to put in, what comes out, and what is not in the graph."""
    how: Format = content["format"]
    data, file = model.data, content["file"]["name"]
    rows = [
        f"| `{each['name']}` | {' × '.join(map(str, each['shape']))} | {each['type']} | "
        f"{each['meaning']} |"
        for each in (*content["inputs"], *content["outputs"])
    ]
    parts = [
        f"# A forecaster of {', '.join(content['y'][:3])}",
        f"`{file}` forecasts {data.horizon} steps of frequency {content['frequency']} with "
        f"{NEEDS[how]}: `python run.py` runs it on example.npz and prints how far the result is "
        f"from that of retain. Its model is an {content['model']['cell'].upper()} with the md5 "
        f"{content['model']['md5']}, exported by retain {content['retain']}.",
        "\n".join(["| name | shape | type | meaning |", "| --- | --- | --- | --- |", *rows]),
        "The order of columns, the numbers of series and the levels of the quantiles are in "
        "metadata.json. The first dimension is any number of series.",
        "In the graph: normalisation, transform, the network or networks, calibration, the lower "
        "bound, rounding of counts. Not in the graph, so you do it:",
        "\n".join(_left_to_do(model)),
    ]
    return "\n\n".join(parts) + "\n"


def _left_to_do(model: TablePredictor) -> list[str]:
    data = model.data
    points = [
        f"* Put the values on a grid of frequency {model.schema.frequency}, NaN where one is "
        f"missing. A series needs {data.context_length} steps and one value in them; fill `y` with "
        f"NaN in front up to {data.reach} steps. Infinite values and values that retain's reader "
        f"would refuse are not found."
    ]
    if _calendar(model):
        zone = f"the local time of {data.timezone}" if data.timezone else "the time stamp"
        points.append(
            f"* Compute the calendar's columns from {zone} by the formulas in `calendar`, and put "
            f"them into `known` in the order of that list."
        )
    if model.schema.categories:
        points.append(
            "* Write a categorical column as one column of 0 and 1 for each category, named "
            "`COLUMN=CATEGORY` in metadata.json; a category that is not there is 0 everywhere."
        )
    if model.pool is not None:
        points.append(
            "* Run the classical base: `pool/` does it with NumPy, from `y`, `series` and `step`, "
            "the number of the first step to forecast counted from `origin`. For a known series "
            "`y` must hold every step since the end of the training, for a new one all of its "
            "values. The base is not in the graph: its starts, its gaps and the states that it "
            "goes on from would have to be written a second time. Another language than Python "
            "needs a translation of `pool/`, or a model without a base."
        )
    if model.config.get("slots"):
        points.append(
            "* Leave rows empty at times when a series never has a value, if you want to: retain "
            "does, the graph forecasts them."
        )
    return points
