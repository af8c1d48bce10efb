"""Small ONNX graphs, made without an exporter."""

from pathlib import Path

from asteroid_joint.inference.fast.graph_runner import NEEDED


def halves(path: Path, **more: str) -> None:
    """A graph without pitch, whose stems are halves of the input; ``more`` are its metadata."""
    import onnx

    helper, kind = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Mul", ["wav", "half"], ["halved"]),
        helper.make_node("Unsqueeze", ["halved", "axis"], ["stem"]),
        helper.make_node("Concat", ["stem", "stem"], ["sources"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("wav", kind.FLOAT, [1, 1, "n"])],
        [helper.make_tensor_value_info("sources", kind.FLOAT, [1, 2, 1, "n"])],
        [
            helper.make_tensor("half", kind.FLOAT, [], [0.5]),
            helper.make_tensor("axis", kind.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    facts = {
        "sources": "vocals,accompaniment",
        "sample_rate": 16000,
        "n_channels": 1,
        "least_samples": 2,
        "hop_samples": 320,
        "n_bins": 360,
        "cents_per_bin": 20.0,
        "bin_0_cents": 2000.0,
        "voicing_threshold": 0.5,
    }
    assert set(NEEDED) <= set(facts)
    helper.set_model_props(model, {key: str(value) for key, value in (facts | more).items()})
    onnx.save(model, path)
