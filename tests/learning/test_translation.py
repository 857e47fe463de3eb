"""What trained translation models must be able to do, and what is asked of them."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from prometheus_client import CollectorRegistry

from retain.cli import sequences
from retain.errors import DataError, IncomparableError, ModelError, Terminated
from retain.evaluation import quality_gate, report
from retain.kinds.translate import endpoint, evaluate, predictor, prepare, setup
from retain.kinds.translate import report as pages
from retain.kinds.translate.config import NO_ATTENTION
from retain.kinds.translate.predictor import Predictor
from retain.serving.endpoint import Limits
from tests.learning import small
from tests.unit.kinds.translate.made import made_pairs, problem

SENTENCE = "Die neue Rose lacht nicht?"
GATE = [
    {"check": "finite"},
    {"check": "at_least", "metric": "chrf", "value": 80},
    {"check": "beats", "baseline": "nearest"},
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of made sentences, with attention and without."""
    root = tmp_path_factory.mktemp("made")
    lines = "".join(f"{pair.source}\t{pair.target}\n" for pair in made_pairs())
    (root / "pairs.tsv").write_text(lines, encoding="utf-8")
    (root / "prepared").mkdir()
    prepare.prepare(problem(), root, root / "prepared")
    for cell, epochs in (("lstm", 10), ("rnn", 2)):
        given = problem(training={"max_epochs": epochs})
        small.trained(setup.build, given, root / "prepared", cell, root / cell)
        beside = given.beside[NO_ATTENTION]
        folder = root / cell / NO_ATTENTION
        small.trained(setup.build, beside, root / "prepared", cell, folder)
    return root


@pytest.fixture(scope="module")
def evaluation(root: Path) -> evaluate.Evaluation:
    folders = {cell: root / cell for cell in ("lstm", "rnn")}
    return evaluate.evaluate(problem(), root / "prepared", folders)


@pytest.fixture(scope="module")
def model(root: Path) -> Predictor:
    return predictor.load(root / "lstm")


def test_a_made_language_is_learned(evaluation: evaluate.Evaluation) -> None:
    models = evaluation.metrics["models"]
    assert [*models] == [
        *("lstm", "rnn", "lstm_no_attention", "rnn_no_attention", "nearest", "word_by_word")
    ]
    assert models["lstm"]["chrf"] > 90
    assert models["lstm"]["chrf"] > models["nearest"]["chrf"] + 5
    assert models["lstm"]["not_finite"] == 0
    changes = evaluation.metrics["differences"]
    assert changes["lstm_minus_nearest"]["chrf_error"]["high"] < 0
    assert "lstm_no_attention_minus_rnn_no_attention" in changes
    lengths = evaluation.metrics["lengths"]["lstm"]
    assert sum(scores["sentences"] for scores in lengths.values()) == 40


def test_the_report_has_samples_attention_and_gates(evaluation: evaluate.Evaluation) -> None:
    given = problem(gate=GATE)
    checks = quality_gate.run_checks(evaluation.metrics, given.gate)
    assert [check.passed for check in checks] == [True, True, True]
    page = pages.report("made", given, evaluation, checks)
    assert [figure.name for figure in page.figures] == [
        *("length", "attention", "gates", "training_curves")
    ]
    samples = next(table for table in page.tables if table.title == "Translations as they came")
    assert [row[0] for row in samples.rows] == ["best"] * 4 + ["typical"] * 4 + ["worst"] * 4
    assert "LSTM" in report.to_markdown(page)
    assert {*evaluation.plots()} == {"length", "training"}


def test_a_sentence_is_translated(model: Predictor, root: Path) -> None:
    best = model.translate(SENTENCE, beam=4)
    assert best[0].text == "La rosa nueva ríe no?"
    assert len({each.text for each in best}) == len(best)
    assert best[0].probability > 0.3
    assert "".join(best[0].target).strip() == best[0].text
    attention = best[0].attention
    assert attention is not None
    assert attention.shape == (len(best[0].target) + 1, len(best[0].source))
    assert predictor.load(root / "lstm" / NO_ATTENTION).translate(SENTENCE, 1)[0].attention is None


