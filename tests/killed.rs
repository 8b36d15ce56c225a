//! The process itself, killed at random moments: SIGKILL, as a machine that dies or a kernel short of memory does it.
//!
//! BAZGASHT_KILLS says how often (4); `just soak` does it for long.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::tree;

const CONFIG: &str = r#"
[project]
timezone = "Asia/Tehran"
calendar = "jalali"
currency = "IRR"
[storage]
lake = "./lake"
marts = "./marts"
[sources.orders]
location = "./raw/orders"
[sources.order_items]
location = "./raw/order_items"
[sources.interactions]
location = "./raw/interactions"
[sources.customers]
location = "./raw/customers"
"#;

fn bazgasht(dir: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
    command.current_dir(dir).args(arguments).env_remove("BAZGASHT_CONFIG").env("BAZGASHT_LOG", "error");
    command.stdout(Stdio::null()).spawn().expect("it starts")
}

fn run(dir: &Path) -> Child {
    bazgasht(dir, &["run", "--as-of", "2025-02-28"])
}

/// A shop's folder, with its logs.
fn shop() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let generate = ["generate", "--customers", "40", "--days", "60", "--first-day", "2025-01-01", "--out", "raw"];
    assert!(bazgasht(dir.path(), &generate).wait().expect("it ends").success());
    std::fs::write(dir.path().join("bazgasht.toml"), CONFIG).expect("written");
    dir
}

/// Everything that `current.json` names is there, whole.
fn assert_readable(marts: &Path) {
    let Ok(text) = std::fs::read(marts.join("current.json")) else { return };
    let current: serde_json::Value = serde_json::from_slice(&text).expect("whole JSON");
    let files = current["marts"].as_object().expect("marts").values().flat_map(|mart| mart["files"].as_array());
    for file in files.flatten() {
        let path = marts.join(file["path"].as_str().expect("a path"));
        let size = std::fs::metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).len();
        assert_eq!(Some(size), file["size_bytes"].as_u64(), "{}", path.display());
    }
}

fn published(dir: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut files = tree(&dir.join("marts/current"));
    files.remove("run_log.parquet");
    files
}

#[test]
fn killed_at_any_moment_the_next_run_finishes_the_job() {
    let kills: u32 = std::env::var("BAZGASHT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let undisturbed = shop();
    let started = Instant::now();
    assert!(run(undisturbed.path()).wait().expect("it ends").success());
    let usual_ms = u64::try_from(started.elapsed().as_millis()).expect("not for ever");
    let expected = published(undisturbed.path());

    let dir = shop();
    let seed = started.elapsed().as_nanos() as u64;
    println!("seed {seed}, a run takes {usual_ms} ms");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..kills {
        let mut running = run(dir.path());
        std::thread::sleep(Duration::from_millis(rng.random_range(0..usual_ms)));
        running.kill().expect("a signal");
        let ended = running.wait().expect("it ends");
        assert_readable(&dir.path().join("marts"));
        if ended.success() {
            // It was faster than the signal: begin anew.
            std::fs::remove_dir_all(dir.path().join("lake")).expect("removed");
            std::fs::remove_dir_all(dir.path().join("marts")).expect("removed");
        }
    }
    assert!(run(dir.path()).wait().expect("it ends").success());
    assert!(published(dir.path()) == expected, "other bytes than those of a run that nobody killed");
}
