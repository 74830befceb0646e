"""The tree engine: any tree of branches in one sequence, exact, without barriers.

Every `step` is one forward pass over all tokens that are pending anywhere in the tree: prompt chunks
of branches that just began and the next token of every running branch, of all groups in flight.
"""

import asyncio
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, get_args

from transformers import PreTrainedModel

from branchwise.decoding.attention.fused import why_not_fused
from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.branches import Branch, Run
from branchwise.decoding.checks import (
    check_choices,
    check_reach,
    check_rules,
    check_together,
    checked_options,
    offered,
)
from branchwise.decoding.forward import ForwardPass
from branchwise.decoding.held.positions import starts_of
from branchwise.decoding.held.tree import Node, TokenTree
from branchwise.decoding.loop import Driver
from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.models.exactness import check_exactness
from branchwise.decoding.models.facts import max_context_of, stop_ids_of, synchronize
from branchwise.decoding.models.ignored import ignored_note, ignored_settings
from branchwise.decoding.models.speed import fastest_kernel
from branchwise.decoding.models.text import continuation_ids_of, prompt_ids_of
from branchwise.decoding.models.usable import check_usable
from branchwise.decoding.options import Layout, layout_of
from branchwise.decoding.requests import Completion, Request, Rules, Sampling, hand_over
from branchwise.decoding.sampling import generator_of
from branchwise.decoding.scheduler import Scheduler
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.decoding.forms import Form

Text = Sequence[int] | str
"""Token ids; or, for a decoder that has a tokenizer, a string. A prompt's string becomes what the
tokenizer makes of it, a beginning-of-text token included; that of a fork or join becomes what continues
a text, nothing added (see `branchwise.decoding.models.text`)."""


