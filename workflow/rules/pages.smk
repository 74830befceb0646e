"""Pages of single groups, on request: `snakemake pages`."""

PAGES = f"{RESULTS}/pages/{NAME}"


rule cell_pages:
    input:
        answers=paged_file("answers.jsonl"),
        trace=paged_file("trace.jsonl"),
        run=paged_file("run.json"),
        scores=paged_scores,
        times=paged_times,
        groups=groups_of,
    output:
        f"{PAGES}/{{dataset}}/{{model}}/{{strategy}}/{{decoder}}/index.html",
    log:
        f"logs/pages/{NAME}/{{dataset}}/{{model}}/{{strategy}}/{{decoder}}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=20,
    params:
        code=hashing.pages_code(),
        cell=subpath(input.run, parent=True),
        out=subpath(output[0], parent=True),
        limit=EXPERIMENT.pages,
        times=option_if_any("times"),
    message:
        "writing pages to {params.out}"
    shell:
        "python -m branchwise pages --cell {params.cell:q} --groups {input.groups:q} "
        "--scores {input.scores:q} --out {params.out:q} --limit {params.limit} "
        "{params.times} --above ../../../../index.html > {log:q} 2>&1"


rule pages:
    input:
        pages=[f"{PAGES}/{cell.path}/index.html" for cell in EXPERIMENT.cells],
        scores=SCORES,
    output:
        report(
            f"{PAGES}/index.html",
            caption="../report/pages.rst",
            category="Pages",
            labels={"experiment": NAME},
        ),
    log:
        f"logs/pages/{NAME}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=10,
    params:
        config=CONFIG,
        cells=cells_folder,
        code=hashing.pages_code(),
        limit=EXPERIMENT.pages,
    message:
        "writing the index of all pages of {NAME}"
    shell:
        "python -m branchwise pages-index {params.config} --cells {params.cells:q} --out {output:q} "
        "> {log:q} 2>&1"
