"""One model, several decoders, threads and interrupts: right answers, and the model as it was."""

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import permutations

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from branchwise import TreeDecoder
from branchwise.decoding.attention.interface import NAME, tree_attention
from branchwise.decoding.loop import run
from branchwise.decoding.reference import HFDecoder
from branchwise.decoding.requests import Hook, Request, Rules
from branchwise.decoding.seat import seat_of
from branchwise.errors import UserError
from tests.architectures import greedy, model_of

PROMPTS = [[9, 10, 11, 12 + i] for i in range(4)]


def answers(model) -> list[list[int]]:
    return [greedy(model, prompt, 5) for prompt in PROMPTS]


def state_of(model) -> tuple:
    """What decoding changes in a model while it lasts."""
    own = [name for name, module in model.named_modules() if "forward" in vars(module)]
    return model.config._attn_implementation, own, model.generation_config


def generated(model) -> list[int]:
    ids = torch.tensor([PROMPTS[0]])
    out = model.generate(ids, max_new_tokens=5, do_sample=False, eos_token_id=None, pad_token_id=0)
    return out[0, 4:].tolist()


def test_threads_on_one_decoder_and_on_two_of_one_model() -> None:
    model = model_of("qwen2")
    expected, before = answers(model), state_of(model)
    decoders = [TreeDecoder(model, kernel="dense"), TreeDecoder(model, products="rows")]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(decoders[i % 2].complete, PROMPTS, 5) for i in range(40)]
        assert all(call.result() == expected for call in calls)
    assert state_of(model) == before
    assert all(decoder.slots_in_use == 0 for decoder in decoders)


@pytest.mark.parametrize("order", permutations(range(3)))
def test_exits_in_any_order_leave_the_model_as_it_was(order) -> None:
    model = model_of("llama")
    expected, before, said = answers(model), state_of(model), generated(model)
    decoders = [TreeDecoder(model), TreeDecoder(model, products="rows"), HFDecoder(model)]
    stacks = [ExitStack() for _ in decoders]
    for stack, decoder in zip(stacks, decoders, strict=True):
        stack.enter_context(decoder.attached())
    for number in order:
        # Whichever is used has its own changes in the model, however they were entered.
        assert decoders[0].complete(PROMPTS, 5) == expected
        assert decoders[1].complete(PROMPTS, 5) == expected
        stacks[number].close()
    assert state_of(model) == before
    assert generated(model) == said


def test_nested_use_by_another_decoder_and_plain_generate_afterwards() -> None:
    model = model_of("llama")
    said = generated(model)
    one, other = TreeDecoder(model), TreeDecoder(model, kernel="dense")
    with one.attached():
        assert other.complete(PROMPTS, 5) == one.complete(PROMPTS, 5) == answers_apart(model)
    assert generated(model) == said


def answers_apart(model) -> list[list[int]]:
    """The reference while the model is in a decoder's hands: of a copy with the same weights."""
    copy = AutoModelForCausalLM.from_config(model.config, attn_implementation="sdpa").eval()
    copy.load_state_dict(model.state_dict())
    return answers(copy)


def test_an_error_while_attaching_leaves_the_seat_free() -> None:
    model = AutoModelForCausalLM.from_config(model_of("llama").config).eval()
    decoder = TreeDecoder(model)
    model.train()
    model.config.attention_dropout = 0.1
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.1
    before = state_of(model)
    with pytest.raises(UserError, match=r"dropout.*call model.eval"):
        decoder.complete(PROMPTS, 3)
    assert state_of(model) == before
    model.eval()
    assert decoder.complete(PROMPTS, 5) == answers(model)


# ----- interrupts -----


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_run_is_cancelled_and_the_decoder_goes_on(error, monkeypatch) -> None:
    model = model_of("qwen3")
    decoder = TreeDecoder(model, kernel="cascade")
    expected, before = answers(model), state_of(model)
    attend, calls = type(decoder._forward.kernel).attend, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 8:
            raise error
        return attend(*args)

    monkeypatch.setattr(type(decoder._forward.kernel), "attend", interrupted)
    with pytest.raises(error):
        decoder.complete(PROMPTS, 5)
    assert state_of(model) == before
    assert decoder.slots_in_use == 0
    assert decoder.complete(PROMPTS, 5) == expected


def test_branches_of_an_interrupted_run_say_so() -> None:
    decoder = TreeDecoder(model_of("qwen3"))
    held = []

    async def script():
        held.append(decoder.open([9, 10], "g"))

        def interrupt(token: int) -> None:
            raise KeyboardInterrupt

        await decoder.generate(held[0], 5, interrupt)

    with pytest.raises(KeyboardInterrupt):
        run(script(), decoder.step)
    with pytest.raises(UserError, match="lost when an error ended a step"):
        decoder.fork(held[0], [[9]])
    decoder.close("g")
    assert decoder.complete([[9, 10]], 5) == [greedy(model_of("qwen3"), [9, 10], 5)]


