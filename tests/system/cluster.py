"""A Ray cluster of a head and two nodes on loopback, whose nodes can be killed."""

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}


class Nodes:
    """The processes of a cluster on loopback."""

    def __init__(self) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short, as the path of a socket is
        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": str(self.folder)}
        self.cluster = Cluster(initialize_head=True, head_node_args=NODE | head)
        self.workers = list[Any]()
        try:
            for _ in range(2):
                self.workers.append(self.cluster.add_node(**NODE))
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """What RAY_ADDRESS is."""
        return str(self.cluster.address)

    def kill_worker(self) -> None:
        """Kill all processes of one node, and start another."""
        kill(self.workers.pop(0))
        self.workers.append(self.cluster.add_node(**NODE))

    def working(self, number: int) -> int:
        """Return how many workers of a training a node has."""
        processes = [child for one in of(self.workers[number]) for child in one.children(True)]
        return sum("RayTrainWorker" in " ".join(one.cmdline()) for one in processes)

    def kill_head(self) -> None:
        """Kill all processes of the head, while those of the nodes hang and finish nothing more."""
        for node in self.workers:
            send(node, signal.SIGSTOP)
        kill(self.cluster.head_node)

    def close(self) -> None:
        """Kill everything that is left."""
        for node in (*self.workers, self.cluster.head_node):
            kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)


def kill(node: Any) -> None:
    """SIGKILL for all processes of a node."""
    for process in send(node, signal.SIGKILL):
        process.wait()


def send(node: Any, number: signal.Signals) -> list[Any]:
    """Send a signal to all processes of a node, and to their children; return the first."""
    processes = of(node)
    for process in [*(child for one in processes for child in one.children(True)), *processes]:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    return started(node)


def started(node: Any) -> list[Any]:
    """Return the processes that a node started itself: its raylet, and what is beside it."""
    return [info.process for every in node.all_processes.values() for info in every]


def of(node: Any) -> list[psutil.Process]:
    """Return those of them that live."""
    return [psutil.Process(one.pid) for one in started(node) if psutil.pid_exists(one.pid)]
