"""In how many jobs a cell is answered."""


def num_shards(wildcards):
    """In how many jobs a cell is answered: as it was when it was made, for as long as it is what it was.
    How it was asked for decides nothing.
    """
    asked = EXPERIMENT.shards
    if EXPERIMENT.catalogues.decoders[wildcards.decoder].is_remote:
        return 1
    if (
        not SHARDED
        or not (run := Path(CELL_FOLDER.format(**wildcards), "run.json")).is_file()
    ):
        return asked
    codes, number = identity.recorded_codes(run)
    return (
        number
        if codes == identity.cell_codes(EXPERIMENT, named_cell(wildcards))
        else asked
    )


def parts_of(wildcards):
    """The folders of a cell's shards; none where one job answers it."""
    number = num_shards(wildcards)
    folder = f"{SHARDS}/{CELL}".format(**wildcards)
    return (
        [f"{folder}/{n + 1}-of-{number}" for n in range(number)] if number > 1 else []
    )


@planned
def generate_inputs(wildcards):
    """What a cell is made of: its shards, or all that answering it reads."""
    parts = parts_of(wildcards)
    if not parts:
        return cell_inputs(wildcards)
    files = [
        f"{part}/{name}" for part in parts for name in ("records.jsonl", "run.json")
    ]
    return {"groups": groups_of(wildcards), "shards": files}


@planned
def how_generated(wildcards):
    """The command that makes a cell, and its own options: no result depends on which it is."""
    parts = parts_of(wildcards)
    if parts:
        return Unwatched(f"merge {shlex.join(parts)}")
    journal = f"{RESULTS}/journal/{CELL}.jsonl".format(**wildcards)
    words = (
        f"generate --journal {shlex.quote(journal)} {stage_options(wildcards)}".strip()
    )
    if EXPERIMENT.together > 1:
        # Nothing that Snakemake waits for: what is not there is answered by the job itself.
        ready = f"{SHARDS}/{CELL}/1-of-1".format(**wildcards)
        words = f"{words} --ready {shlex.quote(ready)}"
    return Unwatched(words)


def unless_merged(answering, merging):
    """A resource of the job that makes a cell: merging shards takes less than answering."""
    if not SHARDED:
        return answering

    def resource(wildcards, attempt):
        if num_shards(wildcards) > 1:
            return merging
        return answering(wildcards, attempt) if callable(answering) else answering

    return resource
