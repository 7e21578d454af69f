//! Which tokens are let in.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flowseek::http::{EndpointSettings, Jwt, KeySource, PERMISSION};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};

use super::{Answer, Running, golden_archive};

use crate::folder::Folder;

pub const SECRET: &[u8] = b"a secret that only the tests know";

pub fn testdata(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "testdata", "http", name].iter().collect()
}

fn pem(name: &str) -> Vec<u8> {
    fs::read(testdata(name)).unwrap()
}

/// The private key of each algorithm.
pub fn key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem("rsa.pem")).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("p256.pem")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem("ed25519.pem")).unwrap(),
        _ => EncodingKey::from_secret(SECRET),
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Claims that let their bearer in, with these in place of or beside the usual.
fn claims(more: Value) -> Value {
    let mut claims = json!({"sub": "alice", "exp": now() + 600, "permissions": [PERMISSION]});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &key(Algorithm::HS256)).unwrap()
}

fn running(jwt: Jwt) -> Running {
    Running::with(golden_archive(), jwt, EndpointSettings::default())
}

fn ask(running: &Running, token: &str) -> Answer {
    running.get("/v2/audit/flow-logs?limit=1", &[("authorization", &format!("Bearer {token}"))])
}

/// The challenge of a token that is refused.
fn refused(running: &Running, token: &str) -> String {
    let answer = ask(running, token);
    let problems = answer.problems(401);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer realm=\"flow-logs\", error=\"invalid_token\""), "{challenge}");
    assert!(challenge.contains(&problems[0]), "{challenge}");
    problems[0].clone()
}

fn secret() -> KeySource {
    KeySource::secret(SECRET).unwrap()
}

#[test]
fn claims_decide_who_is_let_in() {
    let running = running(Jwt::new(secret()).issuer("issuer").issuer("second").audience("here"));
    let good = json!({"iss": "issuer", "aud": "here"});
    let with = |name: &str, value: Value| {
        let mut claims = claims(good.clone());
        claims[name] = value;
        signed(&claims)
    };
    assert_eq!(ask(&running, &with("iss", json!("second"))).flows().len(), 1);
    assert_eq!(ask(&running, &with("aud", json!(["there", "here"]))).flows().len(), 1);
    assert_eq!(ask(&running, &with("nbf", json!(now() - 1))).flows().len(), 1);
    assert_eq!(ask(&running, &with("exp", json!(now() as f64 + 30.5))).flows().len(), 1);
    for (name, value, reason) in [
        ("exp", json!(now() - 2), "the token has expired"),
        ("exp", json!(now()), "the token has expired"),
        ("exp", json!(now() as f64 + 0.0001), "the token has expired"),
        ("exp", json!(0), "the token has expired"),
        ("exp", json!((now() + 600).to_string()), "the token has no valid exp"),
        ("exp", json!(-1), "the token has no valid exp"),
        ("exp", Value::Null, "the token has no valid exp"),
        ("nbf", json!(now() + 60), "the token is not valid yet"),
        ("nbf", json!("tomorrow"), "the token has no valid nbf"),
        ("iss", json!("someone"), "the token is from another issuer"),
        ("iss", Value::Null, "the token has no valid iss"),
        ("iss", json!(["issuer"]), "the token has no valid iss"),
        ("iss", json!(["someone", "issuer"]), "the token has no valid iss"),
        ("iss", json!({"issuer": true}), "the token has no valid iss"),
        ("aud", json!("there"), "the token is for another audience"),
        ("aud", json!([]), "the token is for another audience"),
        ("aud", Value::Null, "the token has no valid aud"),
    ] {
        assert_eq!(refused(&running, &with(name, value.clone())), reason, "{name}: {value}");
    }
    let mut endless = claims(good.clone());
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(refused(&running, &signed(&endless)), "the token has no valid exp");
}

