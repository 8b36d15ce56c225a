//! Order lines: without an order source they are the orders; beside one they follow their orders' months.

use super::{essence, published, shop_of};
use crate::support::{Shop, tree};

const LINES_ALONE: &str = "[sources.order_items]\nlocation = \"./raw\"\nformat = \"csv\"\non_removed = \"forget\"\n";
const LINES_BESIDE: &str = "[sources.orders]\nlocation = \"./raw/orders\"\nformat = \"csv\"\non_removed = \"forget\"\n\
                            [sources.order_items]\nlocation = \"./raw/lines\"\nformat = \"csv\"\non_removed = \"forget\"\nmax_rejected = 1.0\n";

fn lines_by_month(shop: &Shop) -> Vec<String> {
    let rows = shop.mart("line_revenue");
    rows.iter().map(|r| format!("{} {} {} {}", r["as_of"], r["product_id"], r["lines"], r["amount"])).collect()
}

/// A clean project over the same raw files must come out the same.
fn rebuilt_alike(shop: &Shop, sources: &str, as_of: &str) {
    let last = shop.publish(as_of);
    let clean = shop_of(sources);
    for (path, bytes) in tree(&shop.path("raw")) {
        clean.write(&format!("raw/{path}"), bytes);
    }
    assert_eq!(essence(&clean.publish(as_of)), essence(&last));
    assert!(published(&clean) == published(shop));
}

#[test]
fn an_order_lives_where_its_earliest_line_does() {
    let shop = shop_of(LINES_ALONE);
    let header = "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n";
    // One order over midnight of a month's end; another that stays in February.
    shop.write("raw/1.csv", format!("{header}a,c1,2024-01-31T23:50:00Z,p,1,10\na,c1,2024-02-01T00:10:00Z,q,2,5\nb,c2,2024-02-03T10:00:00Z,p,1,7\n"));
    shop.publish("2024-02-10");
    assert_eq!(lines_by_month(&shop), ["2024-01-31 p 1 10.0000", "2024-01-31 q 1 10.0000", "2024-02-10 p 1 7.0000"]);
    let customers = shop.mart("customers");
    assert_eq!(customers.iter().map(|r| r["orders"].as_str()).collect::<Vec<_>>(), ["1", "1"]);
    rebuilt_alike(&shop, LINES_ALONE, "2024-02-10");
}

#[test]
fn overlapping_exports_count_money_once() {
    let shop = shop_of(LINES_ALONE);
    let header = "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n";
    let year = "a,c1,2024-01-10T10:00:00Z,p,1,10\na,c1,2024-01-10T10:00:00Z,p,1,10\n";
    shop.write("raw/2023-2024.csv", format!("{header}{year}"));
    // The newer export holds the order too, with one line less and a new order.
    shop.write("raw/2024.csv", format!("{header}a,c1,2024-01-10T10:00:00Z,p,1,10\nb,c1,2024-01-11T10:00:00Z,p,1,4\n"));
    shop.publish("2024-01-31");
    assert_eq!(lines_by_month(&shop), ["2024-01-31 p 2 14.0000"]);
    rebuilt_alike(&shop, LINES_ALONE, "2024-01-31");
}

#[test]
fn undated_lines_follow_their_orders_wherever_these_go() {
    let shop = shop_of(LINES_BESIDE);
    let orders = "order_id,customer_id,ordered_at,amount,updated_at\n";
    let lines = "order_id,product_id,quantity,unit_price\n";
    shop.write(
        "raw/orders/1.csv",
        format!("{orders}a,c1,2024-01-31T10:00:00Z,10,2024-01-31\nb,c2,2024-02-02T10:00:00Z,7,2024-02-02\n"),
    );
    shop.write("raw/lines/1.csv", format!("{lines}a,p,1,10\nb,p,1,7\nnobody,p,1,9\n"));
    let snapshot = shop.publish("2024-02-10");
    assert_eq!(lines_by_month(&shop), ["2024-01-31 p 1 10.0000", "2024-02-10 p 1 7.0000"]);
    assert_eq!(snapshot.sources["order_items"].homes.orphans.values().map(|f| f.rows).sum::<u64>(), 1);
    // The order moves to February: its line goes with it. The line's own order arrives late.
    shop.write(
        "raw/orders/2.csv",
        format!("{orders}a,c1,2024-02-01T10:00:00Z,10,2024-02-05\nnobody,c3,2024-02-06T10:00:00Z,9,\n"),
    );
    let snapshot = shop.publish("2024-02-10");
    assert_eq!(lines_by_month(&shop), ["2024-02-10 p 3 26.0000"]);
    assert!(snapshot.sources["order_items"].homes.orphans.is_empty());
    rebuilt_alike(&shop, LINES_BESIDE, "2024-02-10");
    // And back again.
    shop.remove("raw/orders/2.csv");
    shop.publish("2024-02-10");
    assert_eq!(lines_by_month(&shop), ["2024-01-31 p 1 10.0000", "2024-02-10 p 1 7.0000"]);
    rebuilt_alike(&shop, LINES_BESIDE, "2024-02-10");
}

#[test]
fn a_line_beside_its_order_may_come_first() {
    let shop = shop_of(LINES_BESIDE);
    shop.write("raw/orders/1.csv", "order_id,customer_id,ordered_at,amount\nx,c1,2024-01-05T10:00:00Z,1\n");
    shop.write("raw/lines/1.csv", "order_id,product_id,quantity,unit_price\na,p,1,10\n");
    shop.publish("2024-02-10");
    assert_eq!(lines_by_month(&shop), Vec::<String>::new());
    shop.write("raw/orders/2.csv", "order_id,customer_id,ordered_at,amount\na,c1,2024-02-05T10:00:00Z,10\n");
    shop.publish("2024-02-11");
    assert_eq!(lines_by_month(&shop), ["2024-02-11 p 1 10.0000"]);
    rebuilt_alike(&shop, LINES_BESIDE, "2024-02-11");
}
