//! The file for node_exporter, parsed by Prometheus' own client library for Python.

use std::collections::BTreeMap;
use std::path::Path;

use super::{assert_code, night, shop};
use crate::outside::ask_python;

const PARSE: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
print(json.dumps([[s.name, f.type, s.labels, s.value]
    for f in text_string_to_metric_families(sys.stdin.read()) for s in f.samples]))
";

type Sample = (String, String, BTreeMap<String, String>, f64);

struct Metrics(Vec<Sample>);

impl Metrics {
    /// `None` without Python.
    fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read(path).expect("the file is there");
        ask_python(PARSE, &text).map(Self)
    }

    /// The one sample of that name and label; `None` where there is none.
    fn get(&self, name: &str, label: Option<(&str, &str)>) -> Option<f64> {
        let fits = |sample: &&Sample| {
            let wanted = label.is_none_or(|(key, value)| sample.2.get(key).is_some_and(|v| v == value));
            sample.0 == format!("bazgasht_{name}") && wanted
        };
        let found: Vec<&Sample> = self.0.iter().filter(fits).collect();
        assert!(found.len() <= 1, "{name}: {found:?}");
        found.first().map(|(name, kind, labels, value)| {
            assert_eq!(kind, if name.ends_with("_total") { "counter" } else { "gauge" }, "{name}");
            assert_eq!(labels["project"], "the \"corner\" \\ shop <&>");
            *value
        })
    }
}

#[test]
fn the_textfile_tells_of_every_night_and_keeps_the_last_success() {
    let shop = shop("[observe]\nprometheus_textfile = \"./metrics/bazgasht.prom\"\n");
    let file = shop.path("metrics/bazgasht.prom");

    // A folder that isn't there is no reason for a run to fail.
    let output = night(&shop, "2024-02-10");
    assert_code(&output, 0);
    assert!(String::from_utf8_lossy(&output.stderr).contains("metrics of this run could not be written"));
    std::fs::create_dir(shop.path("metrics")).expect("a folder");

    shop.write("orders/b.csv", "order_id,customer_id,ordered_at,amount\n3,x,2024-02-06T12:00:00Z,10\n");
    assert_code(&night(&shop, "2024-02-11"), 0);
    let Some(good) = Metrics::read(&file) else { return };
    let orders = Some(("source", "orders"));
    assert_eq!(good.get("runs_total", Some(("status", "published"))), Some(1.0));
    assert_eq!(good.get("source_rows_read", orders), Some(1.0));
    assert_eq!(good.get("source_objects", orders), Some(2.0));
    assert_eq!(good.get("source_newest_timestamp_seconds", orders), Some(1_707_220_800.0));
    assert_eq!(good.get("published_as_of_timestamp_seconds", None), Some(1_707_609_600.0));
    assert_eq!((good.get("published_snapshot", None), good.get("run_exit_code", None)), (Some(2.0), Some(0.0)));
    assert!(good.get("run_partitions", Some(("action", "built"))).is_some_and(|built| built > 0.0));
    assert!(good.get("run_peak_memory_bytes", None).is_some() && good.get("run_spilled_bytes", None).is_some());
    assert!(good.get("run_stage_duration_seconds", Some(("stage", "build"))).is_some());
    let succeeded = good.get("run_last_success_timestamp_seconds", None).expect("it did");
    assert!(good.get("run_duration_seconds", None).is_some_and(|took| took < 600.0) && succeeded > 1.7e9);

    shop.remove("orders/b.csv");
    let assert_fails = |times: f64| {
        assert_code(&night(&shop, "2024-02-12"), 3);
        let failed = Metrics::read(&file).expect("Python was there");
        assert_eq!(failed.get("run_last_success_timestamp_seconds", None), Some(succeeded));
        assert_eq!(failed.get("runs_total", Some(("status", "failed"))), Some(times));
        assert_eq!((failed.get("run_exit_code", None), failed.get("published_snapshot", None)), (Some(3.0), Some(2.0)));
        assert_eq!(failed.get("source_objects", orders), Some(2.0));
        assert!(failed.get("run_stage_duration_seconds", Some(("stage", "build"))).is_none(), "of the run before");
    };
    assert_fails(1.0);
    // On another machine there is no file yet: the lake knows.
    std::fs::remove_file(&file).expect("removed");
    assert_fails(1.0);
    // A lake that can't tell: the file does.
    std::fs::rename(shop.path("lake/runs"), shop.path("lost")).expect("moved");
    assert_fails(2.0);

    let left: Vec<_> = std::fs::read_dir(shop.path("metrics")).expect("there").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o444, 0o444, "the collector is another user");
    }
}
