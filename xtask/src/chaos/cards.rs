//! The cards of the sandbox, and the search for them where none may be.

use std::fs;
use std::path::Path;

use serde_json::json;

pub(crate) const APPROVED: &str = "4242424242424242";
/// Only a body that was written down has this.
const BODY: &[u8] = b"creditCardDetails";
const SHORTEST: usize = 12;

/// How often each is used: `README.md` says what it does.
pub(crate) const CARDS: [(u64, &str); 12] = [
    (40, APPROVED),
    (10, "10298310928301"),
    (3, "4000000000000002"),
    (3, "4000000000009995"),
    (2, "4000000000009987"),
    (2, "4000000000009979"),
    (2, "4000000000000069"),
    (2, "4000000000000127"),
    (8, "4000000000006108"),
    (6, "4000000000006207"),
    (4, "4000000000006306"),
    (10, "4000000000006405"),
];

/// What is sent to pay with it.
pub(crate) fn body(card: &str) -> String {
    json!({"creditCardDetails": {"number": card, "cvt": 345, "expiry": "4/12/2030"}}).to_string()
}

/// What was looked at, and the files that know a card.
#[derive(Default)]
pub(crate) struct Search {
    pub(crate) bytes: u64,
    pub(crate) found: Vec<String>,
}

/// Looks into every file below a folder: logs, tables, write-ahead logs and queues.
pub(crate) fn search(folder: &Path, search: &mut Search) {
    // A file may vanish while the others are read.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => self::search(&path, search),
            Ok(kind) if kind.is_file() => {
                let bytes = fs::read(&path).unwrap_or_default();
                search.bytes += bytes.len() as u64;
                if knows_a_card(&bytes) {
                    search.found.push(path.display().to_string());
                }
            }
            _ => {}
        }
    }
}

fn knows_a_card(bytes: &[u8]) -> bool {
    let digits = bytes.split(|byte| !byte.is_ascii_digit()).filter(|digits| digits.len() >= SHORTEST);
    let is_card = |digits: &[u8]| CARDS.iter().any(|(_, card)| contains(digits, card.as_bytes()));
    digits.into_iter().any(is_card) || contains(bytes, BODY)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == wanted[0]);
    starts.into_iter().any(|(start, _)| bytes[start..].starts_with(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_found_among_other_bytes_and_other_digits() {
        assert!(knows_a_card(b"\x00number: 4242424242424242\xff"));
        assert!(knows_a_card(b"9910298310928301"));
        assert!(knows_a_card(b"{\"creditCardDetails\":{}}"));
        assert!(!knows_a_card(b"4242 and 20261123041302 and creditCard"));
    }
}
