rule depend:
    input:
        groups=f"{RESULTS}/groups/{{dataset}}.jsonl",
    output:
        f"{RESULTS}/dependencies/{{dataset}}/{{model}}/{{dependencies}}.jsonl",
    log:
        "logs/depend/{dataset}/{model}/{dependencies}.log",
    conda:
        "../../envs/environment.yaml"
    threads: EXPERIMENT.threads
    resources:
        mem_mb=EXPERIMENT.memory_mb,
        runtime=EXPERIMENT.runtime_min,
        gpu=EXPERIMENT.gpus,
    params:
        config=CONFIG,
        identity=dependency_identity,
    message:
        "finding the dependencies {wildcards.dependencies} of {wildcards.dataset}"
    shell:
        "python -m branchwise depend {params.config} --dataset {wildcards.dataset} "
        "--model {wildcards.model} --dependencies {wildcards.dependencies} "
        "--groups {input.groups} --out {output} 2> {log}"
