//! What the OIDF conformance suite tries on DPoP endpoints, named after its cases.
//! Those about other header fields than `DPoP` are tests of the guard.

use super::*;

#[test]
fn good_proof() {
    let verified = Request::good().verify(&Draft::good().sign()).unwrap();
    assert_eq!(verified.peek().thumbprint, ed25519(1).public_key().thumbprint());
}

#[test]
fn good_proof_with_every_algorithm() {
    for (algorithm, key) in every_algorithm() {
        let request = Request { access_token: Some(binding(&key)), ..Request::good() };
        let draft = Draft::by(key);
        let proof = jws::sign(&draft.key, algorithm, &draft.header, &draft.payload).unwrap();
        assert_eq!(request.verify(&proof).map(drop), Ok(()), "{algorithm}");
    }
}

#[test]
fn two_dpop_headers() {
    let (one, other) = (Draft::good().sign(), Draft::by(ed25519(2)).sign());
    let refusal = |fields: &[&str]| {
        PresentedProof::from_fields(fields.iter().map(|field| field.as_bytes())).err()
    };
    assert_eq!(refusal(&[&one]), None);
    assert_eq!(refusal(&[&one, &other]), Some(DpopError::Several));
    assert_eq!(refusal(&[&one, &one]), Some(DpopError::Several));
    assert_eq!(refusal(&[&one, ""]), Some(DpopError::Several));
    for joined in [format!("{one},{other}"), format!("{one}, {one}")] {
        assert_eq!(refusal(&[&joined]), Some(JwsError::NotCompact.into()));
    }
}

#[test]
fn no_proof() {
    assert_eq!(PresentedProof::from_fields([]).err(), Some(DpopError::Absent));
}

#[test]
fn malformed_jwt() {
    for (text, error) in [
        ("", JwsError::NotCompact),
        ("proof", JwsError::NotCompact),
        ("a.b", JwsError::NotCompact),
        ("a.b.c", JwsError::Header),
        ("{}", JwsError::NotCompact),
    ] {
        assert_eq!(PresentedProof::parse(text).err(), Some(error.into()), "{text}");
    }
}

#[test]
fn missing_typ() {
    let verdict = altered(|draft| drop(draft.header.remove("typ")));
    assert_eq!(verdict, Err(DpopError::Type));
}

#[test]
fn bad_typ() {
    for typ in ["JWT", "at+jwt", "dpop", "dpop+jwt ", "dpop-jwt", "text/dpop+jwt", ""] {
        assert_eq!(with_header("typ", json!(typ)), Err(DpopError::Type), "{typ:?}");
    }
    for same in ["DPoP+JWT", "application/dpop+jwt"] {
        assert_eq!(with_header("typ", json!(same)), Ok(()), "{same}");
    }
}

#[test]
fn missing_alg() {
    let header = json!({ "typ": "dpop+jwt", "jwk": ed25519(1).public_key().to_jwk() });
    assert_eq!(refusal_of(&header), Some(JwsError::Algorithm.into()));
}

#[test]
fn alg_none() {
    for alg in ["none", "None", "HS256"] {
        let jwk = ed25519(1).public_key().to_jwk();
        let header = json!({ "typ": "dpop+jwt", "alg": alg, "jwk": jwk });
        assert_eq!(refusal_of(&header), Some(JwsError::Algorithm.into()), "{alg}");
    }
}

#[test]
fn missing_jwk() {
    let verdict = altered(|draft| drop(draft.header.remove("jwk")));
    assert_eq!(verdict, Err(DpopError::NoKey));
}

#[test]
fn private_key_in_jwk() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let verdict = altered(|draft| {
            let jwk = draft.header.get_mut("jwk").and_then(Value::as_object_mut).unwrap();
            jwk.insert(member.to_owned(), json!("AAAA"));
        });
        assert_eq!(verdict, Err(KeyError::PrivateMember(member).into()), "{member}");
    }
}

