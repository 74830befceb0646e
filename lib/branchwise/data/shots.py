"""Shots (placeholder)."""


def check_no_leak(shots, groups):
    pass


from branchwise.data.types import Group


def made_shots(entry) -> tuple[Group, ...]:
    a = Group.model_validate(
        {
            "id": "s1",
            "context": "Halden Bridge crosses the river Orrin in the town of Selby Moor. It was built in 1874 by the engineer Ada Renwick, who used red granite from the Tarn quarry. A flood carried its middle arch away in 1911, and it was rebuilt within two years.",
            "questions": [
                {"id": "q1", "text": "Who built Halden Bridge?", "golds": ["Ada Renwick"]},
                {"id": "q2", "text": "When was the middle arch carried away?", "golds": ["1911"]},
                {"id": "q3", "text": "What stone is the bridge made of?", "golds": ["red granite"]},
            ],
        }
    )
    b = Group.model_validate(
        {
            "id": "s2",
            "context": "The pale heron lives on the salt lakes of northern Vessara. It feeds on small shrimps, which give its feathers a faint pink colour. In winter most of the birds move south to the coast near Port Lyle.",
            "questions": [
                {"id": "q1", "text": "What does the pale heron feed on?", "golds": ["small shrimps"]},
                {
                    "id": "q2",
                    "text": "Where do most of the birds move in winter?",
                    "golds": ["south to the coast near Port Lyle"],
                },
            ],
        }
    )
    return (a, b)
