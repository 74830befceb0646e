"""Tiny GGUF files with random weights, made on the fly, and the model of transformers that they hold."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.gpt2.tokenization_gpt2 import GPT2Tokenizer

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HEADS, KV_HEADS = 4, 2


def alphabet() -> list[str]:
    """The 256 signs by which byte-level tokenizers spell bytes."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return list(bytes_to_unicode().values())


def tokens() -> list[str]:
    """The vocabulary: control tokens, bytes, and one pair of them."""
    return [*SPECIAL, *alphabet(), "Ġt"]


def llama(seed: int = 0) -> LlamaForCausalLM:
    """The model that `write` writes."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokens()),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        initializer_range=0.25,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write(path: Path, architecture: str = "llama", quantised: bool = False, **facts: Any) -> Path:
    """A GGUF file of `llama()`, called what one likes; more `facts` go into its metadata (. for __)."""
    import gguf

    model = llama()
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantised else gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens())
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens()) - len(SPECIAL)))
    writer.add_token_merges(["Ġ t"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    for name, value in facts.items():
        key = name.replace("__", ".")
        writer.add_string(key, value) if isinstance(value, str) else writer.add_uint32(key, value)
    for name, weights in _tensors(model):
        if quantised and weights.ndim > 1:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quantize(weights, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(model: LlamaForCausalLM) -> list[tuple[str, np.ndarray]]:
    """Weights by the names of GGUF, rotary dimensions in the order of llama.cpp."""
    found = []
    for name, weight in model.state_dict().items():
        array = weight.numpy()
        if name == "lm_head.weight":  # tied
            continue
        if name == "model.embed_tokens.weight":
            found.append(("token_embd.weight", array))
        elif name == "model.norm.weight":
            found.append(("output_norm.weight", array))
        else:
            _, _, number, part = name.removesuffix(".weight").split(".", 3)
            heads = {"self_attn.q_proj": HEADS, "self_attn.k_proj": KV_HEADS}.get(part)
            found.append(
                (f"blk.{number}.{NAMES[part]}.weight", _turned(array, heads) if heads else array)
            )
    return found


def _turned(array: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a head in pairs, as llama.cpp has them, where transformers has halves."""
    half = array.shape[0] // heads // 2
    return np.ascontiguousarray(array.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(array.shape))


def tokenizer() -> GPT2Tokenizer:
    """The tokenizer that the file describes."""
    made = GPT2Tokenizer(vocab={token: i for i, token in enumerate(tokens())}, merges=[("Ġ", "t")])
    made.add_special_tokens({"additional_special_tokens": SPECIAL})
    return made
