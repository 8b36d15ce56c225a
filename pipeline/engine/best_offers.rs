//! `best_offers(item, others, places)`: of what goes with the items of a group and isn't one of them, the three best places
//! of different others, ascending, as a list. Each row brings an item with what goes with it, as two lists of equal length;
//! equal items bring equal lists. NULLs are left out.
//!
//! The same in SQL groups by customer and offer first: hundreds of millions of pairs for a large shop, of which all but
//! three a customer are thrown away. Here a row costs the eight bytes of its item, and an item's offers are kept once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Builder, Int64Builder, ListArray, ListBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Int64Type};
use datafusion::common::{HashMap, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

use super::gathered::{Gathered, OneGroup, list_of, narrow, passes, row_states};

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
        let [_, DataType::List(_), DataType::List(_)] = given else {
            return plan_err!("best_offers takes an item, a list of others and a list of places");
        };
        Ok(vec![DataType::Int32, list_of(DataType::Int32), list_of(DataType::Int32)])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Int32))
    }

    /// What is passed on between partial aggregates: the items, how many offers each has, and these, two numbers in one.
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |name, item| Arc::new(Field::new(format_state_name(args.name, name), list_of(item), true));
        Ok(vec![
            field("items", DataType::Int32),
            field("offer_counts", DataType::Int32),
            field("offers", DataType::Int64),
        ])
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(Groups { owned: Gathered::over(1), ..Groups::default() })))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
    }
}

/// Something that goes with an item. Both are numbered in the order in which they were met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Offer {
    place: i32,
    other: u32,
}

/// All items and others, by number, with what goes with each, best first.
#[derive(Debug, Clone, Default)]
struct Items {
    numbers: HashMap<i32, u32>,
    names: Vec<i32>,
    offers: Vec<Option<Vec<Offer>>>,
}

impl Items {
    fn number(&mut self, name: i32) -> u32 {
        let next = narrow(self.names.len());
        let number = *self.numbers.entry(name).or_insert(next);
        if number == next {
            self.names.push(name);
            self.offers.push(None);
        }
        number
    }

    /// An item's number; `offers` are asked for when it is met first, each as (other, place).
    fn with_offers<I: IntoIterator<Item = (i32, i32)>>(&mut self, name: i32, offers: impl FnOnce() -> I) -> u32 {
        let item = self.number(name);
        if self.offers[item as usize].is_none() {
            let mut offers: Vec<Offer> =
                offers().into_iter().map(|(other, place)| Offer { place, other: self.number(other) }).collect();
            offers.sort_unstable();
            self.offers[item as usize] = Some(offers);
        }
        item
    }

    fn offers(&self, item: u32) -> &[Offer] {
        self.offers[item as usize].as_deref().unwrap_or_default()
    }

    fn size(&self) -> usize {
        let offers: usize = self.offers.iter().flatten().map(Vec::len).sum();
        self.names.len() * size_of::<(i32, u32, i32, Vec<Offer>)>() + offers * size_of::<Offer>()
    }
}

#[derive(Debug, Clone, Default)]
struct Groups {
    items: Items,
    owned: Gathered<u32>,
}

