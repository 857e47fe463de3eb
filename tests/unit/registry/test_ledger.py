"""What was registered and decided: line by line, over merges, and in projects without a ledger."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from retain.errors import ModelError, RegistryError
from retain.evaluation.quality_gate import CheckResult
from retain.project.git import Git
from retain.project.layout import Layout
from retain.registry import ledger, rebuild
from retain.registry.ledger import Entry

REPOSITORY = Path(__file__).parents[3]
FAILED = CheckResult("coverage", False, "the 80 % interval covers 10 %; allowed are 75 to 85 %", {})
BETTER = CheckResult("better than champion version 2", True, "MAE better (-1 to -2)", {})
LOCK = """\
schema: '2.0'
stages:
  evaluate@small:
    cmd: python pipelines/evaluate.py small lstm rnn
    outs:
    - path: reports/small/metrics.json
      hash: md5
      md5: {metrics}
      size: 9
  register@small:
    cmd: python pipelines/register.py small
    deps:
    - path: models/small/lstm
      hash: md5
      md5: {model}
      size: 9
    - path: reports/small/metrics.json
      hash: md5
      md5: {metrics}
      size: 9
    - path: src/retain/registry.py
      hash: md5
      md5: cccc
      size: 9
    params:
      params.yaml:
        problems.small.gate:
        - check: finite
    outs:
    - path: reports/small/verdict.json
      hash: md5
      md5: dddd
      size: 9
  register@smaller:
    cmd: python pipelines/register.py smaller
