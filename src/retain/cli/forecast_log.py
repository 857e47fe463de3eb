"""The options `--log` and `--log-limit` of the commands that forecast."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retain.config.kind import AnyKind, require
from retain.config.monitoring import LogLimit
from retain.errors import DataError, ParamsError
from retain.project import fingerprint

if TYPE_CHECKING:
    import pandas as pd

Log = Annotated[
    Path | None,
    typer.Option(help="Folder in which all forecasts are kept, for `retain monitor`."),
]


def place(
    log: Path | None, name: str, limit: str | None, usual: str | None = None
) -> tuple[Path, LogLimit] | None:
    """Return the folder of a problem in a log, and the log's limit; None without a log.

    Args:
        usual: the limit where none is given; None keeps everything.

    Raises:
        ParamsError: there is a limit and no log, or the limit cannot be read.
    """
    if log is None:
        if limit is not None:
            raise ParamsError("--log-limit is the limit of a log: name its folder with --log")
        return None
    limit = limit or usual
    return log.resolve() / name, LogLimit() if limit is None else LogLimit.parse(limit)


def keeper(
    kind: AnyKind, root: Path, name: str, log: Path | None, limit: str | None
) -> "Callable[[Path, pd.DataFrame | Path], None]":
    """Return what writes forecasts into a log: a table, or a folder of Parquet files.

    It takes the folder of the model that made them besides.

    Raises:
        ParamsError: the kind has no log, or the limit cannot be read.
    """
    kept = place(log, name, limit)
    if kept is None:
        return lambda model, made: None
    keep = require(kind.keep, f"the forecasts of kind {kind.name} have no log: leave --log out")

    def write(model: Path, made: "pd.DataFrame | Path") -> None:
        import pandas as pd

        from retain.registry import lookup

        parts = sorted(made.glob("part-*.parquet")) if isinstance(made, Path) else []
        tables = map(pd.read_parquet, parts) if isinstance(made, Path) else [made]
        md5 = fingerprint.folder_md5(model)
        version = lookup.number_of(root, name, md5)
        try:
            rows = keep(model, version, md5, tables, *kept)
        except OSError as error:
            sentence = f"the forecast is whole, but --log {log} cannot be written: {error}"
            raise DataError(sentence) from None
        typer.echo(f"{rows:,} rows of version {version} logged in {kept[0]}", err=True)

    return write
