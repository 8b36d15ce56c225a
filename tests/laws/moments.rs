//! Law 3: a reader never sees two runs, and a run that dies is healed by the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bazgasht::publish::Current;
use bazgasht::run::Outcome;

use super::{order, published, shop, three_months};
use crate::support::{Shop, run_project, tree};

/// Reads everything that `current.json` names, as a dashboard would.
fn read_through(shop: &Shop) -> Option<u64> {
    let bytes = std::fs::read(shop.path("marts/current.json")).ok()?;
    let current: Current = serde_json::from_slice(&bytes).expect("current.json is whole at any time");
    for mart in current.marts.values() {
        for file in &mart.files {
            let bytes = std::fs::read(shop.path(&format!("marts/{}", file.path))).expect("what it names is there");
            assert_eq!(bazgasht::lake::Digest::of(&bytes), file.digest, "{} is of another run", file.path);
        }
    }
    for (name, bytes) in tree(&shop.path("marts/current")) {
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
        assert!(reader.is_ok(), "current/{name} does not open");
    }
    Some(current.snapshot)
}

#[test]
fn a_reader_never_sees_two_runs() {
    let shop = Arc::new(three_months());
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (shop, done) = (Arc::clone(&shop), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut seen = std::collections::BTreeSet::new();
            while !done.load(Ordering::SeqCst) {
                seen.extend(read_through(&shop));
            }
            seen
        })
    };
    for day in 10..16 {
        shop.write(&format!("raw/more-{day}.ndjson"), order(&format!("m{day}"), "c7", &format!("2024-03-{day}"), "3"));
        shop.publish(&format!("2024-03-{day}"));
    }
    done.store(true, Ordering::SeqCst);
    let seen = reader.join().expect("no reader's assertion failed");
    assert!(seen.len() > 1, "the reader was there while runs were published: {seen:?}");
    assert_eq!(read_through(&shop), Some(6));
}

#[test]
fn of_two_runs_one_wins_and_nothing_is_lost() {
    let shop = three_months();
    let projects = [shop.open(), shop.open()];
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = projects.iter().map(|p| scope.spawn(|| run_project(p, "2024-03-15"))).collect();
        runs.into_iter().map(|run| run.join().expect("no panic")).collect()
    });
    let won = outcomes.iter().filter(|o| matches!(o, Ok(Outcome::Published(..)))).count();
    assert_eq!(won, 1, "exactly one run publishes");
    for outcome in &outcomes {
        match outcome {
            Ok(Outcome::Published(..) | Outcome::NothingToDo(_)) => {}
            Ok(Outcome::Built(_)) => panic!("nothing was selected"),
            Err(e) => assert_eq!(e.exit_code(), 4, "{e}"),
        }
    }
    let clean = three_months();
    clean.publish("2024-03-15");
    assert!(published(&shop) == published(&clean));
}

#[test]
fn an_interrupted_run_publishes_nothing_and_the_next_goes_on() {
    let shop = shop();
    shop.write("raw/a.ndjson", order("a", "c1", "2024-01-10", "10"));
    let interrupt = bazgasht::interrupt::Interrupt::default();
    interrupt.raise(15);
    let error = crate::support::run_interruptibly(&shop.open(), "2024-01-15", &interrupt).err().expect("interrupted");
    assert_eq!(error.exit_code(), 143);
    assert!(tree(&shop.path("marts")).is_empty());
    shop.publish("2024-01-15");
}
