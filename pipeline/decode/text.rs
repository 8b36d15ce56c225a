//! Text in any encoding as UTF-8, while it is being read.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

use super::DecodeError;
use super::peek::PeekReader;

const OUTPUT_BYTES: usize = 64 << 10;

/// Stands for bytes that are no text: no UTF-8 holds it, so whoever checks a line finds it there.
const UNDECODABLE: u8 = 0xff;

/// `content` as UTF-8. A byte order mark wins over `encoding`; that of UTF-8 is left for the line reader.
///
/// Bytes that mean nothing in their encoding become bytes that mean nothing in UTF-8, so that they reject their
/// own line and no other; nothing is replaced silently.
///
/// # Errors
/// [`DecodeError::Unreadable`] for UTF-32, and for what can only be UTF-16 without a mark where nothing says so: every
/// line would be wrong in the same way.
pub(super) fn utf8<'a>(
    mut content: PeekReader<'a>,
    encoding: &'static Encoding,
    object: &str,
) -> Result<Box<dyn Read + Send + 'a>, DecodeError> {
    let start = content.peek(4);
    let unreadable = |detail: &str| Err(DecodeError::unreadable(object, detail));
    if matches!(start, [0xff, 0xfe, 0, 0] | [0, 0, 0xfe, 0xff]) {
        return unreadable("the text is UTF-32, which is not supported; export it as UTF-8");
    }
    let marked = Encoding::for_bom(start).map(|(marked, _)| marked);
    let encoding = match (marked, start) {
        (Some(marked), _) => marked,
        (None, [1..=255, 0, 1..=255, 0]) if encoding == UTF_8 => {
            return unreadable("the text looks like UTF-16; set `encoding = \"utf-16le\"`");
        }
        (None, [0, 1..=255, 0, 1..=255]) if encoding == UTF_8 => {
            return unreadable("the text looks like UTF-16; set `encoding = \"utf-16be\"`");
        }
        (None, _) => encoding,
    };
    Ok(if encoding == UTF_8 { Box::new(content) } else { Box::new(Transcoder::new(content, encoding)) })
}

struct Transcoder<'a> {
    input: PeekReader<'a>,
    decoder: Decoder,
    /// One byte longer than what is decoded into it.
    output: Vec<u8>,
    /// Of the output, so much is there and so much was given away.
    filled: usize,
    given: usize,
    ended: bool,
}

impl<'a> Transcoder<'a> {
    fn new(input: PeekReader<'a>, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder_with_bom_removal();
        Self { input, decoder, output: vec![0; OUTPUT_BYTES + 1], filled: 0, given: 0, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let input = self.input.fill_buf()?;
        let is_last = input.is_empty();
        let room = &mut self.output[..OUTPUT_BYTES];
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(input, room, is_last);
        (self.filled, self.given) = (written, 0);
        match result {
            DecoderResult::InputEmpty => self.ended = is_last,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                self.output[written] = UNDECODABLE;
                self.filled += 1;
            }
        }
        self.input.consume(read);
        Ok(())
    }
}

