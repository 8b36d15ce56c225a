//! `favourite(name, orders, revenue)`: the name with the most orders in its group; of several, the one with the greatest
//! revenue, then the first by name. Rows without a name are left out; NULL where none has one.
//!
//! The same in SQL groups by customer and name first and ranks the sums, for each kind of favourite anew: the three of
//! a million customers took half of `customer_360`'s time.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Builder, Int64Builder, ListBuilder, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{HashMap, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

use super::gathered::{Gathered, OneGroup, list_of, narrow, passes, row_states};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Favourite {
    signature: Signature,
}

impl Favourite {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// Revenue between partial aggregates: in the argument's own units, whatever its scale.
const UNITS: DataType = DataType::Decimal128(38, 0);

impl AggregateUDFImpl for Favourite {
    fn name(&self) -> &'static str {
        "favourite"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [_, _, revenue] = given else { return plan_err!("favourite takes a name, orders and revenue") };
        let revenue = match revenue {
            DataType::Decimal128(precision, scale) => DataType::Decimal128(*precision, *scale),
            whole if whole.is_integer() || whole.is_null() => DataType::Decimal128(20, 0),
            other => return plan_err!("favourite takes revenue as a decimal, not {other}"),
        };
        Ok(vec![DataType::Utf8, DataType::Int64, revenue])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    /// What is passed on between partial aggregates: each name with its sums.
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |name, item| Arc::new(Field::new(format_state_name(args.name, name), list_of(item), true));
        Ok(vec![field("names", DataType::Utf8), field("orders", DataType::Int64), field("revenue", UNITS)])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(Groups { sales: Gathered::over(1), ..Groups::default() })))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sale {
    name: u32,
    orders: i64,
    revenue: i128,
}

/// The sums of one group's sales, a sale for each name.
fn sum_by_name(sales: &mut [Sale]) -> &[Sale] {
    sales.sort_unstable_by_key(|sale| sale.name);
    let mut names = 0;
    for next in 0..sales.len() {
        let sale = sales[next];
        match sales[..names].last_mut() {
            Some(sum) if sum.name == sale.name => {
                sum.orders = sum.orders.saturating_add(sale.orders);
                sum.revenue = sum.revenue.saturating_add(sale.revenue);
            }
            _ => {
                sales[names] = sale;
                names += 1;
            }
        }
    }
    &sales[..names]
}

/// Names and their numbers, in the order in which they were met.
#[derive(Debug, Clone, Default)]
struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let (name, number) = (Arc::<str>::from(name), narrow(self.names.len()));
        self.numbers.insert(Arc::clone(&name), number);
        self.names.push(name);
        number
    }

    fn name(&self, sale: &Sale) -> &str {
        &self.names[sale.name as usize]
    }

    fn size(&self) -> usize {
        let each = size_of::<(Arc<str>, u32)>() + size_of::<Arc<str>>();
        self.names.iter().map(|name| each + name.len()).sum()
    }
}

#[derive(Debug, Clone, Default)]
struct Groups {
    names: Names,
    sales: Gathered<Sale>,
}

impl Groups {
    fn sell_all(&mut self, values: &[ArrayRef], groups: impl Fn(usize) -> usize, filter: Option<&BooleanArray>) {
        let names = values[0].as_string::<i32>();
        let (orders, revenue) = (values[1].as_primitive::<Int64Type>(), values[2].as_primitive::<Decimal128Type>());
        for row in (0..names.len()).filter(|row| names.is_valid(*row) && passes(filter, *row)) {
            let sale = Sale {
                name: self.names.number(names.value(row)),
                orders: if orders.is_valid(row) { orders.value(row) } else { 0 },
                revenue: if revenue.is_valid(row) { revenue.value(row) } else { 0 },
            };
            self.sales.keep(groups(row), sale);
        }
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sales.grow_to(total_num_groups);
        self.sell_all(values, |row| group_indices[row], opt_filter);
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.sales.grow_to(total_num_groups);
        let names = values[0].as_list::<i32>();
        let sums = [1, 2].map(|column| values[column].as_list::<i32>().values());
        let all = [Arc::clone(names.values()), Arc::clone(sums[0]), Arc::clone(sums[1])];
        let mut group_of = vec![0; names.values().len()];
        for (ends, &group) in names.offsets().windows(2).zip(group_indices) {
            group_of[ends[0] as usize..ends[1] as usize].fill(group);
        }
        // The lists of a slice lie somewhere within their values.
        let used = names.offsets().first().zip(names.offsets().last()).map_or(0..0, |(a, b)| *a as usize..*b as usize);
        let within = all.map(|values| values.slice(used.start, used.len()));
        self.sell_all(&within, |row| group_of[used.start + row], None);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let best = |sales: &mut [Sale]| {
            let best = sum_by_name(sales)
                .iter()
                .max_by_key(|sale| (sale.orders, sale.revenue, Reverse(self.names.name(sale))));
            best.map(|sale| self.names.name(sale))
        };
        let favourites: StringArray = self.sales.take(emit_to).each().map(best).collect();
        Ok(Arc::new(favourites))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut names = ListBuilder::new(StringBuilder::new());
        let mut orders = ListBuilder::new(Int64Builder::new());
        let mut revenue = ListBuilder::new(Decimal128Builder::new().with_data_type(UNITS));
        for sales in self.sales.take(emit_to).each() {
            let sales = sum_by_name(sales);
            sales.iter().for_each(|sale| names.values().append_value(self.names.name(sale)));
            sales.iter().for_each(|sale| orders.values().append_value(sale.orders));
            sales.iter().for_each(|sale| revenue.values().append_value(sale.revenue));
            names.append(true);
            orders.append(true);
            revenue.append(true);
        }
        Ok(vec![Arc::new(names.finish()), Arc::new(orders.finish()), Arc::new(revenue.finish())])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        row_states(Self::default(), values, opt_filter)
    }

