"""Files params.yaml drawn from their JSON Schema: right ones, nearly right ones, and others.

Each is read; where it is accepted, the stages that read the changed section start, and each runs
for a second.
"""

import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from retain import errors
from retain.config import loader
from retain.config.json_schema import params_schema

from ..conftest import PARAMS, finish, small_table
from .attempts import Outcome, attempt, begin

Schema = dict[str, Any]
SECOND = 1.5  # of a stage; one that still runs then is as it should be
STAGES = {
    "data": ("prepare",),
    "model": ("train",),
    "training": ("train",),
    "evaluation": ("evaluate",),
    "gate": ("evaluate", "register"),
    "preset": ("prepare", "train"),
    "retrain": ("check",),
}
RECALL = """\
  made:
    kind: recall
    data: {source: copy, path: pipelines/prepare.py, symbols: 4, train: 64, validation: 9, test: 9}
    gate: [{check: finite}]
"""
TEXT = """\
  made:
    kind: text
    data: {path: data/raw/made.txt}
    gate: [{check: finite}]
"""
TRANSLATE = """\
  made:
    kind: translate
    preset: fast
    data: {path: data/raw/made.tsv, pieces: 60, validation: 9, test: 9}
    gate: [{check: finite}]
"""
CHAT = """\
  made:
    kind: chat
    preset: fast
    data: {source: introductions, turns: [4, 8], test_turns: 8, validation: 4, test: 4}
    gate: [{check: finite}]
"""
TEXTS = (
    "", " ", "x", "\0", "\u202e", "999999999w", "-1d", "0h", "1e9", "10 horizons", "0 horizons",
    "99999999999999999999 horizons", "2024-02-30", "0000-00-00", "2262-04-12", "inf", "nan", "auto",
    "../../x", "/dev/zero", "~", "http://127.0.0.1:1/x", "$(touch x)", "W-XXX", "1000000h", "0min",
    "Europe/Nowhere", "US-ZZ", "tpu", "deepspeed", "%", "%Q", "\ud7ff", "a" * 10_000,
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2, 3, 64, 10**6, 10**9, 2**31, 2**53 + 1, 2**63, 10**30, 0.0, -0.5, 0.5, 1.0, 1.5,
    1e-300, 1e9, 1e300, float("inf"), float("nan"),
)  # fmt: skip
NESTED: list[Any] = ["a"]
for _ in range(60):
    NESTED = [NESTED]
ODD: tuple[Any, ...] = (True, False, None, [], {}, [None], {"a": 1}, NESTED, *TEXTS, *NUMBERS)
RAW = {
    "nothing": "",
    "a list": "[]",
    "a number": "1",
    "tabs": "problems:\n\tmade: {}\n",
    "a key twice": "problems: {}\nproblems: {}\n",
    "an open bracket": "problems: {",
    "an object of Python": "problems: !!python/object/apply:os.system ['touch x']\n",
    "a tag": "problems: !x {}\n",
    "an alias to itself": "problems: &a {made: *a}\n",
    "an alias without anchor": "problems: *a\n",
    "two documents": "problems: {}\n---\nproblems: {}\n",
    "a merge of a number": "problems: {<<: 1}\n",
    "keys that are lists": "problems: {? [a, b] : {kind: text}}\n",
    "a key of null": "problems: {null: {kind: text}}\n",
    "a date as a name": "problems: {2024-01-01: {kind: text}}\n",
    "zeros": "\0" * 1000,
    "deep": "problems: " + "[" * 500,
    "deep and closed": "problems: " + "[" * 200 + "]" * 200,
    "many aliases": "a0: &a0 [x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    + "problems: {made: {kind: *a11, data: *a11}}\n",
    "many aliases in a section": "problems:\n  made:\n    kind: text\n    gate: &a0 [x, x]\n"
    + "".join(f"    a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)).replace(
        "*a0", "[x]"
    ),
    "a long name": "problems: {" + "a" * 100_000 + ": {kind: text}}\n",
    "many problems": "problems:\n" + "".join(f"  p{n}: {{kind: text}}\n" for n in range(2000)),
    "a number of a million digits": "problems: {made: {kind: text, refit: " + "9" * 10**6 + "}}",
    "sexagesimal": "problems: {made: {kind: 1:2:3:4}}\n",
}  # fmt: skip


