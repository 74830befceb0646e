CELL_WORDS = (
    "--dataset {wildcards.dataset:q} --model {wildcards.model:q} "
    "--strategy {wildcards.strategy:q} --decoder {wildcards.decoder:q} "
    "--settings {wildcards.settings} --groups {input.groups:q}"
)
SHARD = f"{SHARDS}/{CELL}/{{shard}}-of-{{shards}}"


rule generate:
    input:
        unpack(generate_inputs),
    output:
        answers=f"{CELL_FOLDER}/answers.jsonl",
        trace=f"{CELL_FOLDER}/trace.jsonl",
        run=f"{CELL_FOLDER}/run.json",
    log:
        f"logs/generate/{CELL}.log",
    conda:
        "../../envs/environment.yaml"
    threads: unless_merged(EXPERIMENT.threads, 1)
    resources:
        mem_mb=unless_merged(MEMORY, 1000),
        runtime=unless_merged(RUNTIME, 10),
        gpu=unless_merged(EXPERIMENT.gpus, 0),
    params:
        config=CONFIG,
        code=answers_code,
        out=CELL_FOLDER,
        how=how_generated,
    message:
        "generating {output.answers}"
    shell:
        f"python -m branchwise {{params.how}} {{params.config}} {CELL_WORDS} --out {{params.out:q}} 2> {{log:q}}"


rule generate_shard:
    input:
        unpack(cell_inputs),
    output:
        records=temp(f"{SHARD}/records.jsonl"),
        run=temp(f"{SHARD}/run.json"),
    log:
        f"logs/generate/{CELL}/{{shard}}-of-{{shards}}.log",
    wildcard_constraints:
        shard="[0-9]+",
        shards="[0-9]+",
    conda:
        "../../envs/environment.yaml"
    threads: EXPERIMENT.threads
    resources:
        mem_mb=MEMORY,
        runtime=RUNTIME,
        gpu=EXPERIMENT.gpus,
    params:
        config=CONFIG,
        code=answers_code,
        out=SHARD,
        journal=f"{RESULTS}/journal/{CELL}.{{shard}}-of-{{shards}}.jsonl",
        stages=stage_options,
        sign=f"{SHARDS}/.made",
    message:
        "generating shard {wildcards.shard} of {wildcards.shards} of {wildcards.dataset}/{wildcards.strategy}"
    shell:
        f"python -m branchwise generate {{params.config}} {CELL_WORDS} --out {{params.out:q}} "
        "--shard {wildcards.shard}/{wildcards.shards} --journal {params.journal:q} "
        "{params.stages} 2> {log:q} && touch {params.sign:q}"
