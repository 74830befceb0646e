"""Errors that are the user's to mend: what was given, and what to do about it."""


class UserError(Exception):
    """A mistake in what the user gave. Commands print it as one line and exit with status 2."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class DoesNotFit(UserError):  # noqa: N818 (read as what is said of a group)
    """A prompt and its answer exceed what a model or its cache can hold: others may still fit."""


class NotANumberError(UserError):
    """A model gave logits that are not numbers."""


def only_user_errors(results: list) -> list:
    """What `asyncio.gather` returned, UserErrors in place; any other error is raised."""
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, UserError):
            raise result
    return results
