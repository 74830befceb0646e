"""Every decoder type that transformers has and that can be built small: exact on the tree, or refused.

Windows and other lengths lie beyond the self-test's, rotary angles change with the length; what the tree
refuses, decoder hf answers as each prompt alone is answered. One type in eight, unless
BRANCHWISE_EVERY=1; BRANCHWISE_TYPES names a folder for what was found.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from branchwise import TreeDecoder
from branchwise.decoding.loop import run
from branchwise.decoding.reference import HFDecoder
from branchwise.decoding.requests import Request, Rules
from branchwise.errors import UserError
from tests.architectures import VOCABULARY

NAMES = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
WINDOW, PROMPT = 300, 425
MOST_PARAMETERS = 30e6
SMALL = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "word_embed_proj_dim"), 64),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "dim_ff", "d_ff", "ffn_hidden_size",
                     "encoder_ffn_dim", "decoder_ffn_dim"), 96),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers",
                     "encoder_layers", "num_blocks"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads",
                     "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads",), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions",
                     "n_ctx", "context_length"), 1024),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_top_k", "top_k_experts"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size",
                     "moe_shared_expert_intermediate_size", "expert_ffn_hidden_size"), 32),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "num_shared_experts"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 16),
    **dict.fromkeys(("sliding_window", "sliding_window_size", "window_size", "attention_window_size",
                     "keep_window_size", "local_attention"), WINDOW),
    "vocab_size": VOCABULARY, "head_dim": 16, "rotary_dim": 16, "use_sliding_window": True,
    "max_window_layers": 2, "index_topk": WINDOW, "index_n_heads": 2, "index_head_dim": 16,
    "first_k_dense_replace": 1, "bos_token_id": 1, "eos_token_id": 7, "pad_token_id": 0,
    "initializer_range": 0.2, "tie_word_embeddings": False, "attention_chunk_size": WINDOW,
    "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": VOCABULARY,
    "is_decoder": True, "add_cross_attention": False,
    "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 16, "state_size": 16,
}  # fmt: skip
ROPES = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0, "original_max_position_embeddings": 64},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64},
    "longrope": {"rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": 64,
                 "short_factor": [1.0] * 8, "long_factor": [4.0] * 8},
}  # fmt: skip


def build(name: str, rope: str | None) -> PreTrainedModel:
    """A small model of a type; raises whatever transformers raises where these settings do not fit."""
    default = CONFIG_MAPPING[name]()
    known = default.to_dict()
    settings = {key: value for key, value in SMALL.items() if key in known}
    if rope is not None:
        angles = known.get("rope_parameters")
        if not isinstance(angles, dict) or "rope_theta" not in angles:
            raise LookupError("no rotary angles to change")
        settings["rope_parameters"] = {**ROPES[rope], "rope_theta": 10_000.0}
    for left_out in ((), ("head_dim",), ("num_key_value_heads",), ("head_dim", "num_key_value_heads")):
        try:
            torch.manual_seed(0)
            fitting = {key: value for key, value in settings.items() if key not in left_out}
            config = CONFIG_MAPPING[name](**fitting)
            with torch.device("meta"):
                size = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
            if size > MOST_PARAMETERS:
                raise LookupError(f"it stays large: {size / 1e6:.0f} M parameters")
            model = AutoModelForCausalLM.from_config(config).eval()
            with torch.no_grad():
                model(torch.tensor([prompts()[0]]), use_cache=False)
        except Exception as error:  # whatever it is, these settings do not fit; the last one is raised
            last = error
            continue
        return model
    raise last


def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)

    def draw(count: int) -> list[int]:
        return torch.randint(8, VOCABULARY, (count,), generator=generator).tolist()

    shared = draw(PROMPT)
    return [shared + draw(3), shared + draw(30), draw(20)]


@torch.no_grad()
def alone(model: PreTrainedModel, prompt: list[int], count: int) -> tuple[list[int], bool]:
    """Greedy answer by plain passes over the whole text; and whether no token was nearly a tie."""
    ids, clear = list(prompt), True
    for _ in range(count):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        first, second = logits.topk(2).values.tolist()
        clear &= first - second > 1e-4 * float(logits.max() - logits.min())
        ids.append(int(logits.argmax()))
        if ids[-1] == SMALL["eos_token_id"]:
            break
    return ids[len(prompt) :], clear


def tree_verdict(model: PreTrainedModel, kernel: str) -> str:
    try:
        decoder = TreeDecoder(model, kernel=kernel)
    except UserError as error:
        return f"refused: {error.problem}"
    decoder.stop_ids = decoder._scheduler.stop_ids = frozenset({7})
    made = decoder.complete(prompts(), 4)
    for prompt, got in zip(prompts(), made, strict=True):
        want, clear = alone(model, prompt, 4)
        if got != [i for i in want if i != 7] and clear:
            return f"WRONG: {got} for {want}"
    return "exact"


def hf_verdict(model: PreTrainedModel) -> str:
    """Whether decoder hf answers each prompt of a batch as `generate` answers it alone."""
    try:
        decoder = HFDecoder(model)
    except UserError as error:
        return f"refused: {error.problem}"

    async def ask(some: list[list[int]]) -> list[list[int]]:
        from asyncio import gather, get_running_loop

        requests = [Request(ids, Rules(4), "g", get_running_loop().create_future()) for ids in some]
        for request in requests:
            decoder.submit(request)
        return [one.ids for one in await gather(*(request.future for request in requests))]

    together = run(ask(prompts()), decoder.step)
    apart = [run(ask([prompt]), decoder.step)[0] for prompt in prompts()]
    how = "one at a time" if decoder.one_at_a_time else "padded"
    return how if together == apart else f"WRONG: {how}: {together} for {apart}"


def judge(name: str, rope: str | None) -> dict[str, str]:
    """What became of a type: `build` where it cannot be built small, else what each decoder does."""
    try:
        model = build(name, rope)
    except Exception as error:
        return {
            "build": f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"
        }
    verdicts = {"dense": tree_verdict(model, "dense")}
    if verdicts["dense"] == "exact" and rope is None:
        verdicts["cascade"] = tree_verdict(model, "cascade")
    if rope in (None, "dynamic", "longrope"):
        verdicts["hf"] = hf_verdict(model)
    return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES if os.environ.get("BRANCHWISE_EVERY") else NAMES[::8])
def test_all_types_are_exact_or_refused(name: str) -> None:
    found: dict[str, dict[str, str]] = {}
    for rope in (None, *ROPES):
        found[rope or "as it is"] = judge(name, rope)
        if rope is None and "build" in found["as it is"]:
            break
    if folder := os.environ.get("BRANCHWISE_TYPES"):
        (Path(folder) / f"{name}.json").write_text(json.dumps(found, indent=1))
    wrong = {rope: v for rope, v in found.items() if any("WRONG" in said for said in v.values())}
    assert not wrong
    if "build" in found["as it is"]:
        pytest.skip(f"cannot be built small: {found['as it is']['build']}")
