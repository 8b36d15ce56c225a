//! Sums of a file's columns, taken while it is written: what became of a mart is told from them, without reading it.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, DecimalType, Int32Type, Int64Type};

use crate::model::Column;

/// Units of which a sum over rows says something: not days, ranks or shares.
const SUMMED_UNITS: [&str; 3] = ["currency", "count", "points"];

/// Exact sums of columns of money, counts and points; NULL counts as nothing.
pub struct Totals(Vec<Total>);

struct Total {
    name: String,
    column: usize,
    scale: i8,
    /// `None`: it was more than 128 bits hold.
    units: Option<i128>,
}

impl Totals {
    /// Over the columns of a file in their order.
    pub fn of(columns: &[Column]) -> Self {
        let total = |(column, declared): (usize, &Column)| {
            let scale = match declared.data_type {
                DataType::Decimal128(_, scale) => scale,
                DataType::Int64 | DataType::Int32 => 0,
                _ => return None,
            };
            let unit = declared.unit.as_deref()?;
            let total = || Total { name: declared.name.clone(), column, scale, units: Some(0) };
            SUMMED_UNITS.contains(&unit).then(total)
        };
        Self(columns.iter().enumerate().filter_map(total).collect())
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) {
        for total in &mut self.0 {
            total.units = total.units.and_then(|units| units.checked_add(sum(batch.column(total.column))?));
        }
    }

    /// The sums as decimal numbers, by column.
    pub(super) fn finish(self) -> BTreeMap<String, String> {
        let written = |total: Total| {
            let text = Decimal128Type::format_decimal(total.units?, Decimal128Type::MAX_PRECISION, total.scale);
            Some((total.name, text))
        };
        self.0.into_iter().filter_map(written).collect()
    }
}

fn sum(array: &dyn Array) -> Option<i128> {
    fn checked(values: impl Iterator<Item = i128>) -> Option<i128> {
        values.into_iter().try_fold(0, i128::checked_add)
    }
    match array.data_type() {
        DataType::Decimal128(..) => checked(array.as_primitive::<Decimal128Type>().iter().flatten()),
        DataType::Int64 => checked(array.as_primitive::<Int64Type>().iter().flatten().map(i128::from)),
        DataType::Int32 => checked(array.as_primitive::<Int32Type>().iter().flatten().map(i128::from)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array};

    use super::*;

    fn column(name: &str, data_type: DataType, unit: &str) -> Column {
        Column { name: name.to_owned(), data_type, doc: String::new(), unit: Some(unit.to_owned()), checks: vec![] }
    }

    fn totals(money: &[Option<i128>]) -> BTreeMap<String, String> {
        let columns = [
            column("share", DataType::Float64, "fraction"),
            column("paid", DataType::Decimal128(38, 2), "currency"),
            column("orders", DataType::Int64, "count"),
            column("age", DataType::Int64, "days"),
        ];
        let paid = Decimal128Array::from_iter(money.iter().copied()).with_precision_and_scale(38, 2).expect("fits");
        let orders = Int64Array::from_iter((0..money.len()).map(|n| (n > 0).then_some(i64::MAX)));
        let share = Float64Array::from(vec![0.5; money.len()]);
        let arrays: [ArrayRef; 4] = [Arc::new(share), Arc::new(paid), Arc::new(orders.clone()), Arc::new(orders)];
        let named = columns.iter().zip(arrays).map(|(column, array)| (column.name.clone(), array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(named).expect("a batch");
        let mut totals = Totals::of(&columns);
        totals.add(&batch);
        totals.add(&batch.slice(0, 0));
        totals.finish()
    }

    #[test]
    fn sums_are_exact_and_skip_null() {
        let expected = [("orders", "18446744073709551614"), ("paid", "-0.01")];
        let expected = expected.map(|(column, sum)| (column.to_owned(), sum.to_owned())).into();
        assert_eq!(totals(&[Some(1), None, Some(-2)]), expected);
        assert_eq!(totals(&[])["paid"], "0.00");
        assert!(!totals(&[Some(i128::MAX), Some(1)]).contains_key("paid"), "more than 128 bits");
    }
}
