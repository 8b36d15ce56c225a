"""Bazgasht, every night: the marts as one asset, partitioned by business day.

A partition's key is the business day, and is always passed on (`--as-of`), never taken from a clock: a retry and a
backfill publish the day that they are about. The machine that runs it needs the program `bazgasht` on its PATH, the
variables that the config names, and BAZGASHT_CONFIG (see ../README.md).
"""

import json
import logging
import subprocess

import dagster as dg

# The project's own time zone, as its config has it.
TIMEZONE = "Asia/Tehran"

business_days = dg.DailyPartitionsDefinition(start_date="2025-01-01", timezone=TIMEZONE)

# What the exit codes mean for a scheduler; all others (3, 130, 143, a death) are tried again.
NEEDS_SOMEBODY = {1: "a check failed", 2: "config, SQL or usage", 70: "a bug of Bazgasht's"}
ANOTHER_PUBLISHED = 4


def tell(log, line):
    """One line of the program's JSON log, at its own level."""
    try:
        entry = json.loads(line)
        fields = dict(entry["fields"])
        message = fields.pop("message", "")
    except (ValueError, KeyError, TypeError):
        log.info(line.rstrip())
        return
    level = logging.getLevelNamesMapping().get(entry.get("level"), logging.INFO)
    log.log(level, message + "".join(f" {name}={value}" for name, value in fields.items()))


def run(log, *arguments):
    """Runs the program, passing its log on while it goes; the exit code, and what it printed."""
    command = ["bazgasht", "--log-format", "json", *arguments]
    log.info(" ".join(command))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stderr:
                tell(log, line)
        except BaseException:
            # The run is being stopped: so is the program, which ends between two steps and half-publishes nothing.
            process.terminate()
            for line in process.stderr:
                tell(log, line)
            raise
        printed = process.stdout.read().rstrip()
    return process.returncode, printed


def settle(exit_code):
    """Whether it was published; raises what Dagster is to do otherwise."""
    if exit_code in (0, ANOTHER_PUBLISHED):
        return exit_code == 0
    if exit_code in NEEDS_SOMEBODY:
        raise dg.Failure(
            f"exit code {exit_code}: {NEEDS_SOMEBODY[exit_code]}; the log above says what to do", allow_retries=False
        )
    raise dg.RetryRequested(max_retries=3, seconds_to_wait=900)


# The pool has one place (see dagster.yaml): of two runs at once, one would only exit with 4.
@dg.asset(partitions_def=business_days, output_required=False, pool="bazgasht", kinds={"parquet"})
def retention_marts(context: dg.AssetExecutionContext):
    """The marts as of the partition's business day, in `[storage] marts`."""
    exit_code, printed = run(context.log, "run", "--as-of", context.partition_key)
    if settle(exit_code):
        yield dg.MaterializeResult(metadata={"as_of": context.partition_key, "told": dg.MetadataValue.text(printed)})
    else:
        context.log.info("skipped: another run published first; its marts stand")


@dg.op(pool="bazgasht")
def gc(context: dg.OpExecutionContext):
    """Deletes what no kept run needs."""
    exit_code, printed = run(context.log, "gc")
    settle(exit_code)
    context.log.info(printed)


@dg.job
def sweep():
    gc()


night = dg.define_asset_job("night", selection=[retention_marts], partitions_def=business_days)

defs = dg.Definitions(
    assets=[retention_marts],
    jobs=[night, sweep],
    schedules=[
        # The partition of a day is asked for the morning after.
        dg.build_schedule_from_partitioned_job(
            night, hour_of_day=2, minute_of_hour=30, default_status=dg.DefaultScheduleStatus.RUNNING
        ),
        dg.ScheduleDefinition(
            job=sweep,
            cron_schedule="0 12 * * 5",
            execution_timezone=TIMEZONE,
            default_status=dg.DefaultScheduleStatus.RUNNING,
        ),
    ],
)
