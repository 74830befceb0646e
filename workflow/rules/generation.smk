rule generate:
    input:
        groups=f"{RESULTS}/groups/{{dataset}}.jsonl",
        dependencies=dependencies_of,
    output:
        answers=f"{CELL_FOLDER}/answers.jsonl",
        run=f"{CELL_FOLDER}/run.json",
    log:
        "logs/generate/{dataset}/{model}/{strategy}/{decoder}.log",
    conda:
        "../../envs/environment.yaml"
    threads: EXPERIMENT.threads
    resources:
        mem_mb=EXPERIMENT.memory_mb,
        runtime=EXPERIMENT.runtime_min,
        gpu=EXPERIMENT.gpus,
    params:
        config=CONFIG,
        identity=cell_identity,
        dependencies=option_if_any("dependencies"),
        journal=f"{RESULTS}/journal/{{dataset}}/{{model}}/{{strategy}}/{{decoder}}.jsonl",
    message:
        "generating {output.answers}"
    shell:
        "python -m branchwise generate {params.config} --dataset {wildcards.dataset} "
        "--model {wildcards.model} --strategy {wildcards.strategy} "
        "--decoder {wildcards.decoder} --groups {input.groups} --out $(dirname {output.run}) "
        "--journal {params.journal} {params.dependencies} 2> {log}"
