//! Rows that a statement is given: many of them are one parameter, an array of a composite type of the service's schema.
//!
//! `jsonb_to_recordset` would need no type in the schema, but reading a row as JSON costs PostgreSQL more than finding and
//! locking the row that it speaks of.

/// Makes `$row`, which derives `sqlx::Encode`, the composite type `$name`: the same fields in the same order.
#[macro_export]
macro_rules! composite_type {
    ($row:ty, $name:literal) => {
        impl sqlx::Type<sqlx::Postgres> for $row {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::with_name($name)
            }
        }

        impl sqlx::postgres::PgHasArrayType for $row {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::array_of($name)
            }
        }
    };
}