#[test]
fn clocks_differ_by_no_more_than_the_leeway_and_that_by_no_more_than_a_day() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    for (leeway, good, bad) in [(hours(1), 3600 - 60, 3600), (hours(48), 24 * 3600 - 60, 24 * 3600)] {
        let running = running(Jwt::new(secret()).leeway(leeway));
        for (ago, is_good) in [(good, true), (bad, false), (25 * 3600, false)] {
            let token = signed(&claims(json!({"exp": now() - ago})));
            if is_good {
                assert_eq!(ask(&running, &token).flows().len(), 1, "{leeway:?}: {ago}");
            } else {
                assert_eq!(refused(&running, &token), "the token has expired", "{leeway:?}: {ago}");
            }
        }
        assert_eq!(ask(&running, &signed(&claims(json!({"nbf": now() + good})))).flows().len(), 1);
        let early = signed(&claims(json!({"nbf": now() + bad + 60, "exp": now() + 30 * 3600})));
        assert_eq!(refused(&running, &early), "the token is not valid yet");
    }
    // Where no issuer is set an issuer is none all the same, unless it is a text.
    let running = running(Jwt::new(secret()));
    assert_eq!(refused(&running, &signed(&claims(json!({"iss": ["any"]})))), "the token has no valid iss");
}

#[test]
fn where_no_audience_is_set_none_is_looked_at() {
    let running = running(Jwt::new(secret()).leeway(Duration::from_secs(90)));
    for more in [json!({}), json!({"aud": "any", "iss": "any"}), json!({"exp": now() - 60}), json!({"nbf": now() + 60})]
    {
        assert_eq!(ask(&running, &signed(&claims(more))).flows().len(), 1);
    }
    assert_eq!(refused(&running, &signed(&claims(json!({"exp": now() - 120})))), "the token has expired");
}

