"""Choose the engine: by an option of a command, RETAIN_ENGINE, or `engine:` in the user's settings.

The choice is never in a file that DVC hashes, since no output depends on it.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retain.errors import ParamsError
from retain.words import clipped, did_you_mean

VARIABLE, COMMAND = "RETAIN_ENGINE", "RETAIN_COMMAND"
NAMES = ("local", "ray", "command")
SHARES = 8  # that the engine `command` has by default
MOST = 4096
SETTINGS = ("engine", "command")


@dataclass(frozen=True)
class Engine:
    """What does the parts.

    Attributes:
        name: of NAMES.
        count: processes of `local`, shares of `command`.
        template: the command that starts a share; empty where a person starts it.
    """

    name: str = "local"
    count: int = 1
    template: str = ""


def chosen() -> Engine:
    """Return the engine of this process.

    Raises:
        ParamsError: the variable or the settings name none.
    """
    if text := os.environ.get(VARIABLE):
        engine, where = text, VARIABLE
        settings: dict[str, Any] = {} if text.startswith(("local", "ray")) else _settings()
    else:
        settings = _settings()
        engine, where = settings.get("engine", "local"), str(settings_file())
    template = os.environ.get(COMMAND) or settings.get("command", "")
    return _with_template(parse(engine, where), template)


def in_process() -> bool:
    """Return whether this process does all parts itself."""
    return chosen() == Engine()


def use(text: str | None) -> None:
    """Choose an engine for this process and those that it starts; None keeps the choice.

    Raises:
        ParamsError: there is no such engine.
    """
    if text is not None:
        parse(text, "--engine")
        os.environ[VARIABLE] = text


def parse(text: object, where: str) -> Engine:
    """Return the engine that is written as `local`, `local:4`, `ray`, `command` or `command:16`.

    >>> parse("local:4", "--engine").count
    4

    Raises:
        ParamsError: it is none of these.
    """
    match = re.fullmatch(r"([a-z]+)(?::([1-9]\d{0,5}))?", str(text))
    if match is None or match[1] not in NAMES or (match[1] == "ray" and match[2]):
        name = str(text).partition(":")[0]
        raise ParamsError(
            f"{where} is {text!r}: expected local, local:N with N processes, ray, command or "
            f"command:N with N shares{did_you_mean(name, [*NAMES]) if name not in NAMES else ''}"
        )
    count = int(match[2] or (SHARES if match[1] == "command" else 1))
    if count > MOST:
        raise ParamsError(f"{where} is {text!r}: at most {MOST:,} are possible")
    return Engine(match[1], count)


def settings_file() -> Path:
    """Return the path of the user's own settings, which may be missing."""
    from platformdirs import user_config_path

    return user_config_path("retain") / "settings.yaml"


def _settings() -> dict[str, Any]:
    file = settings_file()
    if not file.is_file():
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(file)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ParamsError(f"{file} is not valid YAML: {clipped(error, 300)}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParamsError(f"{file}: expected a mapping, such as `engine: local:2`")
    for key, value in content.items():
        if key not in SETTINGS:
            raise ParamsError(f"{file}: unknown key `{key}`{did_you_mean(str(key), [*SETTINGS])}")
        if not isinstance(value, str):
            raise ParamsError(f"{file}: `{key}` is {value!r}; expected a text")
    return content


def _with_template(engine: Engine, template: str) -> Engine:
    if engine.name != "command" or not template:
        return engine
    if "{command}" not in template:
        raise ParamsError(
            f"the template {template!r} of the engine `command` has no {{command}}, such as "
            f"'srun --ntasks=1 {{command}}'; it is {COMMAND}, or `command` in {settings_file()}"
        )
    return Engine(engine.name, engine.count, template)
