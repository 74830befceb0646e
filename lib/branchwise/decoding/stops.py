"""Texts that end an answer, found in its tokens."""

from collections.abc import Sequence
from typing import Any

from branchwise.decoding.requests import StopReason


class StopTexts:
    """Looks for stop texts, which may begin inside a token and may be special tokens' own names."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def end(
        self, ids: Sequence[int], stop: StopReason | None, stop_texts: Sequence[str]
    ) -> tuple[StopReason | None, str | None]:
        """How an answer ends with its last token (None: it goes on), and its text where a stop text cuts
        it; `stop` is how it ends otherwise.
        """
        if stop == "stop" or not stop_texts:
            return stop, None
        text = self.cut(ids, stop_texts)
        return ("stop" if text is not None else stop), text

    def cut(self, ids: Sequence[int], stop_texts: Sequence[str]) -> str | None:
        """The answer up to its first stop text, special tokens left out; None where it holds none yet."""
        text = self._text(ids, without_special=True)
        found = [text.index(stop) for stop in stop_texts if stop in text]
        if found:
            return text[: min(found)]
        # What is special is not part of an answer's text, but may be what ends it.
        whole = self._text(ids, without_special=False)
        found = [whole.index(stop) for stop in stop_texts if stop in whole]
        if whole == text or not found:
            return None
        before = whole[: min(found)]
        for name in self.tokenizer.all_special_tokens:
            before = before.replace(name, "")
        return before

    def _text(self, ids: Sequence[int], without_special: bool) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=without_special)
