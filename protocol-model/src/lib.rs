//! The protocol between the services, checked in every interleaving that there is within bounds.
//!
//! The model runs the decisions that the services run ([`rules`]); around them it keeps what the services keep in
//! tables, in memory and at the broker ([`saga`]). Read on in [`orders`], [`payments`], [`mail`] and [`model`], and what
//! must hold in [`properties`], [`moves`] and [`rest`].

// Nobody but its own tests uses the model.
#![cfg(test)]

mod mail;
mod orders;
mod payments;
mod rows;
mod rules;
mod saga;

mod model;
mod moves;
mod properties;
mod rest;

mod broken_rules;
mod check;
