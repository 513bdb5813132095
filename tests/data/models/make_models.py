"""Writes the two tiny models beside it: random weights from a fixed seed, a token a byte. Needs `onnx` and `tokenizers`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

HERE = Path(__file__).parent
DIMENSION = 12
WINDOW = 5
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def tokenizer() -> Tokenizer:
    """Return a tokenizer that takes any text: a token a byte, and no merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*SPECIALS, *alphabet))}
    made = Tokenizer(models.BPE(vocabulary, [], unk_token="[UNK]"))
    made.add_special_tokens(list(SPECIALS))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def weights(tokens: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((tokens, DIMENSION)).astype(np.float32)


def constant(name: str, values: object) -> object:
    return numpy_helper.from_array(np.asarray(values), name)


def model(nodes: list[object], constants: list[object], output: str, shape: list[object]) -> object:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializer=constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def embedder(tokens: int) -> object:
    """Return a model whose hidden states are each token's own vector plus the mean of all."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["own"]),
        helper.make_node("ReduceMean", ["own"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["own", "mean"], ["last_hidden_state"]),
    ]
    return model(
        nodes, [constant("table", weights(tokens))], "last_hidden_state", ["batch", "tokens", DIMENSION]
    )


def reranker(tokens: int) -> object:
    """Return a model whose score tells how much of the first text the second repeats, five bytes at a time.

    Each window of the first is compared with every window of the second; the best cosines, to the eighth power so that
    hardly anything but a repetition counts, are averaged.
    """
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["own"]),
        helper.make_node("Pad", ["own", "padding"], ["padded"]),
        helper.make_node("Shape", ["input_ids"], ["length"], start=1, end=2),
    ]
    for step in range(WINDOW):
        nodes += [
            helper.make_node("Add", ["length", f"step{step}"], [f"end{step}"]),
            helper.make_node("Slice", ["padded", f"step{step}", f"end{step}", "one"], [f"shifted{step}"]),
        ]
    nodes += [
        helper.make_node("Concat", [f"shifted{step}" for step in range(WINDOW)], ["long"], axis=2),
        helper.make_node("LpNormalization", ["long"], ["windows"], axis=2, p=2),
        helper.make_node("Transpose", ["windows"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["windows", "turned"], ["cosines"]),
        helper.make_node("Cast", ["token_type_ids"], ["second"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["second", "one"], ["columns"]),
        helper.make_node("Mul", ["cosines", "columns"], ["across"]),
        helper.make_node("Relu", ["across"], ["similar"]),
        helper.make_node("ReduceMax", ["similar"], ["best"], axes=[2], keepdims=0),
        helper.make_node("Pow", ["best", "eight"], ["repeated"]),
        helper.make_node("Sub", ["unit", "second"], ["first"]),
        helper.make_node("Mul", ["repeated", "first"], ["asked"]),
        helper.make_node("ReduceSum", ["asked", "one"], ["sum"], keepdims=1),
        helper.make_node("ReduceSum", ["first", "one"], ["number"], keepdims=1),
        helper.make_node("Div", ["sum", "number"], ["mean"]),
        helper.make_node("Mul", ["mean", "scale"], ["logits"]),
    ]
    constants = [
        constant("table", weights(tokens)),
        constant("padding", np.array([0, 0, 0, 0, WINDOW - 1, 0], np.int64)),
        *(constant(f"step{step}", np.array([step], np.int64)) for step in range(WINDOW)),
        constant("one", np.array([1], np.int64)),
        constant("unit", np.float32(1)),
        constant("eight", np.float32(8)),
        constant("scale", np.float32(6.5)),
    ]
    return model(nodes, constants, "logits", ["batch", 1])


def main() -> None:
    made = tokenizer()
    tokens = made.get_vocab_size()
    for name in ("embedder", "reranker"):
        (HERE / name).mkdir(exist_ok=True)
        made.save(str(HERE / name / "tokenizer.json"), pretty=False)
    save(embedder(tokens), HERE / "embedder" / "model.onnx")
    save(reranker(tokens), HERE / "reranker" / "model.onnx")
    for name, limit, more in (("embedder", 128, {}), ("reranker", 512, {"id2label": {"0": "LABEL_0"}})):
        config = {"hidden_size": DIMENSION, "vocab_size": tokens, "max_position_embeddings": limit, **more}
        write(HERE / name / "config.json", config)
        write(HERE / name / "tokenizer_config.json", {"model_max_length": limit})
    parts = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(parts)
    ]
    write(HERE / "embedder" / "modules.json", modules)
    write(HERE / "embedder" / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    prompts = {"query": "query: ", "passage": "passage: "}
    write(HERE / "embedder" / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    pooling = {"cls_token": False, "mean_tokens": True, "max_tokens": False, "mean_sqrt_len_tokens": False}
    write(
        HERE / "embedder" / "1_Pooling" / "config.json",
        {"word_embedding_dimension": DIMENSION, **{f"pooling_mode_{name}": value for name, value in pooling.items()}},
    )


if __name__ == "__main__":
    main()