def leaves(schema: Schema, definitions: Schema, path: tuple[str, ...] = ()) -> Iterator[Any]:
    """Yield every key of a schema, with its path and its own schema."""
    schema = resolved(schema, definitions)
    for key, reference in schema.get("properties", {}).items():
        own = resolved(reference, definitions)
        if "properties" in own:
            yield from leaves(own, definitions, (*path, key))
        yield (*path, key), own


def resolved(schema: Schema, definitions: Schema) -> Schema:
    """Return what a reference refers to."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def values(  # noqa: PLR0911 - a line a type
    schema: Schema, definitions: Schema, depth: int = 0
) -> st.SearchStrategy[Any]:
    """Return a strategy of values that a schema allows, at its bounds or within."""
    schema = resolved(schema, definitions)
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    for joint in ("anyOf", "oneOf"):
        if joint in schema:
            return st.one_of([values(own, definitions, depth) for own in schema[joint]])
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    match schema.get("type"):
        case "integer":
            bounds = [number for number in (low, high) if number is not None]
            few = st.integers(0 if low is None else int(low), 9 if low is None else int(low) + 9)
            return st.one_of(few, st.sampled_from(bounds or [1]), st.sampled_from(NUMBERS[:12]))
        case "number":
            bounds = [number for number in (low, high) if number is not None]
            return st.one_of(st.floats(0, 1), st.sampled_from(bounds or [0.5]))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array" if depth < 3:
            own = schema.get("items") or {"anyOf": schema.get("prefixItems") or [{}]}
            return st.lists(values(own, definitions, depth + 1), max_size=4)
        case "object" if depth < 3 and "properties" in schema:
            keys = {
                k: values(own, definitions, depth + 1) for k, own in schema["properties"].items()
            }
            needed = {key: keys.pop(key) for key in schema.get("required", [])}
            return st.fixed_dictionaries(needed, optional=keys)
        case "object" if depth < 3:
            own = schema.get("additionalProperties")
            own = own if isinstance(own, dict) else {}
            names = st.sampled_from(["y", "lstm", "store", *TEXTS[:6]])
            return st.dictionaries(names, values(own, definitions, depth + 1), max_size=3)
    return st.sampled_from([*TEXTS, 1, None])


@functools.cache
def bases() -> list[dict[str, Any]]:
    """Return a small right entry of each kind."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe")
    made = [yaml.load(PARAMS)["problems"]["small"]]
    texts = (RECALL, TEXT, TRANSLATE, CHAT)
    made += [yaml.load("problems:\n" + text)["problems"]["made"] for text in texts]
    return [json.loads(json.dumps(entry)) for entry in made]


def entries() -> st.SearchStrategy[tuple[dict[str, Any], frozenset[str]]]:
    """Return a strategy of entries with one to three keys changed, and the sections they are in."""
    schema = params_schema()
    definitions = schema["$defs"]

    @st.composite
    def draw_entry(draw: Callable[[Any], Any]) -> tuple[dict[str, Any], frozenset[str]]:
        entry = json.loads(json.dumps(draw(st.sampled_from(bases()))))
        keys = list(leaves(definitions[entry["kind"]], definitions))
        changed = set()
        for _ in range(draw(st.integers(1, 3))):
            path, own = draw(st.sampled_from(keys))
            way = draw(st.integers(0, 9))
            if way == 0:
                path = (*path[:-1], draw(st.sampled_from(["x", "", "kind", "horizons", "a b"])))
            value = draw(values(own, definitions) if way > 3 else st.sampled_from(ODD))
            place = entry
            for key in path[:-1]:
                place = (
                    place[key] if isinstance(place.get(key), dict) else place.setdefault(key, {})
                )
                if not isinstance(place, dict):
                    break
            else:
                place[path[-1]] = value
            changed.add(path[0])
        return entry, frozenset(changed)

    return draw_entry()


