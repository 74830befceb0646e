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


# Several processes on one machine: one a GPU. On several machines (`nodes` of the profile's resources) the
# same command is started on each by srun, and torchrun lets them find each other.
rule train:
    input:
        groups=trained_groups,
    output:
        checkpoint=f"{TRAININGS}/{{training}}/{{model}}/{{settings}}/checkpoint.json",
        curve=f"{TRAININGS}/{{training}}/{{model}}/{{settings}}/{trainings.CURVE}",
    log:
        "logs/train/{training}/{model}/{settings}.log",
    conda:
        "../../envs/environment.yaml"
    threads: EXPERIMENT.threads
    resources:
        mem_mb=MEMORY,
        runtime=grows(4 * EXPERIMENT.runtime_min),
        gpu=EXPERIMENT.gpus,
        nodes=1,
    params:
        config=CONFIG,
        code=hashing.checkpoint_code(),
        groups=trained_options,
        launcher=launcher,
        out=subpath(output.checkpoint, parent=True),
    message:
        "training {wildcards.training} of {wildcards.model}"
    shell:
        "{params.launcher} -m branchwise train {params.config} --training {wildcards.training:q} "
        "--model {wildcards.model:q} --settings {wildcards.settings} {params.groups} --out {params.out:q} "
        "--threads {threads} 2> {log:q}"
