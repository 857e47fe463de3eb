"""A forecaster's graph as ONNX."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from retain import __version__
from retain.kinds.forecast.export.graph import Graph
from retain.kinds.forecast.export.session import OUTPUTS
from retain.kinds.forecast.export.windows import Arrays

OPSET = 18


def trace(graph: Graph, inputs: Arrays) -> torch.export.ExportedProgram:
    """Trace a graph for any number of series and, of `y`, any number of steps from its reach on.

    Args:
        inputs: of at least two series; those that the graph gets, by name.
    """
    many = torch.export.Dim("many", min=1)
    steps = torch.export.Dim("steps", min=graph.data.reach)
    shapes = {name: {0: many, 1: steps} if name == "y" else {0: many} for name in inputs}
    tensors = {name: torch.from_numpy(values) for name, values in inputs.items()}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch, about its own modules
        program = torch.export.export(graph, (), tensors, dynamic_shapes=shapes, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines of the sources, with paths of this machine
    return program


def write(program: torch.export.ExportedProgram, names: Sequence[str], path: Path) -> None:
    """Write a traced graph as an ONNX file, the same bytes for the same graph.

    Args:
        names: of the inputs, in order.
    """
    import onnx

    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of what is not installed and not needed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                program,
                input_names=list(names),
                output_names=OUTPUTS,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
                custom_translation_table=_translations(),
            )
    finally:
        log.setLevel(level)
    assert made is not None
    results = made.model.graph.outputs
    numbered = (value for node in made.model.graph for value in node.outputs)
    for number, value in enumerate(value for value in numbered if value not in results):
        value.name = f"value_{number}"  # torch names them by operation, such as `mean`
    content = made.model_proto
    for node in content.graph.node:
        del node.metadata_props[:]  # where it is in the sources
        node.doc_string = ""
    for value in (*content.graph.value_info, *content.graph.input, *content.graph.output):
        del value.metadata_props[:]
    for tensor in content.graph.initializer:
        del tensor.metadata_props[:]
    del content.graph.metadata_props[:]
    del content.metadata_props[:]
    content.producer_name, content.producer_version = "retain", __version__
    onnx.checker.check_model(content)
    path.write_bytes(content.SerializeToString(deterministic=True))


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return translations of what torch itself cannot translate, or unrolls step by step."""
    import onnx
    from onnxscript import opset18 as op

    def fmax(left: Any, right: Any) -> Any:
        """Translate `aten::fmax`: the larger value, of NaN and a number the number."""
        found = op.Where(op.IsNaN(left), right, op.Max(left, right))
        return op.Where(op.IsNaN(right), left, found)

    def rnn_tanh(
        values: Any,
        state: Any,
        params: Sequence[Any],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Any:
        """Translate `aten::rnn_tanh.input` of one direction, time first, with biases."""
        assert has_biases
        assert not any((train, bidirectional, batch_first))
        ends = []
        for layer in range(num_layers):
            into, across, *biases = params[4 * layer : 4 * layer + 4]
            begin = op.Slice(state, [layer], [layer + 1], [0])
            every, end = op.RNN(
                values,
                op.Unsqueeze(into, [0]),
                op.Unsqueeze(across, [0]),
                op.Unsqueeze(op.Concat(*biases, axis=0), [0]),
                None,
                begin,
                hidden_size=state.shape[2],
            )
            values = op.Squeeze(every, [1])
            ends.append(end)
        return values, op.Concat(*ends, axis=0) if len(ends) > 1 else ends[0]

    def asinh(values: Any) -> Any:
        """Translate `aten::asinh`, which onnxruntime has for float32 alone."""
        one, size = op.CastLike(1.0, values), op.Abs(values)
        return op.Mul(
            op.Sign(values), op.Log(op.Add(size, op.Sqrt(op.Add(op.Mul(size, size), one))))
        )

    def add_up(values: Any, dim: Any = None, keepdim: bool = False, dtype: int = -1) -> Any:
        """Translate `aten::sum`: in float64, since torch adds pairwise and onnxruntime in order."""
        is_float = values.dtype == onnx.TensorProto.FLOAT
        if is_float:
            values = op.Cast(values, to=onnx.TensorProto.DOUBLE)
        axes = [] if dim is None else [[dim] if isinstance(dim, int) else list(dim)]
        found = op.ReduceSum(values, *axes, keepdims=keepdim)
        return op.Cast(found, to=onnx.TensorProto.FLOAT) if is_float else found

    aten = torch.ops.aten
    return {
        aten.asinh.default: asinh,
        aten.fmax.default: fmax,
        aten.rnn_tanh.input: rnn_tanh,
        aten.sum.dim_IntList: add_up,
    }
