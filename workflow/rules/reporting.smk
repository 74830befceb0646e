rule tables:
    input:
        scores=SCORES,
        times=TIMED,
        published=PUBLISHED,
        trained=TRAINED,
    output:
        [
            report(
                f"{TABLE_FOLDER}/{name}.html",
                caption=f"../report/{name}_table.rst",
                category="Tables",
                labels={"experiment": NAME, "table": name},
            )
            for name in TABLES
        ],
        expand(
            f"{TABLE_FOLDER}/{{name}}.{{suffix}}",
            name=TABLES,
            suffix=["csv", "md", "tex"],
        ),
        f"{TABLE_FOLDER}/tidy.csv",
        report(
            f"{TABLE_FOLDER}/answers.html",
            caption="../report/answers.rst",
            category="Answers",
            labels={"experiment": NAME},
        ),
    log:
        f"logs/tables/{NAME}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=10,
    params:
        config=CONFIG,
        cells=cells_folder,
        times=times_folder,
        out=subpath(output[0], parent=True),
        experiment=identity.as_param(EXPERIMENT.shown()),
        code=hashing.tables_code(),
    message:
        "writing the tables of {NAME}"
    shell:
        "python -m branchwise tabulate {params.config} --cells {params.cells:q} --times {params.times:q} --out {params.out:q} 2> {log:q}"


rule draw:
    input:
        scores=SCORES,
        times=TIMED,
        trained=TRAINED,
    output:
        [
            report(
                f"{FIGURE_FOLDER}/{name}.svg",
                caption=f"../report/{name}.rst",
                category="Figures",
                labels={"experiment": NAME, "figure": name.replace("_", " ")},
            )
            for name in FIGURES
        ],
        expand(
            f"{FIGURE_FOLDER}/{{name}}.{{suffix}}", name=FIGURES, suffix=["pdf", "png"]
        ),
    log:
        f"logs/draw/{NAME}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=grows(1000),
        runtime=10,
    params:
        config=CONFIG,
        cells=cells_folder,
        times=times_folder,
        out=subpath(output[0], parent=True),
        experiment=identity.as_param(EXPERIMENT.shown()),
        code=hashing.reporting_code(),
    message:
        "drawing the figures of {NAME}"
    shell:
        "python -m branchwise draw {params.config} --cells {params.cells:q} --times {params.times:q} --out {params.out:q} 2> {log:q}"
