"""Checks what lies in deploy/ with the real tools: see check.sh. Arguments: which of the checks, by default all."""

import contextlib
import datetime
import importlib.util
import json
import logging
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zoneinfo

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent
SQL = DEPLOY.parent / "sql"
TOOLS = pathlib.Path(sys.executable).parent
BAZGASHT = pathlib.Path(os.environ["BAZGASHT_BIN"]).resolve()
AS_OF = "2025-06-28"
DAY_AFTER = "2025-06-29"
S3_START_TIMEOUT_S = 90

# What each exit code has to lead to, whatever starts the night.
EXIT_CODES = {
    0: "done",
    1: "somebody",
    2: "somebody",
    3: "again",
    4: "done",
    70: "somebody",
    130: "again",
    137: "again",
    143: "again",
}


class Absent(Exception):
    """A tool that this machine doesn't have."""


def say(*what):
    print(*what, flush=True)


def tool(name):
    """Where a tool lies: beside this Python, or on the PATH."""
    found = shutil.which(name, path=f"{TOOLS}:{os.environ['PATH']}")
    if not found:
        raise Absent(name)
    return found


def call(*command, env=None, expected=0, **options):
    """Runs a command; what it printed. Its exit code has to be the expected one."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )
    text = f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}"
    assert expected is None or done.returncode == expected, text
    return done.stdout


def module(path):
    """A Python file, imported."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


# --- a tiny project ------------------------------------------------------------------------------------------------

CONFIG = """[project]
timezone = "Asia/Tehran"
currency = "IRR"
[storage]
lake = "./lake"
marts = "./marts"
[models]
path = "./sql"
[sources.orders]
location = "./orders"
"""
MART = """/*---
description = "Every order."
grain = ["order_id"]
partition = "month"
[columns]
order_id = { type = "text", doc = "The order." }
---*/
select order_id from stg_orders order by order_id
"""
ORDERS = "order_id,customer_id,ordered_at,amount\n1,x,2025-05-05,10\n2,x,2025-06-05,10\n"


def project(folder):
    """A project with one mart, small enough for a debug build; the environment in which `bazgasht` runs it."""
    files = {
        "bazgasht.toml": CONFIG,
        "orders/a.csv": ORDERS,
        "sql/marts/ids.sql": MART,
        "sql/staging/stg_orders.sql": (SQL / "staging/stg_orders.sql").read_text(),
        "sql/staging/stg_identities.sql": (SQL / "staging/stg_identities.sql").read_text(),
        "bin/.keep": "",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "bin/bazgasht").symlink_to(BAZGASHT)
    return {"BAZGASHT_CONFIG": str(folder / "bazgasht.toml"), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}


def published_days(env):
    """The as-of dates of the project's snapshots."""
    return [row["as_of"] for row in json.loads(call(BAZGASHT, "runs", "--json", env={**env, "BAZGASHT_LOG": "error"}))]


@contextlib.contextmanager
def environment(env):
    before = dict(os.environ)
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def real_exit_codes(folder, run):
    """Makes the real program end with 2, 1 and 3, and says so by the runner under test."""
    config = folder / "bazgasht.toml"
    config.write_text(CONFIG.replace("currency", "curency"))
    assert run() == 2
    config.write_text(CONFIG)
    (folder / "orders/b.csv").write_text("order_id,customer_id,ordered_at,amount\n3,x,yesterday,much\n")
    assert run() == 1
    (folder / "orders/b.csv").unlink()
    (folder / "orders/a.csv").rename(folder / "a.csv")
    assert run() == 3
    (folder / "a.csv").rename(folder / "orders/a.csv")


# --- Kubernetes ----------------------------------------------------------------------------------------------------


def by_policy(policy, code):
    """What Kubernetes does with a pod whose container ended so: the first rule that matches, else it counts."""
    if code == 0:
        return "done"
    for rule in policy["rules"]:
        codes = rule.get("onExitCodes")
        if codes and codes["operator"] == "In" and code in codes["values"]:
            return {"FailJob": "somebody", "Ignore": "again", "Count": "again"}[rule["action"]]
    return "again"