#[test]
fn the_permission_may_be_in_any_claim_as_list_or_words() {
    let by_default = running(Jwt::new(secret()));
    for (permissions, is_granted) in [
        (json!([PERMISSION]), true),
        (json!(["a", PERMISSION, "b"]), true),
        (json!(PERMISSION), true),
        (json!(format!("openid {PERMISSION} email")), true),
        (json!([format!("a {PERMISSION}")]), false),
        (json!("audits::read:flows:all xaudits::read:flows"), false),
        (json!("AUDITS::READ:FLOWS"), false),
        (json!([]), false),
        (json!({PERMISSION: true}), false),
        (json!(true), false),
        (Value::Null, false),
    ] {
        let answer = ask(&by_default, &signed(&claims(json!({"permissions": permissions}))));
        if is_granted {
            assert_eq!(answer.flows().len(), 1, "{permissions}");
        } else {
            assert!(answer.problems(403)[0].contains(PERMISSION), "{permissions}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.contains("insufficient_scope") && challenge.contains(PERMISSION), "{challenge}");
        }
    }
    let dotted = running(Jwt::new(secret()).permissions_claim("resource.scope").nodes_claim("its.nodes"));
    let problems =
        ask(&dotted, &signed(&claims(json!({"its.nodes": ["n1"], "resource": {"scope": PERMISSION}})))).problems(403);
    assert!(
        problems[0].contains(PERMISSION) && problems[1].contains("with slashes: `/resource/scope`"),
        "{problems:?}"
    );
    let problems =
        ask(&dotted, &signed(&claims(json!({"resource.scope": PERMISSION, "its": {"nodes": ["n1"]}})))).problems(403);
    assert!(problems.len() == 1 && problems[0].contains("with slashes: `/its/nodes`"), "{problems:?}");
    let named = json!({"resource.scope": PERMISSION, "its.nodes": "n1"});
    assert_eq!(ask(&dotted, &signed(&claims(named))).flows().len(), 1);
    let scope = running(Jwt::new(secret()).permissions_claim("/resource/scope"));
    ask(&scope, &signed(&claims(json!({})))).problems(403);
    assert_eq!(ask(&scope, &signed(&claims(json!({"resource": {"scope": PERMISSION}})))).flows().len(), 1);
}

#[test]
fn a_claim_may_name_the_nodes_that_are_seen() {
    let running = running(Jwt::new(secret()).nodes_claim("nodes"));
    let token = |nodes: Value| signed(&claims(json!({"nodes": nodes})));
    let all = |token: &str| {
        let header = format!("Bearer {token}");
        running.get("/v2/audit/flow-logs", &[("authorization", &header)]).flows().len()
    };
    let nodes: Vec<String> =
        crate::golden_queries::flows().into_iter().filter_map(|stored| stored.flow.node_id).collect();
    let of_first = nodes.iter().filter(|node| **node == nodes[0]).count();
    assert_eq!(all(&token(json!([nodes[0]]))), of_first);
    assert_eq!(all(&token(json!(nodes))), nodes.len());
    assert_eq!(all(&token(json!(["nobody"]))), 0);
    for none in [json!([]), Value::Null, json!(7)] {
        ask(&running, &token(none)).problems(403);
    }
}

#[test]
fn only_the_algorithm_of_the_key_is_taken() {
    let algorithms = [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    let source = |algorithm| match algorithm {
        Algorithm::RS256 => KeySource::public_key_file(testdata("rsa-public.pem")).unwrap(),
        Algorithm::ES256 => KeySource::public_key_file(testdata("p256-public.pem")).unwrap(),
        Algorithm::EdDSA => KeySource::public_key_file(testdata("ed25519-public.pem")).unwrap(),
        _ => secret(),
    };
    for accepted in algorithms {
        let running = running(Jwt::new(source(accepted)));
        for signed in algorithms {
            let token = encode(&Header::new(signed), &claims(json!({})), &key(signed)).unwrap();
            if signed == accepted {
                assert_eq!(ask(&running, &token).flows().len(), 1, "{signed:?}");
            } else {
                refused(&running, &token);
            }
        }
        // The public key is known to all, and must not do as a secret.
        for public in ["rsa-public.pem", "p256-public.pem", "ed25519-public.pem"] {
            let secret = EncodingKey::from_secret(&pem(public));
            refused(&running, &encode(&Header::new(Algorithm::HS256), &claims(json!({})), &secret).unwrap());
        }
        let other = Header::new(if accepted == Algorithm::HS256 { Algorithm::HS512 } else { Algorithm::RS512 });
        let rsa = key(if accepted == Algorithm::HS256 { Algorithm::HS256 } else { Algorithm::RS256 });
        refused(&running, &encode(&other, &claims(json!({})), &rsa).unwrap());
    }
}

#[test]
fn tokens_that_are_not_signed_or_tampered_with_are_refused() {
    let running = running(Jwt::new(secret()));
    let good = signed(&claims(json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let encoded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut forged = claims(json!({"sub": "root"}));
    forged["exp"] = json!(now() + 6000);
    let mut crit = Header::new(Algorithm::HS256);
    crit.crit = Some(vec!["b64".to_owned()]);
    let mut tokens = vec![
        format!("{}.{}.{}", parts[0], encoded(forged), parts[2]),
        format!("{}.{}.{}x", parts[0], parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        "a.b.c".to_owned(),
        "..".to_owned(),
        "x".repeat(8000),
        encode(&crit, &claims(json!({})), &key(Algorithm::HS256)).unwrap(),
        encode(&Header::new(Algorithm::HS256), &claims(json!({})), &EncodingKey::from_secret(b"another")).unwrap(),
    ];
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for signature in ["", parts[2]] {
            tokens.push(format!("{}.{}.{signature}", encoded(json!({"alg": none, "typ": "JWT"})), parts[1]));
        }
    }
    for token in tokens {
        refused(&running, &token);
    }
    assert_eq!(ask(&running, &good).flows().len(), 1);
}

#[test]
fn a_credential_is_one_bearer_token() {
    let running = running(Jwt::new(secret()));
    let token = signed(&claims(json!({})));
    let get = |values: &[&str]| {
        let headers: Vec<(&str, &str)> = values.iter().map(|value| ("authorization", *value)).collect();
        running.get("/v2/audit/flow-logs?limit=1", &headers)
    };
    let nobody = get(&[]);
    nobody.problems(401);
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"flow-logs\""));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert_eq!(get(&[&format!("{scheme} {token}")]).flows().len(), 1);
    }
    let good = format!("Bearer {token}");
    for values in [&["Bearer"][..], &["Bearer "], &[&token], &["Basic dXNlcjpwYXNz"], &[&good, &good]] {
        get(values).problems(401);
    }
    let query = format!("/v2/audit/flow-logs?access_token={token}");
    running.get(&query, &[]).problems(401);
}

#[test]
fn key_files_that_hold_no_key_are_refused_from_the_start() {
    let directory = Folder::new();
    let file = |bytes: &[u8]| {
        let path = directory.path().join("file");
        fs::write(&path, bytes).unwrap();
        path
    };
    for secret in [&b""[..], b"\n", b"a secret of 31 bytes, too short", b"a secret of 31 bytes, too short\n"] {
        let error = KeySource::secret_file(file(secret)).unwrap_err().to_string();
        assert!(error.contains("allowed: at least 32"), "{error}");
        assert!(KeySource::secret(secret.strip_suffix(b"\n").unwrap_or(secret)).is_err());
    }
    assert!(KeySource::secret(b"a secret of 32 bytes, just right").is_ok());
    for public in [&b"no key"[..], &pem("rsa.pem"), &pem("p384-public.pem"), b""] {
        assert!(KeySource::public_key_file(file(public)).is_err());
    }
    let error = KeySource::public_key_file(file(&pem("rsa-1024-public.pem"))).unwrap_err().to_string();
    assert!(error.contains("the RSA key has 1024 bits; allowed: at least 2048"), "{error}");
    let unusable = json!({"keys": [{"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}, {"kty": "new"}]});
    for set in ["", "[]", "{}", "{\"keys\": []}", &unusable.to_string()] {
        assert!(KeySource::jwks_file(file(set.as_bytes())).is_err(), "{set}");
    }
}

#[test]
fn keys_of_a_set_are_used_for_what_they_are_stated_for() {
    let directory = Folder::new();
    let path = directory.path().join("keys.json");
    let source = |keys: Value| {
        fs::write(&path, json!({"keys": keys}).to_string()).unwrap();
        KeySource::jwks_file(&path)
    };
    let algorithms = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::HS256];
    for algorithm in algorithms {
        let jwk = |more: Value| {
            let mut jwk = match algorithm {
                Algorithm::HS256 => json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}),
                _ => set(&[("key", algorithm)])["keys"][0].clone(),
            };
            jwk.as_object_mut().unwrap().remove("alg");
            jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            jwk
        };
        let name = serde_json::to_value(algorithm).unwrap();
        for good in [
            json!({}),
            json!({"alg": name}),
            json!({"use": "sig"}),
            json!({"key_ops": ["verify"]}),
            json!({"key_ops": ["sign", "verify"], "alg": name}),
        ] {
            let running = running(Jwt::new(source(json!([jwk(good.clone())])).unwrap()));
            assert_eq!(ask(&running, &named(None, algorithm)).flows().len(), 1, "{algorithm:?} {good}");
        }
        let others = ["RS512", "PS256", "ES384", "HS512", "RSA-OAEP", "RS256", "HS256"];
        let stated = others.iter().filter(|other| **other != name).map(|other| json!({"alg": other}));
        let uses = [
            json!({"use": "enc"}),
            json!({"key_ops": ["sign"]}),
            json!({"key_ops": []}),
            json!({"key_ops": ["encrypt"]}),
        ];
        for bad in stated.chain(uses) {
            let error = source(json!([jwk(bad.clone())])).unwrap_err().to_string();
            assert!(error.contains("none of its keys can be used"), "{algorithm:?} {bad}: {error}");
            if bad.get("key_ops").is_some() {
                assert!(error.contains("key 1: its key_ops lack verify"), "{error}");
            }
            // Beside another key the set is good, and a token that only this one has signed is not.
            let other = if algorithm == Algorithm::ES256 { Algorithm::EdDSA } else { Algorithm::ES256 };
            let keys = json!([jwk(bad), set(&[("other", other)])["keys"][0]]);
            let running = running(Jwt::new(source(keys).unwrap()));
            assert_eq!(ask(&running, &named(None, other)).flows().len(), 1);
            refused(&running, &named(None, algorithm));
        }
    }
    for (weak, why) in [
        (json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&SECRET[..31])}), "the secret has 31 bytes"),
        (json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB"}), "the RSA key has 1024 bits"),
    ] {
        let error = source(json!([{"kty": "new"}, weak])).unwrap_err().to_string();
        assert!(error.contains(&format!("key 2: {why}; allowed: at least")), "{error}");
    }
}

