//! The few SQL functions that DataFusion lacks and mappings need. All are immutable.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Int64Array, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::error::Result;
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, Volatility, create_udf,
};
use datafusion::prelude::SessionContext;

use super::best_offers::BestOffers;
use super::favourite::Favourite;
use crate::calendar::parse_jalali_date;

/// Makes the functions known to a session: `jalali_date(text)`, `epoch_seconds(n)`, `epoch_millis(n)`,
/// `epoch_micros(n)`, `best_offers(item, others, places)`, `favourite(name, orders, revenue)`.
pub fn register(context: &SessionContext) {
    for function in all() {
        context.register_udf(function);
    }
    context.register_udaf(AggregateUDF::from(BestOffers::new()));
    context.register_udaf(AggregateUDF::from(Favourite::new()));
}

/// Whether an aggregate keeps something of each row, so that a first stage makes nothing smaller.
pub(super) fn gathers(aggregate: &AggregateUDF) -> bool {
    aggregate.inner().is::<BestOffers>() || aggregate.inner().is::<Favourite>()
}

fn all() -> Vec<ScalarUDF> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let epoch = |name, micros: i64| {
        let convert = move |args: &[ColumnarValue]| unary(args, |array| epoch(array, micros));
        let signature = Signature::any(1, Volatility::Immutable);
        ScalarUDF::from(SimpleScalarUDF::new_with_signature(name, signature, utc.clone(), Arc::new(convert)))
    };
    let jalali = |args: &[ColumnarValue]| unary(args, jalali_dates);
    vec![
        create_udf("jalali_date", vec![DataType::Utf8], DataType::Date32, Volatility::Immutable, Arc::new(jalali)),
        epoch("epoch_seconds", 1_000_000),
        epoch("epoch_millis", 1_000),
        epoch("epoch_micros", 1),
    ]
}

fn unary(args: &[ColumnarValue], convert: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ColumnarValue> {
    let array = args[0].to_array(1)?;
    let converted = convert(&array)?;
    match &args[0] {
        ColumnarValue::Array(_) => Ok(ColumnarValue::Array(converted)),
        ColumnarValue::Scalar(_) => {
            Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&converted, 0)?))
        }
    }
}

/// Ticks since 1970, a number or text, in UTC. Text that is no whole number is an error; what doesn't fit is NULL.
fn epoch(array: &ArrayRef, micros_per_tick: i64) -> Result<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let ticks: Int64Array = cast_with_options(array, &DataType::Int64, &strict)?.as_primitive::<Int64Type>().clone();
    let micros: TimestampMicrosecondArray =
        ticks.iter().map(|tick| tick.and_then(|t| t.checked_mul(micros_per_tick))).collect();
    Ok(Arc::new(micros.with_timezone("UTC")))
}

/// Jalali dates written as text; one that doesn't exist becomes NULL, which a required column rejects.
fn jalali_dates(array: &ArrayRef) -> Result<ArrayRef> {
    let texts = cast(array, &DataType::Utf8)?;
    let days: Date32Array = texts
        .as_string::<i32>()
        .iter()
        .map(|text| text.and_then(parse_jalali_date).map(arrow::datatypes::Date32Type::from_naive_date))
        .collect();
    Ok(Arc::new(days) as ArrayRef)
}