def check_kubernetes(folder):
    import kubernetes_validate

    files = [DEPLOY / "kubernetes" / name for name in ("run.yaml", "gc.yaml")]
    documents = {path.name: yaml.safe_load(path.read_text()) for path in files}
    for version in ("1.31", kubernetes_validate.latest_version()):
        for name, document in documents.items():
            kubernetes_validate.validate(document, version, strict=True)
            say(f"  {name}: valid for Kubernetes {version}")
    spec = documents["run.yaml"]["spec"]
    job = spec["jobTemplate"]["spec"]
    for code, wanted in EXIT_CODES.items():
        # A pod whose code is 4 is replaced, and the next one finds nothing to do.
        wanted = "again" if code == 4 else wanted
        assert by_policy(job["podFailurePolicy"], code) == wanted, code
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    minute, hour = map(int, spec["schedule"].split()[:2])
    begins = hour * 3600 + minute * 60
    assert begins + spec["startingDeadlineSeconds"] + job["activeDeadlineSeconds"] < 86400, "a try after midnight"
    call(BAZGASHT, "check", env={"BAZGASHT_CONFIG": str(DEPLOY / "kubernetes/bazgasht.toml")})
    zoneinfo.ZoneInfo(spec["timeZone"])
    say("  exit codes lead where they should; no try after midnight; the config holds")
    built = list(yaml.safe_load_all(call(tool("kubectl"), "kustomize", DEPLOY / "kubernetes")))
    for document in built:
        kubernetes_validate.validate(document, "1.31", strict=True)
    config = next(document["metadata"]["name"] for document in built if document["kind"] == "ConfigMap")
    for document in built:
        if document["kind"] == "CronJob":
            pod = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            assert pod["volumes"][0]["configMap"]["name"] == config
            assert "/" in pod["containers"][0]["image"]
    say(f"  kustomization.yaml: {len(built)} valid objects")


# --- systemd -------------------------------------------------------------------------------------------------------


def check_systemd(folder):
    analyze = tool("systemd-analyze")
    units = ("bazgasht.service", "bazgasht.timer", "bazgasht-schedule.service")
    for name in units:
        text = (DEPLOY / "systemd" / name).read_text().replace("/usr/local/bin/bazgasht", str(BAZGASHT))
        (folder / name).write_text(text)
    said = call(analyze, "verify", "--man=no", "--recursive-errors=yes", *(folder / name for name in units))
    assert not said.strip(), said
    say("  all units are well-formed")
    # 0 is all confined, 10 not at all; what is wanted is better than 2.
    for name in ("bazgasht.service", "bazgasht-schedule.service"):
        said = call(analyze, "security", "--offline=true", "--threshold=20", folder / name)
        say(f"  {said.strip().splitlines()[-1].strip('→ ').strip()}")
    calendar = next(
        line.split("=", 1)[1] for line in (folder / "bazgasht.timer").read_text().splitlines() if line.startswith("OnCalendar=")
    )
    said = call(analyze, "calendar", f"--base-time={AS_OF} 12:00:00 UTC", calendar)
    assert f"{AS_OF} 23:00:00 UTC" in said, said
    say(f"  {calendar}: 23:00 UTC")


# --- compose -------------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def becomes_healthy(server, url, log):
    deadline = time.monotonic() + S3_START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"the S3 server does not start:\n{log.read_text()}")


@contextlib.contextmanager
def s3_server(service, folder):
    """The file's S3 service, as its command says, but on this machine; where it listens."""
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    command = " ".join([*service["entrypoint"], service["command"]])
    for ours, here in {
        "-dir=/data": f"-dir={folder}/data",
        "-ip=s3": "-ip=127.0.0.1",
        "-ip.bind=0.0.0.0": "-ip.bind=127.0.0.1",
        "/etc/seaweedfs/s3.json": str(DEPLOY / "compose/s3.json"),
        "-s3.port=8333": "",
    }.items():
        assert ours in command, ours
        command = command.replace(ours, here)
    (folder / "data").mkdir()
    arguments = shlex.split(command)[1:]
    for name, port in ports.items():
        arguments += [f"-{name}.port={port}", f"-{name}.port.grpc={free_port()}"]
    arguments += [f"-{name}.localSocket={folder}/{name}.sock" for name in ("filer", "s3")]
    arguments += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    log = folder / "weed.log"
    with log.open("w") as out:
        server = subprocess.Popen([tool("weed"), *arguments], stdout=out, stderr=out)
    try:
        health = next(part for part in service["healthcheck"]["test"] if part.startswith("http"))
        becomes_healthy(server, health.replace("http://s3:8333", f"http://127.0.0.1:{ports['s3']}"), log)
        yield f"http://127.0.0.1:{ports['s3']}"
    finally:
        server.kill()
        server.wait()


def check_compose(folder):
    path = DEPLOY / "compose/compose.yaml"
    call(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path)
    say("  compose.yaml: valid by the compose specification's schema")
    services = yaml.safe_load(path.read_text())["services"]
    call(BAZGASHT, "check", env={"BAZGASHT_CONFIG": str(DEPLOY / "compose/bazgasht.toml")})
    with s3_server(services["s3"], folder) as endpoint:
        say("  its S3 store is up and healthy")
        base = {"BAZGASHT_CONFIG": str(DEPLOY / "compose/bazgasht.toml"), "TMPDIR": str(folder)}
        for name in ("logs", "night"):
            env = {**services[name]["environment"], "AWS_ENDPOINT": endpoint, **base}
            said = call(BAZGASHT, *shlex.split(services[name]["command"]), env=env, cwd=folder)
        published = next(line for line in said.splitlines() if line.startswith("published"))
        say(f"  the shop ran against it: {published}")
        marts = call(BAZGASHT, "show", "rfm", "--limit", "3", env=env)
        assert "customer_id" in marts, marts


