"""vLLM as a decoder: every call that is made fits the pinned version, and what comes back is read right.

There is no vLLM for a CPU on the package index, so its engine is played by transformers; the names that
it is called by are those of the wheel (`vllm_signatures.json`, read off vLLM 0.33.0).
"""

import importlib
import inspect
import json
import sys
from dataclasses import fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from branchwise.cells.runner import GroupRunner
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.vllm import VllmEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.errors import UserError
from branchwise.prompts.style import PromptStyle
from branchwise.strategies import load

GROUPS = list(make_groups(WorldsSpec(kinds=("two_hop",), num_groups=2, group_size=3)))
SIGNATURES: dict[str, Any] = json.loads(Path(__file__).with_name("vllm_signatures.json").read_text())


def strict(name: str, *more: str) -> Any:
    """A record that takes what the class of this name takes, and nothing else."""
    allowed = [*SIGNATURES[name], *(field for other in more for field in SIGNATURES[other])]

    class Strict(SimpleNamespace):
        def __init__(self, *args: Any, **given: Any) -> None:
            given |= dict(zip(SIGNATURES[name], args, strict=False))
            unknown = set(given) - set(allowed)
            assert not unknown, f"{name} of vLLM {SIGNATURES['version']} takes no {sorted(unknown)}"
            super().__init__(**given)

    return Strict


class Engine:
    """Plays vLLM's engine: one request a step, by transformers."""

    def __init__(self, folder: str) -> None:
        self.model_config = SimpleNamespace(max_model_len=2048)
        self.loaded = ModelSource(ModelEntry(path=folder, device="cpu")).loaded
        self.queue: list[tuple[str, Any, Any]] = []
        self.aborted: list[str] = []

    def add_request(self, *args: Any, **given: Any) -> str:
        asked = strict("LLMEngine.add_request")(*args, **given)
        strict("TokensPrompt")(**asked.prompt)
        self.queue.append((asked.request_id, asked.prompt, asked.params))
        return asked.request_id

    def abort_request(self, request_ids: list[str]) -> None:
        self.aborted += request_ids
        self.queue = [one for one in self.queue if one[0] not in request_ids]

    def step(self) -> list[Any]:
        import torch

        name, prompt, params = self.queue.pop(0)
        ids = torch.tensor([prompt["prompt_token_ids"]])
        made = self.loaded.model.generate(
            ids, max_new_tokens=params.max_tokens, do_sample=False, eos_token_id=params.stop_token_ids
        )[0, ids.shape[1] :].tolist()
        ended = made[-1] in params.stop_token_ids
        output = strict("CompletionOutput")(
            index=0, text="", token_ids=made, finish_reason="stop" if ended else "length"
        )
        return [
            strict("RequestOutput")(
                request_id=name, outputs=[output], finished=True, num_cached_tokens=1 if self.queue else 0
            )
        ]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A module vllm; what `LLM` was made with."""
    made: list[Any] = []

    def llm(**given: Any) -> Any:
        made.append(strict("LLM", "EngineArgs")(**given))
        return SimpleNamespace(llm_engine=Engine(given["model"]))

    parts = {
        "vllm": {"LLM": llm, "SamplingParams": strict("SamplingParams"), "__version__": "0.33.0"},
        "vllm.sampling_params": {
            "StructuredOutputsParams": strict("StructuredOutputsParams"),
            "RequestOutputKind": SimpleNamespace(FINAL_ONLY=2),
        },
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": strict("LoRARequest")},
    }
    for name, content in parts.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        if "." in name:
            owner, _, last = name.rpartition(".")
            setattr(sys.modules[owner], last, module)
    return made


def source(root: Path, checkpoint: Path | None = None) -> ModelSource:
    return ModelSource(ModelEntry(path=str(root / "resources/models/tiny"), device="cpu"), checkpoint)


@pytest.mark.parametrize("strategy", ["all_in_one", "sequential", "batch"])
def test_it_is_asked_by_names_that_it_has_and_answers_as_transformers(
    root: Path, vllm: list[Any], strategy: str
) -> None:
    entry = VllmEntry(kind="vllm", max_context=2048, tensor_parallel=2, more={"quantization": None})
    ours = source(root)
    decoder = entry.make(ours)
    runner = GroupRunner(load(strategy), decoder, ours.chat, PromptStyle(), 8)
    theirs = source(root)
    known = GroupRunner(load(strategy), HFEntry(kind="hf").make(theirs), theirs.chat, PromptStyle(), 8)
    for group in GROUPS[:2]:
        made, wanted = runner.once(group), known.once(group)
        ids = [[ask.completion.ids for ask in timed.asks] for timed in (made, wanted)]
        assert ids[0] == ids[1]
        sent = [[ask.completion.tokens.sent for ask in timed.asks] for timed in (made, wanted)]
        assert sent[0] == sent[1]
    assert not ours.is_loaded  # the weights are vLLM's
    (made_with,) = vllm
    assert (made_with.enable_prefix_caching, made_with.tensor_parallel_size) == (True, 2)
    assert made_with.trust_remote_code is False


def test_a_form_a_ban_and_a_draw_are_said_in_its_words(root: Path, vllm: list[Any]) -> None:
    from branchwise.decoding.requests import Rules, Sampling

    decoder: Any = VllmEntry(kind="vllm").make(source(root))
    rules = Rules(8, Sampling(0.7, 5, 0.9, 0.1, 2**40), banned_ids=frozenset({7}), stop_texts=("x",))
    params = decoder._params(rules, "[AB]")
    assert params.structured_outputs.regex == "[AB]"
    assert params.logit_bias == {7: -100.0}
    assert (params.top_k, params.top_p, params.min_p, params.seed) == (5, 0.9, 0.1, 0)
    assert params.stop == ["x"]


def test_only_adapters_are_attached(root: Path, vllm: list[Any], tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    decoder: Any = VllmEntry(kind="vllm").make(source(root, tmp_path))
    assert decoder._lora.lora_path == str(tmp_path)
    assert (vllm[0].enable_lora, vllm[0].max_lora_rank) == (True, 4)


def test_without_it_there_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match="vllm cannot be imported"):
        VllmEntry(kind="vllm").make(source(root))


@pytest.mark.skipif(find_spec("vllm") is None, reason="vllm is not installed")
def test_the_signatures_are_those_of_the_installed_one() -> None:
    where = {"LLM": "vllm", "SamplingParams": "vllm.sampling_params", "LoRARequest": "vllm.lora.request"}
    for name, module in where.items():
        kind = getattr(importlib.import_module(module), name)
        if is_dataclass(kind):
            known = {field.name for field in fields(kind)}
        else:
            known = {*inspect.signature(kind).parameters} | {*getattr(kind, "__annotations__", {})}
        assert known >= set(SIGNATURES[name])
