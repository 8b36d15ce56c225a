//! `explain` and `runs`.

use assert_cmd::Command;
use bazgasht::account::{self, Action, RunResults};
use bazgasht::error::Error;
use bazgasht::explain::{self, Explanation};
use bazgasht::interrupt::Interrupt;
use bazgasht::report::Silent;
use bazgasht::run::{Request, Surroundings};

use crate::laws::{order, shop_with};
use crate::support::{Shop, block_on, day, now};

fn run(shop: &Shop, as_of: &str) -> RunResults {
    let request = Request { as_of: Some(day(as_of)), ..Request::default() };
    let interrupt = Interrupt::default();
    let around = Surroundings { now: &now, interrupt: &interrupt, progress: &Silent };
    block_on(account::run(&shop.open(), &request, &around)).0
}

fn try_explain(shop: &Shop, run: &str, what: &str) -> Result<Explanation, Error> {
    let project = shop.open();
    block_on(async {
        let run = explain::find(&project, run).await?;
        explain::explain(&project, &run, what).await
    })
}

fn explained(shop: &Shop, run: &str, what: &str) -> Explanation {
    try_explain(shop, run, what).unwrap_or_else(|e| panic!("{e}"))
}

fn refused(shop: &Shop, run: &str, what: &str) -> String {
    try_explain(shop, run, what).err().expect("refused").to_string()
}

fn shop() -> Shop {
    let shop = shop_with("");
    shop.write("raw/1.ndjson", order("a", "c1", "2024-01-10", "10"));
    shop.write("raw/2.ndjson", order("b", "c1", "2024-02-10", "20"));
    run(&shop, "2024-02-15");
    shop.write("raw/late.ndjson", order("c", "c2", "2024-01-20", "5"));
    run(&shop, "2024-02-16");
    shop
}

#[test]
fn why_from_what_and_by_which_plan_a_partition_was_built() {
    let shop = shop();
    let ledger = explained(&shop, "2", "ledger:2024-01");
    let result = ledger.result.expect("open");
    assert_eq!((result.action, result.why), (Action::Built, vec!["stg_orders".to_owned()]));
    assert_eq!((ledger.rows, result.rows), (2, 2));
    assert_eq!(ledger.parts.parameters.keys().collect::<Vec<_>>(), ["period_end"]);
    assert_eq!(ledger.parts.parameters["period_end"], "2024-01-31");
    assert!(ledger.sql.expect("SQL").starts_with("select customer_id"));
    let plan = ledger.plan.expect("planned");
    assert!(plan.contains("AggregateExec") && plan.contains("models/stg_orders/2024-01/"), "{plan}");
    assert_eq!(ledger.differs, Vec::<String>::new());
    assert_eq!(ledger.settled.len(), 2, "February is told of, too");
    // The first night's, over the first night's files, though January has others now.
    let first = explained(&shop, "1", "ledger:2024-01");
    assert_eq!((first.rows, first.differs), (1, vec![]));
}

#[test]
fn a_reused_partition_is_explained_from_the_snapshot() {
    let shop = shop();
    run(&shop, "2024-02-17");
    let state = explained(&shop, "latest", "monthly_sales:2024-01");
    assert!(state.result.is_none());
    assert_eq!((state.rows, state.differs), (2, vec![]));
}

#[test]
fn a_failed_run_is_explained_too() {
    let shop = shop();
    shop.write("raw/rich.ndjson", order("x", "c1", "2024-02-12", "2000000"));
    let failed = run(&shop, "2024-02-16");
    assert_eq!(failed.exit_code, 1);
    let customers = explained(&shop, &failed.run_id[28..], "customers");
    assert_eq!((customers.result.expect("built").violations, customers.differs), (1, vec![]));
    assert!(customers.plan.is_ok());
    let staging = explained(&shop, "latest", "stg_orders:2024-02");
    assert_eq!(staging.differs, ["which files of source.orders it read isn't known any more"]);
}

