//! How long orders take by themselves.

use super::requests;

/// How soon the services have an order come to its end.
pub(crate) struct Timers {
    pub(crate) delivery_delay: &'static str,
    pub(crate) unpaid_expiry: &'static str,
}

impl Timers {
    /// What services have to be told to have these, and the clients for users.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let tokens: Vec<_> = requests::USERS.iter().map(|user| format!("{}={}", user.token, user.id)).collect();
        vec![
            ("DELIVERY_DELAY", self.delivery_delay.to_owned()),
            ("UNPAID_EXPIRY", self.unpaid_expiry.to_owned()),
            ("AUTH_MODE", "demo".to_owned()),
            ("AUTH_DEMO_TOKENS", tokens.join(",")),
        ]
    }
}