#[test]
fn a_secret_file_is_its_bytes_less_one_newline() {
    let directory = Folder::new();
    let path = directory.path().join("secret");
    let long = |end: &[u8]| [&b"\0 a key that is long enough to be one"[..], end].concat();
    for (file, secret) in [("\n", ""), ("", ""), ("\n\n", "\n"), ("\r\n", "\r"), (" ", " ")] {
        let (file, secret) = (long(file.as_bytes()), long(secret.as_bytes()));
        fs::write(&path, file).unwrap();
        let running = running(Jwt::new(KeySource::secret_file(&path).unwrap()));
        let token = |secret: &[u8]| {
            encode(&Header::new(Algorithm::HS256), &claims(json!({})), &EncodingKey::from_secret(secret)).unwrap()
        };
        assert_eq!(ask(&running, &token(&secret)).flows().len(), 1);
        refused(&running, &token(&long(b"\n\n\n")));
    }
}

/// A set of the public keys to some private ones, by their names.
pub fn set(keys: &[(&str, Algorithm)]) -> Value {
    let public = |(name, algorithm): &(&str, Algorithm)| {
        let mut jwk = Jwk::from_encoding_key(&key(*algorithm), *algorithm).unwrap();
        jwk.common.key_id = Some((*name).to_owned());
        serde_json::to_value(jwk).unwrap()
    };
    json!({"keys": keys.iter().map(public).collect::<Vec<_>>()})
}

