//! The options of WebAuthn in JSON (WebAuthn §5.1.8, §5.1.9), as browsers parse them.

use std::time::Duration;

use countersign_authority::passkeys::options::{CreationOptions, Descriptor, RequestOptions};
use countersign_protocol::strict::base64url;
use serde::Serialize;
use utoipa::ToSchema;

/// `PublicKeyCredentialRequestOptionsJSON`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestOptionsBody {
    /// base64url; good for ten minutes.
    challenge: String,
    /// Milliseconds.
    timeout: u64,
    rp_id: String,
    /// The passkeys that will do; empty where any will.
    allow_credentials: Vec<DescriptorBody>,
    /// Always `required`.
    user_verification: &'static str,
}

/// `PublicKeyCredentialCreationOptionsJSON`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreationOptionsBody {
    rp: RelyingPartyBody,
    user: UserBody,
    /// base64url; good for ten minutes.
    challenge: String,
    pub_key_cred_params: Vec<ParametersBody>,
    /// Milliseconds.
    timeout: u64,
    /// The passkeys that the account has.
    exclude_credentials: Vec<DescriptorBody>,
    authenticator_selection: SelectionBody,
    /// Always `none`.
    attestation: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RelyingPartyBody {
    /// The RP ID: a domain.
    id: String,
    name: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserBody {
    /// The user handle, base64url of 32 random bytes.
    id: String,
    /// The username.
    name: String,
    /// The username.
    display_name: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ParametersBody {
    /// Always `public-key`.
    r#type: &'static str,
    /// -8 (Ed25519), -7 (ES256) and -257 (RS256).
    alg: i32,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DescriptorBody {
    /// Always `public-key`.
    r#type: &'static str,
    /// The id of the passkey, base64url.
    id: String,
    /// The ways to reach the authenticator, such as `internal` or `usb`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    transports: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SelectionBody {
    /// Always `required`: the passkey names its account by itself.
    resident_key: &'static str,
    require_resident_key: bool,
    /// Always `required`.
    user_verification: &'static str,
}

const PUBLIC_KEY: &str = "public-key";
const REQUIRED: &str = "required";

impl From<RequestOptions> for RequestOptionsBody {
    fn from(options: RequestOptions) -> Self {
        Self {
            challenge: base64url::encode(&options.challenge),
            timeout: millis(options.timeout),
            rp_id: options.rp_id.to_string(),
            allow_credentials: options.allowed.into_iter().map(DescriptorBody::from).collect(),
            user_verification: REQUIRED,
        }
    }
}

impl From<CreationOptions> for CreationOptionsBody {
    fn from(options: CreationOptions) -> Self {
        let name = options.username.to_string();
        let parameters = |algorithm: countersign_protocol::keys::CoseAlgorithm| ParametersBody {
            r#type: PUBLIC_KEY,
            alg: algorithm.id(),
        };
        Self {
            rp: RelyingPartyBody { id: options.rp_id.to_string(), name: options.rp_id.to_string() },
            user: UserBody {
                id: base64url::encode(options.user_handle.as_bytes()),
                display_name: name.clone(),
                name,
            },
            challenge: base64url::encode(&options.challenge),
            pub_key_cred_params: options.algorithms.map(parameters).into(),
            timeout: millis(options.timeout),
            exclude_credentials: options.excluded.into_iter().map(DescriptorBody::from).collect(),
            authenticator_selection: SelectionBody {
                resident_key: REQUIRED,
                require_resident_key: true,
                user_verification: REQUIRED,
            },
            attestation: "none",
        }
    }
}

impl From<Descriptor> for DescriptorBody {
    fn from(passkey: Descriptor) -> Self {
        Self {
            r#type: PUBLIC_KEY,
            id: passkey.id.to_string(),
            transports: passkey.transports.iter().map(ToString::to_string).collect(),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