"""


def entry(minute: int, model: str, alias: str = "champion", by: str = ledger.GATE) -> Entry:
    return Entry(
        f"2026-01-01T00:{minute:02}:00+00:00", by, alias, "why, so", model, f"of {model}", ""
    )


def decided(root: Path) -> list[tuple[str, str, str]]:
    return [
        (line.by.partition(" ")[0], line.alias, line.model) for line in ledger.read(root, "small")
    ]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A repository with the project's own .gitattributes."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    git = Git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c")
    shutil.copy(REPOSITORY / ".gitattributes", tmp_path)
    git.run("init", "-q", "-b", "main")
    commit(git, 0)
    return git


def commit(git: Git, minute: int) -> str:
    at = f"2026-01-01T00:{minute:02}:00+00:00"
    git.run("add", "-A")
    dated = Git(git.root, *git.options, GIT_COMMITTER_DATE=at)
    dated.run("commit", "-q", "--allow-empty", "-m", "a state")
    return git.run("rev-parse", "HEAD")


def test_an_entry_is_read_as_it_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [entry(1, "a"), entry(2, "b", "challenger"), entry(3, "b", by="Ann <ann@b.c>")]
    for line in lines:
        ledger.record(tmp_path, "small", line)
    assert ledger.read(tmp_path, "small") == lines
    text = Layout(tmp_path, "small").ledger.read_text()
    assert text.splitlines()[:2] == [
        "at,by,alias,why,model,metrics,commit,final",
        '2026-01-01T00:01:00+00:00,gate,champion,"why, so",a,of a,,',
    ]
    assert (
        capsys.readouterr().out == "models/small/ledger.csv is new: commit it, as you do dvc.lock\n"
    )


@pytest.mark.parametrize("line", ["2026-01-01,a,b", "2026-01-01" + ",a" * 10, "<<<<<<< HEAD"])
def test_a_line_that_is_none_of_ours_is_named(tmp_path: Path, line: str) -> None:
    ledger.record(tmp_path, "small", entry(1, "a"))
    with Layout(tmp_path, "small").ledger.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RegistryError, match=r"models/small/ledger.csv, line 3: expected the colum"):
        ledger.read(tmp_path, "small")


@pytest.mark.parametrize(
    ("before", "line", "repeats"),
    [
        ([entry(1, "a")], entry(2, "a"), True),
        ([entry(1, "a"), entry(2, "b", "challenger")], entry(3, "a"), True),
        ([entry(1, "a"), entry(2, "b")], entry(3, "a"), False),  # it comes back
        ([entry(1, "a", "challenger")], entry(3, "a"), False),
        ([entry(1, "a"), entry(2, "b", "unknown")], entry(3, "a"), False),
        ([entry(1, "a", "unknown"), entry(2, "b", "unknown")], entry(3, "a", "unknown"), True),
        ([entry(1, "a", by="Ann"), entry(2, "b")], entry(3, "a", by="Ann"), False),
        ([entry(1, "a", by="Ann")], entry(1, "a", by="Ann"), True),  # on both sides of a merge
        ([entry(1, "a", "challenger"), entry(2, "a")], entry(3, "a", "challenger"), False),
        ([], entry(1, "a"), False),
    ],
)
def test_what_holds_already_is_not_recorded_again(
    before: list[Entry], line: Entry, repeats: bool
) -> None:
    assert line.repeats(before) is repeats


def test_a_clock_that_is_slow_changes_no_order(tmp_path: Path) -> None:
    ledger.record(tmp_path, "small", entry(30, "a"))
    ledger.record(tmp_path, "small", entry(10, "b"))
    assert decided(tmp_path) == [("gate", "champion", "a"), ("gate", "champion", "b")]
    ledger.record(tmp_path, "small", entry(20, "b"))
    assert len(ledger.read(tmp_path, "small")) == 2


def test_another_evaluation_of_a_model_is_another_decision() -> None:
    again = Entry("2026-01-02", "gate", "champion", "why", "a", "of others", "")
    assert not again.repeats([entry(1, "a")])


def test_another_refit_of_a_model_is_another_version() -> None:
    first, again = (replace(entry(minute, "a"), final=f"{minute}.dir") for minute in (1, 2))
    assert not again.repeats([first])
    assert replace(first, at="2026-01-02").repeats([again, first])
    assert not first.repeats([entry(1, "a")])  # of a version that had no refitted model


def write_by_earlier_version(root: Path, *lines: Entry) -> None:
    path = Layout(root, "small").ledger
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [",".join([e.at, e.by, e.alias, f'"{e.why}"', e.model, e.metrics, ""]) for e in lines]
    path.write_text("\n".join(["at,by,alias,why,model,metrics,commit", *rows]) + "\n")


def test_a_ledger_of_an_earlier_version_is_read_and_goes_on(tmp_path: Path) -> None:
    write_by_earlier_version(tmp_path, entry(1, "a"), entry(2, "b"))
    assert ledger.read(tmp_path, "small") == [entry(1, "a"), entry(2, "b")]
    refitted = replace(entry(3, "b"), final="f.dir")
    ledger.record(tmp_path, "small", refitted)
    assert ledger.read(tmp_path, "small") == [entry(1, "a"), entry(2, "b"), refitted]


def test_a_merge_of_both_versions_keeps_the_lines_of_both(git: Git) -> None:
    write_by_earlier_version(git.root, entry(1, "a"))
    commit(git, 5)
    refitted = replace(entry(4, "b"), final="f.dir")
    ledger.record(git.root, "small", refitted)
    commit(git, 6)
    git.run("checkout", "-q", "-b", "other", "HEAD~1")
    write_by_earlier_version(git.root, entry(1, "a"), entry(3, "c", "challenger"))
    commit(git, 7)
    git.run("merge", "-q", "-m", "a merge", "main")
    expected = [entry(1, "a"), entry(3, "c", "challenger"), refitted]
    assert ledger.read(git.root, "small") == expected


def test_a_lock_holds_a_registration_of_any_cell_and_of_its_refit() -> None:
    md5s = {
        "models/small/lstm": "l.dir",
        "models/small/rnn": "r.dir",
        "models/small/final": "f.dir",
        "reports/small/metrics.json": "of r",
    }
    line = replace(entry(1, "r.dir"), metrics="of r")
    assert ledger.holds(md5s, "small", line)  # registered before there were refits
    assert ledger.holds(md5s, "small", replace(line, final="f.dir"))
    assert not ledger.holds(md5s, "small", replace(line, final="other.dir"))
    assert not ledger.holds(md5s, "small", replace(line, model="f.dir"))
    assert not ledger.holds(md5s, "small", replace(line, metrics="of l"))


def test_the_gate_s_reasons_are_read_as_they_were_written() -> None:
    finite = CheckResult("finite", True, "every value is finite", {})
    why = ledger.reasons([finite, FAILED, BETTER])
    assert why == (
        "failed coverage: the 80 % interval covers 10 %; allowed are 75 to 85 % | "
        "passed better than champion version 2: MAE better (-1 to -2)"
    )
    assert ledger.checks_of(why) == {"coverage": FAILED, BETTER.check: BETTER}
    assert ledger.reasons([finite]) == "passed"
    assert ledger.checks_of("passed") == ledger.checks_of("worse in June: says the desk") == {}


def test_of_two_branches_that_registered_models_a_merge_keeps_both(git: Git) -> None:
    for line in (entry(1, "a"), entry(4, "b")):
        ledger.record(git.root, "small", line)
    commit(git, 5)
    git.run("checkout", "-q", "-b", "other", "HEAD~1")
    for line in (entry(2, "c", "challenger"), entry(3, "c", by="Ann <ann@b.c>")):
        ledger.record(git.root, "small", line)
    commit(git, 6)
    git.run("merge", "-q", "-m", "a merge", "main")
    assert decided(git.root) == [
        ("gate", "champion", "a"),
        ("gate", "challenger", "c"),
        ("Ann", "champion", "c"),
        ("gate", "champion", "b"),
    ]


def test_each_sha256_of_a_model_is_a_recorded_one() -> None:
    lines = [replace(entry(n, "a"), sha256=digest) for n, digest in enumerate(("", "x", "y"))]
    other = replace(entry(4, "a"), final="f.dir", sha256="z")
    assert ledger.sha256s_of([*lines, other], lines[0].content) == ["x", "y"]


def test_the_same_registration_on_two_branches_is_one(git: Git) -> None:
    ledger.record(git.root, "small", entry(1, "a"))
    commit(git, 5)
    git.run("checkout", "-q", "-b", "other", "HEAD~1")
    ledger.record(git.root, "small", entry(2, "a"))
    commit(git, 6)
    git.run("merge", "-q", "-m", "a merge", "main")
    assert ledger.read(git.root, "small") == [entry(1, "a")]


def write_lock(root: Path, model: str) -> None:
    (root / "dvc.lock").write_text(LOCK.format(model=model, metrics=f"of {model}"))


def test_a_project_from_before_has_what_its_history_says(git: Git) -> None:
    for minute, model in ((10, "a"), (20, "b"), (30, "b"), (40, "c")):
        write_lock(git.root, model)
        commit(git, minute)
    write_lock(git.root, "uncommitted")
    assert decided(git.root) == [
        ("gate", "unknown", "a"),
        ("gate", "unknown", "b"),
        ("gate", "unknown", "c"),
        ("gate", "unknown", "uncommitted"),
    ]
    at = [line.at[14:16] for line in ledger.read(git.root, "small")]
    assert at[:3] == ["10", "20", "40"]
    ledger.record(git.root, "small", entry(59, "d"))
    assert len(Layout(git.root, "small").ledger.read_text().splitlines()) == 1 + 5


def test_of_a_lock_what_dvc_keeps_of_a_stage_is_read(tmp_path: Path) -> None:
    def read(stage: str) -> dict[str, str]:
        return ledger.locked_md5s(tmp_path, "", stage)

    write_lock(tmp_path, "bbbb.dir")
    assert read("register@small") == {
        "models/small/lstm": "bbbb.dir",
        "reports/small/metrics.json": "of bbbb.dir",
        "reports/small/verdict.json": "dddd",
    }
    assert read("evaluate@small") == {"reports/small/metrics.json": "of bbbb.dir"}
    assert read("register@smaller") == {}
    assert read("register@other") == {}
    lock = tmp_path / "dvc.lock"
    text = lock.read_text()
    lock.write_text(
        text.replace("      md5: bbbb.dir\n", "    <<<<<<< ours\n      md5: bbbb.dir\n")
    )
    assert read("register@small") == {}


def test_the_commit_that_holds_a_registration_is_found(git: Git) -> None:
    write_lock(git.root, "a")
    first = commit(git, 10)
    write_lock(git.root, "b")
    commit(git, 20)
    git.run("checkout", "-q", "-b", "other", "HEAD~1")
    write_lock(git.root, "c")
    on_branch = commit(git, 30)
    git.run("checkout", "-q", "main")
    git.run("merge", "-q", "-s", "ours", "-m", "with the dvc.lock of main", "other")
    write_lock(git.root, "uncommitted")

    def holder(model: str) -> str:
        return rebuild._locked(git.root, "small", entry(1, model))[0]

    assert [holder(model) for model in ("a", "c")] == [first, on_branch]
    assert holder("uncommitted") == ""
    with pytest.raises(ModelError, match=r"model d is in no dvc\.lock of this branch's history"):
        holder("d")


def test_without_a_history_there_is_nothing_to_rebuild_from(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="there is no commit"):
        next(rebuild.rehydrate(tmp_path, "small"))


def test_the_commit_of_another_refit_is_found_by_its_md5(git: Git) -> None:
    lstm = "    - path: models/small/lstm\n"
    commits = {}
    for minute, final in enumerate(("f.dir", "g.dir", "h.dir")):
        write_lock(git.root, "a")
        block = f"    - path: models/small/final\n      hash: md5\n      md5: {final}\n"
        path = git.root / "dvc.lock"
        path.write_text(path.read_text().replace(lstm, block + lstm))
        commits[final] = commit(git, minute)
    for final, expected in commits.items():
        line = replace(entry(1, "a"), final=final)
        assert rebuild._locked(git.root, "small", line)[0] == expected
    with pytest.raises(ModelError):
        rebuild._locked(git.root, "small", replace(entry(1, "a"), final="i.dir"))


def test_an_entry_is_taken_back_where_what_it_says_fails(tmp_path: Path) -> None:
    (tmp_path / "models/small").mkdir(parents=True)
    path = Layout(tmp_path, "small").ledger
    with pytest.raises(KeyError), ledger.recorded(tmp_path, "small", entry(1, "a")):
        raise KeyError
    assert not path.exists()
    ledger.write(tmp_path, "small", [entry(1, "a")])
    before = path.read_bytes()
    with pytest.raises(KeyError), ledger.recorded(tmp_path, "small", entry(2, "b")):
        raise KeyError
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"at,by\n", b"at,by\xff\n", b'"' + b"a" * 200_000 + b'"\n'])
def test_nothing_is_done_where_the_ledger_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    path = Layout(tmp_path, "small").ledger
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with (
        pytest.raises(RegistryError, match=r"ledger\.csv.*git"),
        ledger.recorded(tmp_path, "small", entry(1, "a")),
    ):
        pytest.fail("the block must not run")
    assert path.read_bytes() == content


def test_the_model_that_a_training_started_from_has_a_column_where_it_is_needed(
    tmp_path: Path,
) -> None:
    ledger.record(tmp_path, "small", entry(1, "a"))
    path = Layout(tmp_path, "small").ledger
    before = path.read_text()
    assert before.splitlines()[0].endswith(",commit,final"), "as earlier versions read it"
    warm = replace(entry(2, "b"), parent="a")
    ledger.record(tmp_path, "small", warm)
    assert path.read_text().splitlines()[0].endswith(",final,parent")
    path.write_text(path.read_text() + before)  # as a merge may leave both versions
    assert ledger.read(tmp_path, "small") == [entry(1, "a"), warm]
