"""The reference that everyone knows: `transformers` `generate` on a left-padded batch."""

import time
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from branchwise.decoding.checks import check_reach, check_rules
from branchwise.decoding.contract import Verb
from branchwise.decoding.loop import Driver
from branchwise.decoding.models.facts import max_context_of, stop_ids_of, synchronize
from branchwise.decoding.models.ignored import ignored_note, ignored_settings
from branchwise.decoding.models.padding import padding_problem
from branchwise.decoding.models.usable import check_mode, check_usable
from branchwise.decoding.requests import (
    Completion,
    Request,
    Running,
    Sampling,
    StopReason,
    TokenCount,
    hand_over,
)
from branchwise.decoding.sampling import choose, generator_of
from branchwise.decoding.seat import seat_of
from branchwise.decoding.stops import Cut, StopTexts
from branchwise.errors import NotANumberError, UserError

if TYPE_CHECKING:
    from branchwise.decoding.forms import Form


class _End(NamedTuple):
    """How a row ended, when, and where a stop text cut it."""

    stop: StopReason
    end_s: float
    cut: Cut | None = None


class _Watch(StoppingCriteria):
    """Reads along: notes each row's tokens and when its last one was known.

    A row ends, too, when its listener fails (its error is kept) or when nobody waits for it any more.
    """

    def __init__(
        self,
        requests: list[Request],
        rows: list[Running],
        stop_ids: frozenset[int],
        stop_texts: StopTexts,
    ) -> None:
        self.requests = requests
        self.rows = rows
        self.stop_ids = stop_ids
        self.stop_texts = stop_texts
        self.ends: list[_End | Exception | None] = [None] * len(rows)
        self.num_steps = 0

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        self.num_steps += 1
        now = time.perf_counter()
        for index, token in enumerate(input_ids[:, -1].tolist()):
            if self.ends[index] is None:
                self.ends[index] = self._end(index, token, now)
        done = [end is not None for end in self.ends]
        return torch.tensor(done, device=input_ids.device)

    def _end(self, index: int, token: int, now: float) -> _End | Exception | None:
        """How a row ends with a new token; None where it goes on."""
        row = self.rows[index]
        row.num_steps = self.num_steps
        # What goes wrong in one row's listener is handed to whoever waits for that row.
        try:
            stop = row.add(token, self.stop_ids)
            stop, cut = self.stop_texts.end(row.ids, stop, row.rules.stop_texts)
        except Exception as error:
            return error
        if self.requests[index].future.done():
            return _End("length", now)
        return None if stop is None else _End(stop, now, cut)


class _Pick(LogitsProcessor):
    """Leaves each row the one token that the tree decoder would choose from the same logits."""

    def __init__(self, watch: _Watch) -> None:
        self.watch = watch
        self.generators = [generator_of(row.rules) for row in watch.rows]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        # A row that has ended draws nothing more: what `generate` adds to it is padding.
        open_ones = [index for index, end in enumerate(self.watch.ends) if end is None]
        logits_RV = scores[open_ones]
        if bool(logits_RV.isnan().any()):
            raise NotANumberError(
                "the logits that transformers computed are not numbers",
                "check the weights and the dtype (float32 rules out an overflow)",
            )
        rules = [self.watch.rows[index].rules for index in open_ones]
        tokens = choose(logits_RV, rules, [self.generators[index] for index in open_ones])
        scores = scores.clone()
        scores[open_ones] = -torch.inf
        scores[open_ones, tokens] = 0.0
        return scores


