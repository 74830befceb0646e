"""The tree decoder: any tree of branches in one sequence, exact, without barriers.

Every `step` is one forward pass over all tokens that are pending anywhere in the tree: prompt chunks
of branches that just began and the next token of every running branch, of all groups in flight.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from branchwise.decoding.attention import tree_attention
from branchwise.decoding.branches import Branch, GroupState, Run
from branchwise.decoding.cache import TreeCache
from branchwise.decoding.diagnosis import first_nan
from branchwise.decoding.kernels import KERNELS
from branchwise.decoding.loop import run
from branchwise.decoding.plan import Plan
from branchwise.decoding.requests import Completion, Request, Rules, StopReason
from branchwise.decoding.sampling import choose, generator_of
from branchwise.decoding.step import TreeStep
from branchwise.decoding.stopping import max_context_of, stop_ids_of
from branchwise.decoding.tree import Node, Pending, TokenTree
from branchwise.errors import NotANumberError, UserError

Text = Sequence[int] | str
"""Token ids; or, for a decoder that has a tokenizer, a string (used as it is)."""


class TreeDecoder:
    """Decodes any tree of branches, token-identical to separate prompts in fp32.

    `kernel`: how attention is computed (see `branchwise.decoding.kernels`). `positions`: `path`, a
    child starts where its parent ends; `shared`, the children of one fork end at the same place.
    `max_step_tokens` bounds one forward pass; longer prompts go in chunks. `max_cache_tokens` bounds
    the tree: what does not fit waits.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any = None,
        kernel: str = "dense",
        positions: str = "path",
        max_step_tokens: int = 4096,
        max_cache_tokens: int | None = None,
    ) -> None:
        choices = (("kernel", kernel, tuple(KERNELS)), ("positions", positions, ("path", "shared")))
        for what, given, allowed in choices:
            if given not in allowed:
                raise UserError(f"{what} is {given!r}", f"the tree decoder has: {', '.join(allowed)}")
        self.kernel = kernel
        self.positions = positions
        self.model = model
        self.tokenizer = tokenizer
        self.device = model.device
        self.max_step_tokens = max_step_tokens
        self.max_cache_tokens = max_cache_tokens
        self.max_context = max_context_of(model)
        self.stop_ids = stop_ids_of(model, tokenizer)
        self.tree = TokenTree(self.device)
        self.cache = TreeCache()
        self.num_forward_passes = 0
        self.num_rows = 0
        self.peak_tokens = 0
        self._groups: dict[object, GroupState] = {}
        self._queue: list[Request] = []
        self._waiting: list[Run] = []
        self._running: list[Run] = []
        self._attached = False
        self._last: tuple[int, list[Node], Plan] | None = None

    # ----- the four verbs -----

    def open(self, prompt: Text, group: object = None) -> Branch:
        """A root branch: a prompt, computed once, sharing what it starts with inside its group."""
        ids = self._ids(prompt, "the prompt")
        state = self._state(group)
        leaf, cached = self.tree.insert(state.root, ids)
        return self._new_branch(group, leaf, cached)

    def fork(self, branch: Branch, texts: Sequence[Text]) -> list[Branch]:
        """Children that see their ancestors and not each other."""
        self._check_idle(branch)
        runs = [self._ids(text, "the text of a fork") for text in texts]
        longest = max(map(len, runs), default=0)
        children = []
        for ids in runs:
            shift = longest - len(ids) if self.positions == "shared" else 0
            node = self.tree.add((branch.tip,), ids, branch.tip.end + shift)
            self.tree.hold(node)
            children.append(self._new_branch(branch.group, node, branch.num_tokens))
        return children

    def join(self, branches: Sequence[Branch], text: Text) -> Branch:
        """A branch that sees all of the given branches, and starts where the farthest ends."""
        if not branches:
            raise UserError("join was given no branches", "give at least one")
        if len({id(branch.group) for branch in branches}) > 1:
            raise UserError("join was given branches of different groups", "join within one group")
        for branch in branches:
            self._check_idle(branch)
        ids = self._ids(text, "the text of a join")
        tips = tuple(dict.fromkeys(branch.tip for branch in branches))
        node = self.tree.add(tips, ids)
        self.tree.hold(node)
        joined = self._new_branch(branches[0].group, node, 0)
        joined.num_cached = joined.num_tokens - len(ids)
        return joined

    async def generate(
        self,
        branch: Branch,
        rules: Rules | int,
        on_token: Callable[[int], None] | None = None,
    ) -> Completion:
        """Append tokens to `branch` until a stop rule; a number is a budget of greedy tokens.

        The stop token itself does not stay in the branch.
        """
        self._check_idle(branch)
        if branch.tip.num_pending == 0:
            raise UserError(
                "the branch has ended and there is nothing to go on from", "fork it with some text first"
            )
        rules = Rules(rules) if isinstance(rules, int) else rules
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._start(branch, rules, future, on_token, is_ask=False)
        return await future

    def release(self, branch: Branch) -> None:
        """Let go of a branch; its tokens leave unless another branch inherits them."""
        state = self._groups.get(branch.group)
        if state is not None and branch in state.branches:
            state.branches.remove(branch)
            self.tree.release(branch.tip)

    # ----- the decoder protocol -----

    def submit(self, request: Request) -> None:
        """Queue a request: `open`, `generate` and `release` in one."""
        self._queue.append(request)

    def step(self) -> bool:
        """One forward pass over everything pending. False when nothing is."""
        had_work = bool(self._queue or self._waiting or self._running)
        self._admit()
        if self._running:
            with self.attached():
                self._forward()
        return had_work

    def close(self, group: object) -> None:
        """Drop all that is kept for `group`, branches that still run included."""
        self._queue = [request for request in self._queue if request.group is not group]
        for runs in (self._waiting, self._running):
            runs[:] = [r for r in runs if r.branch.group is not group]
        state = self._groups.pop(group, None)
        if state is not None:
            for branch in state.branches:
                self.tree.release(branch.tip)
            self.tree.release(state.root)

    @property
    def slots_in_use(self) -> int:
        """Tokens that the tree holds now; zero when nothing is in flight."""
        return self.tree.slots.num_used

    # ----- use without strategies -----

    def complete(self, prompts: Sequence[Text], max_new_tokens: int) -> list[list[int]] | list[str]:
        """Continue every prompt greedily, all at once, sharing what they start with.

        Prompts are lists of token ids, or strings if the decoder has a tokenizer (used as they are,
        without a chat template); the result has the same form, without the stop token. Stops at the
        generation config's end-of-sequence ids.
        """
        texts = [isinstance(prompt, str) for prompt in prompts]
        if any(texts) and not all(texts):
            raise UserError("only some of the prompts are strings", "give all as strings or as ids")
        encoded = [self._ids(prompt, "the prompt") for prompt in prompts]
        rules = Rules(max_new_tokens)
        completions = run(self._complete_all(encoded, rules), self.step)
        ids = [[i for i in c.ids if i not in self.stop_ids] for c in completions]
        return [self.tokenizer.decode(one) for one in ids] if any(texts) else ids

    async def _complete_all(self, prompts: list[list[int]], rules: Rules) -> list[Completion]:
        group = object()
        loop = asyncio.get_running_loop()
        requests = [Request(ids, rules, group, loop.create_future()) for ids in prompts]
        for request in requests:
            self.submit(request)
        try:
            return list(await asyncio.gather(*(request.future for request in requests)))
        finally:
            self.close(group)

    # ----- branches and groups -----

    def _ids(self, text: Text, what: str) -> list[int]:
        if isinstance(text, str):
            if self.tokenizer is None:
                raise UserError(
                    f"{what} is a string, but the decoder has no tokenizer",
                    "give a tokenizer to TreeDecoder, or lists of token ids only",
                )
            text = self.tokenizer.encode(text, add_special_tokens=False)
        if not len(text):
            raise UserError(f"{what} is empty", "give at least one token")
        return list(text)

    def _state(self, group: object) -> GroupState:
        state = self._groups.get(group)
        if state is None:
            root = self.tree.add(())
            self.tree.hold(root)
            state = self._groups[group] = GroupState(root)
        return state

    def _new_branch(self, group: object, tip: Node, cached: int) -> Branch:
        """A branch around a node that is held already."""
        branch = Branch(group, tip, cached)
        self._groups[group].branches.add(branch)
        return branch

    def _check_idle(self, branch: Branch) -> None:
        if branch.is_generating:
            raise UserError("the branch is still generating", "await generate() first")
        if branch.group not in self._groups or branch not in self._groups[branch.group].branches:
            raise UserError("the branch was released", "fork or join before you release it")

    def _start(self, branch: Branch, rules: Rules, future: Any, on_token: Any, is_ask: bool) -> None:
        if rules.stop_texts and self.tokenizer is None:
            raise UserError("stop texts need a tokenizer", "give one to TreeDecoder, or use stop_ids")
        branch.is_generating = True
        generating = Run(rules, 0.0, on_token, branch=branch, future=future, is_ask=is_ask)
        generating.generator = generator_of(rules)
        generating.num_sent = branch.num_tokens
        self._waiting.append(generating)

    # ----- admission -----

    def _admit(self) -> None:
        """Put queued prompts into the tree, let go of what no prompt went on from, and let as many
        branches run as the memory allows, those of groups that run already first.
        """
        touched = []
        for request in self._queue:
            branch = self.open(request.prompt_ids, request.group)
            self._start(branch, request.rules, request.future, request.on_token, is_ask=True)
            touched.append(self._groups[request.group])
        self._queue.clear()
        for state in touched:
            self._forget_lingering(state)
        while self._waiting:
            self._admit_what_fits()
            if self._running or not self._waiting:
                return
            # Nothing runs and nothing fits: give up what was kept in case it is of use, then a branch.
            lingering = [state for state in self._groups.values() if state.lingering is not None]
            for state in lingering:
                self._forget_lingering(state)
            if not lingering:
                self._refuse(self._waiting[0])

    def _admit_what_fits(self) -> None:
        self._waiting.sort(key=lambda r: self._groups[r.branch.group].num_running == 0)
        budget = self.max_cache_tokens
        reserved = self._reserved() if budget is not None else 0
        while self._waiting:
            if budget is not None:
                reserved += self._need(self._waiting[0])
                if reserved > budget:
                    return
            self._let_run(self._waiting.pop(0))

    def _let_run(self, waiting: Run) -> None:
        waiting.start_s = time.perf_counter()
        self._running.append(waiting)
        self._groups[waiting.branch.group].num_running += 1

    def _need(self, waiting: Run) -> int:
        """Slots that a branch can come to take, over those that others have reserved."""
        nodes = (waiting.branch.tip, *waiting.branch.tip.ancestors())
        planned = {node for r in self._running for node in (r.branch.tip, *r.branch.tip.ancestors())}
        return waiting.num_to_come + sum(n.num_pending for n in nodes if n not in planned)

    def _reserved(self) -> int:
        """Slots in use, and those that running branches can come to take."""
        nodes = {n for r in self._running for n in (r.branch.tip, *r.branch.tip.ancestors())}
        to_come = sum(r.num_to_come for r in self._running)
        return self.slots_in_use + to_come + sum(node.num_pending for node in nodes)

    def _refuse(self, waiting: Run) -> None:
        """Nothing runs, and the next branch does not fit: it never will."""
        self._waiting.remove(waiting)
        need, held = self._need(waiting), self.slots_in_use
        self._end(waiting)
        waiting.future.set_exception(
            UserError(
                f"a branch needs {need} tokens of cache beside {held} that its group holds, "
                f"over the budget of {self.max_cache_tokens}",
                "raise max_cache_tokens, or lower max_new_tokens",
            )
        )

    def _forget_lingering(self, state: GroupState) -> None:
        if state.lingering is not None:
            self.release(state.lingering)
            state.lingering = None

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

    @torch.no_grad()
    def _forward(self) -> None:
        tips = [r.branch.tip for r in self._running if r.logits_V is None]
        version = self.tree.version
        pending = self.tree.pending(tips, self.max_step_tokens)
        slots_N = self.tree.place(pending)
        self.cache.aim(slots_N, self.tree.slots.high)
        position_N = torch.tensor(pending.positions, device=self.device)
        plan = self._plan_from_before(version, pending, slots_N)
        step = TreeStep(self.tree, pending, slots_N, position_N, plan)
        last_row = {node: row for row, node in enumerate(pending.nodes)}
        ready = [
            r
            for r in self._running
            if r.logits_V is None and r.branch.tip in last_row and not r.branch.tip.num_pending
        ]
        rows = [last_row[r.branch.tip] for r in ready]
        inputs = {
            "input_ids": torch.tensor([pending.tokens], device=self.device),
            "position_ids": position_N[None],
            "past_key_values": self.cache,
            "use_cache": True,
            "logits_to_keep": torch.tensor(rows, dtype=torch.long, device=self.device),
            "tree_step": step,
        }
        logits_RV = self._logits(inputs, pending)
        self.num_forward_passes += 1
        self.num_rows += len(pending.tokens)
        self.peak_tokens = max(self.peak_tokens, self.slots_in_use)
        every_row_ends = len(rows) == len(pending.tokens)
        keeps = every_row_ends and self.kernel == "cascade"
        self._last = (version, pending.nodes, step.plan) if keeps else None
        for generating in self._running:
            generating.num_steps += 1
        for generating, logits_V in zip(ready, logits_RV, strict=True):
            generating.logits_V = None if generating.future.done() else logits_V
        self._choose()

    def _logits(self, inputs: dict[str, Any], pending: Pending) -> Tensor:
        """Logits of the rows that are asked for, fp32 (R, V).

        Where they are not numbers, the groups that brought this about are failed, and the others'
        are computed without them.
        """
        logits_RV = self.model(**inputs).logits[0].float()
        if not bool(logits_RV.isnan().any()):
            return logits_RV
        where, rows = first_nan(self.model, inputs)
        roots = {pending.nodes[row].root_id for row in rows}
        for generating in [r for r in self._running if r.branch.tip.root_id in roots]:
            self._fail(generating, where)
        sound = [row for row, node in enumerate(pending.nodes) if node.root_id not in roots]
        if sound:
            ids = inputs["input_ids"].clone()
            ids[0, sorted(rows)] = int(ids[0, sound[0]])
            logits_RV = self.model(**(inputs | {"input_ids": ids})).logits[0].float()
        self.cache.clear_nan()
        return logits_RV

    def _plan_from_before(self, version: int, pending: Pending, slots_N: Tensor) -> Plan | None:
        """The last step's plan, grown by one key a row; None where more than that has changed."""
        if self._last is None or self._last[:2] != (version, pending.nodes):
            return None
        plan = self._last[2]
        if plan.alone is None or len(plan.alone.keys_RL) != len(slots_N):
            return None
        return plan._replace(alone=plan.alone.grown(slots_N))

    def _choose(self) -> None:
        """The next token of every branch that has its logits and waits for nobody of its hook."""
        sets: dict[int, list[Run]] = {}
        for generating in self._running:
            if generating.logits_V is not None:
                sets.setdefault(id(generating.rules.hook), []).append(generating)
        now = time.perf_counter()
        for members in sets.values():
            hook = members[0].rules.hook
            if hook is not None and len(members) < hook.lockstep:
                continue
            logits_RV = torch.stack([member.logits_V for member in members])
            if hook is not None:
                logits_RV = hook.change([member.ids for member in members], logits_RV)
            rules = [member.rules for member in members]
            tokens = choose(logits_RV, rules, [member.generator for member in members])
            for member, token in zip(members, tokens, strict=True):
                member.logits_V = None
                self._take(member, token, now)

    def _take(self, generating: Run, token: int, now: float) -> None:
        """Add a branch's next token, or end it."""
        stop = generating.take(token, self.stop_ids)
        text = None
        if stop != "stop" and generating.rules.stop_texts:
            text = self._text_before_stop(generating)
            stop = "stop" if text is not None else stop
        branch = generating.branch
        ends_here = stop == "stop" and text is None
        if not ends_here:
            if not generating.has_tip:
                tip = self.tree.add((branch.tip,))
                tip.open_to_match = False
                self.tree.hold(tip)
                self.tree.release(branch.tip)
                branch.tip = tip
                generating.has_tip = True
            branch.tip.tokens.append(token)
        if stop is not None:
            self._finish(generating, stop, now, text)

    def _text_before_stop(self, generating: Run) -> str | None:
        """The answer up to its first stop text; None where it holds none yet."""
        text = self.tokenizer.decode(generating.ids, skip_special_tokens=True)
        found = [text.index(stop) for stop in generating.rules.stop_texts if stop in text]
        return text[: min(found)] if found else None

    def _end(self, generating: Run) -> None:
        """The branch generates no longer; the branch of an ask leaves or lingers."""
        branch = generating.branch
        branch.is_generating = False
        branch.tip.open_to_match = True
        state = self._groups[branch.group]
        if generating in self._running:
            self._running.remove(generating)
            state.num_running -= 1
        if generating.is_ask:
            if state.num_running == 0:
                state.lingering = branch
            else:
                self.release(branch)

    def _fail(self, generating: Run, where: str) -> None:
        """End a branch whose logits are not numbers; every other group goes on."""
        self._end(generating)
        number = generating.num_sent + len(generating.ids)
        generating.future.set_exception(
            NotANumberError(
                f"the logits after token {number} of a branch of group {generating.branch.group} "
                f"are not numbers, first in {where}",
                "check the weights and the dtype (float32 rules out an overflow)",
            )
        )

    def _finish(self, generating: Run, stop: StopReason, now: float, text: str | None) -> None:
        completion = generating.completion(stop, now, text)
        self._end(generating)
        if not generating.future.done():
            generating.future.set_result(completion)
