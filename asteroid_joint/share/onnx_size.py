"""Makes an ONNX graph small without changing a number of it.

Constants that half precision holds exactly, as those of shipped weights are, are stored that way
and cast; those that are mostly zero are stored as their other values. Runtimes undo both while they
load a file. What only helps to debug an exporter is left out.
"""

from typing import Any

import numpy as np

from ..optional import optional

LEAST_VALUES = 256  # smaller constants are not worth a node
MOST_FILLED = 0.1  # share of values other than zero, up to which they are stored with their places


def make_small(graph: Any) -> None:
    """Change an ``onnx_ir.Graph`` in place."""
    ir = optional("onnx_ir", "onnx")
    for value in list(graph.initializers.values()):
        array = value.const_value.numpy()
        if array.dtype != np.float32 or array.size < LEAST_VALUES:
            continue
        if np.count_nonzero(array) <= MOST_FILLED * array.size:
            _replace(ir, graph, value, _scattered(ir, value.name, array))
        elif (array.astype(np.float16).astype(np.float32) == array).all():
            half = _constant(ir, f"{value.name}_half", array.astype(np.float16))
            cast = ir.node("Cast", [half], attributes={"to": int(ir.DataType.FLOAT)})
            _replace(ir, graph, value, ([half], [cast]))
    for node in graph:
        node.metadata_props.clear()
        node.doc_string = None
        for output in node.outputs:
            output.metadata_props.clear()
            if not output.is_graph_output():
                output.type = output.shape = None
    for output in graph.outputs:  # formulas of a length instead of names
        if output.shape is not None:
            output.shape = ir.Shape([d if isinstance(d, int) else None for d in output.shape])


def _scattered(ir: Any, name: str, array: np.ndarray) -> tuple[list[Any], list[Any]]:
    """Constants and nodes of an array that is mostly zero."""
    places = np.argwhere(array)  # (n, ndim) int64
    shape = _constant(ir, f"{name}_shape", np.array(array.shape, np.int64))
    indices = _constant(ir, f"{name}_places", places)
    values = _constant(ir, f"{name}_values", array[tuple(places.T)])
    zeros = ir.node("ConstantOfShape", [shape])
    scatter = ir.node("ScatterND", [zeros.outputs[0], indices, values])
    return [shape, indices, values], [zeros, scatter]


def _constant(ir: Any, name: str, array: np.ndarray) -> Any:
    tensor = ir.tensor(array, name=name)
    shape, kind = ir.Shape(array.shape), ir.TensorType(tensor.dtype)
    return ir.Value(name=name, shape=shape, type=kind, const_value=tensor)


def _replace(ir: Any, graph: Any, value: Any, by: tuple[list[Any], list[Any]]) -> None:
    """Put nodes at the beginning of a graph, the last of which gives what a constant was."""
    constants, nodes = by
    ir.convenience.replace_all_uses_with(value, nodes[-1].outputs[0])
    del graph.initializers[value.name]
    for constant in constants:
        graph.register_initializer(constant)
    graph.insert_before(graph[0], nodes)