class HFDecoder:
    """Everything that waits at the same moment becomes one left-padded batch for `generate`.

    Tokens are chosen by the request's rules, by the code that the tree decoder chooses by, whatever the
    model's own generation config says (its penalties and sampling would make answers differ from every
    other decoder's). Hooks are refused. Nothing is shared between prompts or kept between
    batches, so `cached` is always zero. Where a padded batch gives other answers than a prompt alone,
    prompts are asked one at a time, and `one_at_a_time` says why.
    """

    offers: frozenset[Verb] = frozenset({"ask"})
    max_groups: int | None = 1  # what a group's prompts are padded to is its own affair
    kv_cache_bytes: int | None = None
    sampling: Sampling | None = None
    form: "Form | None" = None

    def __init__(self, model: PreTrainedModel, tokenizer: Any = None) -> None:
        check_usable(model)
        self.model = model
        self.tokenizer = tokenizer
        self.max_context = max_context_of(model)
        self.stop_ids = stop_ids_of(model, tokenizer)
        pad = getattr(tokenizer, "pad_token_id", None)
        self.pad_id = pad if pad is not None else min(self.stop_ids, default=0)
        self.num_forward_passes = 0
        self._stop_texts = StopTexts(tokenizer)
        self._queue: list[Request] = []
        self._seat = seat_of(model)
        self._driver = Driver(self.step)
        self.ignored = ignored_settings(model)
        with self.attached():
            self.one_at_a_time = padding_problem(model, self.pad_id)
        reason = self.one_at_a_time
        alone = (f"prompts are asked one at a time: {reason}",) if reason else ()
        self.notes = (*alone, *ignored_note(self.ignored))

    def attached(self) -> AbstractContextManager[None]:
        """A neutral generation config in place of the model's own for as long as this lasts.

        `generate` fills every value that a call leaves open from the model's config, so a repetition
        penalty set there (Qwen2.5 ships 1.05) would silently change greedy answers.
        """
        return self._seat.taken(self._changes)

    @contextmanager
    def _changes(self) -> Iterator[None]:
        check_mode(self.model)
        before = self.model.generation_config
        self.model.generation_config = GenerationConfig()
        try:
            yield
        finally:
            self.model.generation_config = before

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.device

    def facts(self) -> dict[str, Any]:
        """How prompts that wait together are asked, and what the model's own config says in vain."""
        return {
            "resolved_batching": "one at a time" if self.one_at_a_time else "padded batch",
            "ignored_generation_config": self.ignored,
        }

    def synchronize(self) -> None:
        """Wait until the device has done what it was given."""
        synchronize(self.device)

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError for one with a hook, or other rules that it cannot follow."""
        if request.rules.hooks:
            raise UserError(
                "decoder hf offers no hooks: nothing changes its logits", "use decoder tree for them"
            )
        check_rules(request.rules, self.model, self.tokenizer)
        check_reach(len(request.prompt_ids), request.rules, self.max_context)
        self._queue.append(request)
        self._driver.watch(request.future.get_loop())

    def close(self, group: Hashable) -> None:
        """Forget what is queued for `group`; nothing else is kept."""
        for request in self._queue:
            if request.group == group:
                request.future.cancel()
        self._queue = [request for request in self._queue if request.group != group]

    def step(self) -> bool:
        """Answer everything that is queued. False when nothing is."""
        requests = [request for request in self._queue if not request.future.done()]
        self._queue = []
        if not requests:
            return False
        batches = [requests] if self.one_at_a_time is None else [[one] for one in requests]
        try:
            with self.attached():
                for batch in batches:
                    self._answer(batch)
        except BaseException as error:
            for request in requests:
                hand_over(request.future, error)
            raise
        return True

    def _padded(self, requests: list[Request]) -> tuple[Tensor, Tensor]:
        """Prompts padded on the left: ids and attention mask, int64 (B, T)."""
        longest = max(len(request.prompt_ids) for request in requests)
        ids, mask = [], []
        for request in requests:
            padding = longest - len(request.prompt_ids)
            ids.append([self.pad_id] * padding + request.prompt_ids)
            mask.append([0] * padding + [1] * len(request.prompt_ids))
        device = self.model.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

    @torch.inference_mode()
    def _answer(self, requests: list[Request]) -> None:
        start = time.perf_counter()
        ids_BT, mask_BT = self._padded(requests)
        rows = [Running(request.rules, start, request.on_token) for request in requests]
        watch = _Watch(requests, rows, self.stop_ids, self._stop_texts)
        # Greedy rows without bans are left to `generate` itself: it is the reference.
        is_plain = all(not row.rules.sampling.temperature and not row.rules.banned_ids for row in rows)
        config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(request.rules.max_new_tokens for request in requests),
            eos_token_id=sorted(self.stop_ids) or None,
            pad_token_id=self.pad_id,
        )
        # PreTrainedModel itself does not declare `generate`; the models that get here have it.
        cast(Any, self.model).generate(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([watch]),
            logits_processor=LogitsProcessorList([] if is_plain else [_Pick(watch)]),
        )
        self.num_forward_passes += watch.num_steps
        for request, row, end in zip(requests, rows, watch.ends, strict=True):
            assert end is not None, "generate returned before every row had ended"
            if request.future.done():
                continue
            if isinstance(end, Exception):
                request.future.set_exception(end)
                continue
            sent = len(request.prompt_ids)
            padding = ids_BT.shape[1] - sent + watch.num_steps - len(row.ids)
            tokens = TokenCount(sent, sent, 0, len(row.ids), padding)
            said = (end.cut.text, end.cut.stop_text) if end.cut else (None, None)
            completion = Completion(
                row.ids, end.stop, tokens, row.start_s, end.end_s, row.num_steps, *said
            )
            request.future.set_result(completion)
