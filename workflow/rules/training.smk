rule tiny_model:
    input:
        recipe=f"{HOME}config/tiny_model.yaml",
    output:
        multiext(
            f"{HOME}resources/models/tiny/",
            "model.safetensors",
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
            "training.json",
            "accuracy.json",
            "README.md",
        ),
    log:
        "logs/tiny_model.log",
    conda:
        "../../envs/environment.yaml"
    threads: 4
    resources:
        mem_mb=3000,
        runtime=240,
        gpu=EXPERIMENT.gpus,
    params:
        out=subpath(output[0], parent=True),
        work="results/training/tiny",
        code=hashing.training_code(),
    message:
        "training the tiny model from nothing (about an hour and a half on two cores)"
    shell:
        "python -m branchwise train --recipe {input.recipe:q} --work {params.work:q} --out {params.out:q} "
        "--threads {threads} 2>&1 | tee {log:q}"
