rule evaluate:
    input:
        answers=f"{CELL_FOLDER}/answers.jsonl",
        run=f"{CELL_FOLDER}/run.json",
    output:
        f"{CELL_FOLDER}/scores.json",
    log:
        "logs/evaluate/{dataset}/{model}/{strategy}/{decoder}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=500,
        runtime="10m",
    params:
        config=CONFIG,
        scoring=f"{EXPERIMENT.bootstrap_draws} {EXPERIMENT.seed} {hashing.scores_hash()}",
    message:
        "scoring {wildcards.dataset}, {wildcards.model}, {wildcards.strategy}, {wildcards.decoder}"
    shell:
        "python -m branchwise evaluate {params.config} --cell $(dirname {input.run}) --out {output} 2> {log}"
