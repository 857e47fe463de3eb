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
from retain.errors import RetainError
from retain.tuning.ray_node import Node
from retain.words import clipped

IDLE = 2.0  # seconds until an actor without a trial makes room for one that finds none


class Cluster:
    """The cluster, and what a trial needs of it."""

    def __init__(self, ray: Any, training: Training, words: Sequence[str], answers: FileIO):
        self.ray, self._words, self._answers = ray, words, answers
        self._lock, self._waiting = threading.Lock(), 0
        nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]
        graphic = training.accelerator != "cpu" and training.reproducible != "portable"
        graphic = graphic and any(node.get("GPU", 0) >= 1 for node in nodes)
        needs = {"CPU": training.threads} | ({"GPU": 1} if graphic else {})
        self._actor = ray.remote(num_cpus=training.threads, num_gpus=int(graphic))(Node)
        # An actor is on one node: what is left on several does not make room for one.
        self.slots = sum(
            min(int(node.get(key, 0)) // count for key, count in needs.items()) for node in nodes
        )
        if not self.slots:
            plural = "s" * (training.threads != 1)
            also = " and a GPU" * graphic
            raise RetainError(
                f"no node of the Ray cluster has the {training.threads} processor{plural}{also} "
                f"of a trial (training.threads: {training.threads})"
            )

    @property
    def is_full(self) -> bool:
        """Whether a new actor waits for room on a node."""
        return self._waiting > 0

    def actor(self) -> Any:
        """Return a new actor, as soon as a node has room for it."""
        with self._lock:
            self._waiting += 1
        try:
            actor = self._actor.remote(self._words)
            self.ray.get(actor.begin.remote())
            return actor
        finally:
            with self._lock:
                self._waiting -= 1

    def send(self, place: int, message: dict[str, Any]) -> None:
        """Write a message of a place: what its actor answers, or that it is lost."""
        with self._lock:
            self._answers.write(line({"place": place} | message))


class Place(threading.Thread):
    """Sends the lines of a place to its actor, and passes on what that answers.

    Attributes:
        actor: None until the first trial, and after a loss.
        has_trial: whether the actor waits for the answer to a trial.
    """

    def __init__(self, number: int, cluster: Cluster):
        super().__init__(daemon=True)
        self.number, self.cluster = number, cluster
        self.asked = queue.SimpleQueue[str]()
        self.actor: Any = None
        self.has_trial = False

    def run(self) -> None:
        """Serve one place until the process ends."""
        while True:
            try:
                text = self.asked.get(timeout=IDLE)
            except queue.Empty:
                self.make_room()
            else:
                self.exchange(text)

    def make_room(self) -> None:
        """End the actor, if it has no trial and another one waits for room."""
        if self.actor is not None and not self.has_trial and self.cluster.is_full:
            self.cluster.ray.kill(self.actor)
            self.actor = None

    def exchange(self, text: str) -> None:
        """Send a line to the actor, and pass on what it answers."""
        message: dict[str, Any] = {"epochs": 0}
        while "epochs" in message:  # which needs no answer
            try:
                self.actor = self.actor or self.cluster.actor()
                message = json.loads(self.cluster.ray.get(self.actor.exchange.remote(text)))
            except Exception as error:  # its node or process was lost, or cannot import it
                message, self.actor = {"lost": clipped(error, 1000)}, None
            self.cluster.send(self.number, message)
            text = ""
        self.has_trial = "epoch" in message


def main() -> None:
    """Connect, and do what is asked until the standard input ends."""
    asked, answers = own_channels()
    end_with_parent()
    words = sys.argv[1:]
    try:
        training = loader.load_problem(Path(words[0]), words[1]).training
        cluster = Cluster(ray_driver.connect(), training, words, answers)
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
