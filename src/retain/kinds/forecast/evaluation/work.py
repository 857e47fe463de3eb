"""The parts of an evaluation: floors along series, and models on blocks of windows."""

import copy
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from retain import engine
from retain.engine import Job, Part
from retain.engine.mapping import ranges
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import blocks, details, floors
from retain.kinds.forecast.evaluation.metrics import MetricSums
from retain.kinds.forecast.model import classical
from retain.kinds.forecast.model.classical import Classical
from retain.project import fingerprint

OF_DATA = ("schema.json", "quality.json", "index.parquet")  # hold the table's md5, and all scales


class Work:
    """The parts of one evaluation, which share a folder while it runs."""

    def __init__(self, problem: Problem, prepared: Path, models: Mapping[str, Path]):
        self.problem, self.prepared, self.models = problem, prepared, models
        self.job = Job("evaluate", prepared.name, engine.project_of(prepared))
        self._floors = list[Path]()
        self._used = False

    @cached_property
    def folder(self) -> Path:
        """The folder of the outputs, named by the md5 of data, models and params."""
        self._used = True
        models = {name: fingerprint.folder_md5(folder) for name, folder in self.models.items()}
        data = {name: fingerprint.file_md5(self.prepared / name) for name in OF_DATA}
        return self.job.folder({"models": models, "data": data} | self._params)

    @property
    def _params(self) -> dict[str, Any]:
        return {"problem": self.problem.model_dump(mode="json", by_alias=True, round_trip=True)}

    def finish(self) -> None:
        """Remove the outputs of the parts."""
        if self._used:
            shutil.rmtree(self.folder)

    def floors(self, source: Panel) -> Classical | None:
        """Run the methods of `classical` along the series, from the first validation part on."""
        names = [name for name in self.problem.evaluation.floors if name in classical.NAMES]
        if not names:
            return None
        seed = self.problem.evaluation.seed
        count = len(classical.plan(source, seed).taken)
        if count <= floors.AT_ONCE or engine.in_process():
            return floors.build(source, names, seed)
        outputs = floors.in_parts(count, self.prepared, names, seed, self.folder, self.job)
        with closing(outputs):
            for number, path in enumerate(outputs, start=1):
                self._floors.append(path)
                parts = -(-count // floors.AT_ONCE)
                print(f"{' and '.join(names)}: part {number} of {parts} is done")
        return floors.load(source, names, seed, self._floors)

    def score(
        self,
        parts: Sequence[details.Part],
        source: Panel,
        empty: MetricSums,
        names: Sequence[str],
        windows: Sequence[Windows],
        sample: bool,
    ) -> dict[str, MetricSums]:
        """Score models on blocks of the windows of each fold, and add the sums in order.

        Args:
            parts: the folds.
            names: of the models.
            windows: of each fold, the same for every model.
        """
        sums = {name: copy.deepcopy(empty) for name in names}
        count = sum(len(ranges(len(some), blocks.BLOCK)) for some in windows)
        origins = {
            "first_step": empty.first_step,
            "steps": empty.by_origin.shape[2],
            "horizon": empty.by_step.shape[2],
            "levels": list(empty.levels),
            "unit": empty.unit,
        }
        todo = self._blocks(parts, source, origins, names, windows, sample)
        on = "windows of the sampled series" if sample else "windows"
        with closing(engine.map(blocks.FUNCTION, todo, self.job)) as outputs:
            for number, path in enumerate(outputs, start=1):
                blocks.merge(path, names, origins, sums)
                for name in names[1:]:  # the errors of the first model choose the views
                    sums[name].by_window.clear()
                done = f"block {number} of {count} of the {on}"
                print(f"scoring {len(sums)} models: {done}", flush=True)
        return sums

    def _blocks(
        self,
        parts: Sequence[details.Part],
        source: Panel,
        origins: dict[str, Any],
        names: Sequence[str],
        windows: Sequence[Windows],
        sample: bool,
    ) -> Iterator[Part]:
        recipe = self._params | {
            "prepared": str(self.prepared.resolve()),
            "models": {name: str(folder.resolve()) for name, folder in self.models.items()},
            "floors": [str(path) for path in self._floors],
            "origins": origins,
            "md5": self.folder.name,  # a worker that has older data or models reads them again
        }
        for part, some in zip(parts, windows, strict=True):
            for begin, end in ranges(len(some), blocks.BLOCK):
                file = f"{'sample' if sample else 'every'}-{part.fold.number}-{begin:010}.npz"
                yield Part(
                    self.folder / file,
                    {
                        "recipe": recipe,
                        "fold": part.fold.number,
                        "sample": sample,
                        "names": list(names),
                        "bounds": [begin, end],
                    },
                    here=partial(
                        blocks.score_here,
                        part=part,
                        source=source,
                        windows=some,
                        recipe=recipe,
                        names=names,
                        bounds=(begin, end),
                    ),
                )
