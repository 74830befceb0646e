"""Errors that are the user's to mend: what was given, and what to do about it."""


class UserError(Exception):
    """A mistake in what the user gave. Commands print it as one line and exit with status 2."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class NotANumberError(UserError):
    """A model gave logits that are not numbers."""