impl Read for Transcoder<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.filled && !self.ended {
            self.refill()?;
        }
        let bytes = (&self.output[self.given..self.filled]).read(buffer)?;
        self.given += bytes;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{GBK, SHIFT_JIS, UTF_16BE, UTF_16LE, WINDOWS_1252, WINDOWS_1253, WINDOWS_1256};

    use super::*;
    use crate::decode::rules::{INVALID_UTF8, UNREADABLE_FILE};
    use crate::decode::testing::{Decoded, Opened, decode_opened, gzip};
    use crate::decode::{CsvOptions, Format};

    fn csv_in(encoding: &'static Encoding, content: &[u8]) -> Decoded {
        let format = Format::Csv(CsvOptions::default());
        decode_opened(Opened { encoding, ..Opened::of(&format) }, content, &["a", "نام", "_line"])
    }

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    const TEXT: &str = "a,نام\r\n1,\"سلام\r\n😀\"\r\n2,چای\r\n";

    fn assert_is_text(decoded: &Decoded) {
        assert_eq!(decoded.rows, ["1|سلام\r\n😀|2", "2|چای|4"]);
        assert_eq!((&decoded.lines[..], decoded.unreadable.len()), (&[2, 4][..], 0));
    }

    #[test]
    fn utf16_with_and_without_a_mark() {
        let marked = "\u{feff}".to_owned() + TEXT;
        for encoding in [UTF_8, UTF_16LE, UTF_16BE, WINDOWS_1256] {
            assert_is_text(&csv_in(encoding, &utf16(&marked, u16::to_le_bytes)));
            assert_is_text(&csv_in(encoding, &utf16(&marked, u16::to_be_bytes)));
            assert_is_text(&csv_in(encoding, marked.as_bytes()));
        }
        assert_is_text(&csv_in(UTF_16LE, &utf16(TEXT, u16::to_le_bytes)));
        assert_is_text(&csv_in(UTF_16BE, &gzip(&utf16(TEXT, u16::to_be_bytes))));
    }

    #[test]
    fn single_byte_encodings() {
        let persian = "a,نام\n1,سلام پارچه\n";
        assert_eq!(csv_in(WINDOWS_1256, &WINDOWS_1256.encode(persian).0).rows, ["1|سلام پارچه|2"]);
        let western = csv_in(WINDOWS_1252, b"a,b\n\x80 50 caf\xe9,\n");
        assert_eq!(western.rows, ["€ 50 café|2"]);
    }

    #[test]
    fn what_is_no_text_costs_its_line() {
        let decoded = csv_in(WINDOWS_1253, b"a,b\n1,x\n\xd2,x\n3,x\n");
        assert_eq!((decoded.rows, decoded.unreadable), (vec!["1|2".into(), "3|4".into()], vec![(3, INVALID_UTF8)]));
        for (encoding, lead) in [(SHIFT_JIS, 0x81), (GBK, 0x81)] {
            let decoded = csv_in(encoding, &[b"a,b\n1,x\n2,"[..].to_vec(), vec![lead], b"\n3,x\n".to_vec()].concat());
            assert_eq!((decoded.rows.len(), decoded.unreadable), (2, vec![(3, INVALID_UTF8)]));
        }
        let mut lone = utf16("a,b\n1,x\n", u16::to_le_bytes);
        lone.extend([0x3d, 0xd8]);
        lone.extend(utf16(",x\n3,x\n", u16::to_le_bytes));
        let decoded = csv_in(UTF_16LE, &lone);
        assert_eq!((decoded.rows.len(), decoded.unreadable), (2, vec![(3, INVALID_UTF8)]));
    }

    #[test]
    fn a_cut_character_is_one_row() {
        let mut cut = utf16("a,b\n1,x\n2,x", u16::to_le_bytes);
        cut.pop();
        let decoded = csv_in(UTF_16LE, &cut);
        assert_eq!((decoded.rows, decoded.unreadable), (vec!["1|2".to_owned()], vec![(3, INVALID_UTF8)]));
        let whole = gzip(&utf16(&TEXT.repeat(40), u16::to_le_bytes));
        let decoded = csv_in(UTF_16LE, &whole[..whole.len() - 4]);
        assert_eq!(decoded.unreadable.last().map(|(_, rule)| *rule), Some(UNREADABLE_FILE));
    }

    #[test]
    fn long_text_is_whole() {
        let text = "a,نام\n".to_owned() + &"1,سلام😀\n".repeat(30_000);
        let decoded = csv_in(UTF_16LE, &utf16(&text, u16::to_le_bytes));
        assert_eq!((decoded.rows.len(), decoded.lines.last()), (30_000, Some(&30_001)));
        assert!(decoded.rows.iter().all(|row| row.starts_with("1|سلام😀|")));
    }

    #[test]
    fn undeclared_utf16_and_utf32_are_refused_with_what_to_do() {
        let format = Format::Csv(CsvOptions::default());
        let refused = |content: &[u8]| match decode_opened_or_err(&format, content) {
            Err(DecodeError::Unreadable { detail, .. }) => detail,
            other => panic!("{other:?}"),
        };
        assert!(refused(&utf16("a,b\n", u16::to_le_bytes)).contains("utf-16le"));
        assert!(refused(&utf16("a,b\n", u16::to_be_bytes)).contains("utf-16be"));
        assert!(refused(b"\xff\xfe\0\0a\0\0\0").contains("UTF-32"));
    }

    fn decode_opened_or_err(format: &Format, content: &[u8]) -> Result<Decoded, DecodeError> {
        crate::decode::testing::decode_from(format, content, &["a"], 10)
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_bytes_are_they_read_the_same_in_pieces(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            for encoding in [UTF_16LE, SHIFT_JIS, GBK, WINDOWS_1253] {
                let headed = [&encoding.encode("a,b\n").0[..], &bytes].concat();
                let headed = if encoding == UTF_16LE { [utf16("a,b\n", u16::to_le_bytes), bytes.clone()].concat() } else { headed };
                csv_in(encoding, &headed);
            }
        }
    }
}
