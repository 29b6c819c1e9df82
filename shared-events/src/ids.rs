//! Identifiers that cross the border between the services.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// One order, made by the orders service. A UUIDv7 (RFC 9562), so it sorts by the time the order was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
#[schema(examples("0197f1c2-7b1e-7c3a-9d41-2f0f6f1f7a10"))]
pub struct OrderId(pub Uuid);

/// One payment, made by the payments service. A UUIDv7 (RFC 9562).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
#[schema(examples("0197f1c2-9a00-7000-8000-000000000001"))]
pub struct PaymentId(pub Uuid);

/// The person who owns an order and its payment, as the access token names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
#[schema(examples("somerandomuserid"))]
pub struct UserId(pub String);

impl OrderId {
    /// A new identifier that sorts after those made before it.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl PaymentId {
    /// A new identifier that sorts after those made before it.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
