//! Every way in which a token can be wrong.

use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::settings_tests::{KeyFile, settings};
use super::signed_tokens::{
    AUDIENCE, ISSUER, Issuer, RSA_PUBLIC_KEY, claims, claims_with, claims_without, encode, now,
};
use super::{Authenticator, Problem};

fn trusting(keys: &[&Issuer]) -> Authenticator {
    let keys: Vec<Value> = keys.iter().map(|issuer| issuer.jwk()).collect();
    KeyFile::new(&json!({"keys": keys}).to_string()).open().expect("sound settings")
}

async fn user(authenticator: &Authenticator, token: &str) -> Result<String, Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().expect("a header"));
    authenticator.user(&headers).await.map(|user| user.0)
}

/// Asserts that the token is refused as RFC 6750 has it, and answers the problem as text.
#[track_caller]
fn assert_refused(outcome: Result<String, Problem>, what: &str) -> String {
    let problem = match outcome {
        Ok(user) => panic!("{what} lets {user} in"),
        Err(problem) => problem,
    };
    let text = format!("{problem:?}");
    let response = problem.into_response();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{what}");
    let challenge = response.headers()[WWW_AUTHENTICATE].to_str().expect("text");
    assert!(challenge.starts_with(r#"Bearer realm="order-processing", error="invalid_token""#), "{what}: {challenge}");
    text
}

fn with_fraction(seconds: i64) -> Value {
    serde_json::from_str(&format!("{seconds}.5")).expect("a number")
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_lets_its_user_in() {
    let issuers = [
        Issuer::rs256("r"),
        Issuer::es256("e"),
        Issuer::eddsa("d"),
        Issuer::hs256("h", b"a secret of thirty-two bytes or so"),
    ];
    let authenticator = trusting(&issuers.each_ref());
    for issuer in &issuers {
        assert_eq!(
            user(&authenticator, &issuer.token("alice")).await.expect("alice"),
            "alice",
            "{}",
            issuer.algorithm()
        );
    }
    let bare = HeaderMap::from_iter([(AUTHORIZATION, issuers[0].token("bob").parse().expect("a header"))]);
    assert_eq!(authenticator.user(&bare).await.expect("bob").0, "bob");
}

#[tokio::test]
async fn a_public_key_as_pem_needs_no_name() {
    let authenticator = KeyFile::new(RSA_PUBLIC_KEY).open().expect("sound settings");
    let issuer = Issuer::rs256("whatever");
    assert_eq!(user(&authenticator, &issuer.token("alice")).await.expect("alice"), "alice");
    let nameless = issuer.sign(&json!({"alg": "RS256"}), &claims("alice"));
    assert_eq!(user(&authenticator, &nameless).await.expect("alice"), "alice");
}

#[tokio::test]
async fn the_algorithm_is_that_of_the_key_whatever_the_token_says() {
    let issuer = Issuer::rs256("r");
    let authenticator = trusting(&[&issuer]);
    let pem = KeyFile::new(RSA_PUBLIC_KEY).open().expect("sound settings");
    let modulus = issuer.jwk()["n"].as_str().expect("a modulus").to_owned();
    // Signed with what everybody knows of the key.
    for secret in [RSA_PUBLIC_KEY, RSA_PUBLIC_KEY.trim(), &modulus, &issuer.jwk().to_string(), ""] {
        let token = Issuer::hs256("r", secret.as_bytes()).token("alice");
        assert_refused(user(&authenticator, &token).await, "HS256 with the public key");
        assert_refused(user(&pem, &token).await, "HS256 with the public key");
    }
    let parts = format!("{}.", encode(claims("alice").to_string().as_bytes()));
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let header = encode(json!({"alg": algorithm, "kid": "r"}).to_string().as_bytes());
        assert_refused(user(&authenticator, &format!("{header}.{parts}")).await, algorithm);
    }
    for algorithm in ["RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "HS384", "rs256"] {
        let token = issuer.sign(&json!({"alg": algorithm, "kid": "r"}), &claims("alice"));
        assert_refused(user(&authenticator, &token).await, algorithm);
    }
    for (no_algorithm, what) in [(json!({"kid": "r"}), "no alg"), (json!({"alg": ["RS256"], "kid": "r"}), "a list")] {
        assert_refused(user(&authenticator, &issuer.sign(&no_algorithm, &claims("alice"))).await, what);
    }
}

#[tokio::test]
async fn only_a_key_that_is_known_by_its_name_counts() {
    let (ours, others) = (Issuer::es256("ours"), Issuer::es256("others"));
    let authenticator = trusting(&[&ours, &Issuer::eddsa("second")]);
    let forger = Issuer::es256("ours");
    assert_refused(user(&authenticator, &others.token("alice")).await, "an unknown key");
    assert_refused(user(&authenticator, &forger.token("alice")).await, "another key of the same name");
    for kid in
        ["", "OURS", "ours ", "../ours", "../../../../dev/null", "/etc/passwd", "ours\0", "' or 1=1 --", "second"]
    {
        let token = ours.sign(&json!({"alg": "ES256", "kid": kid}), &claims("alice"));
        assert_refused(user(&authenticator, &token).await, kid);
    }
    for kid in [json!(1), json!(["ours"]), json!({"kid": "ours"}), json!("k".repeat(5000))] {
        let token = ours.sign(&json!({"alg": "ES256", "kid": kid}), &claims("alice"));
        assert_refused(user(&authenticator, &token).await, "a strange name");
    }
    assert_refused(
        user(&authenticator, &ours.sign(&json!({"alg": "ES256"}), &claims("alice"))).await,
        "no name of two",
    );
}

#[tokio::test]
async fn a_token_cannot_bring_its_own_key() {
    let (ours, forger) = (Issuer::rs256("ours"), Issuer::eddsa("forged"));
    let authenticator = trusting(&[&ours]);
    for (name, value) in [
        ("jwk", forger.jwk()),
        ("jku", json!("http://127.0.0.1:9/keys")),
        ("x5u", json!("http://127.0.0.1:9/certificate")),
        ("x5c", json!(["MIIB"])),
    ] {
        for kid in [json!("ours"), json!("forged"), Value::Null] {
            let mut header = forger.header();
            header["kid"] = kid;
            header[name] = value.clone();
            assert_refused(user(&authenticator, &forger.sign(&header, &claims("alice"))).await, name);
        }
        // Such a field does no harm in a token that is good without it.
        let mut header = ours.header();
        header[name] = value;
        assert_eq!(user(&authenticator, &ours.sign(&header, &claims("alice"))).await.expect("alice"), "alice");
    }
}

#[tokio::test]
async fn a_critical_extension_is_refused() {
    let issuer = Issuer::eddsa("d");
    let authenticator = trusting(&[&issuer]);
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(["http://example.com/unknown"]), json!("exp")] {
        let mut header = issuer.header();
        header["crit"] = crit.clone();
        header["b64"] = json!(false);
        assert_refused(user(&authenticator, &issuer.sign(&header, &claims("alice"))).await, &crit.to_string());
    }
}

#[tokio::test]
async fn time_issuer_and_audience_are_checked() {
    let issuer = Issuer::eddsa("d");
    let authenticator = trusting(&[&issuer]);
    let audience = |value| claims_with("aud", value);
    for (claims, needle) in [
        (claims_with("exp", json!(now() - 31)), "expired"),
        (claims_with("exp", json!(0)), "expired"),
        (claims_with("exp", json!(-1)), ""),
        (claims_with("exp", json!("9999999999")), ""),
        (claims_with("exp", json!(null)), ""),
        (claims_without("exp"), ""),
        (claims_with("nbf", json!(now() + 100)), "not valid yet"),
        (claims_with("nbf", json!("now")), ""),
        (claims_with("iss", json!("https://issuer.example/")), "issuer"),
        (claims_with("iss", json!("")), "issuer"),
        (claims_with("iss", json!([ISSUER])), ""),
        (claims_without("iss"), ""),
        (audience(json!("another")), "audience"),
        (audience(json!(["another"])), "audience"),
        (audience(json!([])), "audience"),
        (audience(json!("")), "audience"),
        (audience(json!(1)), ""),
        (claims_without("aud"), ""),
        (json!({}), ""),
        (json!([]), ""),
        (json!(null), ""),
    ] {
        let refusal =
            assert_refused(user(&authenticator, &issuer.sign(&issuer.header(), &claims)).await, &claims.to_string());
        assert!(refusal.contains(needle), "{claims}: {refusal}");
    }
    // Clocks differ a little, times have fractions, and an API may be one audience of several.
    for claims in [
        claims_with("exp", json!(now() - 20)),
        claims_with("exp", json!(with_fraction(now() + 60))),
        claims_with("nbf", json!(now() + 20)),
        claims_with("nbf", json!(with_fraction(now() - 1))),
        audience(json!(["another", AUDIENCE])),
    ] {
        let outcome = user(&authenticator, &issuer.sign(&issuer.header(), &claims)).await;
        assert_eq!(outcome.expect("alice"), "alice", "{claims}");
    }
}

#[tokio::test]
async fn a_token_says_properly_who_it_is_for() {
    let issuer = Issuer::eddsa("d");
    let authenticator = trusting(&[&issuer]);
    let too_long = "u".repeat(256);
    for subject in [
        json!(""),
        json!(" "),
        json!(" alice"),
        json!("alice\n"),
        json!("al\0ice"),
        json!("\u{202e}ecila"),
        json!("аlice"),
        json!(too_long),
        json!(7),
        json!(true),
        json!(null),
        json!(["alice"]),
        json!({"name": "alice"}),
    ] {
        let claims = claims_with("sub", subject.clone());
        assert_refused(user(&authenticator, &issuer.sign(&issuer.header(), &claims)).await, &subject.to_string());
    }
    assert_refused(user(&authenticator, &issuer.sign(&issuer.header(), &claims_without("sub"))).await, "nobody");
    let twice = claims("alice").to_string().replace("\"sub\"", "\"sub\":\"mallory\",\"sub\"");
    assert_refused(user(&authenticator, &issuer.sign_text(&issuer.header().to_string(), &twice)).await, "two subs");
    for subject in ["a", "auth0|5f7c8ec7c33c6c004bbafe82", "alice@example.com", "Alice van Dyk", &"u".repeat(255)] {
        assert_eq!(user(&authenticator, &issuer.token(subject)).await.expect(subject), subject);
    }
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused() {
    for issuer in [Issuer::rs256("k"), Issuer::es256("k"), Issuer::eddsa("k")] {
        let authenticator = trusting(&[&issuer]);
        let token = issuer.token("alice");
        let [header, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let mallory = encode(claims("mallory").to_string().as_bytes());
        let zeros = encode(&[0; 64]);
        for changed in [
            format!("{header}.{mallory}.{signature}"),
            format!("{header}.{body}."),
            format!("{header}.{body}"),
            format!("{header}.{body}.{zeros}"),
            format!("{header}.{body}.{signature}.{signature}"),
            format!("{header}.{body}.{signature}="),
            format!("{header}.{body}.{signature}A"),
            format!(".{body}.{signature}"),
            format!("{header}..{signature}"),
            "..".to_owned(),
            ".".to_owned(),
            "e30.e30.e30".to_owned(),
            format!("{token}{}", "A".repeat(9000)),
        ] {
            assert_refused(user(&authenticator, &changed).await, &changed);
        }
        let huge = claims_with("more", json!("x".repeat(8000)));
        assert_refused(user(&authenticator, &issuer.sign(&issuer.header(), &huge)).await, "a huge token");
    }
}

#[tokio::test]
async fn one_authorization_header_is_taken_and_not_two() {
    let issuer = Issuer::eddsa("d");
    let authenticator = trusting(&[&issuer]);
    let value = |user: &str| format!("Bearer {}", issuer.token(user)).parse().expect("a header");
    let mut headers = HeaderMap::new();
    headers.append(AUTHORIZATION, value("alice"));
    headers.append(AUTHORIZATION, value("bob"));
    let problem = authenticator.user(&headers).await.expect_err("two are refused");
    assert_eq!(problem.into_response().status(), StatusCode::UNAUTHORIZED);
    let problem = authenticator.user(&HeaderMap::new()).await.expect_err("none is refused").into_response();
    assert_eq!(problem.headers()[WWW_AUTHENTICATE], r#"Bearer realm="order-processing""#);
    // The demo token is for demos.
    assert_refused(user(&authenticator, "thisisajwttoken").await, "the demo token");
}

#[tokio::test]
async fn a_token_whose_issuer_was_never_reached_is_neither_accepted_nor_refused() {
    let settings = settings(&[
        "--auth-mode=jwt",
        "--auth-jwt-jwks-url=http://127.0.0.1:9/keys",
        "--auth-jwt-issuer",
        ISSUER,
        "--auth-jwt-audience",
        AUDIENCE,
    ]);
    let authenticator = Authenticator::new(&settings).expect("the issuer may be away at the start");
    assert!(!authenticator.is_ready());
    let problem = user(&authenticator, &Issuer::eddsa("d").token("alice")).await.expect_err("nobody can say");
    assert!(format!("{problem:?}").contains("authentication_unavailable"), "{problem:?}");
    let response = problem.into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(RETRY_AFTER) && !response.headers().contains_key(WWW_AUTHENTICATE));
}

proptest! {
    #[test]
    fn no_text_is_a_token_and_none_breaks_anything(text in "[ -~]{0,300}", header in ".{0,80}", body in ".{0,80}") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let issuer = Issuer::eddsa("d");
        let authenticator = trusting(&[&issuer]);
        for token in [text, issuer.sign_text(&header, &body), issuer.sign_text(&issuer.header().to_string(), &body)] {
            if !token.trim().is_empty() {
                assert_refused(runtime.block_on(user(&authenticator, &token)), &token);
            }
        }
    }
}
