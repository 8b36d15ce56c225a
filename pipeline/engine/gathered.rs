//! Aggregates that keep a little of every row, side by side, until their groups are asked for.
//!
//! One sort of what was kept takes a fraction of the time and memory that a table of groups within groups does.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// What is kept of a row.
pub(super) trait Kept: Copy {
    fn group(&self) -> u32;
    fn in_group(self, group: u32) -> Self;
}

/// What was kept of all rows, in no order.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered<K> {
    kept: Vec<K>,
    groups: usize,
}

/// DataFusion numbers groups with `usize`; there is no memory for so many that `u32` wouldn't do.
pub(super) fn narrow(group: usize) -> u32 {
    u32::try_from(group).unwrap_or(u32::MAX)
}

/// What partial aggregates pass on of a group: a list.
pub(super) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// The rows that an aggregate's FILTER lets pass.
pub(super) fn passes(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

impl<K: Kept> Gathered<K> {
    /// Groups may have nothing kept.
    pub fn over(groups: usize) -> Self {
        Self { kept: vec![], groups }
    }

    pub fn grow_to(&mut self, groups: usize) {
        self.groups = groups;
    }

    pub fn keep(&mut self, kept: K) {
        self.kept.push(kept);
    }

    /// What was kept of the groups to be emitted, and how many these are; the others stay, numbered from 0.
    pub fn take(&mut self, emit_to: EmitTo) -> (Vec<K>, usize) {
        let emitted = match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(first) => first,
        };
        let mut taken = std::mem::take(&mut self.kept);
        let first_left = narrow(emitted);
        if emitted < self.groups {
            let left = taken.iter().filter(|kept| kept.group() >= first_left);
            self.kept = left.map(|kept| kept.in_group(kept.group() - first_left)).collect();
            taken.retain(|kept| kept.group() < first_left);
        }
        self.groups -= emitted;
        (taken, emitted)
    }

    pub fn size(&self) -> usize {
        self.kept.capacity() * size_of::<K>()
    }
}

/// What is kept of each group in turn, when all of it is sorted by group.
pub(super) fn by_group<K: Kept>(sorted: &[K], groups: usize) -> impl Iterator<Item = &[K]> {
    let mut chunks = sorted.chunk_by(|a, b| a.group() == b.group()).peekable();
    let of_group = move |group| chunks.next_if(|kept| kept[0].group() == narrow(group)).unwrap_or_default();
    (0..groups).map(of_group)
}

/// Such an aggregate without GROUP BY: there is one group, also when there are no rows.
#[derive(Debug)]
pub(super) struct OneGroup<G>(pub G);

impl<G: GroupsAccumulator + Clone + Debug + Sync> Accumulator for OneGroup<G> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values, &vec![0; values[0].len()], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states, &vec![0; states[0].len()], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.0.clone().evaluate(EmitTo::All)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let state = self.0.clone().state(EmitTo::All)?;
        state.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }
}
