//! What must not be kept, in every way in which it could be written down.

use std::collections::BTreeSet;
use std::iter;

/// Something that must not be kept.
#[derive(Clone, Copy, Debug)]
pub enum Secret<'a> {
    /// The number of a card.
    Number(&'a str),
    /// The code on its back. Four digits occur everywhere by chance, so it counts only as a word of its own.
    Code(&'a str),
    /// A text that is distinctive as it stands.
    Text(&'a str),
}

/// Looks for many secrets in one pass.
pub struct Search<'a> {
    spellings: Vec<Spelling<'a>>,
    /// By two bytes: the spellings that begin with them.
    by_begin: Vec<Vec<usize>>,
}

struct Spelling<'a> {
    secret: &'a str,
    bytes: Vec<u8>,
    place: Place,
}

/// Where a spelling has to stand to count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// Not within a longer word, an id or a fraction.
    OnItsOwn,
}

impl<'a> Secret<'a> {
    fn text(self) -> &'a str {
        let (Self::Number(text) | Self::Code(text) | Self::Text(text)) = self;
        text
    }

    fn spellings(self) -> Vec<Spelling<'a>> {
        let secret = self.text();
        let spelling = |place| move |bytes| Spelling { secret, bytes, place };
        match self {
            Self::Number(digits) => ways_to_write(digits).into_iter().map(spelling(Place::Anywhere)).collect(),
            Self::Code(code) => vec![spelling(Place::OnItsOwn)(code.into())],
            Self::Text(text) => vec![spelling(Place::Anywhere)(text.into())],
        }
    }
}

/// As it was typed, in groups of four, in hexadecimal as PostgreSQL shows bytes, and as an integer of PostgreSQL or Erlang.
fn ways_to_write(digits: &str) -> Vec<Vec<u8>> {
    let grouped = |separator: &str| {
        let groups: Vec<_> = digits.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        groups.join(separator).into_bytes()
    };
    // The digits are the bytes 0x30 to 0x39.
    let hexadecimal: String = digits.chars().flat_map(|digit| ['3', digit]).collect();
    let integer: u64 = digits.parse().expect("a card number is a number");
    vec![digits.into(), grouped(" "), grouped("-"), hexadecimal.into(), integer.to_le_bytes().into()]
}

impl<'a> Search<'a> {
    pub fn new(secrets: impl IntoIterator<Item = Secret<'a>>) -> Self {
        let spellings: Vec<_> = secrets.into_iter().flat_map(Secret::spellings).collect();
        let mut by_begin = vec![Vec::new(); 1 << 16];
        for (index, spelling) in spellings.iter().enumerate() {
            by_begin[usize::from(u16::from_be_bytes([spelling.bytes[0], spelling.bytes[1]]))].push(index);
        }
        Self { spellings, by_begin }
    }

    /// The secrets that are in there.
    pub fn find(&self, bytes: &[u8]) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut two = 0_u16;
        for (index, byte) in bytes.iter().enumerate() {
            two = two << 8 | u16::from(*byte);
            for spelling in &self.by_begin[usize::from(two)] {
                let spelling = &self.spellings[*spelling];
                if index > 0 && spelling.stands_at(bytes, index - 1) {
                    found.insert(spelling.secret);
                }
            }
        }
        found
    }
}

impl Spelling<'_> {
    fn stands_at(&self, bytes: &[u8], begin: usize) -> bool {
        let end = begin + self.bytes.len();
        let goes_on =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte));
        let is_part = || goes_on(bytes[..begin].last()) || goes_on(bytes.get(end));
        bytes[begin..].starts_with(&self.bytes) && (self.place == Place::Anywhere || !is_part())
    }
}

#[test]
fn a_card_is_found_however_it_is_written() {
    let search = Search::new([Secret::Number("4539578763621486"), Secret::Code("8264")]);
    let integer = 4_539_578_763_621_486_u64;
    for kept in [
        b"4539578763621486".to_vec(),
        b"{\"number\":\"4539578763621486\"}".to_vec(),
        b"is 4539 5787 6362 1486.".to_vec(),
        b"x4539-5787-6362-1486x".to_vec(),
        b"\\x7b34353339353738373633363231343836".to_vec(),
        iter::once(7).chain(integer.to_le_bytes()).collect(),
    ] {
        assert_eq!(search.find(&kept), ["4539578763621486"].into(), "{}", String::from_utf8_lossy(&kept));
    }
    for kept in ["8264", "{\"cvt\":8264}", "cvt=8264,", "\\\"8264\\\"", "Some(8264)", "(a,8264,b)"] {
        assert_eq!(search.find(kept.as_bytes()), ["8264"].into(), "{kept}");
    }
    for other in ["4539578763621487", "1486", "18264", "82645", "01a2-8264-759c", "10:15:00.8264", "8264ab", "826"] {
        assert_eq!(search.find(other.as_bytes()), [""; 0].into(), "{other}");
    }
}
