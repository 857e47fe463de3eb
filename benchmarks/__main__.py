"""`python -m benchmarks NAME`: measure, and write the tables down."""

import argparse
import importlib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = (
    "accuracy",
    "babi",
    "letters",
    "translate",
    "refit",
    "cold",
    "ordinary",
    "speed",
    "start",
    "limit",
    "scale",
    "engine",
    "checkpoints",
    "portable",
    "serving",
    "verdict",
    "tune",
    "trial",
)


def main() -> None:
    """Run one benchmark; each declares its own options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="benchmark", required=True)
    for name in NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        summary = (module.__doc__ or "").partition("\n")[0]
        own = names.add_parser(name, help=summary, description=module.__doc__)
        own.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
        module.add_options(own)
        own.set_defaults(run=module.run)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
