"""What a SLURM cluster needs beside the profile."""

from branchwise.doctor.slurm import answering


def settle_status_command():
    """Have jobs' states asked of a command that answers. The plugin takes sacct wherever it exists, and
    where there is no accounting it waits for ever for what sacct will never say.
    """
    settings = workflow.executor_settings
    if getattr(settings, "status_command", None) != "sacct":
        return
    commands = answering()
    if "sacct" in commands:
        return
    if "squeue" not in commands:
        print(
            "error: neither sacct nor squeue answers, so that no job's end would be known; see "
            "`branchwise doctor`",
            file=sys.stderr,
        )
        sys.exit(2)
    settings.status_command = "squeue"
    print(
        "sacct does not answer here: jobs' states are asked of squeue", file=sys.stderr
    )
