"""The pipeline against a team's servers: MLflow on PostgreSQL with users, S3 for it and for DVC.

`make team-test` runs this; `make test` does not.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from retain.project import fingerprint
from retain.registry import artifacts, promotion, registry
from retain.tracking import store

from .at_once import register_at_once
from .conftest import commit, run, small_table, write_project
from .servers import KEYS, PASSWORD, Servers, missing
from .test_claims import compare_at_once
from .test_pipeline import lock
from .test_versions import register, scale

REASON = missing()
pytestmark = [pytest.mark.team, pytest.mark.skipif(REASON is not None, reason=str(REASON))]
MODEL = "models/small/lstm"


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """All three. Who talks to MLflow has no key of S3; who talks to DVC's remote gets it."""
    before = psutil.Process().children(recursive=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in [key for key in os.environ if key.startswith(("AWS_", "PG"))]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        made = Servers()
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, str(made.folder / "empty"))
        (made.folder / "empty").touch()
        try:
            made.start()
            yield made
        finally:
            made.close()
    assert psutil.Process().children(recursive=True) == before
    assert not made.folder.exists()


@pytest.fixture(scope="module")
def ann(servers: Servers) -> dict[str, str]:
    return servers.add_user("ann")


@pytest.fixture(scope="module")
def ben(servers: Servers) -> dict[str, str]:
    return servers.add_user("ben")


