//! How far somebody has got who follows changes.
//!
//! Transactions commit in another order than they get their numbers in. So a number says nothing of what was seen: a lower
//! one may still come. PostgreSQL's own answer is the snapshot (`pg_current_snapshot()`): a number from which on nothing
//! was seen, and those below it that were under way. Pure: no I/O.

use std::fmt;
use std::str::FromStr;

/// Which transactions were seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was taken, in seconds since 1970 by the database's clock: what is long ago is no longer stored.
    pub taken_at: i64,
    end: i64,
    missing: Vec<i64>,
}

impl Snapshot {
    /// None was seen from this one on.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Those below the end that were not seen, in ascending order.
    pub fn missing(&self) -> &[i64] {
        &self.missing
    }

    /// All below this one were seen.
    pub fn begin(&self) -> i64 {
        self.missing.first().copied().unwrap_or(self.end)
    }

    /// Whether this transaction was seen.
    pub fn has(&self, transaction: i64) -> bool {
        transaction < self.end && self.missing.binary_search(&transaction).is_err()
    }

    /// Whether everything was seen that `other` has.
    pub fn has_all_of(&self, other: &Self) -> bool {
        self.end >= other.end && self.missing.iter().all(|missing| !other.has(*missing))
    }

    /// This, and what `later` has up to this transaction. It is as old as this one.
    #[must_use]
    pub fn advanced(&self, through: i64, later: &Self) -> Self {
        let end = self.end.max(through + 1);
        let is_missing = |transaction: &i64| {
            *transaction < end && !self.has(*transaction) && !(*transaction <= through && later.has(*transaction))
        };
        // What is below the end and in neither list, one of the two has seen.
        let mut missing: Vec<i64> = self.missing.iter().chain(&later.missing).copied().filter(is_missing).collect();
        missing.sort_unstable();
        missing.dedup();
        Self { taken_at: self.taken_at, end, missing }
    }

    /// What the database says: `begin:end:missing,missing`.
    pub fn taken(taken_at: i64, text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (Some(begin), Some(end), Some(missing), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let missing = missing.split(',').filter(|number| !number.is_empty()).map(number).collect::<Option<Vec<_>>>()?;
        let snapshot = Self { taken_at, end: number(end)?, missing };
        let is_ascending = snapshot.missing.is_sorted_by(|one, next| one < next);
        let is_below_the_end = snapshot.missing.last().is_none_or(|last| *last < snapshot.end);
        (is_ascending && is_below_the_end && number(begin)? <= snapshot.begin()).then_some(snapshot)
    }
}

/// As the database writes it, behind the time and an `@`.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}:", self.taken_at, self.begin(), self.end)?;
        for (index, missing) in self.missing.iter().enumerate() {
            write!(f, "{}{missing}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The text does not say how far somebody has got.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;

impl FromStr for Snapshot {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (taken_at, snapshot) = text.split_once('@').ok_or(Unreadable)?;
        number(taken_at).and_then(|taken_at| Self::taken(taken_at, snapshot)).ok_or(Unreadable)
    }
}

/// Far from where it would overflow.
fn number(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && *number < i64::MAX / 2)
}

/// A place in all changes: what was seen, and how much of further transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// All changes of these.
    pub seen: Snapshot,
    /// And so many of these each. More than one only after connections that broke at bad moments.
    parts: Vec<(i64, u32)>,
}

impl Place {
    /// Behind all changes of these transactions.
    pub fn after(seen: Snapshot) -> Self {
        Self { seen, parts: Vec::new() }
    }

    /// Whether this change, the so-manieth of its transaction, is before this place.
    pub fn has(&self, transaction: i64, number: u32) -> bool {
        let is_in = |(part, seen): &(i64, u32)| *part == transaction && number <= *seen;
        self.seen.has(transaction) || self.parts.iter().any(is_in)
    }

    /// At the beginning of a page of changes, unless it is in it already.
    #[must_use]
    pub fn entering(mut self, page_begin: &Snapshot) -> Self {
        if page_begin.has_all_of(&self.seen) {
            self.seen = page_begin.clone();
            self.parts.retain(|(transaction, _)| !page_begin.has(*transaction));
        }
        self
    }

    /// Behind this change of the page that it is in, whose changes are in the order of their transactions.
    #[must_use]
    pub fn advanced(self, transaction: i64, number: u32, page_end: &Snapshot) -> Self {
        let seen = self.seen.advanced(transaction - 1, page_end);
        let others = self.parts.into_iter().filter(|(part, _)| *part != transaction && !seen.has(*part));
        let parts = others.chain([(transaction, number)]).collect();
        Self { seen, parts }
    }
}

/// The snapshot, and the parts of transactions, each behind a plus sign.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seen)?;
        self.parts.iter().try_for_each(|(transaction, number)| write!(f, "+{transaction}.{number}"))
    }
}

impl FromStr for Place {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut pieces = text.split('+');
        let seen = pieces.next().unwrap_or_default().parse()?;
        let part = |piece: &str| {
            let (transaction, count) = piece.split_once('.')?;
            Some((number(transaction)?, number(count)?.try_into().ok()?))
        };
        let parts = pieces.map(part).collect::<Option<_>>().ok_or(Unreadable)?;
        Ok(Self { seen, parts })
    }
}
