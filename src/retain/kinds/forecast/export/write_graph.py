"""Write the ONNX graph of a model folder: python -m retain.kinds.forecast.export.write_graph."""

import sys
from pathlib import Path

from retain import errors
from retain.project import files


def main() -> None:
    """Write the graph of the first argument's folder to the second's path."""
    from retain.kinds.forecast.export.bundle import write_graph
    from retain.kinds.forecast.predict import predictor

    folder, path = map(Path, sys.argv[1:])
    with files.replacing(path) as scratch:
        write_graph(predictor.load(folder), scratch, "onnx")


if __name__ == "__main__":
    errors.run(main)
