//! The proofs that RFC 9449 prints, to the letter.

use super::*;

/// The header of both, with the key whose thumbprint §6 gives.
const HEADER: &str = concat!(
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo",
    "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW",
    "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19",
);
const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

/// §4.1 and §5: at the token endpoint, made at 1562262616.
const TOKEN_REQUEST: &str = concat!(
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUu",
    "Y29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdL",
    "XiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
);

/// §7.1: with an access token, made at 1562262618.
const RESOURCE_REQUEST: &str = concat!(
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxl",
    "Lm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0Ji",
    "MHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyV",
    "nmcw6Fy1dqd-jfxSYoMxhAJpLjA",
);
const ACCESS_TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";

fn request(method: &'static str, uri: &str, iat: u64, token: Option<&str>) -> Request {
    let binding =
        |token: &str| TokenBinding { ath: sha256(&[token.as_bytes()]), jkt: JKT.parse().unwrap() };
    Request {
        method,
        uri: TargetUri::parse(uri).unwrap(),
        access_token: token.map(binding),
        nonce_required: false,
        now: UnixTime::from_secs(iat),
        ..Request::good()
    }
}

#[test]
fn the_proof_of_the_token_request_verifies() {
    let request = request("POST", "https://server.example.com/token", 1_562_262_616, None);
    let verified = request.verify(&format!("{HEADER}.{TOKEN_REQUEST}")).unwrap();
    assert_eq!(verified.peek().thumbprint.to_string(), JKT);
}

#[test]
fn the_proof_of_the_resource_request_verifies() {
    let uri = "https://resource.example.org/protectedresource";
    let proof = format!("{HEADER}.{RESOURCE_REQUEST}");
    let verdict = |token| request("GET", uri, 1_562_262_618, Some(token)).verify(&proof).map(drop);
    assert_eq!(verdict(ACCESS_TOKEN), Ok(()));
    assert_eq!(verdict("another"), Err(DpopError::AccessToken));
}

#[test]
fn the_proofs_are_for_their_own_requests_only() {
    let proof = format!("{HEADER}.{TOKEN_REQUEST}");
    let verdict = |method, uri, iat, token| request(method, uri, iat, token).verify(&proof).err();
    let (uri, iat) = ("https://server.example.com/token", 1_562_262_616);
    assert_eq!(verdict("GET", uri, iat, None), Some(DpopError::Method));
    assert_eq!(verdict("POST", "https://server.example.com/", iat, None), Some(DpopError::Uri));
    assert_eq!(verdict("POST", uri, iat + 3600, None), Some(DpopError::TooOld));
    let without_ath = verdict("POST", uri, iat, Some(ACCESS_TOKEN));
    assert_eq!(without_ath, Some(ClaimError::Missing("ath").into()));
}
