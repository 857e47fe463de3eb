"""The process that sends parts to a Ray cluster: python -m retain.engine.ray_driver.

It speaks as `worker` does. The cluster is that of RAY_ADDRESS, or one that it starts on this
machine and that ends with it. It is a process of its own, since Ray ends the process that is
connected when the cluster's head is lost.
"""

import json
import os
import queue
import threading
from collections.abc import Iterator
from io import FileIO
from typing import Any

from retain.engine import choice, command, ray_part
from retain.engine.worker import end_with_parent, line, own_channels
from retain.errors import RetainError
from retain.words import clipped

AHEAD = 2  # parts for each processor of the cluster, so that none waits for this process
RETRIES = 3  # of a part whose node or worker ends
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # a head that is lost is noticed
}


def main() -> None:
    """Connect, and do what is asked until the standard input ends."""
    asked, answers = own_channels()
    end_with_parent()
    try:
        ray = connect()
    except RetainError as error:
        answers.write(line({"error": str(error)}))
        return
    answers.write(line({"slots": AHEAD * int(ray.cluster_resources()["CPU"])}))
    _serve(ray, asked, answers)


def connect() -> Any:
    """Return the module `ray`, connected to a cluster that has a processor.

    Raises:
        RetainError: Ray is not installed, or there is no such cluster.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise RetainError(f"the engine `ray` needs Ray ({error}): install retain[ray]") from None
    address = os.environ.get("RAY_ADDRESS")
    own = {"num_cpus": len(os.sched_getaffinity(0)), "object_store_memory": 100_000_000}
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            configure_logging=False,
            runtime_env={"env_vars": command.kernels() | {choice.VARIABLE: "local"}},
            **({} if address else own),
        )
    except Exception as error:
        where = f"at RAY_ADDRESS={address} " if address else ""
        raise RetainError(f"the Ray cluster {where}cannot be used: {clipped(error, 500)}") from None
    if ray.cluster_resources().get("CPU", 0) < 1:
        raise RetainError("the Ray cluster has no node with a processor (num_cpus)")
    return ray


def _serve(ray: Any, asked: FileIO, answers: FileIO) -> None:
    """Send parts to the cluster, and say of each what became of it."""
    options = {"num_cpus": 1, "max_retries": RETRIES}
    remote = ray.remote(**options)(ray_part.do)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(asked, tasks), daemon=True).start()
    running = dict[Any, int]()
    while True:
        for text in _lines(tasks, wait=not running):
            running[remote.remote(text.decode())] = json.loads(text)["part"]
        ready, _ = ray.wait(list(running), num_returns=1, timeout=0.05)
        for reference in ready:
            part = running.pop(reference)
            try:
                message = json.loads(ray.get(reference))
            except Exception as error:  # its nodes or workers were lost, or cannot import it
                reason = (
                    f"part {part + 1} cannot be done on the Ray cluster, after {RETRIES} more "
                    f"tries: {clipped(error, 1000)}"
                )
                message = {"failed": "RetainError", "text": reason}
            answers.write(line({"part": part} | message))


def _read(asked: FileIO, tasks: "queue.SimpleQueue[bytes]") -> None:
    while text := asked.readline():
        tasks.put(text)
    os._exit(0)


def _lines(tasks: "queue.SimpleQueue[bytes]", wait: bool) -> Iterator[bytes]:
    """Yield what has come; of nothing, wait for the first."""
    while True:
        try:
            yield tasks.get(block=wait)
        except queue.Empty:
            return
        wait = False


if __name__ == "__main__":
    main()