fn named(name: Option<&str>, algorithm: Algorithm) -> String {
    let header = Header { kid: name.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, &claims(json!({})), &key(algorithm)).unwrap()
}

#[test]
fn a_token_is_held_against_the_key_that_it_names() {
    let directory = Folder::new();
    let path = directory.path().join("keys.json");
    let keys = [("rsa", Algorithm::RS256), ("ec", Algorithm::ES256), ("ed", Algorithm::EdDSA)];
    let mut set = set(&keys);
    set["keys"].as_array_mut().unwrap().insert(0, json!({"kty": "future", "kid": "x"}));
    fs::write(&path, set.to_string()).unwrap();
    let running = running(Jwt::new(KeySource::jwks_file(&path).unwrap()));
    for (name, algorithm) in keys {
        assert_eq!(ask(&running, &named(Some(name), algorithm)).flows().len(), 1, "{name}");
        assert_eq!(ask(&running, &named(None, algorithm)).flows().len(), 1, "{name}");
        refused(&running, &named(Some("another"), algorithm));
    }
    refused(&running, &named(Some("ec"), Algorithm::RS256));
    refused(&running, &named(None, Algorithm::HS256));
}

#[test]
fn keys_are_rotated_while_tokens_come_in() {
    let directory = Folder::new();
    let path = directory.path().join("keys.json");
    let replace = |set: &str| {
        let new = directory.path().join("new");
        fs::write(&new, set).unwrap();
        fs::rename(&new, &path).unwrap();
    };
    let (old, new) = (("old", Algorithm::RS256), ("new", Algorithm::ES256));
    replace(&set(&[old]).to_string());
    let running = running(Jwt::new(KeySource::jwks_file(&path).unwrap()));
    let tokens = [named(Some("old"), Algorithm::RS256), named(Some("new"), Algorithm::ES256)];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Whoever has a good token all the while is never refused.
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        assert_eq!(ask(&running, &tokens[0]).status, 200);
                    }
                })
            })
            .collect();
        refused(&running, &tokens[1]);
        replace(&set(&[old, new]).to_string());
        assert_eq!(ask(&running, &tokens[1]).status, 200);
        replace("{\"keys\": [");
        assert_eq!(ask(&running, &tokens[1]).status, 200);
        done.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    replace(&set(&[new]).to_string());
    refused(&running, &tokens[0]);
    assert_eq!(ask(&running, &tokens[1]).status, 200);
}
