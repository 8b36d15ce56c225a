//! Exact sums, as partitions' records have them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::snapshot::PartitionRecord;

/// A decimal number, in units of its last decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exact {
    units: i128,
    decimals: usize,
}

impl Exact {
    /// `None` for another number of decimals, or past 128 bits.
    fn checked_add(self, other: Self) -> Option<Self> {
        let units = self.units.checked_add(other.units).filter(|_| self.decimals == other.decimals)?;
        Some(Self { units, ..self })
    }

    pub fn as_f64(self) -> f64 {
        self.units as f64 / 10_f64.powi(i32::try_from(self.decimals).unwrap_or(i32::MAX))
    }
}

impl FromStr for Exact {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let units = text.replacen('.', "", 1).parse().map_err(|_| ())?;
        Ok(Self { units, decimals })
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = self.decimals + 1);
        let (whole, decimals) = digits.split_at(digits.len() - self.decimals);
        write!(f, "{sign}{whole}{}{decimals}", if decimals.is_empty() { "" } else { "." })
    }
}

/// Each column's sum over some partitions; without those that aren't known of every one of them.
pub(super) fn of<'a>(records: impl Iterator<Item = &'a PartitionRecord>) -> BTreeMap<String, Exact> {
    let mut sums: Option<BTreeMap<String, Exact>> = None;
    for record in records {
        let Some(kept) = &record.totals else { return BTreeMap::new() };
        let own = kept.iter().filter_map(|(column, sum)| Some((column.clone(), sum.parse::<Exact>().ok()?)));
        let own: BTreeMap<String, Exact> = own.collect();
        sums = Some(match sums {
            None => own,
            Some(sums) => {
                let both = |(column, sum): (String, Exact)| {
                    let sum = sum.checked_add(*own.get(&column)?)?;
                    Some((column, sum))
                };
                sums.into_iter().filter_map(both).collect()
            }
        });
    }
    sums.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Exact {
        text.parse().expect("a number")
    }

    #[test]
    fn numbers_are_read_and_written_exactly() {
        for text in ["0", "-7", "12.3450", "-0.0500", "0.0001", "99999999999999999999999999999999.9999"] {
            assert_eq!(exact(text).to_string(), text);
        }
        let sum = exact("0.9999").checked_add(exact("-1.0000")).expect("fits");
        assert_eq!((sum.to_string().as_str(), sum.as_f64()), ("-0.0001", -0.0001));
        assert_eq!(exact("1.0").checked_add(exact("1.00")), None);
        assert_eq!(exact(&i128::MAX.to_string()).checked_add(exact("1")), None);
        assert_eq!(["", "x", "1.2.3", "1e5"].map(|text| text.parse::<Exact>().is_err()), [true; 4]);
    }
}
