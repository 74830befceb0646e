"""What a decoder is asked for and cannot do, said before it is tried."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from transformers import PreTrainedModel

from branchwise.decoding.contract import Verb
from branchwise.decoding.held.tree import Node
from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.options import TreeOptions
from branchwise.decoding.requests import Rules
from branchwise.errors import DoesNotFit, UserError

PEEKING = ("dense", "fused", "mixed")
"""Kernels that know what branches that peek see."""


def checked_options(given: Mapping[str, Any]) -> TreeOptions:
    """The tree decoder's options, defaults filled in. Raises UserError for one that there is not, and
    for a value that is not allowed.
    """
    fields = get_type_hints(TreeOptions)
    for name in given:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"unknown option {name}", f"{hint}The tree decoder has: {', '.join(fields)}")
    options = TreeOptions(**given)
    choices = ("kernel", "positions", "compile_mode")
    check_choices(**{name: (getattr(options, name), allowed_of(fields[name])) for name in choices})
    check_counts(max_step_tokens=options.max_step_tokens, max_cache_tokens=options.max_cache_tokens)
    return options


def allowed_of(hint: Any) -> tuple[Any, ...]:
    """The values of a type that allows some words, or None."""
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return parts
    return tuple(word for part in parts for word in (get_args(part) or (None,)))


def check_choices(**choices: tuple[Any, tuple[Any, ...]]) -> None:
    """Raises UserError for an option, by name what was given and what is allowed, that there is not."""
    for what, (given, allowed) in choices.items():
        if given not in allowed:
            why = " (flash attention takes no mask and gives no log-sum-exp)"
            flash = why if "flash" in str(given) else ""
            raise UserError(
                f"{what} is {given!r}{flash}",
                f"the tree decoder has: {', '.join(str(one) for one in allowed)}",
            )


def check_counts(**counts: int | None) -> None:
    """Raises UserError for a number of tokens, by its option's name, that is not one."""
    for what, count in counts.items():
        if count is not None and (not isinstance(count, int) or count < 1):
            raise UserError(f"{what} is {count!r}", "give a whole number, at least 1")


def check_rules(rules: Rules, model: PreTrainedModel, tokenizer: Any) -> None:
    """Raises UserError for rules that need a tokenizer where there is none, or ban what is not there."""
    if rules.stop_texts and tokenizer is None:
        raise UserError("stop texts need a tokenizer", "give the decoder one, or use stop_ids")
    if not rules.banned_ids:
        return
    size = model.config.get_text_config().vocab_size
    beyond = [i for i in rules.banned_ids if not 0 <= i < size]
    if beyond or len(rules.banned_ids) == size:
        raise UserError(
            f"banned ids {sorted(beyond)} are not in the vocabulary" if beyond else "all ids are banned",
            f"ban some of 0 to {size - 1}",
        )


def offered(options: TreeOptions, kernel: str, mixing: Mixing | None) -> frozenset[Verb]:
    """The verbs of a tree decoder. Raises UserError where mixers and options do not go together."""
    if mixing is not None and options.compile_mode is not None:
        raise UserError(
            "a compiled model does not mix: its mixers come in from outside",
            "set `compile_mode: null` for strategies that mix",
        )
    more: set[Verb] = {"mix"} if mixing is not None else set()
    # What branches that peek see is a mask of its own, which only the dense kernel takes.
    more |= {"peek"} if kernel in PEEKING else set()
    return frozenset({"ask", "fork", "join", "hook", *more})


def check_together(rules: Rules, offers: frozenset[Verb], tip: Node | None = None) -> None:
    """Raises UserError for branches that are to be together in a way that this decoder, or the branch of
    node `tip` (None: a whole prompt), cannot.
    """
    together = rules.together
    if together is None:
        if tip is not None and tip.together is not None:
            raise UserError(
                "the branch was decoded together with others, and cannot go on alone",
                "fork it, and generate from there",
            )
        return
    if together.mixes and "mix" not in offers:
        raise UserError(
            "the branches are to mix, and the model has no mixers",
            "give the strategy a `checkpoint` or a `training` with a mixer",
        )
    if together.peeks and "peek" not in offers:
        raise UserError(
            "this decoder's attention kernel does not let branches peek",
            f"set `kernel:` to one of {', '.join(PEEKING)}",
        )
    if together.mixes and tip is not None:
        raise UserError("branches of a fork or join do not mix", "mix the answers to whole prompts: ask")
    if together.peeks and (tip is None or tip.slots):
        raise UserError(
            "whole prompts, and branches that were computed already, do not peek",
            "fork the branches, and generate from all of them at once",
        )


def check_reach(position: int, rules: Rules, max_context: int) -> None:
    """Raises DoesNotFit for an answer that could grow over the positions that a model has."""
    if position + rules.max_new_tokens > max_context:
        raise DoesNotFit(
            f"{position} tokens and {rules.max_new_tokens} new ones exceed the model's context of "
            f"{max_context}",
            "shorten the prompt, lower max_new_tokens, or use a model with a longer context",
        )
