"""What rules read and say, as functions of their wildcards."""


def names_of(catalogue):
    """A pattern that fits the names of a catalogue, and nothing else."""
    return "|".join(map(re.escape, getattr(EXPERIMENT.catalogues, catalogue)))


def cells_folder(wildcards):
    """Where all cells lie."""
    return CELLS


def times_folder(wildcards):
    """Where all times lie."""
    return TIMES


def groups_of(wildcards):
    """The file of a data set's groups."""
    return str(identity.groups_file(EXPERIMENT, wildcards.dataset))


def server_of(wildcards):
    """The file by which a cell's server lives, if Snakemake starts it. When it was started decides nothing."""
    return served_by(wildcards.decoder, wildcards.model)


def served_by(decoder, model):
    """The same by names."""
    starts = getattr(EXPERIMENT.catalogues.decoders[decoder], "serve", None)
    return ancient(f"{SERVERS}/{decoder}/{model}.json") if starts else []


def judge_server(wildcards):
    """The server that the judge is asked on, if Snakemake starts one."""
    judge = EXPERIMENT.judge
    return served_by(judge.decoder, judge.model) if judge and judge.decoder else []


def stage_server(stage):
    """The server that a stage asks, if Snakemake starts one."""

    def found(wildcards):
        needed = stages.Needed(stage, getattr(wildcards, stage))
        settings = stages.asking_decoder(EXPERIMENT, needed, wildcards.model)
        names = EXPERIMENT.catalogues.decoders
        name = next((n for n, one in names.items() if one is settings), None)
        asked = stages.stage_model(EXPERIMENT, needed, wildcards.model)
        return served_by(name, asked) if name else []

    return found


def data_file(wildcards):
    """The file that a data set is read from, if it is; its content is part of the groups' name."""
    path = getattr(EXPERIMENT.catalogues.datasets[wildcards.dataset], "path", None)
    return ancient(path) if path else []


def groups_code(wildcards):
    """Hash of the code that makes the groups."""
    return hashing.groups_code(EXPERIMENT, wildcards.dataset)


def option_if_any(name):
    """A param: the option of this name with the input of this name, where a job has one."""

    @planned
    def option(wildcards, input):
        return f"--{name} {shlex.quote(str(input[name]))}" if input[name] else ""

    return option


@planned
def judged(wildcards):
    """The judge's verdicts, where the experiment asks for any on this data set."""
    if wildcards.dataset not in EXPERIMENT.judged:
        return []
    return f"{CELL_FOLDER}/{{scoring}}/judged.json"


def made_by(needed, wildcards):
    """The file of a stage that a strategy or another stage uses."""
    path = stages.stage_file(EXPERIMENT, needed, wildcards.dataset, wildcards.model)
    return f"{RESULTS}/{path}"


def stage_inputs(strategies, wildcards):
    """The files of stages that some strategies use: by stage, and what options call each."""
    found = {stage: {} for stage in STAGES}
    for strategy in strategies:
        for one in stages.needed_by(EXPERIMENT, strategy):
            found[one.stage][one.key] = made_by(one, wildcards)
    return found


def as_options(pairs):
    """Options of a command, each with its value."""
    return " ".join(f"--{name} {shlex.quote(value)}" for name, value in pairs)


def trained_for(strategy, model):
    """The checkpoint that a strategy needs, where one is trained for it."""
    name = trainings.training_of(EXPERIMENT, strategy)
    if name is None:
        return []
    folder = trainings.training_folder(EXPERIMENT, name, model)
    return [f"{TRAININGS}/{folder}/checkpoint.json"]


def code_of_stage(stage, name, model):
    """Hash of the code that a stage's file depends on."""
    return stages.stage_code(EXPERIMENT, stages.Needed(stage, name), model)


def dependencies_code(wildcards):
    """Hash of the code that finds dependencies."""
    return code_of_stage("dependencies", wildcards.dependencies, wildcards.model)


def paraphrases_code(wildcards):
    """Hash of the code that makes paraphrases."""
    return code_of_stage("paraphrases", wildcards.paraphrases, wildcards.model)


def confidence_code(wildcards):
    """Hash of the code that finds confidences."""
    return code_of_stage("confidence", wildcards.confidence, wildcards.model)


def confided(wildcards):
    """The paraphrases whose confidence a job finds; None where they are those that the data give."""
    made = wildcards.paraphrases != stages.OF_DATA
    return stages.Needed("paraphrases", wildcards.paraphrases) if made else None


def confided_paraphrases(wildcards):
    """The file of these paraphrases, if they are made."""
    needed = confided(wildcards)
    return made_by(needed, wildcards) if needed else []


def confided_option(wildcards, input):
    """The same as an option of the command."""
    if not input.paraphrases:
        return ""
    return (
        f"--paraphrases {shlex.quote(f'{confided(wildcards).key}={input.paraphrases}')}"
    )