class TreeEngine:
    """Decodes any tree of branches, token-identical to separate prompts in fp32, but for branches that a
    hook puts `together`: these mix, or peek at each other.

    Options are those of `branchwise.decoding.options.TreeOptions`, by name; `options` holds them, and
    `kernel` and `product_layout` what was chosen where they leave it open. With `mixing`, the mixers of a
    trained model, it offers to mix.

    One thread at a time: verbs and steps wait for each other. An error that leaves `step`, an interrupt
    among them, ends all that is in flight and leaves the engine empty and usable.
    """

    max_groups: int | None = None  # prompts are shared inside a group only
    sampling: Sampling | None = None
    form: "Form | None" = None

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any = None,
        mixing: Mixing | None = None,
        **options: Any,
    ) -> None:
        self.options = checked_options(options)
        check_usable(model)
        self.self_test: dict[str, float] = {}
        kernel: str = self.options.kernel
        if kernel == "auto":
            kernel, self.self_test = fastest_kernel(model)
        if kernel == "fused" and (why := why_not_fused(model)):
            raise UserError(f"kernel fused cannot be used here: {why}", "use kernel auto or cascade")
        check_exactness(model, kernel, self.options.products)
        self.kernel = kernel
        self.model = model
        self.tokenizer = tokenizer
        self.device = model.device
        self.max_context = max_context_of(model)
        self.stop_ids = stop_ids_of(model, tokenizer)
        self.ignored = ignored_settings(model)
        self.notes = ignored_note(self.ignored)
        self.grid = self.options.grid if self.options.positions.startswith("grid2d") else None
        self.tree = TokenTree(self.device)
        self.offers = offered(self.options, kernel, mixing)
        self._forward = ForwardPass(model, self.tree, kernel, self.options, mixing)
        self._scheduler = self._new_scheduler()
        self._queue: list[Request] = []
        self._num_branches = 0
        self._mutex = threading.RLock()
        self._driver = Driver(self.step)

    # ----- the four verbs -----

    def open(self, prompt: Text, group: Hashable = None, num_shared: int = 0) -> Branch:
        """A root branch: a prompt, computed once, sharing what it starts with inside its group.

        Its first `num_shared` tokens are computed once for all groups, and kept (see
        `branchwise.decoding.held.shared`). Raises UserError where that is all of the prompt.
        """
        ids = self._ids(prompt, "the prompt", prompt_ids_of)
        if num_shared >= len(ids):
            raise UserError(
                f"all {len(ids)} tokens of a prompt are shared by all groups",
                "share less: a prompt ends in a token of its own",
            )
        with self._mutex:
            root = self._scheduler.root(group, ids[:num_shared])
            leaf, _ = self.tree.insert(root, ids[num_shared:])
            return self._new_branch(group, leaf)

    def fork(
        self, branch: Branch, texts: Sequence[Text], positions: Layout | None = None
    ) -> list[Branch]:
        """Children that see their ancestors and not each other; `positions` says where they stand along
        the line (None: as the decoder's option does). With two-dimensional positions each has a place
        beside it, too.
        """
        if isinstance(texts, str):
            raise UserError("fork was given one string", "give a list, one text a child")
        check_choices(positions=(positions, (*get_args(Layout), None)))
        runs = [self._ids(text, "the text of a fork", continuation_ids_of) for text in texts]
        children = []
        with self._mutex:
            self._check_idle(branch)
            starts = starts_of(runs, branch.tip.end, positions or layout_of(self.options.positions))
            for number, (ids, start) in enumerate(zip(runs, starts, strict=True)):
                node = self.tree.add((branch.tip,), ids, start)
                if self.grid is not None:
                    node.x += number * self.grid.stride
                self.tree.hold(node)
                children.append(self._new_branch(branch.group, node))
        return children

    def join(self, branches: Sequence[Branch], text: Text) -> Branch:
        """A branch that sees all of the given branches, and starts where the farthest ends."""
        if not branches:
            raise UserError("join was given no branches", "give at least one")
        ids = self._ids(text, "the text of a join", continuation_ids_of)
        with self._mutex:
            for branch in branches:
                self._check_idle(branch)
            if len({branch.group for branch in branches}) > 1:
                raise UserError("join was given branches of different groups", "join within one group")
            tips = tuple(dict.fromkeys(branch.tip for branch in branches))
            node = self.tree.add(tips, ids)
            self.tree.hold(node)
            return self._new_branch(branches[0].group, node)

    async def generate(
        self,
        branch: Branch,
        rules: Rules | int,
        on_token: Callable[[int], None] | None = None,
    ) -> Completion:
        """Append tokens to `branch` until a stop rule; a number is a budget of greedy tokens.

        A stop token or text does not stay in the branch: to generate again without new text goes on from
        the last token before it. Cancelled, it ends at once, and the branch keeps what it has.
        """
        rules = Rules(rules) if isinstance(rules, int) else rules
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Completion] = loop.create_future()
        with self._mutex:
            self._check_idle(branch)
            check_rules(rules, self.model, self.tokenizer)
            check_reach(branch.tip.end, rules, self.max_context)
            self._check_loop(loop)
            check_together(rules, self.offers, branch.tip)
            if rules.together is not None:
                branch.tip.open_to_match, branch.tip.together = False, rules.together
            generating = self._start(branch, rules, future, on_token, is_ask=False)
        self._driver.watch(loop)
        try:
            return await future
        except asyncio.CancelledError:
            with self._mutex:
                self._scheduler.drop(generating)
            raise

    def release(self, branch: Branch) -> None:
        """Let go of a branch; its tokens leave unless another branch inherits them.

        Raises UserError for one that still generates.
        """
        with self._mutex:
            if branch.is_generating:
                raise UserError(
                    "the branch is still generating", "await generate() first, or close its group"
                )
            self._scheduler.release(branch)

    # ----- the decoder protocol -----

    def submit(self, request: Request) -> None:
        """Queue a request: `open`, `generate` and `release` in one.

        Raises UserError for rules that this decoder cannot follow.
        """
        loop = request.future.get_loop()
        with self._mutex:
            check_rules(request.rules, self.model, self.tokenizer)
            check_together(request.rules, self.offers)
            check_reach(len(request.prompt_ids), request.rules, self.max_context)
            self._check_loop(loop)
            self._queue.append(request)
        self._driver.watch(loop)

    def step(self) -> bool:
        """One forward pass over everything pending. False when nothing is."""
        try:
            if self._forward.is_attached or not (self._queue or self._scheduler.runs):
                with self._mutex:
                    return self._step()
            # The model's seat first: whoever has that may be waiting for the mutex.
            with self.attached(), self._mutex:
                return self._step()
        except BaseException as error:
            with self._mutex:
                self._start_anew(error)
            raise

    def _step(self) -> bool:
        scheduler = self._scheduler
        before = scheduler.num_ended
        if self._queue:
            self._admit_requests()
        scheduler.admit()
        tips = scheduler.tips
        if tips:
            scheduler.advance(self._forward(tips))
            return True
        # Branches that wait for others of their hook are not work (those may wait for a timer), unless
        # one of these has just been refused.
        return scheduler.choose() or scheduler.num_ended > before

    def close(self, group: Hashable) -> None:
        """Drop all that is kept for `group`, branches that still run included."""
        with self._mutex:
            for request in self._queue:
                if request.group == group:
                    request.future.cancel()
            self._scheduler.close(group)
            if not self.slots_in_use:
                self._forward.forget()

    def attached(self) -> AbstractContextManager[None]:
        """The tree's attention in the model; see `ForwardPass.attached`."""
        return self._forward.attached()

    # ----- counters -----

    @property
    def product_layout(self) -> str:
        """By which products it multiplies; see `branchwise.decoding.products.linear`."""
        return self._forward.products.layout

    @property
    def num_forward_passes(self) -> int:
        """Forward passes so far."""
        return self._forward.num_passes

    @property
    def num_rows(self) -> int:
        """Token rows computed so far, in all passes."""
        return self._forward.num_rows

    @property
    def peak_tokens(self) -> int:
        """Most tokens that the tree held at once."""
        return self._forward.peak_tokens

    @property
    def cache_bytes(self) -> int:
        """Memory of the keys and values, in bytes, free slots included."""
        return self._forward.cache.num_bytes

    @property
    def peak_copied_bytes(self) -> int:
        """Most memory of keys and values that a cascade's steps had gathered out of the cache."""
        return self._forward.peak_copied_bytes

    @property
    def slots_in_use(self) -> int:
        """Tokens that the tree holds now; zero when nothing is in flight."""
        return self.tree.slots.num_used

    @property
    def kv_cache_bytes(self) -> int:
        """Memory of keys and values, those included that a cascade's steps had gathered at most."""
        return self.cache_bytes + self.peak_copied_bytes

    @property
    def num_shared_tokens(self) -> int:
        """Tokens of beginnings that all groups share; computed once, and on no prompt's ledger."""
        return self._scheduler.shared.num_tokens

    def forget_shared(self) -> None:
        """Let go of the beginnings that groups share; the next prompt computes its own anew."""
        with self._mutex:
            self._scheduler.shared.forget()

    @contextmanager
    def shared_anew(self) -> Iterator[None]:
        """As if nothing that groups share were computed yet; what was kept is back afterwards."""
        with self._scheduler.shared.anew():
            yield

    def facts(self) -> dict[str, Any]:
        """What was chosen where the options leave it open."""
        shared = {"shared_prompt_tokens": self.num_shared_tokens} if self.num_shared_tokens else {}
        return {
            **shared,
            "resolved_kernel": self.kernel,
            "kernel_self_test_s": self.self_test,
            "resolved_products": self.product_layout,
            "product_self_test_s": self._forward.products.self_test,
            "fused_modules": self._forward.fused_modules,
            **({"passes_by_threads": taken} if (taken := self._forward.threads.taken) else {}),
            "ignored_generation_config": self.ignored,
        }

    def synchronize(self) -> None:
        """Wait until the device has done what it was given."""
        synchronize(self.device)

    # ----- whoever looks on -----

    def observe(self, observer: Callable[[Kernel], None] | None) -> None:
        """Show `observer` the kernel after every forward pass from now on; None: nobody."""
        self._forward.observer = observer

    @property
    def scheduler(self) -> Scheduler:
        """The groups in flight and their branches; another one after an error."""
        return self._scheduler

    # ----- pieces -----

    def _new_scheduler(self) -> Scheduler:
        options = self.options
        limits = options.max_cache_tokens, options.max_step_tokens
        return Scheduler(self.tree, self.stop_ids, self.tokenizer, *limits)

    def _ids(self, text: Text, what: str, encode: Callable[[Any, str], list[int]]) -> list[int]:
        if isinstance(text, str):
            if self.tokenizer is None:
                raise UserError(
                    f"{what} is a string, but the decoder has no tokenizer",
                    "give a tokenizer to TreeDecoder, or lists of token ids only",
                )
            text = encode(self.tokenizer, text)
        if not len(text):
            raise UserError(f"{what} is empty", "give at least one token")
        return list(text)

    def _new_branch(self, group: Hashable, tip: Node) -> Branch:
        """A branch around a node that is held already."""
        self._num_branches += 1
        branch = Branch(group, tip, self._num_branches)
        self._scheduler.groups[group].branches.add(branch)
        return branch

    def _check_idle(self, branch: Branch) -> None:
        if branch.is_generating:
            raise UserError("the branch is still generating", "await generate() first")
        state = self._scheduler.groups.get(branch.group)
        if state is None or branch not in state.branches:
            raise UserError(
                "the branch was released, or lost when an error ended a step",
                "fork or join before you release it; open it again after an error",
            )

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Whoever waits on another loop would never be woken from this one."""
        for run in self._scheduler.runs:
            other = run.future.get_loop()
            if other is loop:
                continue
            if not other.is_closed():
                raise UserError(
                    "the decoder is in use on another event loop (another thread's?)",
                    "use one decoder a thread, or one after the other",
                )
            self._scheduler.drop(run)

    def _start(self, branch: Branch, rules: Rules, future: Any, on_token: Any, is_ask: bool) -> Run:
        generating = Run(rules, 0.0, on_token, branch=branch, future=future, is_ask=is_ask)
        generating.generator = generator_of(rules)
        self._scheduler.start(generating)
        return generating

    def _admit_requests(self) -> None:
        """Put queued prompts into the tree, then let go of what none of them went on from."""
        touched = []
        requests, self._queue = self._queue, []
        for request in requests:
            if request.future.done():
                self._scheduler.miss(request.rules)
                continue
            branch = self.open(request.prompt_ids, request.group, request.num_shared)
            if request.rules.together is not None:
                self._scheduler.set_apart(branch, request.rules.together)
            self._start(branch, request.rules, request.future, request.on_token, is_ask=True)
            touched.append(self._scheduler.groups[request.group])
        for state in touched:
            self._scheduler.admission.forget_lingering(state)

    def _start_anew(self, error: BaseException) -> None:
        """Drop all that is in flight: a step was left in the middle, so nothing of it can be trusted."""
        waiting = [run.future for run in self._scheduler.runs]
        waiting += [request.future for request in self._queue]
        self.tree = TokenTree(self.device)
        self._forward.start_anew(self.tree)
        for run in self._scheduler.runs:
            run.is_over, run.branch.is_generating = True, False
        self._scheduler = self._new_scheduler()
        self._queue = []
        for future in waiting:
            hand_over(future, error)
