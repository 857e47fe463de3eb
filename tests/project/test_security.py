"""What SECURITY.md promises of the code: no pickle is read, and nothing that is read is run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
READERS = {"read_pickle", "load_module", "unsafe_load"}  # of whatever module
RUNNERS = {"eval", "exec", "compile"}


def faults(source: str) -> Iterator[str]:
    """What a source does that could read a pickle, or run what it reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names = {module, *(alias.name for alias in node.names)}
            yield from (f"imports {n}" for n in names if n.partition(".")[0] in PICKLES)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            last = called.rpartition(".")[2]
            if last in READERS or called in RUNNERS or called == "torch.load":
                yield f"calls {called}"
            if called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
                yield f"calls {called} without allow_pickle=False"
            if last == "YAML" and given.get("typ", "'safe'") not in ("'safe'", "'rt'"):
                yield f"reads YAML as {given['typ']}"


def test_no_source_reads_a_pickle_or_runs_what_it_reads() -> None:
    sources = [path for folder in ("src", "pipelines") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    found = {path: list(faults(path.read_text(encoding="utf-8"))) for path in sources}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pandas.read_pickle(path)",
        "YAML(typ='unsafe')",
        "eval(text)",
    ],
)
def test_a_source_that_did_would_be_found(source: str) -> None:
    assert len(list(faults(source))) == 1


def test_the_limits_of_trust_are_written_down() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for word in ("pickle", "md5", "MLmodel", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "retain serve"):
        assert word in page
    assert len(page.splitlines()) <= 70
