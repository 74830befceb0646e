"""The tree decoder's first version: isolated branches, shared prefixes, no barriers.

Every `step` is one forward pass over all tokens that are pending anywhere in the tree: prompt chunks
of branches that just began and the next token of every running branch, of all groups in flight.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from branchwise.decoding.attention import tree_attention
from branchwise.decoding.cache import TreeCache
from branchwise.decoding.kernels import KERNELS
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Completion, Request, Running, StopReason, TokenCount
from branchwise.decoding.step import TreeStep
from branchwise.decoding.stopping import max_context_of, stop_ids_of
from branchwise.decoding.tree import Node, TokenTree
from branchwise.errors import UserError


class _Branch(Running):
    """A running request with its place in the tree: the prompt's leaf, then what is generated."""

    leaf: Node
    tip: Node
    cached: int

    @property
    def waits_for_logits(self) -> bool:
        return self.tip.num_pending == 0


class _GroupState:
    """What the tree keeps for one group: its root, and the last finished branch.

    A finished branch leaves at once, unless nothing else of its group is running: then it lingers
    until the group's next prompts are in the tree, because the next turn of a conversation starts
    with exactly these tokens.
    """

    def __init__(self, root: Node) -> None:
        self.root = root
        self.num_running = 0
        self.lingering: Node | None = None


