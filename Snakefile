"""Branchwise: from a config to tables and figures. `snakemake --cores all` runs config/demo.yaml."""

import gc
import os

from snakemake.utils import min_version

min_version("9.20")
# A plan of thousands of jobs makes millions of objects and no garbage: looking for some takes a quarter
# of its time.
gc.disable()

if "experiment" not in config:

    configfile: os.path.join(workflow.basedir, "config/demo.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/sharding.smk"
include: "workflow/rules/cluster.smk"


wildcard_constraints:
    dataset=names_of("datasets"),
    model=names_of("models"),
    strategy=names_of("strategies"),
    decoder=names_of("decoders"),
    dependencies=names_of("dependencies"),
    # Of confidences also those that the data give.
    paraphrases=f"{names_of('paraphrases')}|{re.escape(stages.OF_DATA)}",
    confidence=names_of("confidence"),
    training=names_of("trainings"),
    group="[^/]+",
    settings="[0-9a-f]{8}",
    scoring="[0-9a-f]{8}",


localrules:
    all,
    figures,


if not EXPERIMENT.cached:

    include: "workflow/rules/data.smk"
    include: "workflow/rules/training.smk"
    include: "workflow/rules/dependencies.smk"
    include: "workflow/rules/wording.smk"
    include: "workflow/rules/serving.smk"
    include: "workflow/rules/generation.smk"
    include: "workflow/rules/timing.smk"
    include: "workflow/rules/evaluation.smk"
    include: "workflow/rules/benchmark.smk"
    include: "workflow/rules/pages.smk"
    include: "workflow/rules/masks.smk"
    include: "workflow/rules/lanes.smk"


include: "workflow/rules/reporting.smk"


onstart:
    gc.enable()
    settle_status_command()


onsuccess:
    show_tables()


onerror:
    say_errors()
    process.sweep(SERVERS, end=True)


rule all:
    default_target: True
    input:
        rules.tables.output,
        rules.draw.output,
        DAMAGED,


rule figures:
    input:
        rules.tables.output,
        rules.draw.output,
        DAMAGED,
