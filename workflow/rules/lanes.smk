"""Branches of single groups over time, on request: `snakemake figures/lanes/<cell>/<group>.svg`."""


rule lanes:
    input:
        trace=paged_file("trace.jsonl"),
        run=paged_file("run.json"),
        scores=paged_scores,
    output:
        report(
            f"{EXPERIMENT.figures}/lanes/{DRAWN}.svg",
            caption="../report/lanes.rst",
            category="Branches over time",
            labels={
                "data set": "{dataset}",
                "model": "{model}",
                "strategy": "{strategy}",
                "decoder": "{decoder}",
                "group": "{group}",
            },
        ),
        multiext(f"{EXPERIMENT.figures}/lanes/{DRAWN}", ".pdf", ".png"),
    log:
        f"logs/lanes/{DRAWN}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=10,
    params:
        code=hashing.lanes_figure_code(),
        scored=subpath(input.scores, parent=True),
        stem=subpath(output[0], strip_suffix=".svg"),
    message:
        "drawing {output[0]}"
    shell:
        "python -m branchwise lanes {params.scored:q} --group {wildcards.group:q} "
        "--out {params.stem:q} 2> {log:q}"
