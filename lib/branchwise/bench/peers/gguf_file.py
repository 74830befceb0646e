"""A model of transformers as a GGUF file in float32, as llama.cpp takes it: without a vocabulary, since
it is given token ids.
"""

from pathlib import Path

import numpy as np

from branchwise.bench.peers.weights import Weights
from branchwise.errors import UserError


def write(weights: Weights, file: Path) -> None:
    """Write the file. Raises UserError for a tensor that llama.cpp has no place for."""
    import gguf

    architecture = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[weights.family]
    config, writer = weights.config, gguf.GGUFWriter(file, weights.family)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(weights.num_layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(weights.num_heads)
    writer.add_head_count_kv(weights.num_kv_heads)
    writer.add_key_length(weights.head_dim)
    writer.add_value_length(weights.head_dim)
    writer.add_rope_dimension_count(weights.head_dim)
    writer.add_rope_freq_base(weights.rope_theta)
    writer.add_layer_norm_rms_eps(weights.norm_eps)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(architecture, weights.num_layers)
    for name in weights:
        told = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if told is None:
            raise UserError(f"llama.cpp has no place for tensor {name}", "take another model")
        writer.add_tensor(told, _as_llama_cpp(weights, name))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _as_llama_cpp(weights: Weights, name: str) -> np.ndarray:
    """A tensor; rows of Llama's queries and keys in the order in which llama.cpp turns them in pairs."""
    tensor = weights[name]
    turned = {"q_proj": weights.num_heads, "k_proj": weights.num_kv_heads}
    heads = next((count for part, count in turned.items() if part in name), None)
    if weights.family != "llama" or heads is None:
        return tensor
    halves = tensor.reshape(heads, 2, weights.head_dim // 2, *tensor.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))