# --- Airflow -------------------------------------------------------------------------------------------------------


def check_airflow(folder):
    env = project(folder)
    home = folder / "airflow"
    shutil.copytree(DEPLOY / "airflow", home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    env |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }
    airflow = tool("airflow")
    call(airflow, "db", "migrate", env=env)
    call(airflow, "dags", "reserialize", env=env)
    problems = json.loads(call(airflow, "dags", "list-import-errors", "-o", "json", env=env, expected=None).strip().splitlines()[-1])
    assert problems == [], problems
    say(f"  imported by Airflow {call(airflow, 'version', env=env).strip().splitlines()[-1]}")
    # Its interval ends at 2:30 of the day after.
    said = call(airflow, "dags", "test", "bazgasht", f"{DAY_AFTER}T02:30:00+03:30", env=env)
    assert published_days(env) == [AS_OF], said
    assert "published snapshot 1" in said and "extract orders" in said, said
    say(f"  `airflow dags test` published the marts as of {AS_OF}, with the program's log in the task's")
    with environment(env):
        from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

        dag = module(DEPLOY / "airflow/bazgasht_dag.py")
        ends = {0: "done", AirflowSkipException: "done", AirflowFailException: "somebody", AirflowException: "again"}
        for code, wanted in EXIT_CODES.items():
            try:
                dag.settle(code)
                end = 0
            except AirflowException as e:
                end = type(e)
            assert ends[end] == wanted, code
        # After a Friday's interval across a change of the clocks, too, the day is the one that ended.
        import pendulum

        dag.TIMEZONE = "Europe/London"
        for end, day in (("2025-03-30T01:30:00+00:00", "2025-03-29"), ("2025-10-26T01:30:00+00:00", "2025-10-25")):
            assert dag.business_day(pendulum.parse(end)).isoformat() == day
        logging.disable()
        real_exit_codes(folder, lambda: dag.run("run", "--as-of", AS_OF))
        logging.disable(logging.NOTSET)
    say("  the real program's exit codes lead where they should")


# --- Dagster -------------------------------------------------------------------------------------------------------


def check_dagster(folder):
    env = project(folder) | {"DAGSTER_HOME": str(folder / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "1"}
    shutil.copytree(DEPLOY / "dagster", folder / "dagster", ignore=shutil.ignore_patterns("__pycache__"))
    call(tool("dagster"), "definitions", "validate", "-f", folder / "dagster/definitions.py", env=env)
    with environment(env):
        import dagster as dg

        definitions = module(DEPLOY / "dagster/definitions.py")
        say(f"  loaded by Dagster {dg.__version__}")
        schedule = definitions.defs.resolve_schedule_def("night_schedule")
        tick = datetime.datetime.fromisoformat(f"{DAY_AFTER}T02:30:00+03:30")
        with dg.DagsterInstance.get() as instance:
            context = dg.build_schedule_context(
                instance, scheduled_execution_time=tick, repository_def=definitions.defs.get_repository_def()
            )
            asked = schedule.evaluate_tick(context).run_requests
            assert [request.partition_key for request in asked] == [AS_OF], asked
            job = definitions.defs.resolve_job_def("night")
            done = job.execute_in_process(partition_key=AS_OF, instance=instance)
            assert done.success and published_days(env) == [AS_OF]
            event = done.asset_materializations_for_node("retention_marts")[0]
            assert "published snapshot 1" in event.metadata["told"].value
            assert definitions.defs.resolve_job_def("sweep").execute_in_process(instance=instance).success
        say(f"  the schedule's tick asks for {AS_OF}; materialized, the marts are as of it; swept")
        for code, wanted in EXIT_CODES.items():
            try:
                definitions.settle(code)
                end = "done"
            except dg.Failure as failure:
                assert not failure.allow_retries
                end = "somebody"
            except dg.RetryRequested:
                end = "again"
            assert end == wanted, code
        quiet = logging.getLogger("quiet")
        quiet.disabled = True
        real_exit_codes(folder, lambda: definitions.run(quiet, "run", "--as-of", AS_OF)[0])
    say("  the real program's exit codes lead where they should")


CHECKS = {
    "kubernetes": check_kubernetes,
    "systemd": check_systemd,
    "compose": check_compose,
    "airflow": check_airflow,
    "dagster": check_dagster,
}


def main(names):
    skipped = []
    for name in names or CHECKS:
        say(f"{name}:")
        with tempfile.TemporaryDirectory(prefix="bazgasht-deploy-") as folder:
            try:
                CHECKS[name](pathlib.Path(folder).resolve())
            except Absent as absent:
                say(f"  the rest is skipped: there is no {absent} here")
                skipped.append(str(absent))
    say(f"fine{', but for what needs ' + ', '.join(skipped) if skipped else ''}")


if __name__ == "__main__":
    main(sys.argv[1:])
