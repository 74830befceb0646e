rule depend:
    input:
        groups=groups_of,
        server=stage_server("dependencies"),
    output:
        f"{RESULTS}/dependencies/{{dataset}}/{{model}}/{{dependencies}}/{{settings}}.jsonl",
    log:
        "logs/depend/{dataset}/{model}/{dependencies}/{settings}.log",
    conda:
        "../../envs/environment.yaml"
    # Timed: what finding them takes is part of what their strategies take.
    threads: ALL_CORES
    resources:
        mem_mb=MEMORY,
        runtime=RUNTIME,
        gpu=EXPERIMENT.gpus,
        timing=1,
    params:
        config=CONFIG,
        code=dependencies_code,
    message:
        "finding the dependencies {wildcards.dependencies} of {wildcards.dataset}"
    shell:
        "python -m branchwise depend {params.config} --dataset {wildcards.dataset:q} "
        "--model {wildcards.model:q} --dependencies {wildcards.dependencies:q} "
        "--settings {wildcards.settings} --groups {input.groups:q} --out {output:q} 2> {log:q}"
