"""Which errors are the tracking store's, and which are not."""

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
from sqlalchemy.exc import OperationalError

from retain.errors import ModelError, RegistryError
from retain.tracking import store
from retain.tracking.store import StoreError

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


def test_what_another_machine_wrote_at_once_is_written_again(tmp_path: Path) -> None:
    refusal = MlflowException("duplicate key value", error_code=BAD_REQUEST)
    assert guarded_client(tmp_path, refusal, "done").ask() == "done"
    with pytest.raises(StoreError, match="duplicate key value"):
        guarded_client(tmp_path, refusal, refusal, "done").ask()


def test_what_is_no_call_is_the_clients_own(tmp_path: Path) -> None:
    assert guarded_client(tmp_path).tracking_uri == "sqlite:///of.the.test"
