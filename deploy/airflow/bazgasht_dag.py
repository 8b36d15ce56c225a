"""Bazgasht, every night: publishes the marts as of the business day that the run's data interval ends.

The date is always passed on (`--as-of`), never taken from a clock: a retry, a cleared task and a run of last week's
interval publish the day that they are about. The worker needs the program `bazgasht` on its PATH, the variables that the
config names, and BAZGASHT_CONFIG (see ../README.md).
"""

import datetime
import json
import logging
import subprocess

from airflow.sdk import CronDataIntervalTimetable, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

# The project's own time zone, as its config has it.
TIMEZONE = "Asia/Tehran"
CRON = "30 2 * * *"

log = logging.getLogger(__name__)

# What the exit codes mean for a scheduler; all others (3, 130, 143, a death) are tried again.
NEEDS_SOMEBODY = {1: "a check failed", 2: "config, SQL or usage", 70: "a bug of Bazgasht's"}
ANOTHER_PUBLISHED = 4


def business_day(data_interval_end):
    """The last business day that had ended when the interval did."""
    return data_interval_end.in_timezone(TIMEZONE).date() - datetime.timedelta(days=1)


def tell(line):
    """One line of the program's JSON log, at its own level."""
    try:
        entry = json.loads(line)
        fields = dict(entry["fields"])
        message = fields.pop("message", "")
    except (ValueError, KeyError, TypeError):
        log.info("%s", line.rstrip())
        return
    level = logging.getLevelNamesMapping().get(entry.get("level"), logging.INFO)
    log.log(level, "%s%s", message, "".join(f" {name}={value}" for name, value in fields.items()))


def run(*arguments):
    """Runs the program, passing its log on while it goes; the exit code."""
    command = ["bazgasht", "--log-format", "json", *arguments]
    log.info("%s", " ".join(command))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stderr:
                tell(line)
        except BaseException:
            # The task is being stopped: so is the program, which ends between two steps and half-publishes nothing.
            process.terminate()
            for line in process.stderr:
                tell(line)
            raise
        log.info("%s", process.stdout.read().rstrip())
    return process.returncode


def settle(exit_code):
    """Turns the exit code into what Airflow does next."""
    if exit_code == 0:
        return
    if exit_code == ANOTHER_PUBLISHED:
        raise AirflowSkipException("another run published first; its marts stand")
    if exit_code in NEEDS_SOMEBODY:
        raise AirflowFailException(f"exit code {exit_code}: {NEEDS_SOMEBODY[exit_code]}; the log above says what to do")
    raise AirflowException(f"exit code {exit_code}: to be tried again; what was done is kept")


@dag(
    dag_id="bazgasht",
    schedule=CronDataIntervalTimetable(CRON, timezone=TIMEZONE),
    start_date=datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc),
    # A run reads all there is, so a missed night leaves no gap.
    catchup=False,
    max_active_runs=1,
    default_args={
        "retries": 3,
        "retry_delay": datetime.timedelta(minutes=15),
        "execution_timeout": datetime.timedelta(hours=6),
    },
    doc_md=__doc__,
    tags=["bazgasht"],
)
def bazgasht():
    @task
    def publish(data_interval_end=None):
        if data_interval_end is None:
            raise AirflowFailException("the run has no data interval: trigger it with a logical date")
        settle(run("run", "--as-of", business_day(data_interval_end).isoformat()))

    @task
    def gc():
        settle(run("gc"))

    publish() >> gc()


bazgasht()
