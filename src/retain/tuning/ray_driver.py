"""The process that sends trials to a Ray cluster.

It is python -m retain.tuning.ray_driver ROOT NAME MODE, and speaks as `worker` does, for all
places. Each place has an actor of Ray, and the actor a process of its node, from which trials are
forked.
"""

import json
import queue
import sys
import threading
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from retain.config import loader
from retain.config.schema import Training
from retain.engine import ray_driver
from retain.engine.worker import end_with_parent, line, own_channels
from retain.errors import RetainError, clipped
from retain.tuning.ray_node import Node

IDLE = 2.0  # seconds until an actor without a trial makes room for one that has not started


class Cluster:
    """The cluster, and what a trial needs of it."""

    def __init__(self, ray: Any, training: Training, words: Sequence[str], answers: FileIO):
        self.ray, self._words, self._answers = ray, words, answers
        self._lock, self._new = threading.Lock(), set[int]()
        found = ray.cluster_resources()
        graphic = training.accelerator != "cpu" and training.reproducible != "portable"
        graphic = graphic and found.get("GPU", 0) >= 1
        needs = {"num_cpus": training.threads, "num_gpus": int(graphic)}
        self._actor = ray.remote(**needs)(Node)
        self.slots = int(found["CPU"]) // training.threads
        if graphic:
            self.slots = min(self.slots, int(found["GPU"]))

    def actor(self, place: int) -> Any:
        """Return a new actor for a place; it waits where the cluster has no room."""
        with self._lock:
            self._new.add(place)
        return self._actor.remote(self._words)

    def tell(self, place: int, message: dict[str, Any]) -> None:
        """Say what an actor says, or that it is lost."""
        with self._lock:
            self._new.discard(place)
            self._answers.write(line({"place": place} | message))

    def is_full(self) -> bool:
        """Return whether an actor has not said anything yet."""
        with self._lock:
            return bool(self._new)


class Place(threading.Thread):
    """Sends the lines of a place to its actor, and returns what that says."""

    def __init__(self, number: int, cluster: Cluster):
        super().__init__(daemon=True)
        self.number, self.cluster = number, cluster
        self.asked = queue.SimpleQueue[str]()

    def run(self) -> None:
        """Do so without end."""
        ray, waits = self.cluster.ray, False
        actor: Any = None
        while True:
            try:
                text = self.asked.get(timeout=IDLE)
            except queue.Empty:
                if actor is not None and not waits and self.cluster.is_full():
                    ray.kill(actor)
                    actor = None
                continue
            actor = actor or self.cluster.actor(self.number)
            message: dict[str, Any] = {"epochs": 0}
            while "epochs" in message:  # which needs no answer
                try:
                    message = json.loads(ray.get(actor.exchange.remote(text)))
                except Exception as error:  # its node or process was lost, or cannot import it
                    message, actor = {"lost": clipped(error, 1000)}, None
                self.cluster.tell(self.number, message)
                text = ""
            waits = "epoch" in message


def main() -> None:
    """Connect, and do what is asked until the standard input ends."""
    asked, answers = own_channels()
    end_with_parent()
    words = sys.argv[1:]
    try:
        training = loader.load_problem(Path(words[0]), words[1]).training
        cluster = Cluster(ray_driver.connect(), training, words, answers)
        if not cluster.slots:
            raise RetainError(f"the Ray cluster has less than {training.threads} processors")
    except RetainError as error:
        answers.write(line({"error": str(error)}))
        return
    answers.write(line({"slots": cluster.slots}))
    places = dict[int, Place]()
    while text := asked.readline():
        number = json.loads(text)["place"]
        if number not in places:
            places[number] = Place(number, cluster)
            places[number].start()
        places[number].asked.put(text.decode())


if __name__ == "__main__":
    main()
