"""What the decoder finds out before it starts: exactness, the fastest kernel, packed weights."""

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from branchwise import TreeDecoder
from branchwise.decoding.attention.dense import Dense
from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.models import exactness, known
from branchwise.errors import UserError
from tests.architectures import BUILDERS, greedy, model_of

SMALL = {
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "eos_token_id": 7,
    "pad_token_id": 0,
    "initializer_range": 0.25,
}


def unknown(name: str, **more: object):
    torch.manual_seed(0)
    config = CONFIG_MAPPING[name](**{**SMALL, **more})
    return AutoModelForCausalLM.from_config(config).eval()


def test_every_architecture_of_the_tests_is_known_and_no_other() -> None:
    assert {architecture for architecture, _ in BUILDERS.values()} == known.KNOWN_EXACT


@pytest.mark.parametrize("name", ["gpt2", "starcoder2"])
@pytest.mark.parametrize("kernel", ["dense", "cascade", "fused"])
def test_an_unknown_architecture_may_pass_the_check(name: str, kernel: str) -> None:
    model = unknown(name, **({"n_embd": 48, "n_head": 4, "n_layer": 2} if name == "gpt2" else {}))
    prompts = [[9, 10, 11, 12], [9, 10, 11, 20, 21], [30]]
    decoder = TreeDecoder(model, kernel=kernel)
    assert decoder.complete(prompts, 5) == [greedy(model, prompt, 5) for prompt in prompts]
    assert any(key[0] == kernel for key in exactness._exact)


@pytest.mark.parametrize("kernel", ["dense", "cascade", "fused"])
def test_keys_that_are_made_anew_from_the_cache_are_gathered_anew(kernel: str) -> None:
    """DeepSeek's layers expand what the cache holds: one address, other keys in every layer."""
    ranks = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8}
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
    model = unknown(
        "deepseek_v3",
        **ranks,
        **experts,
        v_head_dim=8,
        num_hidden_layers=3,
        first_k_dense_replace=3,
        num_key_value_heads=4,
        moe_intermediate_size=16,
    )
    prompts = [[*range(9, 40), 50 + index] for index in range(4)]
    decoder = TreeDecoder(model, kernel=kernel)
    assert decoder.complete(prompts, 10) == [greedy(model, prompt, 10) for prompt in prompts]


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [
        ("bloom", {"n_layer": 2, "n_head": 4}, "does not take its attention from transformers"),
        (
            "gpt_oss",
            {"head_dim": 12, "num_local_experts": 2, "num_experts_per_tok": 1},
            "attention sinks are not supported",
        ),
        ("mamba", {"state_size": 4}, "layers of type linear_attention"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}},
            "depend on the longest prompt of a step",
        ),
    ],
)
def test_an_architecture_that_would_be_wrong_is_refused(name: str, more: dict, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        TreeDecoder(unknown(name, **more), kernel="dense")
    assert "decoder hf" in str(caught.value)


# ----- beyond the self-test's length, and in states that nobody has checked -----


@pytest.mark.parametrize("window", [9, 300, 100_000])
def test_a_window_that_only_a_mask_knows_is_refused(window: int) -> None:
    """qwen2_moe hands its window to no attention: wrong beyond it, in every kernel."""
    more = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32}
    more |= {"shared_expert_intermediate_size": 32, "use_sliding_window": True, "max_window_layers": 2}
    model = unknown("qwen2_moe", sliding_window=window, num_key_value_heads=2, **more)
    with pytest.raises(UserError, match="failed the exactness check"):
        TreeDecoder(model, kernel="dense")
    assert model.config.sliding_window == window


def test_a_window_that_attention_knows_is_exact_beyond_it() -> None:
    model = unknown("starcoder2", sliding_window=300, num_key_value_heads=2)
    prompts = [[9 + i % 80 for i in range(420)] + [8 + j] for j in range(3)]
    decoder = TreeDecoder(model, kernel="cascade")
    assert decoder.complete(prompts, 4) == [greedy(model, prompt, 4) for prompt in prompts]
    assert model.config.sliding_window == 300


