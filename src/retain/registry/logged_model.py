"""Write a registered model into MLflow: code, config, weights and an example, without a pickle."""

import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from retain.config import plugins
from retain.config.kind import PLUGINS, Predictor
from retain.config.schema import Problem
from retain.errors import RegistryError
from retain.project import fingerprint, managed
from retain.project.layout import Layout
from retain.registry import manifest, model_card, sbom
from retain.registry.artifacts import fetch
from retain.tracking import store
from retain.tracking.offline_run import OfflineRun

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
    "tokenizers",
)


def log_model(
    run: OfflineRun,
    root: Path,
    name: str,
    problem: Problem,
    folder: Path,
    predictor: Predictor,
    final: Path | None = None,
    card: str = "",
) -> tuple[str, str, str]:
    """Log the model in `folder` into its run; return its address, its id and its manifest's sha256.

    Beside it lie the manifest and the bill of materials of the running environment.

    Args:
        final: the refitted model of the same recipe, which then forecasts.
        card: the model card, which lies beside the folders.
    """
    import mlflow
    from mlflow.models import Model, infer_signature
    from mlflow.utils import environment

    example = predictor.example(Layout(root, name).prepared)
    # Without inputs: with them MLflow would drop unknown columns in silence, and write the errors
    # itself. The model checks its table and names row, column and remedy.
    signature = infer_signature(model_output=predictor.predict(example))
    package = Path(__file__).parents[1]
    folders = {"model": folder} | ({"final": final} if final else {})
    md5s = {f"{key}_md5": fingerprint.folder_md5(place) for key, place in folders.items()}
    plugin = PLUGINS.get(str(predictor.config.get("kind")), "")
    with (
        TemporaryDirectory() as scratch,
        store.guarded(root),
        # To compare the requirements with what is installed, MLflow looks through all
        # distributions, which takes half of a registration; here one is the other.
        mock.patch.object(environment, "warn_dependency_requirement_mismatches", create=True),
    ):
        page = Path(scratch) / model_card.NAME
        page.write_text(card, encoding="utf-8")
        # A model needs the modules, and not what a wheel packs for new projects.
        ignored = shutil.ignore_patterns(managed.PACKED, "__pycache__")
        code = shutil.copytree(package, Path(scratch) / package.name, ignore=ignored)
        # `mlflow.pyfunc.log_model` needs an active run: it would end the training a second time.
        trained = run.client.get_run(run.run_id)
        empty = mlflow.initialize_logged_model(
            name="model",
            source_run_id=run.run_id,
            params=trained.data.params,
            experiment_id=trained.info.experiment_id,
        )
        info = Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            model_id=empty.model_id,
            run_id=run.run_id,
            python_model=str(package / "registry" / "mlflow_model.py"),
            artifacts={key: str(place) for key, place in (folders | {"card": page}).items()},
            code_paths=[str(code), *map(str, plugins.sources() if plugin else ())],
            signature=signature,
            metadata={"columns": predictor.input_columns()},
            # mlflow_model.py checks them
            model_config=md5s | ({"manifest": plugin} if plugin else {}),
            input_example=example,
            # A local build's mark (+cpu) means nothing to a package index.
            pip_requirements=[
                f"{library}=={version(library).partition('+')[0]}" for library in RUNTIME
            ],
        )
        stored = Path(scratch) / "stored"
        _fetch_stored(run, info.model_id, stored, with_code=bool(plugin))
        if not plugin:
            shutil.move(code, stored / "code" / package.name)
        beside = Path(scratch) / "beside"
        beside.mkdir()
        for place in (stored, beside):
            (place / manifest.SBOM).write_text(sbom.build(), encoding="utf-8")
        paths = {key: f"{manifest.ARTIFACTS}/{place.name}" for key, place in folders.items()}
        for key, place in folders.items():  # what the store holds must be what is here
            if manifest.of_folder(place) != manifest.of_folder(stored / paths[key]):
                raise RegistryError(f"the store holds other files than {place}: register again")
        content = manifest.encode(manifest.build(root, name, problem, stored, paths))
        (beside / manifest.NAME).write_bytes(content)
        run.client.log_model_artifacts(info.model_id, str(beside))
    return str(info.model_uri), str(info.model_id), manifest.sha256(content)


def _fetch_stored(run: OfflineRun, model_id: str, target: Path, with_code: bool) -> None:
    """Fetch a logged model from the store; its code has hundreds of files."""
    location = run.client.get_logged_model(model_id).artifact_location
    for entry in run.client.list_logged_model_artifacts(model_id):
        if with_code or entry.path != "code":
            fetch(location, entry.path, target)
