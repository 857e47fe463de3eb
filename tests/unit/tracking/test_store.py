"""Which errors are the tracking store's, and which are not."""

import doctest
import errno
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, RESOURCE_DOES_NOT_EXIST
from mlflow.store.entities import PagedList
from sqlalchemy.exc import OperationalError

from retain.errors import ModelError, RegistryError
from retain.registry import listing
from retain.tracking import store
from retain.tracking.store import StoreError

NO_MODELS = SimpleNamespace(search_registered_models=lambda **_: PagedList([], None))
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def guarded_client(root: Path, *answers: Any) -> Any:
    """A client whose method `ask` gives these answers in turn, or raises them."""
    left = iter(answers)

    def ask() -> Any:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client: Any = SimpleNamespace(ask=ask, tracking_uri="sqlite:///of.the.test")
    return store._GuardedClient(root, client)


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("the server is away"),
        OperationalError("SELECT 1", {}, Exception("the server is away")),
        sqlite3.OperationalError("the server is away"),
        requests.exceptions.ConnectionError("the server is away"),  # an OSError, too
    ],
)
def test_what_the_store_and_its_clients_raise_is_an_error_of_the_store(
    tmp_path: Path, error: Exception
) -> None:
    with pytest.raises(RegistryError, match=r"mlflow\.db does not answer: .*the server is away"):
        guarded_client(tmp_path, error).ask()


@pytest.mark.parametrize(
    "error", [FULL, FileNotFoundError(errno.ENOENT, "config.json"), ModelError("damaged")]
)
def test_what_others_raise_is_let_through(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        guarded_client(tmp_path, error).ask()
    assert caught.value is error


def wrapped_by_mlflow() -> MlflowException:
    try:
        raise MlflowException("Failed to copy the files") from FULL
    except MlflowException as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        MlflowException(f"The following failures occurred: {FULL}"),
        wrapped_by_mlflow(),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_a_full_disk_is_one_whoever_meets_it_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        guarded_client(tmp_path, error).ask()
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # the disk of the server
    with pytest.raises(StoreError):
        guarded_client(tmp_path, error).ask()


def test_the_code_of_a_refusal_is_kept(tmp_path: Path) -> None:
    refusal = MlflowException("no such model", error_code=RESOURCE_DOES_NOT_EXIST)
    with pytest.raises(StoreError) as caught:
        guarded_client(tmp_path, refusal).ask()
    assert (caught.value.code, caught.value.reason) == ("RESOURCE_DOES_NOT_EXIST", "no such model")


@pytest.mark.parametrize(
    "address",
    [
        "http://ann:s3cret@store:5000",
        "postgresql+psycopg://ann:s3c@s3cret/pw@store/mlflow",
        "https://ann:s3cret@store/a/path",
    ],
)
def test_a_password_in_the_address_of_the_store_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    repeated = MlflowException(f"{'x' * 170} GET '{address}/api' failed")  # cut within the password
    with pytest.raises(StoreError, match=r"://store.* does not answer") as caught:
        guarded_client(tmp_path, repeated).ask()
    assert "s3c" not in str(caught.value) + caught.value.reason
    monkeypatch.setattr(store, "connect", lambda root: NO_MODELS)
    with pytest.raises(RegistryError, match=r"is registered in \S+://store") as none:
        listing.rows(tmp_path)
    assert "s3c" not in str(none.value)


@pytest.mark.parametrize("text", ["sqlite:////home/a@b/mlflow.db", "small version 3 is @champion"])
def test_what_is_no_password_is_shown(text: str) -> None:
    assert store.shown(text) == text


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(store) == (0, 1)


def test_what_another_machine_wrote_at_once_is_written_again(tmp_path: Path) -> None:
    refusal = MlflowException("duplicate key value", error_code=BAD_REQUEST)
    assert guarded_client(tmp_path, refusal, "done").ask() == "done"
    with pytest.raises(StoreError, match="duplicate key value"):
        guarded_client(tmp_path, refusal, refusal, "done").ask()


def test_what_is_no_call_is_the_clients_own(tmp_path: Path) -> None:
    assert guarded_client(tmp_path).tracking_uri == "sqlite:///of.the.test"
