//! `three_smallest(int)`: the three smallest values of a group, ascending, as a list; NULLs are left out.
//!
//! DataFusion's `array_agg` keeps every value of every group, outside the memory that it accounts. This one keeps
//! twelve bytes a group and says so.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListBuilder, PrimitiveBuilder};
use arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

/// Stands for "no value yet": it is larger than all others, and a real one of this size would only be left out.
const NONE: i32 = i32::MAX;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ThreeSmallest {
    signature: Signature,
}

impl ThreeSmallest {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Int32], Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ThreeSmallest {
    fn name(&self) -> &'static str {
        "three_smallest"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true))))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(Groups { smallest: vec![[NONE; 3]] })))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::default()))
    }
}

/// The three smallest of each group, ascending. What is passed on between partial aggregates is the result itself.
#[derive(Debug, Default)]
struct Groups {
    smallest: Vec<[i32; 3]>,
}

impl Groups {
    fn offer(&mut self, group: usize, value: i32) {
        let [first, second, third] = &mut self.smallest[group];
        if value < *first {
            (*first, *second, *third) = (value, *first, *second);
        } else if value < *second {
            (*second, *third) = (value, *second);
        } else if value < *third {
            *third = value;
        }
    }

    /// Each row of `values` for the group at its place; `kept` tells which rows count.
    fn offer_all(&mut self, values: &ArrayRef, groups: impl Fn(usize) -> usize, kept: Option<&BooleanArray>) {
        let numbers = values.as_primitive::<Int32Type>();
        for (row, value) in numbers.iter().enumerate() {
            if let Some(value) = value
                && kept.is_none_or(|kept| kept.is_valid(row) && kept.value(row))
            {
                self.offer(groups(row), value);
            }
        }
    }

    fn lists<'a>(groups: impl IntoIterator<Item = &'a [i32; 3]>) -> ArrayRef {
        let mut lists = ListBuilder::new(PrimitiveBuilder::<Int32Type>::new());
        for group in groups {
            group.iter().take_while(|value| **value != NONE).for_each(|value| lists.values().append_value(*value));
            lists.append(true);
        }
        Arc::new(lists.finish())
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
        self.smallest.resize(total_num_groups, [NONE; 3]);
        self.offer_all(&values[0], |row| group_indices[row], opt_filter);
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.smallest.resize(total_num_groups, [NONE; 3]);
        for (list, &group) in values[0].as_list::<i32>().iter().zip(group_indices) {
            if let Some(list) = list {
                self.offer_all(&list, |_| group, None);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Self::lists(&emit_to.take_needed(&mut self.smallest)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut each = Self { smallest: vec![[NONE; 3]; values[0].len()] };
        each.offer_all(&values[0], |row| row, opt_filter);
        Ok(vec![Self::lists(&each.smallest)])
    }

    fn size(&self) -> usize {
        self.smallest.capacity() * size_of::<[i32; 3]>()
    }
}

/// Without GROUP BY there is one group.
#[derive(Debug)]
struct OneGroup(Groups);

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.offer_all(&values[0], |_| 0, None);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states, &vec![0; states[0].len()], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&Groups::lists(&self.0.smallest), 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
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
    async fn the_three_smallest_of_each_group_whatever_the_order() {
        let found = answer(
            "select g, three_smallest(cast(v as int)) as s from (values (1, 5), (1, 2), (2, 7), (1, 9), (1, -1), (1, 2), (3, null)) \
             as t (g, v) group by g order by g",
        )
        .await;
        for line in ["| 1 | [-1, 2, 2] |", "| 2 | [7]        |", "| 3 | []         |"] {
            assert!(found.contains(line), "{found}");
        }
    }

    #[tokio::test]
    async fn over_many_groups_in_many_parts_it_equals_the_sorted_arrays() {
        let found = answer(
            "with t as (select value % 997 as g, cast(value * 7919 % 100003 as int) as v from generate_series(1, 50000)) \
             select count(*) as wrong from (select g, three_smallest(v) as s, array_slice(array_sort(array_agg(v)), 1, 3) as a \
             from t group by g) where s <> a",
        )
        .await;
        assert!(found.contains("| 0     |"), "{found}");
    }

    #[tokio::test]
    async fn without_groups_and_filtered() {
        let found = answer(
            "select three_smallest(cast(v as int)) filter (where v > 3) as s, three_smallest(cast(v as int)) as a \
             from (values (4), (1), (6)) as t (v)",
        )
        .await;
        assert!(found.contains("| [4, 6] | [1, 4, 6] |"), "{found}");
    }
}