#[test]
fn a_model_that_has_changed_since_says_so() {
    let shop = shop();
    let sql = include_str!("laws/sql/marts/customers.sql");
    shop.write("sql/marts/customers.sql", sql.replace("from state", "from state where orders > 0"));
    let customers = explained(&shop, "2", "customers");
    assert_eq!(customers.differs, ["its SQL or declared types have changed since"]);
    let sql = customers.sql.expect("SQL");
    assert!(customers.is_sql_as_run && !sql.contains("orders > 0"), "as it ran: {sql}");
    run(&shop, "2024-02-17");
    let customers = explained(&shop, "latest", "customers");
    assert!(customers.differs.is_empty() && customers.sql.expect("SQL").contains("orders > 0"));
    // With the snapshots before it, gc takes the SQL that only they had.
    let kept = |shop: &Shop| crate::support::tree(&shop.path("lake/sql")).len();
    let before = kept(&shop);
    let far = chrono::Utc::now() + chrono::Duration::days(400);
    block_on(bazgasht::gc::collect(&shop.open(), 30, 24, far)).expect("swept");
    assert_eq!(kept(&shop), before - 1);
    let customers = explained(&shop, "3", "customers");
    assert!(customers.is_sql_as_run && customers.sql.expect("SQL").contains("orders > 0"));
}

#[test]
fn what_there_isnt_is_met_with_what_there_is() {
    let shop = shop();
    assert!(refused(&shop, "77", "customers").contains("bazgasht runs"));
    assert!(refused(&shop, "0", "customers").contains("bazgasht runs"));
    assert!(refused(&shop, "2", "customer").contains("did you mean `customers`?"));
    assert!(refused(&shop, "2", "ledger:2023-01").contains("didn't come to ledger (2023-01)"));
    assert!(refused(&shop, "2", "ledger:soon").contains("2025-12"));
}

#[test]
fn the_program_tells_of_its_runs() {
    let shop = shop();
    shop.write("bazgasht.toml", &shop.toml);
    let said = |code: i32, arguments: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
        let output =
            command.current_dir(shop.dir.path()).env("NO_COLOR", "1").args(arguments).output().expect("it ran");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{out}{err}");
        out.into_owned()
    };
    assert!(said(0, &["retry"]).starts_with("nothing to retry"));
    assert!(said(0, &["run", "--as-of", "2024-02-17", "--dry-run"]).contains("ledger"));
    let days = said(0, &["run", "--from", "2024-02-13", "--to", "2024-02-16", "--dry-run"]);
    assert!(days.contains("2 days are missing; then 2024-02-16 once more") && days.contains("\n2024-02-14"), "{days}");
    let told = said(0, &["run", "--from", "2024-02-13", "--to", "2024-02-16"]);
    assert!(told.contains("2024-02-14 (2 of 2): published snapshot 4"), "{told}");
    assert!(told.contains("2024-02-16 (once more): published snapshot 5"), "{told}");

    shop.remove("raw/2.ndjson");
    said(3, &["run", "--as-of", "2024-02-18"]);
    shop.write("raw/2.ndjson", order("b", "c1", "2024-02-10", "20"));
    let table = said(0, &["runs"]);
    assert!(table.contains("failed (3)") && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let accounts: Vec<RunResults> =
        serde_json::from_str(&said(0, &["runs", "--json", "--limit", "3"])).expect("accounts");
    assert_eq!(accounts.iter().map(|run| run.exit_code).collect::<Vec<_>>(), [0, 0, 3]);
    let retried = said(0, &["retry"]);
    assert!(retried.contains("again: the run as of 2024-02-18, which failed on"), "{retried}");
    assert!(retried.contains("published snapshot 6 as of 2024-02-18"), "{retried}");
    assert!(retried.lines().all(|line| line.chars().count() <= 80 || line.starts_with("marts:")), "{retried}");
    let explained = said(0, &["explain", "latest", "ledger"]);
    assert!(explained.contains("-- $period_end = 2024-02-18"), "{explained}");
    assert!(explained.contains("built because: $period_end 2024-02-16 → 2024-02-18"), "{explained}");
    assert!(explained.contains("plan, made anew over the same input files:"), "{explained}");
}