@pytest.fixture(scope="module")
def first(servers: Servers, ann: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann's project: all stages run, committed, its data and models pushed."""
    folder = write_project(tmp_path_factory.mktemp("first") / "project", small_table())
    run(folder, "dvc", "remote", "add", "--default", "team", "s3://dvc/retain")
    run(folder, "dvc", "remote", "modify", "team", "endpointurl", servers.s3)
    commit(folder)
    run(folder, "dvc", "repro", **ann)
    commit(folder)
    run(folder, "dvc", "push", **KEYS)
    return folder


@pytest.fixture
def clone(first: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Makes a clone of what git knows of the first project, and nothing else."""

    def make(name: str) -> Path:
        run(tmp_path, "git", "clone", "-q", str(first), name)
        assert not (tmp_path / name / MODEL).exists()
        return tmp_path / name

    return make


def versions(servers: Servers, model_md5: str) -> list[dict[str, Any]]:
    """The registered versions of a model, as the server tells them."""
    url = f"{servers.uri}/api/2.0/mlflow/model-versions/search"
    found = json.loads(servers.ask("GET", url)).get("model_versions", [])
    wanted = {"key": "model.md5", "value": model_md5}
    return [version for version in found if wanted in version["tags"]]


def champion(servers: Servers) -> dict[str, Any]:
    """The version of @champion, its tags by name: the server tells them in any order."""
    url = f"{servers.uri}/api/2.0/mlflow/registered-models/alias?name=small&alias=champion"
    version = dict(json.loads(servers.ask("GET", url))["model_version"])
    return version | {"tags": {tag["key"]: tag["value"] for tag in version["tags"]}}


def test_the_pipeline_runs_unchanged_and_leaves_all_of_it_on_the_servers(
    first: Path, servers: Servers
) -> None:
    (version,) = versions(servers, lock(first)[MODEL])
    decision = json.loads((first / "reports/small/decision.json").read_text())
    assert (decision["version"], decision["alias"]) == (version["version"], "champion")
    url = f"{servers.uri}/api/2.0/mlflow/runs/get?run_id={version['run_id']}"
    trained = json.loads(servers.ask("GET", url))["run"]
    info, tags = trained["info"], {tag["key"]: tag["value"] for tag in trained["data"]["tags"]}
    assert info["status"] == "FINISHED"
    assert info["artifact_uri"].startswith("mlflow-artifacts:/")
    kept = servers.objects("mlflow")
    assert f"{version['source'].rpartition('/')[2]}/artifacts/artifacts/lstm/weights" in kept
    assert f"{tags['mlflow.parentRunId']}/artifacts/report.html" in kept  # of the pipeline's run
    kept_here = {path.name for path in (first / "mlruns").iterdir()}
    assert kept_here == {"store.lock", "registry.lock"}


def test_a_second_clone_pulls_what_the_first_pushed_and_registers_it_no_second_time(
    first: Path, clone: Callable[[str], Path], servers: Servers, ben: dict[str, str]
) -> None:
    second = clone("second")
    run(second, "dvc", "pull", **KEYS)
    model_md5 = fingerprint.folder_md5(second / MODEL)
    assert model_md5 == lock(first)[MODEL]
    assert "up to date" in run(second, "dvc", "status").stdout
    (version,) = versions(servers, model_md5)
    run(second, "dvc", "repro", "-f", "-s", "register@small", **ben)
    (only,) = versions(servers, model_md5)
    decision = json.loads((second / "reports/small/decision.json").read_text())
    assert decision["version"] == only["version"] == version["version"]


def test_two_clones_that_register_at_once_make_one_version(
    clone: Callable[[str], Path],
    servers: Servers,
    ann: dict[str, str],
    ben: dict[str, str],
    tmp_path: Path,
) -> None:
    trained = clone("trained")
    text = (trained / "params.yaml").read_text()
    (trained / "params.yaml").write_text(text.replace("max_epochs: 3", "max_epochs: 4"))
    run(trained, "dvc", "repro", "evaluate@small", "refit@small", **ann)
    commit(trained)
    run(trained, "dvc", "push", **KEYS)
    run(tmp_path, "git", "clone", "-q", str(trained), "pulled")
    pulled = tmp_path / "pulled"
    run(pulled, "dvc", "pull", **KEYS)
    model_md5 = lock(trained)[MODEL]
    assert versions(servers, model_md5) == []

    # Each has found no version and made one of its own when the first of them is registered.
    folders = {"trained": trained, "pulled": pulled}
    register_at_once("retain.registry.registry:log_model", folders, [ann, ben])
    (version,) = versions(servers, model_md5)
    decided = [
        json.loads((folder / "reports/small/decision.json").read_text())
        for folder in (trained, pulled)
    ]
    assert [decision["version"] for decision in decided] == [version["version"]] * 2
    assert decided[0]["alias"] == decided[1]["alias"]


def test_the_champion_is_still_there_after_a_restart_for_a_clone_with_git_alone(
    first: Path, clone: Callable[[str], Path], servers: Servers, ben: dict[str, str]
) -> None:
    before, third = champion(servers), clone("third")
    history = ("--history", "data/raw/small.csv", "-o", "forecast.csv")
    servers.stop("mlflow")
    away = run(third, "retain", "forecast", "small", *history, code=2, **ben)
    assert f"the tracking store {servers.uri} does not answer" in away.stderr
    servers.start_mlflow()
    assert champion(servers) == before
    run(third, "retain", "forecast", "small", *history, **ben)
    run(first, "retain", "forecast", "small", *history, **ben)
    lines = (third / "forecast.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 6
    assert lines == (first / "forecast.csv").read_text().splitlines()
    assert not (third / MODEL).exists()


def test_who_has_the_wrong_password_is_told_and_no_password_is_shown(
    clone: Callable[[str], Path], servers: Servers, ben: dict[str, str]
) -> None:
    wrong = ben | {"MLFLOW_TRACKING_PASSWORD": "not-the-password"}
    done = run(clone("shut-out"), "retain", "forecast", "small", code=2, **wrong)
    assert f"error: the tracking store {servers.uri} does not answer" in done.stderr
    assert "401" in done.stderr
    assert "not-the-password" not in done.stdout + done.stderr
    assert PASSWORD not in (servers.folder / "mlflow.log").read_text()


@pytest.mark.parametrize(
    "path",
    ["/", "/api/2.0/mlflow/registered-models/search", "/api/2.0/mlflow-artifacts/artifacts?path="],
)
def test_the_server_answers_nobody_without_a_password_or_by_a_strange_name(
    servers: Servers, path: str
) -> None:
    for headers, code in (({}, 401), ({"Host": "example.org"}, 403)):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(servers.uri + path, headers=headers), timeout=30)
        assert refused.value.code == code


def test_of_two_that_beat_the_champion_the_second_is_compared_with_the_first(
    clone: Callable[[str], Path],
    ann: dict[str, str],
    ben: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folders = {name: clone(name) for name in ("one", "other")}
    for folder in folders.values():
        run(folder, "dvc", "pull", **KEYS)
    for key, value in ann.items():
        monkeypatch.setenv(key, value)
    scale(folders["one"], 30.0)
    bad = register(folders["one"])
    promotion.promote(folders["one"], "small", int(bad.version), "to have a bad one", "Ann")
    for folder, factor in ((folders["one"], 1 / 30.1), (folders["other"], 1.01)):
        scale(folder, factor)
    number = compare_at_once(folders, [ann, ben])
    won = registry.champion(store.connect(folders["one"]), "small")
    assert str(won.version) == number
    with artifacts.fetched(won) as copy:
        assert artifacts.check_all(copy) > 100
