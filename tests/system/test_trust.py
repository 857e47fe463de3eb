"""What was changed in the registry is found: by the manifest, by the signature, by a server."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import retain as package
from retain import cli
from retain.config import loader
from retain.errors import RegistryError
from retain.project import fingerprint
from retain.registry import (
    artifacts,
    attestation,
    ledger,
    manifest,
    provenance,
    registry,
    signing,
)
from retain.serving.champion import ChampionHolder
from retain.tracking import store

from ..unit.registry.test_signing import make_key
from .conftest import work_in_copy
from .test_versions import METRICS, register, scale

WEIGHTS = "artifacts/lstm/weights.safetensors"


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in_copy(finished, tmp_path / "project", monkeypatch)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_key(tmp_path_factory.mktemp("keys"), "key")


def retain(*words: str) -> str:
    """What a command prints, in this process; raises what it raises."""
    answer = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
    assert answer.exit_code == 0, answer
    return answer.stdout


def version(folder: Path, number: str = "1") -> Any:
    return store.connect(folder).get_model_version("small", number)


def stored(folder: Path, number: str = "1") -> Path:
    """The folder of a version in the store."""
    store.connect(folder)  # which looks for its files where the project is now
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(version(folder, number).source))


def listed(folder: Path, number: str = "1") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((stored(folder, number) / manifest.NAME).read_text())
    return content


def test_the_manifest_names_every_file_and_what_the_model_was_made_of(project: Path) -> None:
    content, there = listed(project), manifest.of_folder(stored(project))
    assert content["files"] == {k: v for k, v in there.items() if k not in manifest.UNLISTED}
    assert {WEIGHTS, "artifacts/README.md", "code/retain/errors.py", "input_example.json"} <= set(
        content["files"]
    )
    assert content["folders"] == {"final": "artifacts/final", "model": "artifacts/lstm"}
    assert content["prepared"] == manifest.of_folder(project / "data/prepared/small")
    for label in ("data/code/small/train.txt", "pipelines/train.py", "retain/errors.py"):
        place = project / ("src" if label.startswith("retain") else "") / label
        assert content["code"][label] == manifest.sha256(place)
    assert version(project).tags[manifest.TAG] == manifest.sha256(stored(project) / manifest.NAME)


@pytest.mark.long
def test_the_same_data_params_and_code_give_the_same_manifest(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "again"
    shutil.copytree(project, again, ignore=shutil.ignore_patterns("mlruns"))
    monkeypatch.chdir(again)
    register(again)
    before, after = listed(project), listed(again)
    # The card says whether git has the state of the run, which is written anew here.
    for content in (before, after):
        content["files"].pop("artifacts/README.md")
    assert after == before
    with (again / "params.yaml").open("a") as file:
        file.write("      - check: finite\n")
    problem = loader.load_problem(again, "small")
    changed = manifest.build(again, "small", problem, stored(again), before["folders"])
    changed["files"].pop("artifacts/README.md")
    assert changed.pop("params") != before.pop("params")
    assert changed == before


def change_byte(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def collide(folder: Path) -> None:
    """Change a weight and the md5 with it, as if two files had the same md5."""
    change_byte(stored(folder) / WEIGHTS)
    md5 = fingerprint.folder_md5(stored(folder) / "artifacts/lstm")
    store.connect(folder).set_model_version_tag("small", "1", "model.md5", md5)


def change_manifest(folder: Path) -> None:
    path = stored(folder) / manifest.NAME
    path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 0'))


def change(path: str, at: int = -1) -> Callable[[Path], None]:
    """Changes a byte of a file of version 1."""
    return lambda folder: change_byte(stored(folder) / path, at)


def remove(path: str) -> Callable[[Path], None]:
    return lambda folder: (stored(folder) / path).unlink()


def add_file(folder: Path) -> None:
    (stored(folder) / "artifacts/extra.txt").write_text("more")


CODE = "code/retain/errors.py"


@pytest.mark.parametrize(
    ("tamper", "command", "said"),
    [
        (change(WEIGHTS), "forecast", "their md5 is .*rehydrate small"),
        (collide, "forecast", f"^{WEIGHTS} of small version 1 was changed since it was reg"),
        (change_manifest, "forecast", "manifest.json of small version 1 is not the one"),
        (remove(manifest.NAME), "forecast", "manifest.json .*"),
        (change("artifacts/README.md"), "forecast", "README.md of small version 1 was changed"),
        (add_file, "forecast", "extra.txt of small version 1 was added"),
        (change(manifest.SBOM, 50), "sbom", "sbom.json of small version 1 was changed"),
        (change(manifest.SBOM, 50), "verify", "sbom.json of small version 1 was changed"),
        (change(CODE), "verify", f"{CODE} of small version 1 was changed"),
        (remove(CODE), "verify", f"{CODE} of small version 1 is missing"),
    ],
)
def test_a_change_in_the_store_is_found(
    project: Path, tamper: Callable[[Path], Any], command: str, said: str
) -> None:
    tamper(project)
    with pytest.raises(RegistryError, match=said):
        retain(command, "small")


@pytest.mark.parametrize("command", ["forecast", "sbom", "verify"])
def test_in_a_store_that_was_not_changed_nothing_is_found(project: Path, command: str) -> None:
    assert retain(command, "small")


def test_an_example_that_was_changed_is_not_served(project: Path) -> None:
    path = stored(project) / "input_example.json"
    path.write_bytes(path.read_bytes().replace(b"2024", b"2023"))
    with pytest.raises(RegistryError, match=r"input_example\.json of small version 1 was changed"):
        ChampionHolder(project, "small")


def test_a_version_of_before_still_forecasts_and_trace_says_so(project: Path) -> None:
    answer = retain("forecast", "small")
    for name in (manifest.NAME, manifest.SBOM):
        (stored(project) / name).unlink()
    client = store.connect(project)
    client.delete_model_version_tag("small", "1", manifest.TAG)
    assert retain("forecast", "small") == answer
    assert "manifest none: registered before there were manifests" in retain(
        "trace", "models:/small/1"
    )
    for command in ("verify", "sbom"):
        with pytest.raises(RegistryError, match="small version 1 has no manifest"):
            retain(command, "small")
    client.delete_model_version_tag("small", "1", "final.md5")
    shutil.rmtree(stored(project))
    assert "manifest none: " in retain("trace", "models:/small/1")  # it needs none of its files


def test_what_is_required_to_be_signed_is_signed_or_refused(
    project: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = keys
    assert "the signature is missing" in retain("verify", "small")
    assert "\nsigned   no\n" in retain("trace", "models:/small@champion")
    answer = retain("forecast", "small")
    monkeypatch.setenv(signing.REQUIRED, str(public))
    with pytest.raises(RegistryError, match="small version 1 is not signed"):
        retain("forecast", "small")
    with pytest.raises(RegistryError, match="small version 1 is not signed"):
        package.load("models:/small@champion")
    assert "small version 1 is signed" in retain("sign", "small", "--key", str(private))
    assert retain("forecast", "small") == answer
    package.load("models:/small@champion")
    assert f"valid for {public}" in retain("verify", "small", "--version", "1")
    assert f"sha256 {manifest.sha256(public)}" in retain("trace", "models:/small@champion")

    # Whoever can write files and tags passes the manifest, and not the signature.
    collide(project)
    content = listed(project)
    content["files"][WEIGHTS] = manifest.sha256(stored(project) / WEIGHTS)
    (stored(project) / manifest.NAME).write_bytes(manifest.encode(content))
    client = store.connect(project)
    client.set_model_version_tag(
        "small", "1", manifest.TAG, manifest.sha256(manifest.encode(content))
    )
    with pytest.raises(RegistryError, match=r"not valid .*Hash mismatch for 'artifacts"):
        retain("forecast", "small")
    client.delete_model_version_tag("small", "1", manifest.TAG)
    with pytest.raises(RegistryError, match="registered without a manifest, which a signature"):
        retain("forecast", "small")
    monkeypatch.delenv(signing.REQUIRED)
    retain("forecast", "small")


def test_verify_compares_files_and_alias_with_the_ledger(project: Path) -> None:
    assert (
        "ledger.csv: the files are those that were registered; it was made @champion by gate"
        in (retain("verify", "small"))
    )
    scale(project, 30.0)
    number = register(project).version
    assert "registered\n" in retain("verify", "small", "--version", number)
    client = store.connect(project)
    registry.set_alias(client, version(project, number), "champion")  # by no decision
    with pytest.raises(RegistryError, match=r"small version 2 is @champion, but by the last dec"):
        retain("verify", "small")
    retain("promote", "small", "--version", "1", "--reason", "x", "--by", "Ada")
    assert "it was made @champion by Ada" in retain("verify", "small")

    # Files of the same md5, with a manifest and a tag that name them.
    path = stored(project) / manifest.NAME
    content = json.loads(path.read_bytes())
    content["prepared"]["meta.json"] = "0" * 64
    path.write_bytes(manifest.encode(content))
    client.set_model_version_tag("small", "1", manifest.TAG, manifest.sha256(path))
    with pytest.raises(RegistryError, match=r"small version 1 has the md5 of a model .* but other"):
        retain("verify", "small")

    # A line of before there was a sha256 compares nothing.
    entries = [replace(entry, sha256="") for entry in ledger.read(project, "small")]
    ledger.write(project, "small", entries)
    assert "it has no sha256 of this version, whose files are not" in retain("verify", "small")


def test_verify_knows_the_files_of_each_store_and_of_no_other_tree(project: Path) -> None:
    def register_after_another_preparation(number: int) -> None:
        (project / "data/prepared/small/more.json").write_text(str(number))
        metrics = json.loads((project / METRICS).read_text())
        metrics["models"]["rnn"]["mae"] += number
        (project / METRICS).write_text(json.dumps(metrics))
        register(project)
        assert len(ledger.read(project, "small")) == number

    shutil.rmtree(project / "mlruns")
    register_after_another_preparation(2)
    register_after_another_preparation(3)  # of a version that is registered
    assert [len(entry.sha256) for entry in ledger.read(project, "small")] == [64, 64, 0]
    assert "the files are those that were registered" in retain("verify", "small")


def test_trace_copies_a_version_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, copied = artifacts.fetch, []

    def counted(uri: str, path: str, place: Path) -> Path:
        copied.append(path)
        return fetch(uri, path, place)

    monkeypatch.setattr(artifacts, "fetch", counted)
    assert "\nfinal    md5 " in retain("trace", "models:/small@champion")
    assert copied.count(manifest.ARTIFACTS) == 1


def test_a_server_keeps_its_champion_until_the_next_one_is_signed(
    project: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = keys
    monkeypatch.setenv(signing.REQUIRED, str(public))
    retain("sign", "small", "--key", str(private))
    holder = ChampionHolder(project, "small")
    scale(project, 30.0)
    number = register(project).version
    client = store.connect(project)
    with pytest.raises(RegistryError, match="small version 2 is not signed"):
        retain("promote", "small", "--version", number, "--reason", "x", "--by", "Ada")
    registry.set_alias(client, version(project, number), "champion")
    holder.refresh()
    assert holder.champion.version == "1"
    assert f"small version {number} is not signed" in holder.registry_error
    retain("sign", "small", "--key", str(private))
    holder.refresh()
    assert (holder.champion.version, holder.registry_error) == (number, "")


def test_the_statement_names_model_data_params_code_and_lock(project: Path) -> None:
    statement = json.loads(retain("trace", "models:/small@champion", "--format", "intoto"))
    subjects = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    assert subjects[WEIGHTS] == manifest.sha256(project / "models/small/lstm/weights.safetensors")
    assert "artifacts/final/weights.safetensors" in subjects
    build = statement["predicate"]["buildDefinition"]
    made_of = {entry["name"]: entry["digest"] for entry in build["resolvedDependencies"]}
    assert made_of["commit"] == {"gitCommit": version(project).tags["git.commit"]}
    for path, digest in manifest.of_folder(project / "data/prepared/small").items():
        assert made_of[f"data/prepared/small/{path}"] == {"sha256": digest}
    assert {"params", "dvc.lock", "pipelines/train.py", "sbom.json"} <= made_of.keys()
    assert made_of["data/raw/small.csv"]["md5"]
    with pytest.raises(RegistryError, match="name a registered version"):
        attestation.statement(provenance.find(project, "small"))


def test_the_statement_is_one_of_in_toto(project: Path) -> None:
    from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
    from in_toto_attestation.v1.statement import Statement

    content = json.loads(retain("trace", "models:/small@champion", "--format", "intoto"))
    subjects = [ResourceDescriptor(**subject).pb for subject in content["subject"]]
    Statement(subjects, content["predicateType"], content["predicate"]).validate()
    for entry in content["predicate"]["buildDefinition"]["resolvedDependencies"]:
        ResourceDescriptor(**entry).validate()
