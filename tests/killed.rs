//! The process itself, ended at random moments: by SIGKILL, as a machine that dies or a kernel short of memory does it; by
//! SIGTERM, as a scheduler does; by SIGINT, as Ctrl-C does.
//!
//! BAZGASHT_KILLS says how often each (2); `just soak` does it for long.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::made_up::{PROJECT, SOURCES, write_logs};
use crate::support::{Shop, published};

fn run(shop: &Shop, as_of: &str) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
    command.current_dir(shop.dir.path()).args(["run", "--as-of", as_of]);
    command.env_remove("BAZGASHT_CONFIG").env("BAZGASHT_LOG", "error");
    command.stdout(Stdio::null()).spawn().expect("it starts")
}

/// A shop's folder with its config and logs, and the last day of these.
fn shop() -> (Shop, String) {
    let shop = Shop::new(PROJECT, SOURCES);
    shop.write("bazgasht.toml", &shop.toml);
    let last_day = write_logs(&shop, 40, 60);
    (shop, last_day)
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

/// A signal, what `kill` calls it, and the exit code of a program that ends at it in good order.
const SIGNALS: [(i32, &str, Option<i32>); 3] = [(9, "-KILL", None), (15, "-TERM", Some(143)), (2, "-INT", Some(130))];

/// Checks how the program ended; `true` if it was faster than the signal.
fn ended(status: ExitStatus, signal: i32, in_order: Option<i32>) -> bool {
    match (status.code(), status.signal()) {
        (Some(0), _) => true,
        // Before the program listens for it, or as nothing can: the signal itself ends it.
        (None, Some(by)) => {
            assert_eq!(by, signal);
            false
        }
        (code, _) => {
            assert_eq!(code, in_order);
            false
        }
    }
}

#[test]
fn ended_at_any_moment_the_next_run_finishes_the_job() {
    let times: u32 = std::env::var("BAZGASHT_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let (undisturbed, as_of) = shop();
    let started = Instant::now();
    assert!(run(&undisturbed, &as_of).wait().expect("it ends").success());
    let usual_ms = u64::try_from(started.elapsed().as_millis()).expect("not for ever");
    let expected = published(&undisturbed);

    let (shop, as_of) = shop();
    let seed = started.elapsed().as_nanos() as u64;
    println!("seed {seed}, a run takes {usual_ms} ms");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for (signal, name, in_order) in (0..times).flat_map(|_| SIGNALS) {
        let mut running = run(&shop, &as_of);
        std::thread::sleep(Duration::from_millis(rng.random_range(0..usual_ms)));
        let sent = Command::new("kill").args([name, &running.id().to_string()]).stderr(Stdio::null()).status();
        assert!(sent.is_ok(), "`kill` can be run");
        let was_faster = ended(running.wait().expect("it ends"), signal, in_order);
        assert_readable(&shop.path("marts"));
        if was_faster {
            // Begin anew.
            std::fs::remove_dir_all(shop.path("lake")).expect("removed");
            std::fs::remove_dir_all(shop.path("marts")).expect("removed");
        }
    }
    assert!(run(&shop, &as_of).wait().expect("it ends").success());
    assert!(published(&shop) == expected, "other bytes than those of a run that nobody ended");
}
