"""Servers of models on this machine, started for the cells that ask them and gone after the last of these.

Not Snakemake's `service`: its consumers all have to run at the same time, each with its cores. The file here is
temporary: Snakemake removes it when no job needs it any more, and the server ends with its file.
"""

if workflow.is_main_process:
    # Of a run that was killed, on a machine that has been started anew since.
    process.sweep(SERVERS)


rule serve:
    output:
        temp(f"{SERVERS}/{{decoder}}/{{model}}.json"),
    log:
        "logs/serve/{decoder}/{model}.log",
    conda:
        "../../envs/environment.yaml"
    threads: EXPERIMENT.threads
    resources:
        mem_mb=MEMORY,
        runtime=RUNTIME,
        gpu=EXPERIMENT.gpus,
    params:
        config=CONFIG,
    message:
        "starting the server of {wildcards.model} for {wildcards.decoder}"
    shell:
        "python -m branchwise serve {params.config} --decoder {wildcards.decoder:q} "
        "--model {wildcards.model:q} --out {output:q} 2> {log:q}"
