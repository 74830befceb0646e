def contest_of(wildcards):
    """What is timed together in a job."""
    decoder = None if wildcards.contest == timing.BETWEEN else wildcards.contest
    return timing.contest_of(EXPERIMENT, wildcards.dataset, wildcards.model, decoder)


def timed_inputs(wildcards):
    """All that a timing job reads. One function: Snakemake takes its time for each that it calls."""
    cells = contest_of(wildcards).cells
    found = stage_inputs((cell.strategy for cell in cells), wildcards)
    checkpoints = (f for cell in cells for f in trained_for(cell.strategy, cell.model))
    return {
        "groups": groups_of(wildcards),
        "checkpoint": list(dict.fromkeys(checkpoints)),
        **{stage: list(files.values()) for stage, files in found.items()},
    }


def timed_options(wildcards):
    """The files of stages as options of the command."""
    cells = contest_of(wildcards).cells
    found = stage_inputs((cell.strategy for cell in cells), wildcards)
    pairs = (
        (s, f"{key}={f}") for s, files in found.items() for key, f in files.items()
    )
    return as_options(pairs)


def timed_decoder(wildcards):
    """The option that names the decoder; none where decoders are compared."""
    if wildcards.contest == timing.BETWEEN:
        return ""
    return f"--decoder {shlex.quote(wildcards.contest)}"


def times_code(wildcards):
    """Hash of the code that the times depend on."""
    return hashing.times_code(EXPERIMENT, contest_of(wildcards).cells)


rule time:
    input:
        unpack(timed_inputs),
    output:
        f"{TIMES}/{{dataset}}/{{model}}/{{contest}}/{{settings}}.json",
    log:
        "logs/time/{dataset}/{model}/{contest}/{settings}.log",
    wildcard_constraints:
        contest=f"{names_of('decoders')}|{re.escape(timing.BETWEEN)}",
    conda:
        "../../envs/environment.yaml"
    # All cores, and a resource of which there is one: nothing else runs beside a job that is timed. The
    # threads that it computes with are the experiment's.
    threads: ALL_CORES
    resources:
        mem_mb=MEMORY,
        runtime=RUNTIME,
        gpu=EXPERIMENT.gpus,
        timing=1,
    params:
        config=CONFIG,
        code=times_code,
        decoder=timed_decoder,
        journal=f"{RESULTS}/journal/times/{{dataset}}/{{model}}/{{contest}}/{{settings}}.jsonl",
        stages=timed_options,
    message:
        "timing {wildcards.dataset} on {wildcards.contest}, alone on the machine"
    shell:
        "python -m branchwise time {params.config} --dataset {wildcards.dataset:q} "
        "--model {wildcards.model:q} {params.decoder} --settings {wildcards.settings} "
        "--groups {input.groups:q} --out {output:q} --journal {params.journal:q} "
        "{params.stages} 2> {log:q}"
