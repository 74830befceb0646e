"""Branchwise: from a config to tables and figures. `snakemake --cores all` runs config/demo.yaml."""

from snakemake.utils import min_version

min_version("9.20")

if "experiment" not in config:

    configfile: "config/demo.yaml"


include: "workflow/rules/common.smk"


wildcard_constraints:
    dataset="|".join(EXPERIMENT.catalogues.datasets),
    model="|".join(name.replace(".", r"\.") for name in EXPERIMENT.catalogues.models),
    strategy="|".join(EXPERIMENT.catalogues.strategies),
    decoder="|".join(EXPERIMENT.catalogues.decoders),
    dependencies="|".join(EXPERIMENT.catalogues.dependencies),


localrules:
    all,
    figures,


if not EXPERIMENT.cached:

    include: "workflow/rules/data.smk"
    include: "workflow/rules/training.smk"
    include: "workflow/rules/dependencies.smk"
    include: "workflow/rules/generation.smk"
    include: "workflow/rules/evaluation.smk"
    include: "workflow/rules/benchmark.smk"


include: "workflow/rules/reporting.smk"


rule all:
    default_target: True
    input:
        rules.tables.output,
        rules.draw.output,


rule figures:
    input:
        rules.tables.output,
        rules.draw.output,
