"""A registered model's files in MLflow: code, config, weights and an example, without a pickle."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest import mock

from retain.config import plugins
from retain.config.kind import PLUGINS, Predictor
from retain.errors import RegistryError
from retain.project import fingerprint, managed
from retain.project.layout import Layout
from retain.registry import model_card
from retain.tracking import store
from retain.tracking.offline_run import OfflineRun

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities.model_registry import ModelVersion

# What a server needs to run a registered model, at the versions it was trained with.
RUNTIME = (
    "mlflow",
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "ruamel.yaml",
    "safetensors",
    "holidays",
)


def log_model(
    run: OfflineRun,
    root: Path,
    name: str,
    folder: Path,
    predictor: Predictor,
    final: Path | None = None,
    card: str = "",
) -> tuple[str, str]:
    """Log the model in `folder` into its run; return its address and its id.

    Args:
        final: the refitted model of the same recipe, which then forecasts.
        card: the model card, which lies beside the folders.
    """
    import mlflow
    from mlflow.models import infer_signature
    from mlflow.utils import environment

    example = predictor.example(Layout(root, name).prepared)
    # Without inputs: with them MLflow would drop unknown columns in silence, and write the errors
    # itself. The model checks its table and names row, column and remedy.
    signature = infer_signature(model_output=predictor.predict(example))
    package = Path(__file__).parents[1]
    folders = {"model": folder} | ({"final": final} if final else {})
    md5s = {f"{key}_md5": fingerprint.folder_md5(place) for key, place in folders.items()}
    manifest = PLUGINS.get(str(predictor.config.get("kind")), "")
    with (
        TemporaryDirectory() as scratch,
        store.guarded(root),
        # To compare the requirements with what is installed, MLflow looks through all
        # distributions, which takes half of a registration; here one is the other.
        mock.patch.object(environment, "warn_dependency_requirement_mismatches", create=True),
        mlflow.start_run(run_id=run.run_id),
    ):
        page = Path(scratch) / model_card.NAME
        page.write_text(card, encoding="utf-8")
        # A model needs the modules, and not what a wheel packs for new projects.
        ignored = shutil.ignore_patterns(managed.PACKED, "__pycache__")
        code = shutil.copytree(package, Path(scratch) / package.name, ignore=ignored)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "registry" / "mlflow_model.py"),
            artifacts={key: str(place) for key, place in (folders | {"card": page}).items()},
            code_paths=[str(code), *map(str, plugins.sources() if manifest else ())],
            signature=signature,
            metadata={"columns": predictor.input_columns()},
            # mlflow_model.py checks them
            model_config=md5s | ({"manifest": manifest} if manifest else {}),
            input_example=example,
            # A local build's mark (+cpu) means nothing to a package index.
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in RUNTIME],
        )
    return str(info.model_uri), str(info.model_id)


@contextmanager
def downloaded(version: "ModelVersion", final: bool = False) -> Iterator[Path]:
    """Yield the model folder of a registered version, which is removed at the end of the block.

    Args:
        final: the one that forecasts, which is the refitted one where the version has it, instead
            of the evaluated one.

    Raises:
        RegistryError: the store no longer has its files, or has others than were registered.
    """
    import mlflow

    with TemporaryDirectory() as scratch:
        with _readable(version) as uri:
            flavor = mlflow.models.get_model_info(uri).flavors["python_function"]
            folders: dict[str, Path] = {}
            for key, entry in flavor["artifacts"].items():
                address, place = f"{uri}/{entry['path']}", str(Path(scratch) / key)
                folders[key] = Path(mlflow.artifacts.download_artifacts(address, dst_path=place))
        for key in ("model", "final"):
            recorded = version.tags.get(f"{key}.md5", "")
            md5 = fingerprint.folder_md5(folders[key]) if key in folders else ""
            if md5 != recorded:
                raise RegistryError(
                    f"the files of {version.name} version {version.version} are not those that "
                    f"were registered: their md5 is {md5}, and the version's tag {key}.md5 says "
                    f"{recorded}; nothing of them is read. Move the tracking store away and build "
                    f"it anew from DVC's cache: `retain rehydrate {version.name}`"
                )
        yield folders["final" if final and "final" in folders else "model"]


def example(version: "ModelVersion") -> "pd.DataFrame":
    """Return the example of a request that was registered with a version."""
    import mlflow
    import pandas as pd

    with TemporaryDirectory() as scratch:
        with _readable(version) as uri:
            path = f"{uri}/input_example.json"
            local = Path(mlflow.artifacts.download_artifacts(path, dst_path=scratch))
        content = json.loads(local.read_text(encoding="utf-8"))
    return pd.DataFrame(content["data"], columns=content["columns"])


@contextmanager
def _readable(version: "ModelVersion") -> Iterator[str]:
    """Yield the address of a version; RegistryError where its files cannot be read."""
    try:
        yield f"models:/{version.name}/{version.version}"
    except store.client_errors() as error:
        store.raise_full_disk(error)
        raise RegistryError(
            f"the files of {version.name} version {version.version} cannot be read from "
            f"{version.source}: {error}"
        ) from None