class TreeDecoder:
    """Decodes any number of prompts in one token tree, token-identical to separate prompts in fp32.

    `kernel` is how attention is computed (`dense`); `positions` how a child is placed (`path`: where
    its parent ends). `max_step_tokens` bounds one forward pass; longer prompts go in chunks.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any = None,
        kernel: str = "dense",
        positions: str = "path",
        max_step_tokens: int = 4096,
    ) -> None:
        for what, given, allowed in (("kernel", kernel, KERNELS), ("positions", positions, ["path"])):
            if given not in allowed:
                raise UserError(f"{what} is {given!r}", f"the tree decoder has: {', '.join(allowed)}")
        self.kernel = kernel
        self.model = model
        self.tokenizer = tokenizer
        self.device = model.device
        self.max_step_tokens = max_step_tokens
        self.max_context = max_context_of(model)
        self.stop_ids = stop_ids_of(model, tokenizer)
        self.tree = TokenTree(self.device)
        self.cache = TreeCache()
        self.num_forward_passes = 0
        self._groups: dict[object, _GroupState] = {}
        self._queue: list[Request] = []
        self._running: list[_Branch] = []
        self._attached = False

    # ----- the decoder protocol -----

    def submit(self, request: Request) -> None:
        """Queue a request. Raises UserError for an empty prompt or one beyond the context."""
        if not request.prompt_ids:
            raise UserError("the prompt is empty", "give at least one token")
        if request.max_new_tokens < 1:
            raise UserError(f"max_new_tokens is {request.max_new_tokens}", "give at least 1")
        self._queue.append(request)

    def step(self) -> bool:
        """One forward pass over everything pending. False when nothing is."""
        self._admit()
        if not self._running:
            return False
        with self.attached():
            self._forward()
        return True

    def close(self, group: object) -> None:
        """Drop all that is kept for `group`, branches that still run included."""
        self._queue = [request for request in self._queue if request.group is not group]
        for branch in [b for b in self._running if b.request.group is group]:
            self._running.remove(branch)
            self.tree.release(branch.tip)
        state = self._groups.pop(group, None)
        if state is not None:
            self._forget_lingering(state)
            self.tree.release(state.root)

    @property
    def slots_in_use(self) -> int:
        """Tokens that the tree holds now; zero when nothing is in flight."""
        return self.tree.slots.num_used

    # ----- use without strategies -----

    def complete(
        self, prompts: Sequence[Sequence[int] | str], max_new_tokens: int
    ) -> list[list[int]] | list[str]:
        """Continue every prompt greedily, all at once, sharing what they start with.

        Prompts are lists of token ids, or strings if the decoder has a tokenizer (used as they are,
        without a chat template); the result has the same form, without the stop token. Stops at the
        generation config's end-of-sequence ids.
        """
        texts = [isinstance(prompt, str) for prompt in prompts]
        if any(texts) and (self.tokenizer is None or not all(texts)):
            raise UserError(
                "prompts are strings, but there is no tokenizer, or not all of them are",
                "give a tokenizer to TreeDecoder, or lists of token ids only",
            )
        encoded = [
            self.tokenizer.encode(p, add_special_tokens=False) if isinstance(p, str) else list(p)
            for p in prompts
        ]
        completions = run(self._complete_all(encoded, max_new_tokens), self.step)
        ids = [[i for i in c.ids if i not in self.stop_ids] for c in completions]
        return [self.tokenizer.decode(one) for one in ids] if any(texts) else ids

    async def _complete_all(self, prompts: list[list[int]], max_new_tokens: int) -> list[Completion]:
        group = object()
        loop = asyncio.get_running_loop()
        requests = [Request(ids, max_new_tokens, group, loop.create_future()) for ids in prompts]
        for request in requests:
            self.submit(request)
        try:
            return list(await asyncio.gather(*(request.future for request in requests)))
        finally:
            self.close(group)

    # ----- inside a step -----

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The tree's attention, in the model for as long as the context lasts.

        Every step enters it by itself; entering it around many steps saves switching each time.
        """
        if self._attached:
            yield
            return
        with tree_attention(self.model, self.kernel):
            self._attached = True
            try:
                yield
            finally:
                self._attached = False

    def _admit(self) -> None:
        """Put all queued prompts into the tree, then let go of what no prompt went on from."""
        now = time.perf_counter()
        touched = []
        for request in self._queue:
            state = self._groups.get(request.group)
            if state is None:
                root = self.tree.add(())
                self.tree.hold(root)
                state = self._groups[request.group] = _GroupState(root)
            branch = _Branch(request, now)
            branch.leaf, branch.cached = self.tree.insert(state.root, request.prompt_ids)
            branch.tip = branch.leaf
            state.num_running += 1
            self._running.append(branch)
            touched.append(state)
        self._queue.clear()
        for state in touched:
            self._forget_lingering(state)

    def _forget_lingering(self, state: _GroupState) -> None:
        if state.lingering is not None:
            self.tree.release(state.lingering)
            state.lingering = None

    @torch.no_grad()
    def _forward(self) -> None:
        pending = self.tree.pending([b.tip for b in self._running], self.max_step_tokens)
        slots_N = self.tree.place(pending)
        self.cache.aim(slots_N, self.tree.slots.high)
        position_N = torch.tensor(pending.positions, device=self.device)
        step = TreeStep(self.tree, pending, slots_N, position_N)
        ready = [branch for branch in self._running if branch.waits_for_logits]
        last_row = {node: row for row, node in enumerate(pending.nodes)}
        rows = torch.tensor(
            [last_row[branch.tip] for branch in ready], dtype=torch.long, device=self.device
        )
        logits_RV = self.model(
            input_ids=torch.tensor([pending.tokens], device=self.device),
            position_ids=position_N[None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=rows,
            tree_step=step,
        ).logits[0]
        self.num_forward_passes += 1
        self._take(ready, logits_RV)

    def _take(self, ready: list[_Branch], logits_RV: Tensor) -> None:
        """Add each ready branch's next token; end those that are done."""
        tokens = logits_RV.argmax(-1).tolist()
        now = time.perf_counter()
        for branch in self._running:
            branch.num_steps += 1
        for branch, token in zip(ready, tokens, strict=True):
            stop = branch.take(token, self.stop_ids)
            if stop is not None:
                self._finish(branch, stop, now)
                continue
            if branch.tip is branch.leaf:
                branch.tip = self.tree.add((branch.leaf,))
                branch.tip.open_to_match = False
                self.tree.hold(branch.tip)
                self.tree.release(branch.leaf)
            branch.tip.tokens.append(token)

    def _finish(self, branch: _Branch, stop: StopReason, now: float) -> None:
        self._running.remove(branch)
        request = branch.request
        state = self._groups[request.group]
        state.num_running -= 1
        if state.num_running == 0:
            # What it generated may be matched from now on: the next turn repeats it.
            branch.tip.open_to_match = True
            state.lingering = branch.tip
        else:
            self.tree.release(branch.tip)
        sent = len(request.prompt_ids)
        tokens = TokenCount(sent, sent - branch.cached, branch.cached, len(branch.ids), 0)
        completion = Completion(branch.ids, stop, tokens, branch.start_s, now, branch.num_steps)
        if not request.future.done():
            request.future.set_result(completion)