/// The best of one group's offers. `owner` says of each number which group had it last: its own, when called.
fn best(items: &Items, owned: &[u32], owner: &[u32], group: u32) -> Vec<Offer> {
    let mut best: Vec<Offer> = Vec::with_capacity(BEST + 1);
    for item in owned {
        for offer in items.offers(*item) {
            if best.len() == BEST && *offer >= best[BEST - 1] {
                break;
            }
            if owner[offer.other as usize] == group {
                continue;
            }
            if let Some(same) = best.iter().position(|known| known.other == offer.other) {
                if best[same] <= *offer {
                    continue;
                }
                best.remove(same);
            }
            best.insert(best.partition_point(|better| better < offer), *offer);
            best.truncate(BEST);
        }
    }
    best
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.owned.grow_to(total_num_groups);
        let items = values[0].as_primitive::<Int32Type>();
        let (others, places) = (values[1].as_list::<i32>(), values[2].as_list::<i32>());
        for row in (0..items.len()).filter(|row| items.is_valid(*row) && passes(opt_filter, *row)) {
            let item = self.items.with_offers(items.value(row), || offered(others, places, row));
            self.owned.keep(group_indices[row], item);
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.owned.grow_to(total_num_groups);
        let [items, counts, offers] = [0, 1, 2].map(|column| values[column].as_list::<i32>());
        for (row, &group) in group_indices.iter().enumerate() {
            let (items, counts, offers) = (items.value(row), counts.value(row), offers.value(row));
            let mut offers = offers.as_primitive::<Int64Type>().values().as_ref();
            let counts = counts.as_primitive::<Int32Type>().values();
            for (item, count) in items.as_primitive::<Int32Type>().values().iter().zip(counts) {
                let (its_own, left) = offers.split_at(usize::try_from(*count).unwrap_or_default());
                offers = left;
                let item = self.items.with_offers(*item, || its_own.iter().map(|packed| unpacked(*packed)));
                self.owned.keep(group, item);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        // Groups count from 1 here: 0 is nobody's.
        let mut owner = vec![0; self.items.names.len()];
        let mut lists = ListBuilder::new(Int32Builder::new());
        for (group, owned) in (1..).zip(self.owned.take(emit_to).each()) {
            owned.iter().for_each(|item| owner[*item as usize] = group);
            let best = best(&self.items, owned, &owner, group);
            best.iter().for_each(|offer| lists.values().append_value(offer.place));
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (mut items, mut counts) = (ListBuilder::new(Int32Builder::new()), ListBuilder::new(Int32Builder::new()));
        let mut offers = ListBuilder::new(Int64Builder::new());
        for owned in self.owned.take(emit_to).each() {
            owned.sort_unstable();
            for item in owned.chunk_by(|a, b| a == b).map(|same| same[0]) {
                let its_own = self.items.offers(item);
                items.values().append_value(self.items.names[item as usize]);
                counts.values().append_value(i32::try_from(its_own.len()).unwrap_or(i32::MAX));
                let pairs = its_own.iter().map(|offer| (self.items.names[offer.other as usize], offer.place));
                pairs.for_each(|(other, place)| offers.values().append_value(packed(other, place)));
            }
            items.append(true);
            counts.append(true);
            offers.append(true);
        }
        Ok(vec![Arc::new(items.finish()), Arc::new(counts.finish()), Arc::new(offers.finish())])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        row_states(Self::default(), values, opt_filter)
    }

    fn size(&self) -> usize {
        self.items.size() + self.owned.size()
    }
}

/// What a row's lists offer, as (other, place).
fn offered(others: &ListArray, places: &ListArray, row: usize) -> Vec<(i32, i32)> {
    if others.is_null(row) || places.is_null(row) {
        return vec![];
    }
    let lists = [others.value(row), places.value(row)];
    let [others, places] = lists.each_ref().map(|list| list.as_primitive::<Int32Type>());
    others.iter().zip(places).filter_map(|(other, place)| other.zip(place)).collect()
}

fn packed(other: i32, place: i32) -> i64 {
    (i64::from(other) << 32) | i64::from(place.cast_unsigned())
}

fn unpacked(packed: i64) -> (i32, i32) {
    let place = u32::try_from(packed & 0xffff_ffff).unwrap_or_default().cast_signed();
    (i32::try_from(packed >> 32).unwrap_or_default(), place)
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
    async fn three_others_by_their_best_place_without_those_that_the_group_has() {
        let found = answer(
            "select g, best_offers(item, others, places) as best from (values \
             (1, 1, [10, 11, 20], [7, 5, 6]), (1, 2, [11, 30], [9, 1]), (1, 30, [40, 50], [9, 8]), \
             (2, 10, [10, -10, 12], [2, 3, null]), (2, 10, [10, -10, 12], [2, 3, null]), \
             (3, null, [1], [2]), (3, 9, null, [1]), (4, 1, [10, 11, 20], [7, 5, 6])) as owned (g, item, others, places) \
             group by g order by g",
        )
        .await;
        for line in ["| 1 | [5, 6, 7] |", "| 2 | [3]       |", "| 3 | []        |", "| 4 | [5, 6, 7] |"] {
            assert!(found.contains(line), "{found}");
        }
    }

    #[tokio::test]
    async fn over_many_groups_in_many_parts_it_equals_plain_sql() {
        let found = answer(
            "with goes_with as (select cast(i.value as int) as item, cast(i.value * (5 + o.value) % 59 as int) as other, \
             cast((i.value * 67 + o.value * 31) % 1009 as int) as place from generate_series(1, 60) as i, generate_series(1, 9) as o), \
             lists as (select item, array_agg(other order by place) as others, array_agg(place order by place) as places \
             from goes_with group by item), \
             owned as (select value % 997 as g, cast(1 + value * 31 % 61 as int) as item from generate_series(1, 6000)), \
             offered as (select owned.g, goes_with.other, min(goes_with.place) as place from owned \
             inner join goes_with on goes_with.item = owned.item \
             left anti join owned as had on had.g = owned.g and had.item = goes_with.other \
             group by owned.g, goes_with.other), \
             expected as (select g, array_slice(array_sort(array_agg(place)), 1, 3) as best from offered group by g), \
             found as (select owned.g, best_offers(owned.item, lists.others, lists.places) as best \
             from owned left join lists on lists.item = owned.item group by owned.g) \
             select count(*) as groups, count(*) filter (where found.best <> expected.best) as wrong \
             from found inner join expected on expected.g = found.g",
        )
        .await;
        assert!(found.contains("| 997    | 0     |"), "{found}");
    }

    #[tokio::test]
    async fn without_groups_and_filtered() {
        let found = answer(
            "select best_offers(i, [o], [p]) filter (where p > 3) as few, best_offers(i, [o], [p]) as whole \
             from (values (1, 7, 4), (2, 8, 1), (3, 9, 6)) as owned (i, o, p)",
        )
        .await;
        assert!(found.contains("| [4, 6] | [1, 4, 6] |"), "{found}");
    }
}
