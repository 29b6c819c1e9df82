//! Cards: read from a request, checked, charged and forgotten.
//!
//! PCI DSS 4.0.1 forbids storing the security code at all (3.3.1) and the number unprotected (3.5.1). Here both live
//! only in types that cannot be printed or serialized and are wiped when dropped; brand, last four digits and expiry
//! are kept.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use service_kit::body::Object;
use service_kit::problem::FieldError;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use zeroize::Zeroizing;

/// The body of `POST /api/payments/pay/{orderId}`.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PayWithCard {
    /// The card, as it is written on it.
    #[schema(value_type = CardDetails)]
    credit_card_details: Object<CardDetails>,
}

/// A card, as it is written on it. It is passed on to the card processor; only its brand, its last four digits and its
/// expiry are kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardDetails {
    /// 12 to 19 digits; spaces and hyphens are allowed.
    #[schema(value_type = String, pattern = "^[ -]*([0-9][ -]*){12,19}$", examples("4242424242424242"))]
    number: Zeroizing<String>,
    /// The 3 or 4 digits on the back.
    cvt: SecurityCodeText,
    /// When it expires: `MM/YY`, `MM/YYYY` or `D/M/YYYY`.
    #[schema(value_type = String, pattern = "^([0-9]{2}/([0-9]{2}|[0-9]{4})|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4})$", examples("12/2030"))]
    expiry: Zeroizing<String>,
}

/// A card that is fit to be charged.
pub struct Card {
    /// The number.
    pub number: CardNumber,
    /// The code on the back; the processor needs it once.
    pub security_code: SecurityCode,
    /// When it expires.
    pub expiry: Expiry,
}

/// 12 to 19 digits.
pub struct CardNumber(Zeroizing<String>);

/// 3 or 4 digits.
pub struct SecurityCode(Zeroizing<String>);

/// The last month in which a card is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// Four digits.
    pub year: i16,
    /// 1 to 12.
    pub month: i16,
}

/// What may be kept and shown of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSummary {
    /// The network, as far as the first digits tell.
    pub brand: String,
    /// The last four digits.
    pub last4: String,
    /// When it expires.
    pub expiry: Expiry,
}

impl PayWithCard {
    /// Checks everything and answers all that is wrong at once, without repeating any of it.
    pub fn into_card(self) -> Result<Card, Vec<FieldError>> {
        let CardDetails { number, cvt: SecurityCodeText(cvt), expiry } = self.credit_card_details.0;
        match (CardNumber::parse(&number), SecurityCode::parse(cvt), Expiry::parse(&expiry)) {
            (Some(number), Some(security_code), Some(expiry)) => Ok(Card { number, security_code, expiry }),
            (number, security_code, expiry) => {
                let checks = [
                    (number.is_none(), "number", "must have 12 to 19 digits; spaces and hyphens are allowed"),
                    (security_code.is_none(), "cvt", "must have 3 or 4 digits"),
                    (expiry.is_none(), "expiry", "must be a date as MM/YY, MM/YYYY or D/M/YYYY"),
                ];
                let wrong = checks.into_iter().filter(|(is_wrong, ..)| *is_wrong);
                Err(wrong
                    .map(|(_, field, detail)| {
                        FieldError::new(format!("/creditCardDetails/{field}"), "invalid_value", detail)
                    })
                    .collect())
            }
        }
    }
}

impl Card {
    /// What may be kept of it.
    pub fn summary(&self) -> CardSummary {
        CardSummary {
            brand: self.number.brand().to_owned(),
            last4: self.number.last4().to_owned(),
            expiry: self.expiry,
        }
    }
}

impl CardNumber {
    fn parse(text: &str) -> Option<Self> {
        let digits: Zeroizing<String> =
            Zeroizing::new(text.chars().filter(|character| !matches!(character, ' ' | '-')).collect());
        let is_number = (12..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(Self(digits))
    }

    /// For the processor only.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Whether the check digit fits (ISO/IEC 7812-1, annex B).
    pub fn passes_luhn(&self) -> bool {
        let sum: u32 = self
            .0
            .bytes()
            .rev()
            .map(|byte| u32::from(byte - b'0'))
            .enumerate()
            .map(|(index, digit)| match (index % 2, digit * 2) {
                (0, _) => digit,
                (_, doubled) => doubled / 10 + doubled % 10,
            })
            .sum();
        sum.is_multiple_of(10)
    }

    fn last4(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }

    fn brand(&self) -> &'static str {
        let prefix = |length: usize| self.0[..length].parse::<u32>().unwrap_or_default();
        match (prefix(2), prefix(4)) {
            (40..=49, _) => "visa",
            (51..=55, _) | (_, 2221..=2720) => "mastercard",
            (34 | 37, _) => "amex",
            (65, _) | (_, 6011 | 6440..=6499) => "discover",
            (36 | 38, _) | (_, 3000..=3059) => "diners",
            (_, 3528..=3589) => "jcb",
            (62, _) => "unionpay",
            _ => "unknown",
        }
    }
}

impl SecurityCode {
    fn parse(text: Zeroizing<String>) -> Option<Self> {
        let is_code = (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then_some(Self(text))
    }

    /// For the processor only.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl Expiry {
    /// `MM/YY`, `MM/YYYY` or `D/M/YYYY`.
    pub fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split('/').collect();
        let (day, month, year) = match fields[..] {
            [month, year] => (
                1,
                number(month, 2..=2)?,
                if year.len() == 2 { 2000 + number(year, 2..=2)? } else { number(year, 4..=4)? },
            ),
            [day, month, year] => (number(day, 1..=2)?, number(month, 1..=2)?, number(year, 4..=4)?),
            _ => return None,
        };
        NaiveDate::from_ymd_opt(i32::from(year), u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
        Some(Self { year, month })
    }
}

fn number(digits: &str, length: std::ops::RangeInclusive<usize>) -> Option<i16> {
    let is_number = length.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The security code as it was sent: text, or a number as older clients do.
struct SecurityCodeText(Zeroizing<String>);

impl PartialSchema for SecurityCodeText {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]{3,4}$"));
        let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(100)).maximum(Some(9999));
        OneOfBuilder::new().item(text).item(number).examples([json!("345")]).into()
    }
}

