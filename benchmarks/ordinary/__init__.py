"""retain as `retain add` sets it up, beside what people would pick instead, on ordinary tables.

Every model forecasts the same windows, from the same origins, and has the same scale of its MASE.
What was trained or forecast once is kept in scratch/ordinary, by the md5 of what it came from, so
that the benchmark can be run in parts and taken up after a stop.
"""

import argparse
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.ordinary import peers, project, scoring, show, sources
from benchmarks.ordinary.sources import Source

SCRATCH = peers.CACHE.parent


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which tables and models."""
    names = [peer.name for peer in peers.PEERS]
    parser.add_argument(
        "--tables", type=Path, nargs="+", help="files NAME.h12.csv (12 steps ahead), and folders"
    )
    parser.add_argument("--held-out", action="store_true", help="tables from packages")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 1 on")
    parser.add_argument(
        "--presets", nargs="+", choices=("added", "fast", "accurate"), default=["added"],
        help="added: the one that `retain add` chooses",
    )  # fmt: skip
    parser.add_argument(
        "--cells", nargs="*", choices=("rnn", "gru"), default=["rnn"], help="beside the LSTM"
    )
    parser.add_argument("--peers", nargs="*", choices=names, default=names, metavar="PEER")
    parser.add_argument(
        "--fill-cache", action="store_true", help="forecast by the peers alone, and show nothing"
    )


def run(options: argparse.Namespace) -> None:
    """Measure each table, and write the section."""
    found = sources.held_out() if options.held_out else []
    if options.tables or not found:
        found += sources.find(options.tables or [options.data / "tables"])
    names = [source.name for source in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SystemExit(f"two tables are called {', '.join(twice)}: rename one of them")
    peers.require(peer.environment for peer in peers.PEERS if peer.name in options.peers)
    rows, splits, cells = [], {}, ["lstm", *options.cells]
    for source in found:
        prepared = Prepared(source)
        test, splits[source.name] = prepared.test, prepared.sentence
        print(f"{source.name}: {prepared.sentence}", flush=True)
        of_peers = peers.scores(test, options.peers)
        if options.fill_cache:
            continue
        table = {"table": source.name, "horizon": source.horizon, "windows": len(test.series)}
        rows += [table | row for row in of_peers]
        for preset in options.presets:
            for seed in range(1, options.seeds + 1):
                rows += [table | row for row in prepared.scores(preset, seed, cells)]
    if options.fill_cache:
        return
    parts = [f"--seeds {options.seeds}", *["--held-out"] * options.held_out]
    if options.cells != ["rnn"]:
        parts.append(f"--cells {' '.join(options.cells)}")
    if options.presets != ["added"]:
        parts.append(f"--presets {' '.join(options.presets)}")
    if options.tables:  # by their names: their folders are those of one machine
        parts.append(f"--tables {' '.join(path.name for path in options.tables)}")
    if len(options.peers) < len(peers.PEERS):
        parts.append(f"--peers {shlex.join(options.peers)}")
    section = "ordinary-held-out" if options.held_out else "ordinary"
    command = " ".join(["python -m benchmarks ordinary", *parts])
    show.write(section, pd.DataFrame(rows), splits, command)


class Prepared:
    """A table in a project of its own, after `retain add` and the stage `prepare`."""

    def __init__(self, source: Source):
        self.source = source
        self._folder = SCRATCH / "projects" / source.name
        self._seconds = project.add(self._folder, source)
        entry = project.entry(self._folder, source.name)
        folds = int(entry.get("evaluation", {}).get("folds", 1))
        self.test = scoring.load(self._folder / "data" / "prepared" / source.name, folds)
        data = entry["data"]
        split = data["split"]
        self.sentence = (
            f"{len(self.test.names)} series, validation from {split['validation']} and test from "
            f"{split['test']} before the end, {folds} fold{'s' * (folds > 1)}, "
            f"{len(self.test.series):,} windows; ensemble of {entry['model']['ensemble']}, season "
            f"{data['season_length']}, context {data['context_length']}"
        )

    def scores(self, preset: str, seed: int, cells: list[str]) -> list[dict[str, Any]]:
        """Return a row a model of the evaluation, as it was kept, or trained now."""
        kept = SCRATCH / "retain" / f"{self._digest(preset, seed, cells)}.json"
        if not kept.is_file():
            chosen = None if preset == "added" else preset
            found = project.train(self._folder, self.source, chosen, seed, cells)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found | {"add": self._seconds}), encoding="utf-8")
        found = json.loads(kept.read_text(encoding="utf-8"))
        seconds = found["seconds"] | {"add": found["add"]}
        rows = []
        for model, scores in scoring.rescore(
            self.test, found["metrics"], found["by_series"]
        ).items():
            row = {"model": f"retain {model}", "preset": preset, "seed": seed} | scores
            row["cpu_seconds"] = seconds.get(model, float("nan"))
            rows.append(row | {key: seconds[key] for key in ("add", "evaluate")})
            print(self.source.name, rows[-1], flush=True)
        return rows

    def _digest(self, preset: str, seed: int, cells: list[str]) -> str:
        """Fingerprint the table, the code and the settings of a training."""
        digest = hashlib.md5(self.source.path.read_bytes(), usedforsecurity=False)
        for path in sorted((project.ROOT / "src").rglob("*.py")):
            digest.update(path.read_bytes())
        text = json.dumps([self.source.name, self.source.horizon, preset, seed, sorted(cells)])
        digest.update(text.encode())
        return digest.hexdigest()[:12]
