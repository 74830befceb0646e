"""Texts that end an answer, found in its tokens."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from branchwise.decoding.requests import StopReason


class Cut(NamedTuple):
    """Where a stop text ends an answer: the `text` before it, special tokens left out, the `stop_text`
    itself, the first `num_kept` tokens, which hold nothing of it, and the `rest` of the text before it
    that these do not spell: the stop text began inside a token.
    """

    text: str
    stop_text: str
    num_kept: int
    rest: str


class StopTexts:
    """Looks for stop texts, which may begin inside a token and may be special tokens' own names."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def end(
        self, ids: Sequence[int], stop: StopReason | None, stop_texts: Sequence[str]
    ) -> tuple[StopReason | None, Cut | None]:
        """How an answer ends with its last token (None: it goes on), and where a stop text cuts it;
        `stop` is how it ends otherwise.
        """
        if stop == "stop" or not stop_texts:
            return stop, None
        cut = self.cut(ids, stop_texts)
        return ("stop" if cut is not None else stop), cut

    def cut(self, ids: Sequence[int], stop_texts: Sequence[str]) -> Cut | None:
        """Where the first stop text cuts an answer; None where it holds none yet."""
        text = self._text(ids, without_special=True)
        if found := _first(text, stop_texts):
            at, stop_text = found
            return Cut(text[:at], stop_text, *self._kept(ids, text[:at], without_special=True))
        # What is special is not part of an answer's text, but may be what ends it.
        whole = self._text(ids, without_special=False)
        found = _first(whole, stop_texts)
        if whole == text or not found:
            return None
        at, stop_text = found
        before = whole[:at]
        kept = self._kept(ids, before, without_special=False)
        for name in self.tokenizer.all_special_tokens:
            before = before.replace(name, "")
        return Cut(before, stop_text, *kept)

    def _kept(self, ids: Sequence[int], before: str, without_special: bool) -> tuple[int, str]:
        """How many tokens spell nothing but the beginning of `before`, and what they lack of it."""
        for number in range(len(ids) - 1, 0, -1):
            spelt = self._text(ids[:number], without_special)
            if before.startswith(spelt):
                return number, before[len(spelt) :]
        return 0, before

    def _text(self, ids: Sequence[int], without_special: bool) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=without_special)


def _first(text: str, stop_texts: Sequence[str]) -> tuple[int, str] | None:
    """Where the first stop text begins, and which it is; of several there the longest."""
    found = [(text.index(stop), -len(stop), stop) for stop in stop_texts if stop in text]
    if not found:
        return None
    at, _, stop = min(found)
    return at, stop