    fn size(&self) -> usize {
        self.names.size() + self.sales.size()
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    async fn answer(sql: &str) -> String {
        let context = SessionContext::new();
        super::super::register_functions(&context);
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    #[tokio::test]
    async fn orders_decide_then_revenue_then_the_name() {
        let found = answer(
            "select g, favourite(name, orders, cast(revenue as decimal(18, 4))) as it from (values \
             ('by orders', 'a', 1, 900.0), ('by orders', 'b', 1, 1.0), ('by orders', 'b', 1, 1.0), \
             ('by revenue', 'a', 1, 2.5), ('by revenue', 'b', 1, 1.0), ('by revenue', 'b', 0, 1.6), \
             ('by name', 'b', 2, 7.0), ('by name', 'a', 2, 7.0), ('unnamed', null, 9, 9.0), \
             ('unknown sums', 'b', null, null), ('unknown sums', 'c', 0, -1.0)) as sales (g, name, orders, revenue) \
             group by g order by g",
        )
        .await;
        for (group, it) in
            [("by name", "a"), ("by orders", "b"), ("by revenue", "b"), ("unknown sums", "b"), ("unnamed", "")]
        {
            assert!(found.contains(&format!("| {group:<12} | {it:<2} |")), "{found}");
        }
    }

    #[tokio::test]
    async fn over_many_groups_in_many_parts_it_equals_plain_sql() {
        let found = answer(
            "with sales as (select value % 997 as g, 'n' || (value * 31 % 41) as name, value * 7 % 3 as orders, \
             cast(value * 7919 % 17 - 5 as decimal(18, 4)) as revenue from generate_series(1, 60000)), \
             sums as (select g, name, sum(orders) as orders, sum(revenue) as revenue from sales group by g, name), \
             expected as (select g, first_value(name order by orders desc, revenue desc, name) as it from sums group by g), \
             found as (select g, favourite(name, orders, revenue) as it from sales group by g) \
             select count(*) as groups, count(*) filter (where found.it <> expected.it) as wrong \
             from found inner join expected on expected.g = found.g",
        )
        .await;
        assert!(found.contains("| 997    | 0     |"), "{found}");
    }

    #[tokio::test]
    async fn without_groups_filtered_and_over_nothing() {
        let sales = "(values ('a', 4, 1), ('b', 3, 1)) as sales (name, orders, revenue)";
        let found = answer(&format!(
            "select favourite(name, orders, revenue) filter (where orders < 4) as few, \
             favourite(name, orders, revenue) as all, favourite(name, orders, revenue) filter (where orders > 9) as none \
             from {sales}"
        ))
        .await;
        assert!(found.contains("| b   | a   |      |"), "{found}");
        let found =
            answer(&format!("select favourite(name, orders, revenue) is null as none from {sales} where false")).await;
        assert!(found.contains("true"), "{found}");
    }

    #[tokio::test]
    async fn other_arguments_are_refused() {
        let context = SessionContext::new();
        super::super::register_functions(&context);
        for wrong in ["favourite('a', 1)", "favourite('a', 1, 'b')"] {
            assert!(context.sql(&format!("select {wrong}")).await.is_err(), "{wrong}");
        }
    }
}
