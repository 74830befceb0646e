rule prepare:
    input:
        data=data_file,
    output:
        f"{RESULTS}/groups/{{dataset}}/{{settings}}.jsonl",
    log:
        "logs/prepare/{dataset}/{settings}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(1500),
        runtime=30,
    params:
        config=CONFIG,
        code=groups_code,
    message:
        "preparing the groups of {wildcards.dataset}"
    shell:
        "python -m branchwise prepare {params.config} --dataset {wildcards.dataset:q} "
        "--settings {wildcards.settings} --out {output:q} 2> {log:q}"