def test_an_interrupt_in_a_notebook_stops_the_thread_that_decodes(monkeypatch) -> None:
    """Where a loop runs already, a thread decodes; an interrupt reaches only the waiting one."""
    model = model_of("qwen3")
    decoder, num_tokens = TreeDecoder(model), 500
    attend, calls = type(decoder._forward.kernel).attend, []

    def interrupted(*args):
        calls.append(threading.current_thread().name)
        if len(calls) == 8:
            # From within the run, so that it cannot have ended before; to the thread that waits.
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return attend(*args)

    async def cell():
        decoder.complete([[9, 10]] * 2, num_tokens)

    monkeypatch.setattr(type(decoder._forward.kernel), "attend", interrupted)
    # Not asyncio.run, which turns an interrupt into a cancellation of the cell.
    loop = asyncio.new_event_loop()
    # Where the tests run in the background, a shell has had them ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell())
    finally:
        signal.signal(signal.SIGINT, before)
        loop.close()
    assert set(calls) == {"branchwise-decoding"}
    assert len(calls) < num_tokens  # a call a layer and token, of two layers at least
    assert not [thread for thread in threading.enumerate() if thread.name == "branchwise-decoding"]
    assert decoder.complete(PROMPTS, 5) == answers(model)


# ----- other people's calls and loops -----


def test_a_hook_that_calls_the_model_is_told_not_to() -> None:
    model = model_of("qwen3")
    decoder = TreeDecoder(model)

    def calls(ids, logits_RV):
        return model(torch.tensor([[9]])).logits[:, -1]

    async def script():
        try:
            return await decoder.generate(decoder.open([9, 10], "g"), Rules(3, hooks=(Hook(calls),)))
        finally:
            decoder.close("g")

    told = pytest.raises(UserError, match="called by itself while a tree decoder has it in hand")
    with decoder.attached(), told:
        run(script(), decoder.step)


def test_generate_is_answered_on_anybodys_loop() -> None:
    """Outside `run` nobody takes steps but the decoder itself."""
    model = model_of("qwen3")
    decoder, hf = TreeDecoder(model), HFDecoder(model)

    async def main():
        branches = [decoder.open(prompt, "g") for prompt in PROMPTS]
        done = await asyncio.gather(*(decoder.generate(branch, 5) for branch in branches))
        decoder.close("g")
        future = asyncio.get_running_loop().create_future()
        hf.submit(Request(PROMPTS[0], Rules(5), "h", future))
        return [*done, await future]

    done = [[i for i in c.ids if i not in decoder.stop_ids] for c in asyncio.run(main())]
    assert done == [*answers(model), answers(model)[0]]


def test_two_loops_at_once_are_refused() -> None:
    decoder = TreeDecoder(model_of("qwen3"))
    started, leave = threading.Event(), threading.Event()

    def first() -> None:
        async def script():
            task = asyncio.create_task(decoder.generate(decoder.open([9, 10], "a"), 400))
            await asyncio.sleep(0.01)
            started.set()
            while not leave.is_set():
                await asyncio.sleep(0.001)
            task.cancel()
            decoder.close("a")

        run(script(), decoder.step)

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(30)

    async def second():
        await decoder.generate(decoder.open([9, 11], "b"), 2)

    try:
        with pytest.raises(UserError, match="in use on another event loop"):
            run(second(), decoder.step)
    finally:
        leave.set()
        thread.join()
        decoder.close("b")
    assert decoder.complete([[9, 10]], 3) == [greedy(model_of("qwen3"), [9, 10], 3)]


def test_a_thread_with_verbs_and_a_thread_with_complete_never_lock_each_other() -> None:
    """One holds the model and wants the decoder, the other the decoder and wants the model."""
    model = model_of("qwen3")
    decoder, expected = TreeDecoder(model, kernel="dense"), answers(model)
    wrong: list = []

    async def script():
        branch = decoder.open(PROMPTS[0], "verbs")
        made = await decoder.generate(branch, 5)
        return [i for i in made.ids if i not in decoder.stop_ids]

    def verbs() -> None:
        for _ in range(15):
            try:
                wrong.extend([1] * (run(script(), decoder.step) != expected[0]))
            except UserError:
                pass  # in use on the other thread's loop
            finally:
                decoder.close("verbs")

    def complete() -> None:
        for _ in range(15):
            with suppress(UserError):
                wrong.extend([1] * (decoder.complete(PROMPTS, 5) != expected))

    threads = [threading.Thread(target=work, daemon=True) for work in (verbs, complete)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong
    assert decoder.slots_in_use == 0


# ----- parts of a model -----


def test_every_part_has_its_own_attention_back() -> None:
    """A text tower that was eager once stayed sdpa."""
    config = CONFIG_MAPPING["gemma3"](
        text_config={"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
                     "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12,
                     "vocab_size": 101},
        vision_config={"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
    )  # fmt: skip
    from transformers import Gemma3ForConditionalGeneration

    model = Gemma3ForConditionalGeneration._from_config(config, attn_implementation="sdpa").eval()
    model.config.text_config._attn_implementation = "eager"
    with tree_attention(model):
        assert model.config.text_config._attn_implementation == NAME
    assert model.config.text_config._attn_implementation == "eager"
    assert model.config._attn_implementation == "sdpa"
    assert model.config.vision_config._attn_implementation == "sdpa"


def test_a_models_seat_is_its_wrappers_too() -> None:
    model = model_of("llama")
    assert seat_of(model) is seat_of(model.model)
    assert seat_of(model) is not seat_of(model_of("qwen2"))