impl ToSchema for SecurityCodeText {
    fn name() -> Cow<'static, str> {
        "SecurityCode".into()
    }
}

impl<'de> Deserialize<'de> for SecurityCodeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;

        impl Visitor<'_> for TextOrNumber {
            type Value = SecurityCodeText;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or a number of 3 or 4 digits")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SecurityCodeText, E> {
                Ok(SecurityCodeText(Zeroizing::new(text.to_owned())))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<SecurityCodeText, E> {
                Ok(SecurityCodeText(Zeroizing::new(number.to_string())))
            }
        }

        deserializer.deserialize_any(TextOrNumber)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn parse(number: &str, cvt: &str, expiry: &str) -> Result<CardSummary, Vec<String>> {
        let body = format!(r#"{{"creditCardDetails": {{"number": "{number}", "cvt": {cvt}, "expiry": "{expiry}"}}}}"#);
        let body: PayWithCard = serde_json::from_str(&body).map_err(|problem| vec![problem.to_string()])?;
        let pointers = |errors: Vec<FieldError>| errors.into_iter().map(|error| error.pointer).collect();
        body.into_card().map(|card| card.summary()).map_err(pointers)
    }

    #[test]
    fn the_sample_of_the_documentation_is_a_card() {
        let card = parse("10298310928301", "345", "4/12/2020").expect("a card");
        let expiry = Expiry { year: 2020, month: 12 };
        assert_eq!(card, CardSummary { brand: "unknown".to_owned(), last4: "8301".to_owned(), expiry });
    }

    #[test]
    fn numbers_may_be_grouped_and_codes_may_be_text() {
        let card = parse("4242 4242-4242 4242", "\"012\"", "01/30").expect("a card");
        assert_eq!((card.brand.as_str(), card.last4.as_str()), ("visa", "4242"));
        assert_eq!(card.expiry, Expiry { year: 2030, month: 1 });
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let errors = parse("4242", "12", "13/30").expect_err("is refused");
        assert_eq!(errors, ["#/creditCardDetails/number", "#/creditCardDetails/cvt", "#/creditCardDetails/expiry"]);
    }

    #[test]
    fn what_is_no_card_number_is_refused() {
        for number in ["", "42424242424", "42424242424242424242", "4242x4242424242", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"]
        {
            assert!(parse(number, "345", "12/30").is_err(), "{number:?}");
        }
    }

    #[test]
    fn what_is_no_expiry_is_refused() {
        for expiry in ["", "1/30", "00/30", "13/2030", "12-30", "12/030", "31/2/2030", "4/12/20", "1/2/3/2020", "+1/30"]
        {
            assert_eq!(Expiry::parse(expiry), None, "{expiry:?}");
        }
        assert_eq!(Expiry::parse("02/2031"), Some(Expiry { year: 2031, month: 2 }));
    }

    #[test]
    fn the_check_digit_is_checked() {
        for (number, passes) in [("4242424242424242", true), ("4242424242424241", false), ("4000000000006108", true)] {
            assert_eq!(CardNumber::parse(number).expect("a number").passes_luhn(), passes, "{number}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_card_number_of_12_to_19_digits_or_is_refused(text in "([0-9 -]{8,30}|\\PC{0,30})") {
            let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
            let is_number = (12..=19).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
            let number = CardNumber::parse(&text);
            prop_assert_eq!(number.is_some(), is_number);
            if let Some(number) = number {
                prop_assert_eq!(number.digits(), digits.as_str());
                prop_assert!(digits.ends_with(number.last4()) && number.last4().len() == 4 && !number.brand().is_empty());
                number.passes_luhn();
            }
        }

        #[test]
        fn exactly_one_check_digit_fits(prefix in "[0-9]{11,18}") {
            let fitting = (0..10).filter(|digit| {
                CardNumber::parse(&format!("{prefix}{digit}")).is_some_and(|number| number.passes_luhn())
            });
            prop_assert_eq!(fitting.count(), 1);
        }

        #[test]
        fn any_expiry_is_a_month_or_is_refused(text in "([0-9]{0,3}/){0,3}[0-9]{0,5}|\\PC{0,12}") {
            if let Some(expiry) = Expiry::parse(&text) {
                prop_assert!((1..=12).contains(&expiry.month) && (0..=9999).contains(&expiry.year));
            }
        }

        #[test]
        fn a_month_is_read_in_every_spelling(year in 2000..2100_i16, month in 1..=12_i16, day in 1..=28_i16) {
            let expected = Some(Expiry { year, month });
            prop_assert_eq!(Expiry::parse(&format!("{month:02}/{year}")), expected);
            prop_assert_eq!(Expiry::parse(&format!("{month:02}/{:02}", year % 100)), expected);
            prop_assert_eq!(Expiry::parse(&format!("{day}/{month}/{year}")), expected);
        }

        #[test]
        fn any_security_code_has_3_or_4_digits_or_is_refused(text in "([0-9]{0,6}|\\PC{0,6})", number: u64) {
            for (json, text) in [(serde_json::json!(text), text), (serde_json::json!(number), number.to_string())] {
                let SecurityCodeText(read) = serde_json::from_value(json).expect("a text or a number");
                let is_code = (3..=4).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit());
                prop_assert_eq!(SecurityCode::parse(read).is_some(), is_code);
            }
        }
    }
}