def drawn(count: int, number: int) -> list[tuple[dict[str, Any], frozenset[str]]]:
    """Return so many entries, the same for the same number."""
    found: list[tuple[dict[str, Any], frozenset[str]]] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(entries())
    def each(entry: tuple[dict[str, Any], frozenset[str]]) -> None:
        found.append(entry)

    each()
    return found


def name_of(entry: dict[str, Any]) -> str:
    """Return the problem's name: `small` has outputs in the template."""
    return "small" if entry["kind"] == "forecast" else "made"


def text_of(entry: dict[str, Any]) -> str:
    """Return an entry as a file."""
    text = json.dumps({"problems": {name_of(entry): entry}}, ensure_ascii=True)
    return text.replace("NaN", ".nan").replace("Infinity", ".inf")


def read(text: str, folder: Path) -> Outcome:
    """Return what comes of reading a file, as `retain problems` does."""
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "params.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")

    def action() -> None:
        def parse() -> None:
            for problem in loader.load(folder).values():
                print(problem.purpose, problem.advice(), problem.folds, len(problem.beside))

        errors.run(parse)

    return attempt(action, folder / "log")


def make_template(folder: Path) -> Path:
    """Make a project of a small forecaster that is trained, with data for the other kinds."""
    project = folder / "template"
    finish(project, small_table())
    (project / "data/raw/made.txt").write_text("the cat sat on the mat. " * 400)
    pairs = [f"satz {number} von hundert\tsentence {number} of a hundred" for number in range(100)]
    (project / "data/raw/made.tsv").write_text("\n".join(pairs) + "\n")
    return project


def copy(template: Path, project: Path) -> None:
    """Copy a project, with what DVC made and without git's history."""
    shutil.copytree(template, project, symlinks=True, ignore=shutil.ignore_patterns(".git"))


def start(template: Path, text: str, entry: dict[str, Any], stage: str) -> Outcome:
    """Return how a stage of an accepted entry begins."""
    name = name_of(entry)
    with tempfile.TemporaryDirectory() as place:
        project = Path(place) / "project"
        copy(template, project)
        (project / "params.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
        words = ["python", f"pipelines/{stage}.py", name]
        if stage == "train":
            words.append("lstm")
        if stage == "check":
            words = ["python", "pipelines/retrain.py", name, "--skip", "train", "--skip", "report"]
        return begin(words, project, Path(place) / "log", SECOND)


def run_all(
    count: int, number: int = 1, template: Path | None = None, starts: int = 0
) -> Iterator[tuple[str, Outcome]]:
    """Yield what comes of so many files, and of so many starts of stages of those accepted."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        texts: list[tuple[str, str, Any, frozenset[str]]] = [
            (name, text, None, frozenset()) for name, text in RAW.items()
        ]
        for entry, changed in drawn(max(count - len(RAW), 1), number):
            text = text_of(entry)
            texts.append((text[:400], text, entry, changed))
        for label, text, entry, changed in texts[:count]:
            outcome = read(text, folder)
            yield f"params: {label}", outcome
            if outcome.end != "done" or entry is None or template is None or starts <= 0:
                continue
            wanted = [stage for key in sorted(changed) for stage in STAGES.get(key, ())]
            if entry["kind"] != "forecast":  # the template has no outputs of theirs
                wanted = [stage for stage in wanted if stage == "prepare"]
            for stage in dict.fromkeys(wanted):
                starts -= 1
                yield f"{stage}: {label}", start(template, text, entry, stage)
