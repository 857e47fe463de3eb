"""What a team has in common, as real processes on loopback: PostgreSQL, an S3 store, MLflow."""

import base64
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from ruamel.yaml import YAML

from .conftest import REPOSITORY, environment, free_port, run

ADMIN, PASSWORD = "admin", "a-password-of-the-tests"
KEYS = {"AWS_ACCESS_KEY_ID": "dvc", "AWS_SECRET_ACCESS_KEY": PASSWORD}  # of DVC's bucket


def postgres_binaries() -> Path | None:
    """The folder of initdb and postgres, which Debian does not put on the PATH."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda path: float(path.parts[-3]), default=None)
    return None if newest is None else newest.parent


def missing() -> str | None:
    """What has to be installed before the servers can start, or nothing."""
    modules = ("boto3", "dvc_s3", "flask_wtf", "moto", "psycopg")
    packages = [name for name in modules if find_spec(name) is None]
    if packages:
        return f"there is no {', '.join(packages)}; install them: make team-test"
    if postgres_binaries() is None:
        return "there is no PostgreSQL; install it: apt-get install postgresql"
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        return "PostgreSQL does not run as root, and there is no user `postgres` to run it as"
    return None


def service(name: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a service in deploy/compose.yaml; all secrets are PASSWORD."""
    text = (REPOSITORY / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\$\{\w+:\?[^}]+\}", PASSWORD, text)
    text = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", text)
    found = YAML(typ="safe").load(text)["services"][name]
    command = found["command"]
    words = shlex.split(command) if isinstance(command, str) else command
    return words, found["environment"]


class Servers:
    """PostgreSQL, an S3 store and an MLflow server; MLflow can be stopped and started again."""

    def __init__(self) -> None:
        self.folder = Path(mkdtemp(prefix="retain-team-"))
        self.folder.chmod(0o755)  # PostgreSQL's user has to get to its own folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {name: free_port() for name in ("postgres", "s3", "mlflow")}
        self.s3, self.uri = self._url("s3"), self._url("mlflow")

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self) -> None:
        self._start_postgres()
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p"]
        self._spawn("s3", [*words, str(self.ports["s3"])], environment())
        self._wait("s3", lambda: self._answers(f"{self.s3}/moto-api/"))
        words, settings = service("buckets")
        settings |= {"AWS_ENDPOINT_URL": self.s3}
        run(self.folder, *words, **settings)
        self.start_mlflow()

    def _start_postgres(self) -> None:
        binaries = postgres_binaries()
        assert binaries is not None
        home = self.folder / "postgres"
        home.mkdir(mode=0o700)
        secret = home / "password"
        secret.write_text(PASSWORD)
        as_whom: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to be root
            as_whom = {"user": "postgres", "group": "postgres", "extra_groups": []}
            for path in (home, secret):
                shutil.chown(path, "postgres", "postgres")
        words = [str(binaries / "initdb"), "-D", str(home / "data"), "-U", "mlflow", "-A"]
        words += ["scram-sha-256", "--pwfile", str(secret), "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(words, cwd=home, check=True, stdout=subprocess.DEVNULL, **as_whom)
        words = [str(binaries / "postgres"), "-D", str(home / "data"), "-F", "-h", "127.0.0.1"]
        words += ["-p", str(self.ports["postgres"]), "-c", "unix_socket_directories="]
        self._spawn("postgres", words, environment(), **as_whom)
        self._wait("postgres", self._postgres_answers)

    def _postgres_answers(self) -> bool:
        binaries = postgres_binaries()
        assert binaries is not None
        words = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-d", "postgres"]
        words += ["-p", str(self.ports["postgres"])]
        return subprocess.run(words, check=False).returncode == 0

    def start_mlflow(self) -> None:
        """As deploy/compose.yaml starts it, but for addresses."""
        words, settings = service("mlflow")
        words += ["--host", "127.0.0.1", "--port", str(self.ports["mlflow"])]
        settings |= {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.ports["postgres"]),
            "PGDATABASE": "postgres",
            "MLFLOW_S3_ENDPOINT_URL": self.s3,
            "MLFLOW_AUTH_CONFIG_PATH": str(REPOSITORY / "deploy" / "auth.ini"),
        }
        words = [sys.executable, "-m", *words]
        self._spawn("mlflow", words, environment() | settings)
        self._wait("mlflow", lambda: self._answers(f"{self.uri}/health"))

    def add_user(self, name: str) -> dict[str, str]:
        """A user of MLflow without any rights of her own, as environment variables of a client."""
        user = {"username": name, "password": PASSWORD}
        self.ask("POST", f"{self.uri}/api/2.0/mlflow/users/create", user)
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }

    def ask(self, method: str, url: str, body: dict[str, str] | None = None) -> bytes:
        """What a server answers to the administrator."""
        token = base64.b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()
        headers = {"Content-Type": "application/json"}
        if url.startswith(self.uri):
            headers["Authorization"] = f"Basic {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def objects(self, bucket: str) -> str:
        """The S3 store's list of what a bucket holds."""
        return self.ask("GET", f"{self.s3}/{bucket}?list-type=2").decode()

    def stop(self, name: str) -> None:
        """End a server and all that it started, at once if it does not go of itself."""
        process = self.processes.pop(name, None)
        if process is None:
            return
        process.send_signal(
            signal.SIGINT
        )  # of PostgreSQL the signal that does not wait for clients
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for name in ("mlflow", "s3", "postgres"):
            self.stop(name)
        shutil.rmtree(self.folder)

    def _spawn(self, name: str, words: list[str], settings: dict[str, str], **as_whom: Any) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                words,
                cwd=self.folder,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_whom,
            )

    def _answers(self, url: str) -> bool:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 90
        while not ready():
            if time.monotonic() > deadline or self.processes[name].poll() is not None:
                log = (self.folder / f"{name}.log").read_text(errors="replace")
                pytest.fail(f"{name} did not start:\n{log[-4000:]}")
            time.sleep(0.2)
