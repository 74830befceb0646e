"""Addresses of servers: whether they are on this machine, and which key they are sent."""

import os
from urllib.parse import urlsplit

from branchwise.errors import UserError

VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""What names of environment variables are made of: a key itself, given by mistake, is refused."""


def is_local(base_url: str) -> bool:
    """Whether a server is on this machine, where a key is rarely wanted."""
    return (urlsplit(base_url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def key_name(base_url: str, given: str | None) -> str | None:
    """The environment variable with the key of a server, None where no key is sent. OpenAI's goes to
    OpenAI alone, unless a config says otherwise.
    """
    is_openai = urlsplit(base_url).hostname == "api.openai.com"
    return given or ("OPENAI_API_KEY" if is_openai else None)


def key_of(base_url: str, given: str | None) -> str:
    """The key of a server; none where it needs none. Raises UserError naming the variable that is not
    set, or holds no key.
    """
    variable = key_name(base_url, given)
    if variable is None:
        if is_local(base_url):
            return ""
        raise UserError(
            f"nobody says which variable holds the key of the server {base_url}",
            "name it with key_variable",
        )
    key = os.environ.get(variable, "")
    if not key and not is_local(base_url):
        raise UserError(
            f"the server {base_url} needs a key in the environment variable {variable}, which is not set",
            f"export {variable}=..., or name another variable with key_variable",
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UserError(
            f"the environment variable {variable} holds characters that no key has (a space, the end of "
            "a line, a letter beyond ASCII)",
            f"set {variable} to the key alone",
        )
    return key
