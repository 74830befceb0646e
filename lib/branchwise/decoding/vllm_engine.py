"""vLLM's engine as a decoder: requests go into its scheduler, one step of it is one of ours.

Written against vLLM 0.33.0 (`tests/decoding/vllm_signatures.json` has what it is called with); it needs a
GPU and its own wheel, so it is imported when it is used.
"""

import time
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from branchwise.decoding.contract import Verb
from branchwise.decoding.forms import Form
from branchwise.decoding.loop import Driver
from branchwise.decoding.models.places import place_of
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import (
    Completion,
    Request,
    Rules,
    Sampling,
    StopReason,
    TokenCount,
    hand_over,
)
from branchwise.decoding.stops import StopTexts
from branchwise.decoding.trained.folder import ADAPTER, check_base, check_files, read_record
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.decoding.decoders.vllm import VllmEntry

BANNED = -100.0
"""A bias of the logits after which a token is not chosen."""
_ADAPTER_NUMBER = 1


@dataclass(eq=False)
class _Waiting:
    """A request that the engine has."""

    request: Request
    start_s: float
    first_step: int


class VllmDecoder:
    """Asks vLLM, in this process. Prompts go in as token ids, so they are those of every other decoder.

    Its arithmetic and its batches are its own: answers may differ from the tree decoder's where two
    tokens are all but equally likely. An adapter of a checkpoint is attached; heads and mixers are
    refused.
    """

    offers: frozenset[Verb] = frozenset({"ask"})
    max_groups: int | None = None
    kv_cache_bytes: int | None = None
    notes: tuple[str, ...] = ()
    sampling: Sampling | None = None
    form: Form | None = None
    follows_patterns = True

    def __init__(self, settings: "VllmEntry", source: ModelSource) -> None:
        vllm = _imported()
        self.settings = settings
        folder = place_of(source.entry).folder
        self._adapter = _adapter_of(source, folder)
        lora = {"enable_lora": True, "max_lora_rank": self._rank(source)} if self._adapter else {}
        entry = source.entry
        self._llm = vllm.LLM(
            model=str(folder),
            trust_remote_code=False,
            dtype=entry.dtype,
            seed=0,
            tensor_parallel_size=settings.tensor_parallel,
            gpu_memory_utilization=settings.memory_share,
            enforce_eager=settings.eager,
            enable_prefix_caching=settings.prefix_caching,
            **({"max_model_len": settings.max_context} if settings.max_context else {}),
            **lora,
            **settings.more,
        )
        self._engine = self._llm.llm_engine
        self._lora = None
        if self._adapter:
            self._lora = vllm.lora.request.LoRARequest("trained", _ADAPTER_NUMBER, self._adapter)
        self._vllm = vllm
        self.max_context = int(self._engine.model_config.max_model_len)
        # The tokenizer alone: the weights are vLLM's.
        self._stop_texts = StopTexts(source.tokenizer.tokenizer)
        self.stop_ids = source.tokenizer.turn_end_ids
        self.num_forward_passes = 0
        self._waiting: dict[str, _Waiting] = {}
        self._number = 0
        self._driver = Driver(self.step)

    @property
    def device(self) -> Any:
        """Where it computes."""
        import torch

        return torch.device("cuda")

    def attached(self) -> AbstractContextManager[None]:
        """Nothing: the model is its own."""
        return nullcontext()

    def synchronize(self) -> None:
        """Replies are whole when a step ends."""

    def facts(self) -> dict[str, Any]:
        """Its version, and what it shares."""
        return {"vllm": self._vllm.__version__, "prefix_caching": self.settings.prefix_caching}

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError for one with a hook."""
        if request.rules.hooks:
            raise UserError("decoder vllm offers no hooks", "use decoder tree for them")
        self._number += 1
        name = str(self._number)
        self._engine.add_request(
            name,
            {"prompt_token_ids": list(request.prompt_ids)},
            self._params(request.rules, request.pattern),
            lora_request=self._lora,
        )
        self._waiting[name] = _Waiting(request, time.perf_counter(), self.num_forward_passes)
        self._driver.watch(request.future.get_loop())

    def _params(self, rules: Rules, pattern: str | None) -> Any:
        """Rules in vLLM's words. Stop texts are looked for here, where tokens are known."""
        sampling, vllm = rules.sampling, self._vllm
        held = None
        if pattern is not None:
            held = vllm.sampling_params.StructuredOutputsParams(regex=pattern)
        drawn = {}
        if sampling.temperature:
            drawn = {"top_p": sampling.top_p, "top_k": sampling.top_k, "min_p": sampling.min_p}
            drawn |= {"seed": sampling.seed % 2**31}
        return vllm.SamplingParams(
            max_tokens=rules.max_new_tokens,
            temperature=sampling.temperature,
            **drawn,
            stop=list(rules.stop_texts) or None,
            stop_token_ids=sorted({*rules.stop_ids, *self.stop_ids}) or None,
            include_stop_str_in_output=True,
            logit_bias=dict.fromkeys(sorted(rules.banned_ids), BANNED) or None,
            structured_outputs=held,
            output_kind=vllm.sampling_params.RequestOutputKind.FINAL_ONLY,
        )

    def step(self) -> bool:
        """One step of the engine. False when nothing is queued."""
        if not self._waiting:
            return False
        try:
            outputs = self._engine.step()
        except BaseException as error:
            for waiting in self._waiting.values():
                hand_over(waiting.request.future, error)
            self._waiting = {}
            raise
        self.num_forward_passes += 1
        for output in outputs:
            if output.finished and output.request_id in self._waiting:
                self._give(self._waiting.pop(output.request_id), output)
        return True

    def _give(self, waiting: _Waiting, output: Any) -> None:
        request, (made, *_) = waiting.request, output.outputs
        if request.future.done():
            return
        ids = list(made.token_ids)
        if request.on_token is not None:
            for token in ids:
                request.on_token(token)
        stop: StopReason = "length" if made.finish_reason == "length" else "stop"
        cut = self._stop_texts.cut(ids, request.rules.stop_texts) if request.rules.stop_texts else None
        sent, cached = len(request.prompt_ids), int(output.num_cached_tokens or 0)
        request.future.set_result(
            Completion(
                ids=ids,
                stop="stop" if cut else stop,
                tokens=TokenCount(sent, sent - cached, cached, len(ids), 0),
                start_s=waiting.start_s,
                end_s=time.perf_counter(),
                num_steps=self.num_forward_passes - waiting.first_step,
                text=cut.text if cut else None,
                stop_text=cut.stop_text if cut else None,
            )
        )

    def close(self, group: Hashable) -> None:
        """Forget what is queued for `group`; its prompts may stay in the engine's prefix cache."""
        mine = [name for name, one in self._waiting.items() if one.request.group == group]
        if mine:
            self._engine.abort_request(mine)
        for name in mine:
            self._waiting.pop(name).request.future.cancel()

    @staticmethod
    def _rank(source: ModelSource) -> int:
        """The rank of an adapter; vLLM has to know the largest."""
        import json

        assert source.checkpoint is not None
        content = json.loads((source.checkpoint / ADAPTER[0]).read_text(encoding="utf-8"))
        return int(content["r"])


def _imported() -> Any:
    try:
        import vllm
        import vllm.lora.request
        import vllm.sampling_params
    except ImportError as error:
        raise UserError(
            f"vllm cannot be imported: {error}",
            "pip install 'branchwise[vllm]' on a machine with a GPU, or serve the model and use kind api",
        ) from None
    return vllm


def _adapter_of(source: ModelSource, model_folder: Path) -> str | None:
    """The folder of a checkpoint's adapter; None without a checkpoint.

    Raises UserError for a checkpoint with more than an adapter, and for a broken one.
    """
    folder = source.checkpoint
    if folder is None:
        return None
    record = read_record(folder)
    parts: Sequence[str] = ("adapter",) if record is None else record.parts
    if set(parts) != {"adapter"}:
        raise UserError(
            f"checkpoint {folder} holds {', '.join(parts)}, and vLLM attaches adapters alone",
            "use decoder tree for it",
        )
    check_base(folder, record, model_folder)
    check_files(folder, record)
    return str(folder)
