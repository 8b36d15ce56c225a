//! OpenLineage events, received by a real server, found in files, and read by the official client (`lineage_events.py`).

use std::path::{Path, PathBuf};
use std::process::Command;

use bazgasht::account::Status;
use bazgasht::interrupt::Interrupt;
use serde_json::Value;

use crate::archive::{run, run_with, small_shop};
use crate::made_up::{PROJECT, SOURCES, write_logs};
use crate::outside::python;
use crate::support::receiver::Receiver;
use crate::support::{Shop, tree};

const PARENT: &str = "018f3b2a-8a3e-7c11-9d3e-7f3f5a9b0c1d";

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// As `START small`, `COMPLETE small.ids`.
fn told(event: &Value) -> String {
    format!("{} {}", event["eventType"].as_str().expect("text"), event["job"]["name"].as_str().expect("text"))
}

/// The official client takes them, and gives the same ones back.
fn assert_understood(files: &[PathBuf]) {
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lineage_events.py");
    let output = Command::new(python).arg(script).args(files).output().expect("Python runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines: usize = files.iter().map(|file| events(file).len()).sum();
    assert_eq!(said.trim(), lines.to_string());
}

#[test]
fn a_run_tells_of_its_beginning_its_models_and_its_end() {
    let shop = small_shop("[observe]\nopenlineage = \"./events/\"\nopenlineage_namespace = \"shops\"");
    let file = |run_id: &str| shop.path(&format!("events/{run_id}.ndjson"));
    let published = run(&shop, "2024-02-10");
    assert_eq!(published.status, Status::Published, "{:?}", published.error);
    let first = events(&file(&published.run_id));
    let order: Vec<String> = first.iter().map(told).collect();
    let of = |name: &str| ["START", "COMPLETE"].map(|kind| format!("{kind} {name}"));
    assert_eq!((order.first(), order.last()), (Some(&of("small")[0]), Some(&of("small")[1])));
    for model in ["small.stg_orders", "small.ids", "small.ids.test"] {
        assert!(of(model).iter().all(|event| order.contains(event)), "{model}: {order:?}");
    }
    let (begun, ended) = (&first[0], &first[first.len() - 1]);
    assert_eq!(begun["job"]["namespace"], "shops");
    assert_eq!(begun["run"]["runId"], published.run_id.as_str());
    let day = &begun["run"]["facets"]["nominalTime"];
    assert_eq!(
        (day["nominalStartTime"].as_str(), day["nominalEndTime"].as_str()),
        (Some("2024-02-09T20:30:00.000Z"), Some("2024-02-10T20:30:00.000Z"))
    );
    let root = shop.path("").canonicalize().expect("there").display().to_string();
    let input = &ended["inputs"][0];
    assert_eq!(
        (input["namespace"].as_str(), input["name"].as_str()),
        (Some("file"), Some(format!("{root}/raw").as_str()))
    );
    assert_eq!(input["inputFacets"]["inputStatistics"]["rowCount"], 2);
    let mart =
        ended["outputs"].as_array().expect("a list").iter().find(|o| o["name"] == format!("{root}/marts/current/ids"));
    let mart = mart.expect("published");
    assert_eq!(
        (&mart["outputFacets"]["outputStatistics"]["rowCount"], &mart["facets"]["version"]["datasetVersion"]),
        (&2.into(), &"1".into())
    );
    let amount = &mart["facets"]["columnLineage"]["fields"]["amount"]["inputFields"];
    assert!(
        amount.as_array().expect("a list").iter().any(|f| f["field"] == "amount" && f["name"] == format!("{root}/raw")),
        "{amount}"
    );
    let schema = mart["facets"]["schema"]["fields"].as_array().expect("a list");
    assert!(
        schema
            .iter()
            .any(|f| f["name"] == "amount" && f["type"] == "decimal(18,4)" && f["description"] == "Its amount.")
    );
    let tested = first.iter().find(|event| told(event) == "COMPLETE small.ids.test").expect("tested");
    let assertions =
        tested["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"].as_array().expect("a list");
    assert_eq!(assertions.len(), 3);
    assert!(assertions.iter().all(|assertion| assertion["success"] == true), "{assertions:?}");
    assert_eq!(tested["run"]["facets"]["parent"]["run"]["runId"], published.run_id.as_str());

    let nothing = run(&shop, "2024-02-10");
    assert_eq!(nothing.status, Status::NothingToDo);
    let second = events(&file(&nothing.run_id));
    assert_eq!(second.iter().map(told).collect::<Vec<_>>(), of("small"));
    assert_eq!(second[1]["outputs"].as_array().map(Vec::len), ended["outputs"].as_array().map(Vec::len));
    assert_eq!(second[1]["outputs"][0]["outputFacets"], serde_json::json!({}), "nothing was written");

    shop.write("raw/b.csv", "order_id,customer_id,ordered_at,amount\n3,x,2024-02-06,5000\n");
    let checked = run(&shop, "2024-02-10");
    assert_eq!((checked.status, checked.exit_code), (Status::Failed, 1));
    let third = events(&file(&checked.run_id));
    let failed = third.iter().find(|event| told(event) == "FAIL small.ids.test").expect("a failed check");
    let assertions = &failed["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"];
    let of_check = |name: &str| {
        assertions.as_array().expect("a list").iter().find(|a| a["name"] == name || a["assertion"] == name)
    };
    assert_eq!(of_check("no_huge_amounts").expect("named")["success"], false);
    assert_eq!(of_check("not_null").expect("named")["success"], true);
    let last = third.last().expect("told");
    assert_eq!((told(last).as_str(), last["outputs"].as_array().map(Vec::len)), ("FAIL small", Some(0)));
    let said = last["run"]["facets"]["errorMessage"]["message"].as_str().expect("said");
    assert!(said.contains("no_huge_amounts"), "{said}");

    let interrupt = Interrupt::default();
    interrupt.raise(15);
    let aborted = run_with(&shop, "2024-02-11", &interrupt);
    assert_eq!(aborted.status, Status::Interrupted);
    assert_eq!(events(&file(&aborted.run_id)).last().map(told), Some("ABORT small".to_owned()));
    let runs = [published, nothing, checked, aborted];
    assert_understood(&runs.map(|results| file(&results.run_id)));
}

#[test]
fn the_official_client_understands_a_whole_shop() {
    let sources = format!("[observe]\nopenlineage = \"./events.ndjson\"\n{SOURCES}");
    let shop = Shop::new(&format!("name = \"whole\"\n{PROJECT}"), &sources);
    let as_of = write_logs(&shop, 20, 40);
    let results = run(&shop, &as_of);
    assert_eq!(results.status, Status::Published, "{:?}", results.error);
    let file = shop.path("events.ndjson");
    let all = events(&file);
    let sizes = all.iter().map(|event| event.to_string().len());
    println!("{} events, {} bytes, the largest {}", all.len(), sizes.clone().sum::<usize>(), sizes.max().unwrap_or(0));
    let outputs = all.last().expect("told")["outputs"].as_array().expect("a list");
    let without: Vec<&Value> =
        outputs.iter().filter(|o| o["facets"]["columnLineage"].is_null()).map(|o| &o["name"]).collect();
    // The calendar and the reports come from no source.
    assert_eq!(without.len(), 3, "{without:?}");
    assert_understood(&[file]);
}

#[test]
fn a_receiver_gets_every_event_with_the_key_and_a_dead_one_changes_nothing() {
    let receiver = Receiver::new();
    let config = |receiver: &Receiver| {
        format!("[observe]\nopenlineage = \"{}\"\nopenlineage_api_key = \"Planted-Key\"", receiver.url(""))
    };
    let shop = small_shop(&config(&receiver));
    let results = run(&shop, "2024-02-10");
    let received = receiver.take();
    let built = results.partitions.iter().map(|p| &p.model).collect::<std::collections::BTreeSet<_>>().len();
    assert!(received.len() > 2 + 2 * built, "{}", received.len());
    for request in &received {
        assert_eq!(request.path, "/api/v1/lineage");
        assert_eq!(request.header("authorization"), "Bearer Planted-Key");
        assert_eq!(request.header("content-type"), "application/json");
    }
    assert_eq!(told(&received.last().expect("told").json()), "COMPLETE small");

    let refusing = Receiver::answering([403_u16; 100]);
    let shop = small_shop(&config(&refusing));
    assert_eq!(run(&shop, "2024-02-10").status, Status::Published);
    assert_eq!(refusing.take().len(), 2, "its beginning, and of the rest the first");
}

/// A process, with the variables that other tools go by.
#[test]
fn a_process_goes_by_the_conventions_variables() {
    let receiver = Receiver::new();
    let shop = small_shop("");
    shop.write("bazgasht.toml", &shop.toml);
    let run = |as_of: &str, more: &[(&str, &str)]| {
        let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
        command.current_dir(shop.path("")).args(["run", "--as-of", as_of]).env("OPENLINEAGE_URL", receiver.url("/"));
        command
            .env("OPENLINEAGE_ENDPOINT", "in/lineage")
            .env("OPENLINEAGE_API_KEY", "Planted-Key")
            .env("BAZGASHT_LOG", "trace");
        command
            .env("OPENLINEAGE_NAMESPACE", "shops")
            .env("OPENLINEAGE_PARENT_ID", format!("airflow/nightly.shop/{PARENT}"));
        let output = command.envs(more.iter().copied()).output().expect("run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("Planted"), "{said}");
    };
    run("2024-02-10", &[]);
    let received = receiver.take();
    let main: Vec<Value> = received.iter().map(|r| r.json()).filter(|event| event["job"]["name"] == "small").collect();
    assert_eq!(main.iter().map(told).collect::<Vec<_>>(), ["START small", "COMPLETE small"]);
    assert!(received.iter().all(|r| r.path == "/in/lineage" && r.header("authorization") == "Bearer Planted-Key"));
    for event in &main {
        let parent = &event["run"]["facets"]["parent"];
        assert_eq!(
            (parent["run"]["runId"].as_str(), parent["job"]["name"].as_str()),
            (Some(PARENT), Some("nightly.shop"))
        );
        assert_eq!(event["job"]["namespace"], "shops");
    }
    run("2024-02-11", &[("OPENLINEAGE_DISABLED", "true")]);
    assert_eq!(receiver.take().len(), 0);
    for (path, bytes) in tree(&shop.path("")) {
        assert!(!String::from_utf8_lossy(&bytes).contains("Planted"), "{path}");
    }
}
