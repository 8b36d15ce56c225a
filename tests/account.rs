//! The account that a run leaves, however it ends.

use bazgasht::account::{self, Action, RunResults, Status};
use bazgasht::interrupt::Interrupt;
use bazgasht::report::Silent;
use bazgasht::run::{Request, Surroundings};

use crate::support::{Shop, block_on, day, now};

fn account(shop: &Shop, request: &Request) -> RunResults {
    let project = shop.open();
    let interrupt = Interrupt::default();
    let around = Surroundings { now: &now, interrupt: &interrupt, progress: &Silent };
    let (results, _) = block_on(account::run(&project, request, &around));
    let kept = std::fs::read(shop.path(&format!("lake/{}", account::path(&results.run_id)))).expect("kept");
    assert_eq!(serde_json::from_slice::<RunResults>(&kept).expect("as the types say"), results);
    results
}

#[test]
fn a_run_leaves_an_account_however_it_ends() {
    let shop = Shop::new(
        "timezone = \"UTC\"\ncalendar = \"gregorian\"\ncurrency = \"EUR\"",
        "[models]\npath = \"./sql\"\n[sources.orders]\nlocation = \"./orders\"\n",
    );
    let model = "/*---\ndescription = \"Days\"\ngrain = [\"order_id\"]\npartition = \"month\"\n[columns]\n\
                 order_id = { type = \"text\", doc = \"The order.\" }\n---*/\n\
                 select order_id from source.orders where ordered_at is not null order by order_id";
    shop.write("sql/staging/stg_orders.sql", include_str!("../sql/staging/stg_orders.sql"));
    shop.write("sql/marts/ids.sql", model.replace("source.orders where ordered_at is not null", "stg_orders"));
    shop.write("sql/staging/stg_identities.sql", include_str!("../sql/staging/stg_identities.sql"));
    shop.write("orders/a.csv", "order_id,customer_id,ordered_at,amount\n1,x,2024-01-05,10\n2,x,2024-02-05,10\n");
    let request = Request { as_of: Some(day("2024-02-10")), ..Request::default() };

    let first = account(&shop, &request);
    assert_eq!((first.status, first.exit_code, first.snapshot), (Status::Published, 0, Some(1)), "{:?}", first.error);
    let stages: Vec<&str> = first.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages, ["list", "extract orders", "settle keys", "plan", "build", "compare", "publish"]);
    assert_eq!((first.sources[0].objects_read, first.sources[0].rows_read), (1, 2));
    let january = first.partitions.iter().find(|p| p.model == "ids" && p.partition == "2024-01").expect("built");
    assert_eq!((january.action, january.rows), (Action::Built, 1));

    let again = account(&shop, &request);
    assert_eq!((again.status, again.snapshot, again.partitions.len()), (Status::NothingToDo, Some(1), 0));

    shop.remove("orders/a.csv");
    let failed = account(&shop, &request);
    assert_eq!((failed.status, failed.exit_code, failed.snapshot), (Status::Failed, 3, None));
    let file = shop.path("orders/a.csv");
    assert!(failed.error.expect("said").contains(&file.display().to_string()));
    assert_eq!(failed.stages.last().expect("begun").name, "list");
}
