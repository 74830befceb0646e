"""Attention masks as they were used, on request: `snakemake figures/masks/<cell>/<group>.svg`."""


rule record_mask:
    input:
        unpack(cell_inputs),
    output:
        f"{RESULTS}/masks/{CELL}/{{group}}.json",
    log:
        f"logs/record_mask/{CELL}/{{group}}.log",
    conda:
        "../../envs/environment.yaml"
    threads: EXPERIMENT.threads
    resources:
        mem_mb=MEMORY,
        runtime=RUNTIME,
        gpu=EXPERIMENT.gpus,
    params:
        config=CONFIG,
        code=masks_code,
        stages=stage_options,
        stem=subpath(output[0], strip_suffix=".json"),
    message:
        "recording {output}"
    shell:
        "python -m branchwise mask {params.config} --dataset {wildcards.dataset:q} "
        "--model {wildcards.model:q} --strategy {wildcards.strategy:q} "
        "--decoder {wildcards.decoder:q} --settings {wildcards.settings} "
        "--group {wildcards.group:q} --groups {input.groups:q} {params.stages} "
        "--out {params.stem:q} --record-only 2> {log:q}"


rule mask:
    input:
        recorded_mask,
    output:
        report(
            f"{EXPERIMENT.figures}/masks/{DRAWN}.svg",
            caption="../report/mask.rst",
            category="Masks",
            labels={
                "data set": "{dataset}",
                "model": "{model}",
                "strategy": "{strategy}",
                "decoder": "{decoder}",
                "group": "{group}",
            },
        ),
        multiext(f"{EXPERIMENT.figures}/masks/{DRAWN}", ".pdf", ".png"),
    log:
        f"logs/mask/{DRAWN}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=10,
    params:
        code=hashing.mask_figure_code(),
        stem=subpath(output[0], strip_suffix=".svg"),
    message:
        "drawing {output[0]}"
    shell:
        "python -m branchwise mask --from {input:q} --out {params.stem:q} 2> {log:q}"