#[test]
fn bad_signature() {
    let [one, other] = ["proof 1", "proof 2"].map(|jti| {
        let mut draft = Draft::good();
        draft.set("jti", json!(jti));
        draft.sign()
    });
    let (input, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let verdict = Request::good().verify(&format!("{input}.{signature}")).map(drop);
    assert_eq!(verdict, Err(DpopError::Signature));
    let verdict = Request::good().verify(&format!("{input}.")).map(drop);
    assert_eq!(verdict, Err(DpopError::Signature));
}

#[test]
fn missing_jti() {
    assert_eq!(altered(|draft| draft.remove("jti")), missing("jti"));
}

#[test]
fn missing_htm() {
    assert_eq!(altered(|draft| draft.remove("htm")), missing("htm"));
}

#[test]
fn missing_htu() {
    assert_eq!(altered(|draft| draft.remove("htu")), missing("htu"));
}

#[test]
fn missing_iat() {
    assert_eq!(altered(|draft| draft.remove("iat")), missing("iat"));
}

#[test]
fn missing_ath() {
    assert_eq!(altered(|draft| draft.remove("ath")), missing("ath"));
}

#[test]
fn wrong_htm() {
    for method in ["GET", "PUT", "post", "POST ", "POSTS", "P"] {
        assert_eq!(with("htm", json!(method)), Err(DpopError::Method), "{method:?}");
    }
}

#[test]
fn other_url() {
    for uri in [
        "https://other.example/v1/whoami",
        "https://api.example/v1/keys",
        "https://api.example/v1/whoami/",
        "https://api.example/v1/Whoami",
        "https://api.example/",
        "https://api.example:8443/v1/whoami",
        "http://api.example/v1/whoami",
    ] {
        assert_eq!(with("htu", json!(uri)), Err(DpopError::Uri), "{uri}");
    }
}

#[test]
fn htu_with_query_and_with_fragment_passes() {
    for suffix in ["", "?a=1&b=2", "#fragment", "?a=1#fragment", "?", "#", "?url=https://x/?y"] {
        assert_eq!(with("htu", json!(format!("{URI}{suffix}"))), Ok(()), "{suffix}");
    }
}

#[test]
fn scheme_and_host_in_another_case_pass() {
    assert_eq!(with("htu", json!("HTTPS://api.example/v1/whoami")), Ok(()));
    assert_eq!(with("htu", json!("https://API.Example/v1/whoami")), Ok(()));
}

#[test]
fn default_port_passes() {
    assert_eq!(with("htu", json!("https://api.example:443/v1/whoami")), Ok(()));
    assert_eq!(with("htu", json!("https://api.example:80/v1/whoami")), Err(DpopError::Uri));
}

#[test]
fn iat_an_hour_ago_or_ahead() {
    let hour = 3600;
    assert_eq!(with("iat", json!(NOW.as_secs() - hour)), Err(DpopError::TooOld));
    assert_eq!(with("iat", json!(NOW.as_secs() + hour)), Err(DpopError::FromTheFuture));
}

#[test]
fn iat_ten_seconds_ago_or_ahead_passes() {
    for iat in [NOW.as_secs() - 10, NOW.as_secs() + 8, NOW.as_secs() + 10] {
        assert_eq!(with("iat", json!(iat)), Ok(()), "{iat}");
    }
}

#[test]
fn jti_reuse() {
    let proof = Draft::good().sign();
    let [first, second] = [0, 10].map(|seconds| {
        let now = NOW + Duration::from_secs(seconds);
        Request { now, ..Request::good() }.verify(&proof).unwrap().entry()
    });
    assert_eq!(first, second, "the replay log refuses an entry that it has");
}

#[test]
fn wrong_ath() {
    for wrong in [
        ath("another.access.token"),
        ath(""),
        TOKEN.to_owned(),
        format!("{}=", ath(TOKEN)),
        ath(TOKEN).to_lowercase(),
    ] {
        assert_eq!(with("ath", json!(wrong)), Err(DpopError::AccessToken), "{wrong}");
    }
}

#[test]
fn other_key() {
    let proof = Draft::by(ed25519(2)).sign();
    let verdict = Request::good().verify(&proof).map(drop);
    assert_eq!(verdict, Err(DpopError::OtherKey));
}

#[test]
fn extra_claims_and_parameters_pass() {
    assert_eq!(with("extra", json!({ "nested": [1, 2, 3] })), Ok(()));
    assert_eq!(with("iss", json!(7)), Ok(()));
    assert_eq!(with_header("extra", json!(["a", null])), Ok(()));
    assert_eq!(with_header("kid", json!("any")), Ok(()));
}

#[test]
fn rs256_is_an_algorithm_of_this_product() {
    let request = Request { access_token: Some(binding(&rsa())), ..Request::good() };
    assert_eq!(request.verify(&Draft::by(rsa()).sign()).map(drop), Ok(()));
}

/// What the parser says about a proof with exactly this header.
fn refusal_of(header: &Value) -> Option<DpopError> {
    let header = header.to_string();
    let payload = Value::Object(Draft::good().payload).to_string();
    let proof = crate::test_support::sign_bytes(&ed25519(1), header.as_bytes(), payload.as_bytes());
    PresentedProof::parse(&proof).err()
}
