//! Numbers as people of other places write them.

use std::borrow::Cow;

/// How a source writes its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NumberStyle {
    /// What stands before the decimals. The Arabic `٫` is always understood besides.
    pub decimal: char,
    /// What may stand between groups of three digits.
    pub thousands: Option<char>,
}

impl Default for NumberStyle {
    fn default() -> Self {
        Self { decimal: '.', thousands: None }
    }
}

impl NumberStyle {
    /// Whether numbers need no rewriting beyond what [`fold_digits`] does.
    pub(super) fn is_default(self) -> bool {
        self == Self::default()
    }

    /// `text`, trimmed, as programs write it: ASCII digits, a point, no groups. `None` if it isn't written in this style:
    /// where thousands are set apart by points, `1.5` is a mistake and not 15.
    pub(super) fn plain(self, text: &str) -> Option<String> {
        let mut plain = String::with_capacity(text.len());
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        plain.push_str(&text[..text.len() - unsigned.len()]);
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => unsigned.split_at(at),
            None => (unsigned, ""),
        };
        let (whole, decimals) = match mantissa.split_once([self.decimal, ARABIC_DECIMAL]) {
            Some((whole, decimals)) => (whole, Some(decimals)),
            None => (mantissa, None),
        };
        self.push_whole(&mut plain, whole)?;
        if let Some(decimals) = decimals {
            plain.push('.');
            push_digits(&mut plain, decimals)?;
        }
        plain.push_str(exponent);
        Some(plain)
    }

    fn push_whole(self, plain: &mut String, whole: &str) -> Option<()> {
        let Some(mark) = self.thousands else { return push_digits(plain, whole) };
        // Who groups by spaces mostly means one that doesn't break.
        let is_mark = |c: char| c == mark || (mark == ' ' && matches!(c, '\u{a0}' | '\u{202f}' | '\u{2009}'));
        let mut groups = whole.split(is_mark);
        let first = groups.next()?;
        push_digits(plain, first)?;
        for (at, group) in groups.enumerate() {
            let first_fits = at > 0 || (1..=3).contains(&first.chars().count());
            if !first_fits || group.chars().count() != 3 {
                return None;
            }
            push_digits(plain, group)?;
        }
        Some(())
    }
}

const ARABIC_DECIMAL: char = '\u{066b}';

fn push_digits(plain: &mut String, digits: &str) -> Option<()> {
    for c in digits.chars() {
        plain.push(char::from(b'0' + ascii_digit(c)?));
    }
    Some(())
}

/// The value of an ASCII, Persian (۰–۹) or Arabic (٠–٩) digit.
fn ascii_digit(c: char) -> Option<u8> {
    let zero = match c {
        '0'..='9' => '0',
        '\u{06f0}'..='\u{06f9}' => '\u{06f0}',
        '\u{0660}'..='\u{0669}' => '\u{0660}',
        _ => return None,
    };
    u8::try_from(c as u32 - zero as u32).ok()
}

/// Persian and Arabic digits as ASCII, and their decimal separator as a point, without marks that only steer the
/// direction of writing.
pub(super) fn fold_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let folded = |c: char| match ascii_digit(c) {
        Some(digit) => char::from(b'0' + digit),
        None if c == ARABIC_DECIMAL => '.',
        None => c,
    };
    text.chars().filter(|c| !steers(*c)).map(folded).collect::<String>().into()
}

/// Marks of direction, and the byte-order mark.
fn steers(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_style_is_kept_strictly() {
        let german = NumberStyle { decimal: ',', thousands: Some('.') };
        for (text, plain) in [
            ("1.234.567,89", Some("1234567.89")),
            ("1234,5", Some("1234.5")),
            ("-1.234", Some("-1234")),
            ("+7", Some("+7")),
            ("۱٫۵", Some("1.5")),
            ("۱.۲۳۴٫۵", Some("1234.5")),
            ("1,5e3", Some("1.5e3")),
            (",5", Some(".5")),
            ("1.5", None),
            ("1.2345", None),
            ("1234.567", None),
            (".123", None),
            ("1.234.5", None),
            ("1,234.5", None),
            ("1,2,3", None),
            ("12 345", None),
            ("NaN", None),
            ("1-2", None),
        ] {
            assert_eq!(german.plain(text).as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn other_marks() {
        let english = NumberStyle { decimal: '.', thousands: Some(',') };
        assert_eq!(english.plain("1,234,567.89").as_deref(), Some("1234567.89"));
        assert_eq!(english.plain("1,23").as_deref(), None);
        let french = NumberStyle { decimal: ',', thousands: Some(' ') };
        for text in ["12 345,6", "12\u{a0}345,6", "12\u{202f}345,6"] {
            assert_eq!(french.plain(text).as_deref(), Some("12345.6"));
        }
        let persian = NumberStyle { decimal: '٫', thousands: Some('٬') };
        assert_eq!(persian.plain("۱٬۲۳۴٬۵۶۷٫۸").as_deref(), Some("1234567.8"));
        let comma = NumberStyle { decimal: ',', thousands: None };
        assert_eq!(comma.plain("12,5").as_deref(), Some("12.5"));
        assert_eq!(comma.plain("12.5"), None);
    }
}
