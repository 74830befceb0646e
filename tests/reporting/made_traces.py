"""Made traces for pictures: an answer that forks and joins twice, and asks that wait for each other."""

from collections.abc import Sequence

from branchwise.trace import AskRecord, BranchRecord, GroupTrace, Tokens

PROMPT = "<|im_start|> user\nWhat does each of them do?"


def ask(
    role: str, raw: str, start_ms: float, end_ms: float, branch: int | None = None, **more
) -> AskRecord:
    """An ask that waited for none and asked nothing, unless `more` says otherwise."""
    num = float(len(raw.split()))
    facts = {"questions": (), "after": (), "prompt": "", "stop": "stop", "num_steps": 1}
    return AskRecord(
        **(facts | more),
        role=role,
        raw=raw,
        branch=branch,
        tokens=Tokens(sent=1, unique=1, cached=0, generated=num, padding=0),
        start_s=start_ms / 1000,
        end_s=end_ms / 1000,
    )


def outlined(titles: Sequence[str], bodies: Sequence[str]) -> GroupTrace:
    """An intro and titles, a branch a title of unequal length, a join, and two more branches."""
    count, one = len(titles), ("q1",)
    forks = [BranchRecord(verb="fork", parents=(0,), text=f"####{t}:") for t in titles]
    ends = [300.0 + 97 * n % 410 for n in range(count)]
    later, join = max(ends) + 3, count + 1
    branches = [
        BranchRecord(verb="open", parents=(), text=PROMPT),
        *forks,
        BranchRecord(verb="join", parents=tuple(range(1, join)), text="####%%%%"),
        BranchRecord(verb="fork", parents=(join,), text="####Ashton:"),
        BranchRecord(verb="fork", parents=(join,), text="####Kirkby:"),
        BranchRecord(verb="join", parents=(join + 1, join + 2), text="####%%%%"),
    ]
    asks = [
        ask("intro", "Here is what they do.", 5, 120, 0, questions=one),
        ask("outline", "####".join(f"{t}......" for t in titles), 121, 260, 0, after=(0,), questions=one),
        *(
            ask("branch", bodies[n % len(bodies)], 265, end, 1 + n, after=(1,), questions=one)
            for n, end in enumerate(ends)
        ),
        ask("outline", "Ashton......####Kirkby......", later, later + 90, join, questions=one),
        ask("branch", "a town", later + 92, later + 150, join + 1, questions=one),
        ask("branch", "a town by the river", later + 92, later + 210, join + 2, questions=one),
        ask("answer", "Mara: baker; Ben: cook", later + 212, later + 400, join + 3, questions=one),
    ]
    return GroupTrace(group="made", asks=tuple(asks), branches=tuple(branches))


def in_turn(count: int) -> GroupTrace:
    """Plain asks, each of which waited for the one before."""
    asks = [
        ask(
            "answer", f"answer {n}", 10 * n, 10 * n + 8, questions=(f"q{n}",), after=(n - 1,) if n else ()
        )
        for n in range(count)
    ]
    return GroupTrace(group="made", asks=tuple(asks))
