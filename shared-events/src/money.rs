//! Money: whole minor units and an ISO 4217 currency, never a fraction.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An amount in the minor unit of its currency: 2000 with USD is 20.00 dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
#[schema(minimum = 1, maximum = 999_999_999_999_i64, examples(62243))]
pub struct MinorUnits(pub i64);

impl MinorUnits {
    /// The smallest bill of an order.
    pub const MIN_BILL: Self = Self(1);
    /// The largest bill of an order.
    pub const MAX_BILL: Self = Self(999_999_999_999);
}

impl fmt::Display for MinorUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

/// The text is no currency code of ISO 4217.
#[derive(Debug, thiserror::Error)]
#[error("must be a currency code of ISO 4217 in capital letters, such as USD")]
pub struct UnknownCurrency;

impl Currency {
    /// What an order that names no currency is billed in.
    pub const DEFAULT: Self = Self(iso_currency::Currency::USD);

    /// The three capital letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code().fmt(f)
    }
}

impl TryFrom<&str> for Currency {
    type Error = UnknownCurrency;

    fn try_from(code: &str) -> Result<Self, UnknownCurrency> {
        // Those without a minor unit are no money to be billed in: gold, bonds, XXX for no currency at all.
        let listed = iso_currency::Currency::from_code(code).filter(|currency| currency.exponent().is_some());
        listed.map(Self).ok_or(UnknownCurrency)
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(code: String) -> Result<Self, UnknownCurrency> {
        Self::try_from(code.as_str())
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// Every code that is accepted, found by asking for all that could be one.
impl PartialSchema for Currency {
    fn schema() -> RefOr<Schema> {
        let letters = || 'A'..='Z';
        let codes = letters().flat_map(|first| letters().map(move |second| [first, second]));
        let codes =
            codes.flat_map(|[first, second]| letters().map(move |third| String::from_iter([first, second, third])));
        let accepted: Vec<_> = codes.filter(|code| Self::try_from(code.as_str()).is_ok()).collect();
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(accepted));
        schema.description(Some("A currency by its ISO 4217 code.")).examples(["USD"]).into()
    }
}

impl ToSchema for Currency {}

#[cfg(feature = "sqlx")]
mod column {
    //! A currency is stored as its code.

    use sqlx::encode::IsNull;
    use sqlx::error::BoxDynError;
    use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef, Postgres};
    use sqlx::{Decode, Encode, Type};

    use super::Currency;

    impl Type<Postgres> for Currency {
        fn type_info() -> PgTypeInfo {
            <str as Type<Postgres>>::type_info()
        }

        fn compatible(column: &PgTypeInfo) -> bool {
            <str as Type<Postgres>>::compatible(column)
        }
    }

    impl Encode<'_, Postgres> for Currency {
        fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
            Encode::<Postgres>::encode(self.code(), buffer)
        }
    }

    impl Decode<'_, Postgres> for Currency {
        fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
            Ok(Self::try_from(<&str as Decode<Postgres>>::decode(value)?)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_written_as_its_code() {
        assert_eq!(serde_json::to_value(Currency::DEFAULT).expect("serializes"), "USD");
        assert_eq!(Currency::try_from("EUR").expect("is known").code(), "EUR");
    }

    #[test]
    fn a_code_that_iso_4217_does_not_list_is_refused() {
        for code in ["", "usd", "US", "ZZZ", "XXX", "XAU", "USDX", "💶"] {
            assert!(Currency::try_from(code).is_err(), "{code:?} must be refused");
        }
    }
}
