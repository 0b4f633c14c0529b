"""A graph with its matrices in int8: a quarter of the bytes to stream for every token, at some loss.

Weights are rounded once, with a scale for each output; what is multiplied with them is rounded as it comes.
onnxruntime's operator for that (``com.microsoft.DynamicQuantizeMatMul``) has one scale for all rows, and where these
are of several images, one would change the answers of the others. There each row is divided by its largest number, and
1 and -1 are added to it, which are multiplied by zeros: then the scale is always the same. A matrix that is also a
table of embeddings, as the one that gives the logits, is there twice: of the table in single precision, only rows are
read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.compiling.onnx_writer import GraphWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def quantise(folder: Path, into: Path, name: str, *, seven_bits: bool, sees_one_image: bool = False) -> None:
    """Write the graph ``name`` of ``folder`` into ``into``, under the same name, with the same inputs and outputs.

    Weights are read one at a time. ``seven_bits`` for a processor without VNNI: it adds pairs of products in 16 bits,
    and with eight these would saturate. ``sees_one_image`` if it is run for one image at a time.

    Raises:
        OSError: a file of it cannot be read or written.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    into.mkdir(parents=True, exist_ok=True)
    model = onnx.load(folder / f"{name}.onnx", load_external_data=False).graph
    weights = {each.name: each for each in model.initializer}

    def array(name: str) -> NDArray[Any]:
        found: NDArray[Any] = numpy_helper.to_array(weights[name], str(folder))
        return found

    with GraphWriter(into, name) as graph:
        moved = {"": ""}

        def written(name: str) -> str:
            """What ``name`` is called in the new graph; a weight is written when it is first asked for."""
            if name in weights and name not in moved:
                moved[name] = graph.weight(array(name))
            return moved.get(name, name)

        graph.same_outside(model)
        least = graph.weight(np.array([np.finfo(np.float32).tiny]))
        for node in model.node:
            if node.op_type != "Gemm":
                graph.same_node(node, [written(each) for each in node.input])
                continue
            rows, weight, bias = node.input
            matrix, scales = _rounded(array(weight), 63 if seven_bits else 127)
            out = node.output[0]

            def made(kind: str, *inputs: str, out: str = out, **attributes: Any) -> str:
                return graph.node(kind, *inputs, into=f"{out}_{kind}", **attributes)

            row = written(rows)
            if sees_one_image:
                inputs = row, graph.weight(matrix), graph.weight(scales), "", written(bias)
                graph.node("DynamicQuantizeMatMul", *inputs, into=out, domain="com.microsoft")
                continue
            largest = made("Max", made("ReduceMax", made("Abs", row), graph.integers(-1)), least)
            row = made("Div", made("Concat", row, largest, made("Neg", largest), axis=-1), largest)
            padded = graph.weight(np.pad(matrix, ((0, 2), (0, 0))))
            row = made("DynamicQuantizeMatMul", row, padded, graph.weight(scales), domain="com.microsoft")
            graph.node("Add", made("Mul", row, largest), written(bias), into=out)
        graph.finish()


def _rounded(matrix: NDArray[np.float32], steps: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(out, in) -> (in, out) int8, and the scale of each output."""
    import numpy as np

    scales = np.maximum(np.abs(matrix).max(axis=1) / np.float32(steps), np.finfo(np.float32).tiny)
    return np.rint(matrix / scales[:, None]).astype(np.int8).T, scales.astype(np.float32)
