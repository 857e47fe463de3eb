"""A project with champions that answer lines of text, made without DVC."""

import shutil
from pathlib import Path

from retain.config import loader
from retain.config.kind import kind_of
from retain.registry import registry
from retain.tracking import store
from tests.learning import small

from .conftest import REPOSITORY, commit, run

RHYME = "the cat sat on the mat, the dog ate the log. "
PARAMS = """\
problems:
  rhyme:
    kind: text
    preset: fast
    data: {path: data/raw/rhyme.txt}
    model: {hidden_size: 16, embedding_size: 8}
    training: {learning_rate: 0.02, batch_size: 8, chunk: 16, chunks: 2, max_epochs: 3}
    evaluation: {}
    gate: []

  key:
    kind: recall
    preset: fast
    data:
      source: copy
      path: pipelines/prepare.py
      train_gaps: [3, 20]
      test_gaps: [3, 20]
      symbols: 3
      train: 500
      validation: 40
      test: 60
    model: {hidden_size: 10, chrono: 30}
    training:
      cells: [lstm]
      learning_rates: {lstm: [0.1]}
      batch_size: 16
      epoch_steps: 20
      max_epochs: 2
      seeds: 2
    evaluation: {}
    gate: []

  sum:
    kind: recall
    preset: fast
    data:
      source: adding
      path: pipelines/prepare.py
      train_gaps: [3, 5]
      test_gaps: [3, 5]
      train: 100
      validation: 20
      test: 20
    model: {hidden_size: 8, chrono: 10}
    training:
      cells: [lstm]
      learning_rates: {lstm: [0.1]}
      batch_size: 16
      epoch_steps: 5
      max_epochs: 1
      seeds: 1
    evaluation: {}
    gate: []
"""


def write_project(folder: Path, more: str = "", tables: dict[str, str] | None = None) -> Path:
    """Each problem prepared, its LSTM trained a little, registered and made champion.

    Args:
        more: entries of other problems, and `tables` by name in data/raw.
    """
    (folder / "data" / "raw").mkdir(parents=True)
    (folder / "params.yaml").write_text(f"{PARAMS}\n{more}")
    for name, text in (tables or {}).items():
        (folder / "data" / "raw" / name).write_text(text)
    for name in ("dvc.yaml", ".gitignore"):
        shutil.copy(REPOSITORY / name, folder / name)
    (folder / "data" / "raw" / "rhyme.txt").write_text(RHYME * 70)
    run(folder, "git", "init", "-q")
    commit(folder)
    for name, problem in loader.load(folder).items():
        prepared = folder / "data" / "prepared" / name
        prepared.mkdir(parents=True)
        kind = kind_of(problem)
        kind.prepare.load(problem, folder, prepared)
        (folder / "models" / name).mkdir(parents=True)
        model = folder / "models" / name / "lstm"
        small.trained(kind.training.load, problem, prepared, "lstm", model)
        version, _ = registry.add(folder, name, problem, {"models": {"lstm": {"luck": 0.5}}})
        store.connect(folder).set_registered_model_alias(name, "champion", version.version)
    return folder