def test_a_table_is_answered_row_by_row(model: Predictor, root: Path) -> None:
    example = model.example(root / "prepared")
    both = model.predict(example)
    assert list(both.columns) == ["translation", "probability"]
    alone = model.predict(example.iloc[[1]])
    assert both.iloc[1].to_dict() == alone.iloc[0].to_dict()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["Die Katze.", ""], "row 2: '' is no sentence to translate"),
        ([None], "row 1: None is no sentence"),
        (["Die Qatze."], "row 1: letter 5, 'Q', is none that the model was trained on"),
        (["Die </s> Katze."], "row 1: the sentence has '</s>', which is no text"),
        (["Die " * 501], "row 1: the sentence has .* at most 500 are read"),
    ],
)
def test_what_cannot_be_read_is_named(
    source: list[str | None], message: str, model: Predictor
) -> None:
    with pytest.raises(DataError, match=message):
        model.predict(pd.DataFrame({"source": source}))


def test_gates_are_those_of_the_encoder_in_its_order(model: Predictor) -> None:
    shown = model.inspect("made", SENTENCE)
    assert "".join(shown.steps[::-1]).strip() == SENTENCE
    assert shown.gates.forget.shape == (len(shown.steps), 32)


def test_a_champion_of_other_pairs_is_not_compared(root: Path, tmp_path: Path) -> None:
    same = evaluate.compare_with_champion(problem(), root / "prepared", root / "lstm", root / "rnn")
    assert same.scores[0]["chrf"] > same.scores[1]["chrf"] - 20
    other = tmp_path / "other"
    other.mkdir()
    config = json.loads((root / "rnn" / "config.json").read_text(encoding="utf-8"))
    config["schema"]["digest"] = "another"
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = root / "rnn" / "weights.safetensors"
    (other / "weights.safetensors").write_bytes(weights.read_bytes())
    with pytest.raises(IncomparableError, match="trained on other pairs"):
        evaluate.compare_with_champion(problem(), root / "prepared", root / "lstm", other)


def test_a_damaged_tokenizer_is_a_damaged_model(root: Path, tmp_path: Path) -> None:
    config = json.loads((root / "rnn" / "config.json").read_text(encoding="utf-8"))
    config["schema"]["source"] = "{"
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = root / "rnn" / "weights.safetensors"
    (tmp_path / "weights.safetensors").write_bytes(weights.read_bytes())
    with pytest.raises(ModelError, match="is damaged"):
        predictor.load(tmp_path)


def test_a_training_that_was_stopped_ends_with_the_same_weights(root: Path, tmp_path: Path) -> None:
    given = problem(training={"max_epochs": 2, "checkpoint_every": 5})
    source = root / "prepared"
    whole = small.weights(setup.build, given, source, "lstm", None)
    with pytest.raises(Terminated):
        small.weights(setup.build, given, source, "lstm", tmp_path, stop_after=45)
    resumed = small.weights(setup.build, given, source, "lstm", tmp_path)
    for ours, theirs in zip(resumed, whole, strict=True):
        assert torch.equal(ours, theirs)


def test_the_server_answers_with_translations_and_attention(model: Predictor, root: Path) -> None:
    made = endpoint.TranslateEndpoint(Limits(), CollectorRegistry())
    asked = made.request_model.model_validate({"source": SENTENCE, "beam": 3})
    answer = made.answer_line(model, SENTENCE, asked)
    endpoint.Translated.model_validate(answer)
    assert answer["translation"] == answer["likeliest"][0]["value"] == "La rosa nueva ríe no?"
    assert len(answer["attention"]) == len(answer["target"]) + 1
    assert sum(answer["attention"][0]) == pytest.approx(1, abs=1e-3)
    row = made.to_row(model, answer)
    expected = model.predict(pd.DataFrame({"source": [SENTENCE]})).iloc[0].to_dict()
    assert row.keys() == expected.keys()
    assert row["translation"] == expected["translation"]
    assert row["probability"] == pytest.approx(expected["probability"], rel=1e-4)
    assert made.describe_vocabulary(model)["languages"] == ("German", "Spanish")
    assert made.count_units(model, SENTENCE) == len(answer["source"])
    without = predictor.load(root / "lstm" / NO_ATTENTION)
    endpoint.Translated.model_validate(made.answer_line(without, SENTENCE, asked))


def test_a_command_prints_what_a_translation_looks_at(
    model: Predictor, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sequences.print_attention(model.translate(SENTENCE, 2)[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].lstrip().startswith("(end)")
    assert any(shade in lines[1] for shade in sequences.SHADES[1:])
    without = predictor.load(root / "lstm" / NO_ATTENTION).translate(SENTENCE, 2)[0]
    with pytest.raises(ModelError, match="has no attention"):
        sequences.print_attention(without)
