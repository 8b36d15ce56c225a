//! The text formats. Values are written by hand: this is where a large shop spends its time.

use std::io::{self, Write};

use chrono::{Datelike, NaiveDate};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Encoded;
use crate::generate::deliver::Trouble;
use crate::generate::row::{Fields, Id, Row, World, Zone};
use crate::generate::season::DAY_SECONDS;

/// How one text format frames and quotes.
pub(super) trait Syntax {
    /// Whether the file begins with the names of its columns.
    const HEADER: bool;
    fn begin_row(line: &mut Vec<u8>);
    /// Opens a column and says whether its value is written at all.
    fn begin_value(line: &mut Vec<u8>, column: &'static str, first: bool, present: bool) -> bool;
    fn text(line: &mut Vec<u8>, value: &str);
    /// Around what is no number.
    fn quote(line: &mut Vec<u8>);
    fn end_row(line: &mut Vec<u8>);
    /// The length of a piece of the line that no reader can take for a whole one, given a number from
    /// 0 to 1.
    fn cut(line: &[u8], unit: f64) -> usize;
}

pub(super) struct Json;

impl Syntax for Json {
    const HEADER: bool = false;

    fn begin_row(line: &mut Vec<u8>) {
        line.push(b'{');
    }

    fn begin_value(line: &mut Vec<u8>, column: &'static str, first: bool, present: bool) -> bool {
        if present {
            line.extend_from_slice(if first { b"\"" } else { b",\"" });
            line.extend_from_slice(column.as_bytes());
            line.extend_from_slice(b"\":");
        }
        present
    }

    fn text(line: &mut Vec<u8>, value: &str) {
        // Writing text to memory cannot fail.
        let _ = serde_json::to_writer(line, value);
    }

    fn quote(line: &mut Vec<u8>) {
        line.push(b'"');
    }

    fn end_row(line: &mut Vec<u8>) {
        line.extend_from_slice(b"}\n");
    }

    fn cut(line: &[u8], unit: f64) -> usize {
        let mut end = 1 + (unit * (line.len() - 3) as f64) as usize;
        // Between characters: a cut inside one would make a second kind of trouble of it.
        while line[end] & 0xC0 == 0x80 {
            end -= 1;
        }
        end
    }
}

pub(super) struct Csv;

impl Syntax for Csv {
    const HEADER: bool = true;

    fn begin_row(_: &mut Vec<u8>) {}

    fn begin_value(line: &mut Vec<u8>, _: &'static str, first: bool, present: bool) -> bool {
        if !first {
            line.push(b',');
        }
        present
    }

    fn text(line: &mut Vec<u8>, value: &str) {
        if !value.contains(['"', ',', '\n', '\r']) {
            line.extend_from_slice(value.as_bytes());
            return;
        }
        line.push(b'"');
        line.extend_from_slice(value.replace('"', "\"\"").as_bytes());
        line.push(b'"');
    }

    fn quote(_: &mut Vec<u8>) {}

    fn end_row(line: &mut Vec<u8>) {
        line.push(b'\n');
    }

    /// Up to some comma; the first where a quoted text might hold one.
    fn cut(line: &[u8], unit: f64) -> usize {
        let commas: Vec<usize> =
            line.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(place, _)| place).collect();
        let chosen = if line.contains(&b'"') { 0 } else { (unit * commas.len() as f64) as usize };
        commas.get(chosen).copied().unwrap_or(0)
    }
}

pub(super) fn encode<S: Syntax, R: Row>(world: &World, rows: &[R], trouble: &mut Trouble) -> io::Result<Encoded> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    let mut fields = Line::<S>::new(world);
    let mut broken = 0;
    if let (true, Some(row)) = (S::HEADER, rows.first()) {
        out.write_all(&header(world, row))?;
    }
    for row in rows {
        fields.start();
        row.write(world, &mut fields);
        S::end_row(&mut fields.line);
        if let Some(unit) = trouble.breaks_line() {
            out.write_all(&fields.line[..S::cut(&fields.line, unit)])?;
            out.write_all(b"\n")?;
            broken += 1;
        }
        out.write_all(&fields.line)?;
    }
    Ok(Encoded { content: out.finish()?, broken })
}

fn header<R: Row>(world: &World, row: &R) -> Vec<u8> {
    let mut names = Names(Vec::new());
    row.write(world, &mut names);
    let mut header = names.0.join(",").into_bytes();
    header.push(b'\n');
    header
}

/// One row being written.
struct Line<'a, S> {
    line: Vec<u8>,
    first: bool,
    world: &'a World,
    money_digits: usize,
    syntax: std::marker::PhantomData<S>,
}

