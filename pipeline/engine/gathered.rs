//! Aggregates that keep a little of every row, side by side, until their groups are asked for.
//!
//! Bringing what was kept together by group takes a fraction of the time and memory that a table of groups within groups does.
//! Such an aggregate passes on from a first stage about as much as it was given, so it has one stage (`stages.rs`).

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// What was kept of all rows, in the order in which it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered<K> {
    kept: Vec<K>,
    group_of: Vec<u32>,
    groups: usize,
}

/// The same group by group.
pub(super) struct ByGroup<K> {
    kept: Vec<K>,
    ends: Vec<usize>,
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

/// Each row's state, as if it were a group: what goes on to the last stage where the engine leaves out the first.
pub(super) fn row_states(
    mut each: impl GroupsAccumulator,
    values: &[ArrayRef],
    filter: Option<&BooleanArray>,
) -> Result<Vec<ArrayRef>> {
    let rows = values[0].len();
    each.update_batch(values, &(0..rows).collect::<Vec<_>>(), filter, rows)?;
    each.state(EmitTo::All)
}

impl<K: Copy + Default> Gathered<K> {
    /// Groups may have nothing kept.
    pub fn over(groups: usize) -> Self {
        Self { kept: vec![], group_of: vec![], groups }
    }

    pub fn grow_to(&mut self, groups: usize) {
        self.groups = groups;
    }

    pub fn keep(&mut self, group: usize, kept: K) {
        self.kept.push(kept);
        self.group_of.push(narrow(group));
    }

    /// What was kept of the groups to be emitted; the others stay, numbered from 0.
    pub fn take(&mut self, emit_to: EmitTo) -> ByGroup<K> {
        let emitted = match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(first) => first,
        };
        let given = std::mem::take(self);
        let all = || given.group_of.iter().map(|group| *group as usize).zip(&given.kept);
        let mut sizes = vec![0; emitted];
        for (group, kept) in all() {
            match group.checked_sub(emitted) {
                None => sizes[group] += 1,
                Some(left) => self.keep(left, *kept),
            }
        }
        self.groups = given.groups - emitted;
        // Each group's next place, which is its end when all of it is there.
        let mut places: Vec<usize> =
            sizes.iter().scan(0, |end, size| Some(std::mem::replace(end, *end + size))).collect();
        let mut kept = vec![K::default(); sizes.iter().sum()];
        for (group, one) in all().filter(|(group, _)| *group < emitted) {
            kept[places[group]] = *one;
            places[group] += 1;
        }
        ByGroup { kept, ends: places }
    }

    pub fn size(&self) -> usize {
        self.kept.capacity() * size_of::<K>() + self.group_of.capacity() * size_of::<u32>()
    }
}

impl<K> ByGroup<K> {
    /// What was kept of each group in turn, in the order in which it came.
    pub fn each(&mut self) -> impl Iterator<Item = &mut [K]> {
        let (mut start, mut rest) = (0, self.kept.as_mut_slice());
        self.ends.iter().map(move |end| {
            let (group, left) = std::mem::take(&mut rest).split_at_mut(end - start);
            (start, rest) = (*end, left);
            group
        })
    }
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
