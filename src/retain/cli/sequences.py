"""The commands of `retain` for models of sequences and text, and for the gates of an LSTM."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from retain.cli import printing
from retain.cli.predict import Name, model_folder
from retain.config import loader
from retain.config.kind import AnyKind, Lazy, kind_of, require
from retain.config.sequences import ChatSession, Translation
from retain.errors import DataError, ModelError, ParamsError, RetainError
from retain.project import files
from retain.project.layout import Layout

T = TypeVar("T")

app = typer.Typer()
LIKELIEST = 5  # units that `retain complete` shows
CHAT_HELP = "(say hello; /gates shows what the bot holds, /forget begins anew, /end ends)"
HELD = (
    "(written: what the word wrote into the slow units of the cell, |input gate · modulation|; "
    "left: after all forget gates since)"
)
SHADES = ("·", "░░", "▒▒", "▓▓", "██")  # of a weight from 0 to 1


def _part(root: Path, name: str, part: Callable[[AnyKind], Lazy[T] | None], does: str) -> T:
    """Load a part of a problem's kind; ParamsError, with what the command does, without it."""
    problem = loader.load_problem(root, name)
    kind = kind_of(problem)
    refusal = f"{does}; problems.{name} is of kind {problem.kind}: `{kind.command} {name}`"
    return require(part(kind), refusal)


@app.command()
def ask(
    name: Name,
    sequence: Annotated[
        str, typer.Argument(help="Sequence to answer, written as in the problem's data.")
    ],
) -> None:
    """Answer one sequence with the champion of a problem of kind `recall`."""
    root = loader.find_root()
    answers_of = _part(root, name, lambda kind: kind.ask, "`retain ask` puts one sequence")
    with model_folder(root, name) as folder:
        answers = answers_of(folder, sequence)
    for answer, probability in answers:
        typer.echo(answer if probability is None else f"{100 * probability:5.1f} %  {answer}")


@app.command()
def complete(
    name: Name,
    text: Annotated[str, typer.Argument(help="Beginning of the text; spaces at its end count.")],
    length: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many letters, or words, to add.")
    ] = 60,
    temperature: Annotated[
        float,
        typer.Option(
            min=0.01, max=100, help="Below 1: take likely letters more often. Above 1: less often."
        ),
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random draws.")] = 1,
) -> None:
    """Print the likeliest next letters of a text, and a continuation, from the champion."""
    root = loader.find_root()
    continue_text = _part(
        root, name, lambda kind: kind.complete, "`retain complete` continues a text"
    )
    with model_folder(root, name) as folder:
        following, continuation = continue_text(folder, text, length, temperature, seed)
    for unit, share in following[:LIKELIEST]:
        typer.echo(f"{100 * share:5.1f} %  {unit!r}")
    typer.echo(f"{text}{continuation}")


@app.command()
def chat(name: Name) -> None:
    """Talk with the champion of a problem of kind `chat`, line by line; an empty line is skipped.

    /gates shows what the cell holds of each name, town and so on; /forget begins anew; /end ends,
    as the end of the input does. Lines may be piped in. Exit code 2 if a line could not be read.
    """
    root = loader.find_root()
    open_session = _part(root, name, lambda kind: kind.chat, "`retain chat` holds a conversation")
    asked, refused = sys.stdin.isatty(), False
    with model_folder(root, name) as folder:
        session = open_session(folder)
    if asked:
        typer.echo(CHAT_HELP)
    while line := _next_line(asked):
        if line.strip() == "/end":
            break
        try:
            for answer in _answer(session, line.strip()):
                typer.echo(answer)
        except RetainError as error:
            refused = refused or not asked
            typer.echo(f"({error})", err=not asked)
    if refused:
        raise typer.Exit(2)


def _next_line(asked: bool) -> str:
    """Read a line of the input; empty at its end."""
    if asked:
        typer.echo("> ", nl=False)
    return sys.stdin.buffer.readline().decode("utf-8", "replace")


