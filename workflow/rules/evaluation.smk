rule evaluate:
    input:
        f"{CELL_FOLDER}/answers.jsonl",
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
    message:
        "scoring {input}"
    shell:
        "python -m branchwise evaluate cell {params.config} --cell $(dirname {input}) --out {output} 2> {log}"
