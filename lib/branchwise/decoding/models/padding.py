"""Whether prompts of a left-padded batch get what each of them would get alone."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from branchwise.decoding.models.facts import max_context_of
from branchwise.decoding.models.known import (
    FAILURES,
    allowed_difference,
    is_known_exact,
    is_unmodified,
    told,
)
from branchwise.decoding.models.lengths import rotary_kinds_by_length, short_lengths
from branchwise.errors import UserError

PROMPTS, NEW = (60, 50, 7), 3
"""Tokens of the prompts that are compared, and of their answers. The second is padded, and still longer
than the lengths beyond which models attend differently, as they are set for the comparison."""

_known: dict[tuple, str | None] = {}


def padding_problem(model: PreTrainedModel, pad_id: int) -> str | None:
    """Why this model's prompts have to be asked one at a time; None where a padded batch is as good.

    Found by asking three random prompts of unequal length together and alone, once for a configuration.
    Raises UserError for a model that transformers' `generate` cannot decode at all.
    """
    config = model.config.get_text_config()
    kinds = rotary_kinds_by_length(config)
    if not kinds and is_known_exact(model):
        return None
    is_plain = is_unmodified(model)
    key = (model.dtype, type(model), config.to_json_string())
    if not is_plain or key not in _known:
        problem = _compare(model, pad_id)
        if kinds:
            # Beyond the lengths that were compared.
            named = ", ".join(sorted(kinds))
            problem = f"its rotary angles ({named}) depend on the longest prompt of a batch"
        if not is_plain:
            return problem
        _known[key] = problem
    return _known[key]


def _compare(model: PreTrainedModel, pad_id: int) -> str | None:
    generator = torch.Generator().manual_seed(0)
    size = model.config.get_text_config().vocab_size
    longest = min(PROMPTS[0], max(2, max_context_of(model) - NEW))
    prompts = [
        torch.randint(0, size, (min(count, longest - (count < longest)),), generator=generator)
        for count in PROMPTS
    ]
    prompts = [prompt.to(model.device) for prompt in prompts]
    with short_lengths(model):
        try:
            alone = [
                _logits(model, prompt[None], torch.ones_like(prompt[None]), pad_id) for prompt in prompts
            ]
        except FAILURES as error:
            raise UserError(
                f"transformers' generate cannot decode {model.config.model_type} ({told(error)})",
                "use another model",
            ) from error
        rows = [nn.functional.pad(one, (longest - len(one), 0), value=pad_id) for one in prompts]
        seen = [nn.functional.pad(torch.ones_like(one), (longest - len(one), 0)) for one in prompts]
        try:
            together = _logits(model, torch.stack(rows), torch.stack(seen), pad_id)
        except FAILURES as error:
            return f"a padded batch of it raises {type(error).__name__}"
    spread = max(float(one.max() - one.min()) for one in alone)
    allowed = allowed_difference(model, spread)
    largest = max(float((together[:, row] - one[:, 0]).abs().max()) for row, one in enumerate(alone))
    if largest <= allowed:
        return None
    return f"in a padded batch its logits differ by {largest:.3g} from those of one prompt"


@torch.inference_mode()
def _logits(model: PreTrainedModel, ids_BT: Tensor, mask_BT: Tensor, pad_id: int) -> Tensor:
    """Logits of the prompts' next token, and of those behind fixed ones, fp32 (NEW, B, V)."""

    def always_the_same(batch: int, given: Tensor) -> list[int]:
        # Both runs say the same tokens, so that later steps can be compared as well.
        return [1]

    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=NEW,
        min_new_tokens=NEW,
        eos_token_id=None,
        pad_token_id=pad_id,
        output_logits=True,
        return_dict_in_generate=True,
    )
    # PreTrainedModel itself does not declare `generate`.
    out = cast(Any, model).generate(
        input_ids=ids_BT,
        attention_mask=mask_BT,
        generation_config=config,
        prefix_allowed_tokens_fn=always_the_same,
    )
    return torch.stack(out.logits).float()
