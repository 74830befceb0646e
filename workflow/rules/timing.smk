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
