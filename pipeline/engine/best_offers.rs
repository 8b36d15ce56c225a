//! `best_offers(targets, places)`: of all that is offered to a group, the three best places of different targets, ascending,
//! as a list. Each row brings some offers, as two lists of equal length. Place 0 says that the group has the target
//! already: whatever else is offered of it doesn't count. NULLs are left out.
//!
//! The same in SQL groups by customer and target first, and hashing ten million such pairs takes several times as long
//! and as much memory as keeping twelve bytes an offer here.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, ListBuilder, PrimitiveBuilder};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, FieldRef, Int32Type, Int64Type};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

use super::gathered::{Gathered, Kept, OneGroup, by_group, list_of, narrow, passes};

const BEST: usize = 3;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct BestOffers {
    signature: Signature,
}

impl BestOffers {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for BestOffers {
    fn name(&self) -> &'static str {
        "best_offers"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let [DataType::List(_), DataType::List(_)] = given else {
            return plan_err!("best_offers takes a list of targets and a list of places");
        };
        Ok(vec![list_of(DataType::Int32); 2])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Int32))
    }

    /// What is passed on between partial aggregates: each target's best place, two numbers in one.
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "offers"), list_of(DataType::Int64), true))])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(Groups(Gathered::over(1)))))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
    }
}

/// Ordered by group, then target, then place: of each target the first is the one that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Offer {
    group: u32,
    target: i32,
    place: i32,
}

impl Kept for Offer {
    fn group(&self) -> u32 {
        self.group
    }

    fn in_group(self, group: u32) -> Self {
        Self { group, ..self }
    }
}

impl Offer {
    fn packed(&self) -> i64 {
        (i64::from(self.target) << 32) | i64::from(self.place.cast_unsigned())
    }

    fn unpacked(group: u32, packed: i64) -> Self {
        let place = u32::try_from(packed & 0xffff_ffff).unwrap_or_default().cast_signed();
        Self { group, target: i32::try_from(packed >> 32).unwrap_or_default(), place }
    }
}

#[derive(Debug, Clone, Default)]
struct Groups(Gathered<Offer>);

impl Groups {
    fn offer_all(&mut self, values: &[ArrayRef], groups: impl Fn(usize) -> usize, filter: Option<&BooleanArray>) {
        let (targets, places) = (values[0].as_list::<i32>(), values[1].as_list::<i32>());
        for (row, offers) in targets.iter().zip(places.iter()).enumerate() {
            let (Some(targets), Some(places)) = offers else { continue };
            if !passes(filter, row) {
                continue;
            }
            for offer in targets.as_primitive::<Int32Type>().iter().zip(places.as_primitive::<Int32Type>()) {
                if let (Some(target), Some(place)) = offer {
                    self.0.keep(Offer { group: narrow(groups(row)), target, place });
                }
            }
        }
    }

    /// The offers of the groups to be emitted, by group, each target once.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<Offer>, usize) {
        let (mut offers, groups) = self.0.take(emit_to);
        offers.sort_unstable();
        offers.dedup_by_key(|offer| (offer.group, offer.target));
        (offers, groups)
    }
}

/// The best places of one group's offers, each target once.
fn best(offers: &[Offer]) -> Vec<i32> {
    let mut best = Vec::with_capacity(BEST + 1);
    for place in offers.iter().map(|offer| offer.place).filter(|place| *place != 0) {
        let rank = best.partition_point(|better| *better <= place);
        best.insert(rank, place);
        best.truncate(BEST);
    }
    best
}

fn lists<T: ArrowPrimitiveType>(groups: impl Iterator<Item = Vec<T::Native>>) -> ArrayRef {
    let mut lists = ListBuilder::new(PrimitiveBuilder::<T>::new());
    for group in groups {
        lists.values().append_slice(&group);
        lists.append(true);
    }
    Arc::new(lists.finish())
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.0.grow_to(total_num_groups);
        self.offer_all(values, |row| group_indices[row], opt_filter);
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.0.grow_to(total_num_groups);
        for (list, &group) in values[0].as_list::<i32>().iter().zip(group_indices) {
            let Some(list) = list else { continue };
            let offers = list.as_primitive::<Int64Type>().values().iter();
            offers.for_each(|packed| self.0.keep(Offer::unpacked(narrow(group), *packed)));
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (offers, groups) = self.take(emit_to);
        Ok(lists::<Int32Type>(by_group(&offers, groups).map(best)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (offers, groups) = self.take(emit_to);
        let packed = by_group(&offers, groups).map(|offers| offers.iter().map(Offer::packed).collect());
        Ok(vec![lists::<Int64Type>(packed)])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut each = Self(Gathered::over(values[0].len()));
        each.offer_all(values, |row| row, opt_filter);
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.0.size()
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
    async fn three_targets_by_their_best_place_without_those_that_the_group_has() {
        let found = answer(
            "select g, best_offers(t, p) as best from (values \
             (1, [10, 10, 20], [7, 5, 6]), (1, [30], [1]), (1, [30, 40, 50], [0, 9, 8]), (2, [10, -10], [0, 3]), \
             (3, [10, null], [null, 1]), (3, null, [1])) as offers (g, t, p) group by g order by g",
        )
        .await;
        for line in ["| 1 | [5, 6, 8] |", "| 2 | [3]       |", "| 3 | []        |"] {
            assert!(found.contains(line), "{found}");
        }
    }

    #[tokio::test]
    async fn over_many_groups_in_many_parts_it_equals_plain_sql() {
        let found = answer(
            "with offers as (select value % 997 as g, cast(value * 31 % 41 as int) as t, cast(value * 7919 % 257 as int) as p \
             from generate_series(1, 60000)), \
             targets as (select g, t, min(p) as p from offers group by g, t), \
             expected as (select g, array_slice(array_sort(array_agg(p) filter (where p > 0)), 1, 3) as best from targets group by g), \
             found as (select g, best_offers([t], [p]) as best from offers group by g) \
             select count(*) as groups, count(*) filter (where found.best <> expected.best) as wrong \
             from found inner join expected on expected.g = found.g",
        )
        .await;
        assert!(found.contains("| 997    | 0     |"), "{found}");
    }

    #[tokio::test]
    async fn without_groups_and_filtered() {
        let found = answer(
            "select best_offers([t], [p]) filter (where p > 3) as few, best_offers([t], [p]) as whole \
             from (values (1, 4), (2, 1), (3, 6)) as offers (t, p)",
        )
        .await;
        assert!(found.contains("| [4, 6] | [1, 4, 6] |"), "{found}");
    }
}
