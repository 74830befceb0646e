"""Speed on this machine, on request: `snakemake figures/bench/qwen2.5-0.5b.svg`."""


rule bench:
    output:
        f"{RESULTS}/bench/{{shape}}.json",
    log:
        "logs/bench/{shape}.log",
    conda:
        "../../envs/environment.yaml"
    # Alone on the machine, as every job that takes times (see timing.smk).
    threads: ALL_CORES
    resources:
        mem_mb=16000,
        runtime=240,
        gpu=EXPERIMENT.gpus,
        timing=1,
    message:
        "timing every layout on the shape of {wildcards.shape}"
    shell:
        "python -m branchwise bench --shape {wildcards.shape:q} --whole 32 --uneven --paged --agree 32 "
        "--out {output:q} 2>&1 | tee {log:q}"


rule speed:
    input:
        rules.bench.output,
    output:
        report(
            f"{EXPERIMENT.figures}/bench/{{shape}}.svg",
            caption="../report/speed.rst",
            category="Speed",
            labels={"shape": "{shape}"},
        ),
        multiext(f"{EXPERIMENT.figures}/bench/{{shape}}", ".pdf", ".png"),
    log:
        "logs/speed/{shape}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=10,
    params:
        stem=subpath(output[0], strip_suffix=".svg"),
    message:
        "drawing {output[0]}"
    shell:
        "python -m branchwise speed {input:q} --out {params.stem:q} 2> {log:q}"
