# By a decoder that computes, not by a server.
JUDGED_HERE = bool(
    EXPERIMENT.judge
    and EXPERIMENT.judge.decoder
    and not EXPERIMENT.catalogues.decoders[EXPERIMENT.judge.decoder].is_remote
)


rule judge:
    input:
        answers=f"{CELL_FOLDER}/answers.jsonl",
        groups=groups_of,
        server=judge_server,
    output:
        f"{CELL_FOLDER}/{{scoring}}/judged.json",
    log:
        f"logs/judge/{CELL}/{{scoring}}.log",
    conda:
        "../../envs/environment.yaml"
    threads: EXPERIMENT.threads if JUDGED_HERE else 1
    resources:
        mem_mb=MEMORY if JUDGED_HERE else grows(500),
        runtime=RUNTIME,
        gpu=EXPERIMENT.gpus if JUDGED_HERE else 0,
    params:
        config=CONFIG,
        code=identity.judging_code(EXPERIMENT),
        cell=subpath(input.answers, parent=True),
        journal=f"{RESULTS}/journal/judge/{CELL}/{{scoring}}.jsonl",
    message:
        "judging {input.answers}"
    shell:
        "python -m branchwise judge {params.config} --cell {params.cell:q} "
        "--groups {input.groups:q} --out {output:q} --journal {params.journal:q} 2> {log:q}"


rule evaluate:
    input:
        answers=f"{CELL_FOLDER}/answers.jsonl",
        run=f"{CELL_FOLDER}/run.json",
        # A function is asked for each job.
        judged=judged if EXPERIMENT.judged else [],
    output:
        f"{CELL_FOLDER}/{{scoring}}/scores.json",
    log:
        f"logs/evaluate/{CELL}/{{scoring}}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(500),
        runtime=10,
    params:
        config=CONFIG,
        code=hashing.scores_code(),
        cell=subpath(input.answers, parent=True),
        judged=option_if_any("judged") if EXPERIMENT.judged else [],
    message:
        "scoring {input.answers}"
    shell:
        "python -m branchwise evaluate cell {params.config} --cell {params.cell:q} "
        "--settings {wildcards.scoring} --out {output:q} {params.judged} 2> {log:q}"
