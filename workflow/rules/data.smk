rule prepare:
    output:
        f"{RESULTS}/groups/{{dataset}}.jsonl",
    log:
        "logs/prepare/{dataset}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1500,
        runtime=30,
    params:
        config=CONFIG,
        entry=dataset_entry,
        code=dataset_code,
    message:
        "preparing the groups of {wildcards.dataset}"
    shell:
        "python -m branchwise prepare {params.config} --dataset {wildcards.dataset} --out {output} 2> {log}"