def _answer(session: ChatSession, line: str) -> list[str]:
    """Return the lines to print for a line of a conversation, or for a command."""
    if line == "/forget":
        session.forget()
        return ["(the state is empty: nothing is remembered)"]
    if line == "/gates":
        held = session.held()
        if held.empty:
            return ["(no name, town or other fact was said yet)"]
        held["share"] = held["share"].map("{:.0%}".format)
        return [*held.to_string(index=False, float_format="%.2f".__mod__).splitlines(), HELD]
    if line.startswith("/"):
        raise DataError(f"{line!r} is no command; there are /gates, /forget and /end")
    return [session.reply(line)] if line else []


@app.command()
def translate(
    name: Name,
    text: Annotated[str, typer.Argument(help="Sentence to translate.")],
    beam: Annotated[
        int, typer.Option(min=1, max=100, help="Translations followed at once; 1 is greedy.")
    ] = 5,
    alternatives: Annotated[
        int, typer.Option(min=1, help="How many translations to print, at most --beam.")
    ] = 1,
    attention: Annotated[
        bool, typer.Option("--attention", help="Print what each piece of the translation looks at.")
    ] = False,
) -> None:
    """Translate a sentence with the champion of a problem of kind `translate`."""
    root = loader.find_root()
    translations_of = _part(
        root, name, lambda kind: kind.translate, "`retain translate` translates a sentence"
    )
    if alternatives > beam:
        raise ParamsError(f"--alternatives {alternatives} needs --beam {alternatives} or more")
    with model_folder(root, name) as folder:
        translations = translations_of(folder, text, beam)
    for each in translations[:alternatives]:
        share = f"{100 * each.probability:5.1f} %  " if alternatives > 1 else ""
        typer.echo(f"{share}{each.text}")
    if attention:
        print_attention(translations[0])


def print_attention(translation: Translation) -> None:
    """Print, for each piece that was written, the weights of the pieces that were read."""
    weights = translation.attention
    if weights is None:
        raise ModelError("the model has no attention: params.yaml says model.attention: none")
    from rich.table import Table

    shown = Table("", *translation.source, box=None, padding=(0, 1, 0, 0))
    for piece, row in zip([*translation.target, "(end)"], weights, strict=True):
        shown.add_row(piece, *(SHADES[round(float(weight) * (len(SHADES) - 1))] for weight in row))
    for column in shown.columns:
        column.no_wrap = True
    printing.table(shown)


@app.command()
def gates(
    name: Name,
    what: Annotated[str | None, typer.Argument(help="Text that the model reads.")] = None,
    series: Annotated[
        str | None, typer.Option(help="For a table: the series that the model reads.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="For a table: the first time stamp after the window.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write: a page, .html, or a figure, .svg; by default "
            "reports/NAME/gates.html.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Folder in models/NAME/ of the model to show.")
    ] = "lstm",
) -> None:
    """Write a page that shows an LSTM's gates and cell state, for each step and each unit.

    For a table it shows the newest test window, or the one of --series and --at.
    """
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    inspect = kind_of(problem).lstm_gates
    if inspect is None:
        raise ParamsError(f"{name} is of kind {problem.kind}, which `retain gates` cannot show")
    if what is not None and series is not None:
        raise ParamsError(f"give {what!r} or --series {series!r}, not both")
    reports = Layout(root, name).reports
    output = output or reports / "gates.html"
    if output.suffix not in (".html", ".svg"):
        raise DataError(
            f"{output}: name a page, such as gates.html, or a figure, such as gates.svg"
        )
    if output.parent != reports and not output.absolute().parent.is_dir():
        raise DataError(f"{output}: name a file in a folder that exists")
    from retain.evaluation.lstm_gates import heat_maps, page

    wanted = what if what is not None else series
    folder = Layout(root, name).model(model)
    shown = inspect.load(problem, name, root, folder, wanted, at)
    output.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(output, page(shown) if output.suffix == ".html" else heat_maps(shown))
    place = output.relative_to(root) if output.is_relative_to(root) else output
    typer.echo(f"{shown.title}: {len(shown.steps)} steps, in {place}")