@planned
def cell_inputs(wildcards):
    """All that answering a cell reads. One function: Snakemake takes its time for each that it calls, and
    for each name.
    """
    found = stage_inputs([wildcards.strategy], wildcards)
    files = {
        "groups": groups_of(wildcards),
        "checkpoint": trained_for(wildcards.strategy, wildcards.model),
        "server": server_of(wildcards),
        **{stage: list(files.values()) for stage, files in found.items()},
    }
    return {name: given for name, given in files.items() if given}


@planned
def stage_options(wildcards):
    """The files of stages that a cell's strategy uses, as options of the command."""
    found = stage_inputs([wildcards.strategy], wildcards)
    return as_options((s, f) for s, files in found.items() for f in files.values())


@planned
def answers_code(wildcards):
    """Hash of the code that a cell's answers depend on; all else is in the name of its folder."""
    return identity.as_param(identity.cell_codes(EXPERIMENT, named_cell(wildcards)))


def masks_code(wildcards):
    """Hash of the code that a recorded mask depends on; all else is in the name of its folder."""
    return hashing.masks_code(EXPERIMENT, named_cell(wildcards))


def recorded_mask(wildcards):
    """The file of the mask that a picture shows."""
    folder = identity.cell_folder(EXPERIMENT, named_cell(wildcards))
    return f"{RESULTS}/masks/{folder}/{wildcards.group}.json"


def named_cell(wildcards):
    """The cell that a path names, whatever its settings are."""
    return Cell(
        wildcards.dataset, wildcards.model, wildcards.strategy, wildcards.decoder
    )


def paged_file(name):
    """An input: a file of the cell that a folder of pages is about."""

    def path(wildcards):
        folder = identity.cell_folder(EXPERIMENT, named_cell(wildcards))
        return f"{CELLS}/{folder}/{name}"

    return path


def paged_scores(wildcards):
    """The scores of the cell that a folder of pages is about."""
    return f"{CELLS}/{identity.scores_path(EXPERIMENT, named_cell(wildcards))}"


def paged_times(wildcards):
    """The times of the cell that a folder of pages is about, where any are taken."""
    contest = timing.contest_of(
        EXPERIMENT, wildcards.dataset, wildcards.model, wildcards.decoder
    )
    if contest is None or not EXPERIMENT.timed_groups:
        return []
    return f"{TIMES}/{timing.times_path(EXPERIMENT, contest)}"


def contest_of(wildcards):
    """What is timed together in a job."""
    decoder = None if wildcards.contest == timing.BETWEEN else wildcards.contest
    return timing.contest_of(EXPERIMENT, wildcards.dataset, wildcards.model, decoder)


def timed_inputs(wildcards):
    """All that a timing job reads. One function: Snakemake takes its time for each that it calls."""
    cells = contest_of(wildcards).cells
    found = stage_inputs((cell.strategy for cell in cells), wildcards)
    checkpoints = (f for cell in cells for f in trained_for(cell.strategy, cell.model))
    return {
        "groups": groups_of(wildcards),
        "checkpoint": list(dict.fromkeys(checkpoints)),
        **{stage: list(files.values()) for stage, files in found.items()},
    }


def timed_options(wildcards):
    """The files of stages as options of the command."""
    cells = contest_of(wildcards).cells
    found = stage_inputs((cell.strategy for cell in cells), wildcards)
    pairs = (
        (s, f"{key}={f}") for s, files in found.items() for key, f in files.items()
    )
    return as_options(pairs)


def timed_decoder(wildcards):
    """The option that names the decoder; none where decoders are compared."""
    if wildcards.contest == timing.BETWEEN:
        return ""
    return f"--decoder {shlex.quote(wildcards.contest)}"


def times_code(wildcards):
    """Hash of the code that the times depend on."""
    return hashing.times_code(EXPERIMENT, contest_of(wildcards).cells)


def trained_data(wildcards):
    """The names of the data sets that a training reads."""
    return trainings.data_of(EXPERIMENT.catalogues.trainings[wildcards.training])


def trained_groups(wildcards):
    """An input: the groups of these."""
    names = trained_data(wildcards)
    return [str(identity.groups_file(EXPERIMENT, name)) for name in names]


def launcher(wildcards, resources):
    """What starts a training: Python, or one process a GPU, on each of the job's machines."""
    if EXPERIMENT.gpus <= 1 and resources.nodes <= 1:
        return "python"
    processes = f"torchrun --nproc-per-node {max(1, EXPERIMENT.gpus)}"
    if resources.nodes <= 1:
        return f"{processes} --standalone"
    first = "$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1)"
    meet = f"--rdzv-backend c10d --rdzv-endpoint {first}:29500 --rdzv-id $SLURM_JOB_ID"
    return f"srun --ntasks-per-node 1 {processes} --nnodes {resources.nodes} {meet}"


def trained_options(wildcards, input):
    """The same as options of the command."""
    pairs = zip(trained_data(wildcards), input.groups)
    return " ".join(f"--groups {shlex.quote(f'{name}={file}')}" for name, file in pairs)
