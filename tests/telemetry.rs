//! What is told of runs to those who watch from outside, as they receive it.

mod otlp;
mod textfile;
mod webhooks;

use std::process::Output;

use assert_cmd::Command;

use crate::support::Shop;

const ORDERS: &str = "order_id,customer_id,ordered_at,amount\n1,x,2024-01-05,10\n2,x,2024-02-05,10\n";
const MART: &str = "/*---\ndescription = \"Orders.\"\ngrain = [\"order_id\"]\npartition = \"month\"\n[columns]\n\
    order_id = { type = \"text\", doc = \"The order.\" }\n\
    amount = { type = \"decimal(18,2)\", doc = \"Its amount.\" }\n\
    [checks]\nknown = \"select * from this where order_id like 'Planted%'\"\n---*/\n\
    select order_id, amount from stg_orders order by order_id\n";

/// A delivery with a row that a check of the mart refuses.
const BAD_ORDERS: &str = "order_id,customer_id,ordered_at,amount\nPlanted-7,x,2024-02-06,10\n";

/// A shop of two orders and one mart. `observe` is the config's end.
fn shop(observe: &str) -> Shop {
    let project = "name = 'the \"corner\" \\ shop <&>'\ntimezone = \"UTC\"\ncurrency = \"EUR\"";
    let shop = Shop::new(
        project,
        &format!("[models]\npath = \"./sql\"\n[sources.orders]\nlocation = \"./orders\"\n{observe}"),
    );
    shop.write("bazgasht.toml", &shop.toml);
    shop.write("sql/staging/stg_orders.sql", include_str!("../sql/staging/stg_orders.sql"));
    shop.write("sql/staging/stg_identities.sql", include_str!("../sql/staging/stg_identities.sql"));
    shop.write("sql/marts/amounts.sql", MART);
    shop.write("orders/a.csv", ORDERS);
    shop
}

/// The program in the shop's folder, with nothing of this process's own environment that it could take for its own.
fn bazgasht(shop: &Shop, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bazgasht"));
    for (name, _) in std::env::vars() {
        if ["OTEL_", "BAZGASHT_", "TRACE"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.current_dir(shop.dir.path()).env("NO_COLOR", "1").args(args);
    command
}

fn night(shop: &Shop, as_of: &str) -> Output {
    bazgasht(shop, &["run", "--as-of", as_of]).output().expect("it ran")
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// The run's exit code; panics with what it said if that is another.
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
}
