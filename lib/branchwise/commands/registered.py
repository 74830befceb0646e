"""All commands, in the order in which `--help` lists them."""

from importlib import import_module

NAMES = (
    *("ask", "prepare", "data_card", "depend", "paraphrase", "confide", "generate", "time", "serve"),
    *("judge", "read", "evaluate"),
    *(
        "tabulate",
        "draw",
        "plan",
        "estimate",
        "show",
        "reproduction",
        "pages",
        "mask",
        "lanes",
        "train",
        "cells",
        "list",
        "bench",
        "speed",
    ),
    *("status", "pack", "unpack"),
    *("coverage", "doctor", "document"),
)


def import_all() -> None:
    """Import every command module; importing registers the command."""
    for name in NAMES:
        import_module(f"branchwise.commands.{name}")
