rule judge:
    input:
        answers=f"{CELL_FOLDER}/answers.jsonl",
        groups=f"{RESULTS}/groups/{{dataset}}.jsonl",
    output:
        f"{CELL_FOLDER}/judged.json",
    log:
        "logs/judge/{dataset}/{model}/{strategy}/{decoder}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=500,
        runtime=60,
    params:
        config=CONFIG,
        judge=as_param(EXPERIMENT.judge and EXPERIMENT.judge.model_dump(mode="json")),
        code=hashing.judge_hash(),
        journal=f"{RESULTS}/journal/judge/{{dataset}}/{{model}}/{{strategy}}/{{decoder}}.jsonl",
    message:
        "judging {input.answers}"
    shell:
        "python -m branchwise judge {params.config} --cell $(dirname {output}) "
        "--groups {input.groups} --out {output} --journal {params.journal} 2> {log}"


rule evaluate:
    input:
        answers=f"{CELL_FOLDER}/answers.jsonl",
        judged=judged,
    output:
        f"{CELL_FOLDER}/scores.json",
    log:
        "logs/evaluate/{dataset}/{model}/{strategy}/{decoder}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        config=CONFIG,
        scoring=scoring,
        judged=option_if_any("judged"),
    message:
        "scoring {input.answers}"
    shell:
        "python -m branchwise evaluate cell {params.config} --cell $(dirname {output}) "
        "--out {output} {params.judged} 2> {log}"
