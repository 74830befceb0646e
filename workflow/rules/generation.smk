rule generate:
    input:
        groups=groups_of,
        dependencies=of_stage("dependencies"),
        paraphrases=of_stage("paraphrases"),
        confidence=of_stage("confidence"),
        checkpoint=trained,
        server=server_of,
    output:
        answers=f"{CELL_FOLDER}/answers.jsonl",
        trace=f"{CELL_FOLDER}/trace.jsonl",
        run=f"{CELL_FOLDER}/run.json",
    log:
        f"logs/generate/{CELL}.log",
    conda:
        "../../envs/environment.yaml"
    threads: EXPERIMENT.threads
    resources:
        mem_mb=EXPERIMENT.memory_mb,
        runtime=EXPERIMENT.runtime_min,
        gpu=EXPERIMENT.gpus,
    params:
        config=CONFIG,
        code=answers_code,
        dependencies=option_if_any("dependencies"),
        paraphrases=option_if_any("paraphrases"),
        confidence=option_if_any("confidence"),
        out=subpath(output.run, parent=True),
        journal=f"{RESULTS}/journal/{CELL}.jsonl",
    message:
        "generating {output.answers}"
    shell:
        "python -m branchwise generate {params.config} --dataset {wildcards.dataset:q} "
        "--model {wildcards.model:q} --strategy {wildcards.strategy:q} "
        "--decoder {wildcards.decoder:q} --settings {wildcards.settings} "
        "--groups {input.groups:q} --out {params.out:q} --journal {params.journal:q} "
        "{params.dependencies} {params.paraphrases} {params.confidence} 2> {log:q}"