@pytest.mark.filterwarnings("ignore")
def test_a_known_type_that_was_modified_is_checked() -> None:
    """Dynamic quantisation scales by what else is in the step: known types once were not looked at."""
    model = unknown("llama", num_hidden_layers=2)
    model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    with pytest.raises(UserError, match="failed the exactness check"):
        TreeDecoder(model, kernel="dense")


def test_a_modified_model_is_checked_though_its_configuration_passed_before(monkeypatch) -> None:
    monkeypatch.setattr(known, "KNOWN_EXACT", frozenset())
    model = unknown("llama", num_hidden_layers=2)
    TreeDecoder(model, kernel="dense")
    mlp = model.model.layers[0].mlp
    plain = mlp.forward
    # Depends on all rows of a step.
    mlp.forward = lambda hidden: plain(hidden) * hidden.std()
    with pytest.raises(UserError, match="failed the exactness check"):
        TreeDecoder(model, kernel="dense")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_only_a_dtype_that_was_checked_skips_the_check(dtype, monkeypatch) -> None:
    seen = []
    difference = exactness._difference
    monkeypatch.setattr(exactness, "_difference", lambda *args: seen.append(1) or difference(*args))
    monkeypatch.setattr(exactness, "_exact", set())
    TreeDecoder(unknown("qwen2", num_key_value_heads=2).to(dtype), kernel="dense")
    assert bool(seen) == (dtype == torch.bfloat16)


def test_few_positions_are_enough_for_the_check_and_refuse_what_is_longer() -> None:
    """gpt2 with 48 positions: the check once was longer than the model."""
    model = unknown("gpt2", n_embd=48, n_head=4, n_layer=2, n_positions=48)
    decoder = TreeDecoder(model, kernel="dense")
    short, long, also = decoder.complete_groups([[[9, 10]], [[9] * 47], [[9, 11]]], 4)
    assert short == [greedy(model, [9, 10], 4)]
    assert also == [greedy(model, [9, 11], 4)]
    assert "47 tokens and 4 new ones exceed the model's context of 48" in str(long)


def test_auto_takes_a_kernel_that_it_timed() -> None:
    decoder = TreeDecoder(model_of("qwen3"))
    assert decoder.kernel in KERNELS
    # A mask over all is for few branches: steps of many go by the cascade.
    fastest = "dense" if decoder.kernel == "mixed" else decoder.kernel
    assert decoder.self_test[fastest] == min(decoder.self_test.values())
    assert "flex" not in decoder.self_test  # not compiled on a CPU


@pytest.mark.parametrize("products", ["auto", "rows", "onednn"])
def test_all_products_give_the_same_tokens(products: str) -> None:
    model = model_of("llama")
    prompts = [[9, 10, 11, 12 + i] for i in range(5)]
    plain = TreeDecoder(model, products="plain").complete(prompts, 6)
    assert TreeDecoder(model, products=products).complete(prompts, 6) == plain
    assert all("forward" not in vars(module) for module in model.modules())


def test_a_flash_backend_is_refused_with_the_reason() -> None:
    with pytest.raises(UserError, match="flash attention takes no mask"):
        TreeDecoder(model_of("llama"), kernel="flash_attention_2")


def test_a_difference_is_found_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose attention the tree would get wrong: here the kernel is made to be wrong."""

    attend = Dense._attend
    monkeypatch.setattr(Dense, "_attend", lambda *args: attend(*args) * 1.01)
    monkeypatch.setattr(known, "KNOWN_EXACT", frozenset())
    monkeypatch.setattr(exactness, "_exact", set())
    with pytest.raises(UserError, match="failed the exactness check"):
        TreeDecoder(model_of("llama"), kernel="dense")
    monkeypatch.undo()
    assert TreeDecoder(model_of("llama"), kernel="dense").complete([[9]], 1)


def test_a_decoder_follows_the_weights() -> None:
    model = unknown("llama", num_hidden_layers=2)
    prompts = [[9, 10, 11, 12 + i] for i in range(4)]
    decoder = TreeDecoder(model, kernel="dense", products="rows")
    decoder.complete(prompts, 4)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(-1)
    plain = TreeDecoder(model, kernel="dense", products="plain")
    assert decoder.complete(prompts, 4) == plain.complete(prompts, 4)
