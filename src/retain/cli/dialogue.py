"""Questions of commands: asked on a terminal; otherwise an error names the options."""

import sys
from typing import Any

import typer

from retain.errors import AmbiguousError, ParamsError
from retain.words import shortened


def on_terminal() -> bool:
    """Whether a person sees what is printed and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def choose(doubt: AmbiguousError, yes: bool) -> dict[str, Any]:
    """Return the settings that resolve a doubt about a table.

    On a terminal the user chooses, with the proposal as default. With `yes` the proposal is
    accepted and printed.

    Raises:
        AmbiguousError: there is no terminal, and no proposal that may be accepted.
    """
    if yes and doubt.proposal is not None:
        chosen = doubt.choices[doubt.proposal]
        typer.echo(shortened(f"  {doubt.question}: taken is {chosen.options} ({chosen.label})"))
        return chosen.settings
    if yes or not on_terminal():
        raise doubt
    typer.echo(shortened(f"{doubt.question}. Which is right?"))
    for number, choice in enumerate(doubt.choices, 1):
        typer.echo(shortened(f"  {number}  {choice.label} ({choice.options})"))
    answers = [str(number) for number in range(1, len(doubt.choices) + 1)]
    default = None if doubt.proposal is None else answers[doubt.proposal]
    while (answer := str(typer.prompt("Number", default=default)).strip()) not in answers:
        typer.echo(f"Type one of {', '.join(answers)}, or Ctrl-C to stop.")
    return doubt.choices[int(answer) - 1].settings


def confirm(question: str, yes: bool, default: bool) -> bool:
    """Ask the user yes or no; with `yes`, do not ask.

    Raises:
        ParamsError: there is no terminal.
    """
    if yes:
        return True
    if not on_terminal():
        raise ParamsError(f"{question} Nobody can be asked here: say so with --yes")
    return typer.confirm(question, default=default)


def merged(given: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Merge further settings into the given ones; lists are joined, but for `unique_id`."""
    joined = dict(settings)
    for key, value in settings.items():
        if isinstance(value, list) and key in given and key != "unique_id":
            before = given[key] if isinstance(given[key], list | tuple) else [given[key]]
            joined[key] = list(dict.fromkeys([*before, *value]))
    return given | joined
