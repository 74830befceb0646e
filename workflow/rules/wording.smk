rule paraphrase:
    input:
        groups=groups_of,
        server=stage_server("paraphrases"),
    output:
        f"{RESULTS}/paraphrases/{{dataset}}/{{model}}/{{paraphrases}}/{{settings}}.jsonl",
    log:
        "logs/paraphrase/{dataset}/{model}/{paraphrases}/{settings}.log",
    conda:
        "../../envs/environment.yaml"
    # Timed, as the stage of dependencies is.
    threads: ALL_CORES
    resources:
        mem_mb=MEMORY,
        runtime=RUNTIME,
        gpu=EXPERIMENT.gpus,
        timing=1,
    params:
        config=CONFIG,
        code=paraphrases_code,
    message:
        "making the paraphrases {wildcards.paraphrases} of {wildcards.dataset}"
    shell:
        "python -m branchwise paraphrase {params.config} --dataset {wildcards.dataset:q} "
        "--model {wildcards.model:q} --paraphrases {wildcards.paraphrases:q} "
        "--settings {wildcards.settings} --groups {input.groups:q} --out {output:q} 2> {log:q}"


rule confide:
    input:
        groups=groups_of,
        paraphrases=confided_paraphrases,
        server=stage_server("confidence"),
    output:
        f"{RESULTS}/confidence/{{dataset}}/{{model}}/{{confidence}}/{{paraphrases}}/{{settings}}.jsonl",
    log:
        "logs/confide/{dataset}/{model}/{confidence}/{paraphrases}/{settings}.log",
    conda:
        "../../envs/environment.yaml"
    threads: ALL_CORES
    resources:
        mem_mb=MEMORY,
        runtime=RUNTIME,
        gpu=EXPERIMENT.gpus,
        timing=1,
    params:
        config=CONFIG,
        code=confidence_code,
        paraphrases=confided_option,
    message:
        "finding the confidence {wildcards.confidence} of {wildcards.dataset}"
    shell:
        "python -m branchwise confide {params.config} --dataset {wildcards.dataset:q} "
        "--model {wildcards.model:q} --confidence {wildcards.confidence:q} {params.paraphrases} "
        "--settings {wildcards.settings} --groups {input.groups:q} --out {output:q} 2> {log:q}"