impl<'a, S: Syntax> Line<'a, S> {
    fn new(world: &'a World) -> Self {
        let money_digits = world.options.currency.digits() as usize;
        Self { line: Vec::with_capacity(512), first: true, world, money_digits, syntax: std::marker::PhantomData }
    }

    fn start(&mut self) {
        self.line.clear();
        self.first = true;
        S::begin_row(&mut self.line);
    }

    fn begin(&mut self, column: &'static str, present: bool) -> bool {
        let first = std::mem::take(&mut self.first);
        S::begin_value(&mut self.line, column, first, present)
    }
}

impl<S: Syntax> Fields for Line<'_, S> {
    fn text(&mut self, column: &'static str, value: Option<&str>) {
        if self.begin(column, value.is_some()) {
            S::text(&mut self.line, value.unwrap_or_default());
        }
    }

    fn id(&mut self, column: &'static str, value: Option<Id>) {
        self.begin(column, value.is_some());
        let Some(Id(letter, number)) = value else { return };
        S::quote(&mut self.line);
        self.line.push(letter as u8);
        push_number(&mut self.line, number, 8);
        S::quote(&mut self.line);
    }

    fn money(&mut self, column: &'static str, value: Option<i64>) {
        self.begin(column, value.is_some());
        if let Some(value) = value {
            push_money(&mut self.line, value, self.money_digits);
        }
    }

    fn integer(&mut self, column: &'static str, value: Option<i64>) {
        self.begin(column, value.is_some());
        if let Some(value) = value {
            push_money(&mut self.line, value, 0);
        }
    }

    fn instant(&mut self, column: &'static str, value: Option<i64>, zone: Zone) {
        self.begin(column, value.is_some());
        let Some(at) = value else { return };
        let offset = if zone == Zone::Local { self.world.season.offset_seconds() } else { 0 };
        S::quote(&mut self.line);
        push_instant(&mut self.line, at + offset);
        push_zone(&mut self.line, zone, offset);
        S::quote(&mut self.line);
    }

    fn date(&mut self, column: &'static str, value: Option<NaiveDate>) {
        self.begin(column, value.is_some());
        let Some(date) = value else { return };
        S::quote(&mut self.line);
        push_date(&mut self.line, date);
        S::quote(&mut self.line);
    }
}

/// The names of a row's columns.
struct Names(Vec<&'static str>);

impl Fields for Names {
    fn text(&mut self, column: &'static str, _: Option<&str>) {
        self.0.push(column);
    }
    fn id(&mut self, column: &'static str, _: Option<Id>) {
        self.0.push(column);
    }
    fn money(&mut self, column: &'static str, _: Option<i64>) {
        self.0.push(column);
    }
    fn integer(&mut self, column: &'static str, _: Option<i64>) {
        self.0.push(column);
    }
    fn instant(&mut self, column: &'static str, _: Option<i64>, _: Zone) {
        self.0.push(column);
    }
    fn date(&mut self, column: &'static str, _: Option<NaiveDate>) {
        self.0.push(column);
    }
}

/// Decimal digits, with zeros in front up to `width`.
fn push_number(line: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    start = start.min(digits.len() - width.max(1));
    line.extend_from_slice(&digits[start..]);
}

fn push_money(line: &mut Vec<u8>, amount: i64, digits: usize) {
    if amount < 0 {
        line.push(b'-');
    }
    push_number(line, amount.unsigned_abs(), digits + 1);
    if digits > 0 {
        line.insert(line.len() - digits, b'.');
    }
}

fn push_date(line: &mut Vec<u8>, date: NaiveDate) {
    push_number(line, date.year().unsigned_abs().into(), 4);
    line.push(b'-');
    push_number(line, date.month().into(), 2);
    line.push(b'-');
    push_number(line, date.day().into(), 2);
}

fn push_instant(line: &mut Vec<u8>, local: i64) {
    const EPOCH_FROM_CE: i64 = 719_163;
    let days = local.div_euclid(DAY_SECONDS) + EPOCH_FROM_CE;
    let second = local.rem_euclid(DAY_SECONDS) as u64;
    push_date(line, NaiveDate::from_num_days_from_ce_opt(days as i32).unwrap_or_default());
    line.push(b'T');
    push_number(line, second / 3_600, 2);
    line.push(b':');
    push_number(line, second / 60 % 60, 2);
    line.push(b':');
    push_number(line, second % 60, 2);
}

fn push_zone(line: &mut Vec<u8>, zone: Zone, offset_seconds: i64) {
    if zone == Zone::Utc {
        line.push(b'Z');
        return;
    }
    let minutes = offset_seconds.unsigned_abs() / 60;
    line.push(if offset_seconds < 0 { b'-' } else { b'+' });
    push_number(line, minutes / 60, 2);
    line.push(b':');
    push_number(line, minutes % 60, 2);
}
