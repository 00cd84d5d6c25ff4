//! Refusals of the authority as HTTP answers. No arm is a wildcard: a new refusal must be given a
//! status before it compiles.

use std::time::Duration;

use countersign_authority::{
    accounts::{
        own_keys::AddKeyError, own_records::OwnRecordsError, recovery::RecoveryError,
        registration_error::RegistrationError, step_up_error::StepUpError,
    },
    core::dpop::ProofError,
    login::{assertion::CallerError, jwt_bearer::LoginError},
    ports::{
        AddCredentialError, NotAdmitted, RenameCredentialError, RevokeCredentialError, RoomKept,
        StoreError, WouldBeLost,
    },
    tokens::{feed::RevocationFeedError, standing::RevokeTokenError},
};
use countersign_protocol::{proofs::dpop::DpopError, replay::ReplayShareUsedUp, shares::NoPlace};
use http::StatusCode;

use super::{
    oauth_error::{ClientScheme, OAuthError},
    problem::{AskedLogin, Problem, ProblemType},
};

/// When a client whose share of the replay log is used up may try again.
const UNTIL_ENTRIES_END: Duration = Duration::from_secs(ReplayShareUsedUp::RETRY_AFTER_SECS);

/// How long somebody waits at least until an operator has made room on a disk.
const UNTIL_THERE_IS_ROOM: Duration = Duration::from_mins(5);

/// What a client learns of a server that cannot say what still counts.
const OUT_OF_DATE: &str = "the server has not heard for too long what was revoked elsewhere, and so cannot say \
    what still counts: try again in a moment";

/// What a client learns of a server whose database may lose what it acknowledges.
const WOULD_BE_LOST: &str = "the server changes nothing at the moment, because its database does not surely keep \
    it: the person who runs it must set that right (synchronous_standby_names)";

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(cause) if cause.is::<RoomKept>() => Self::unavailable(error)
                .detail(
                    "the disk of the server is nearly full, so it takes in nothing new: the person who \
                     runs it must make room (limits.disk_reserve_bytes)",
                )
                .with("lack", "disk-space")
                .retry_after(UNTIL_THERE_IS_ROOM),
            StoreError::Unavailable(_) if error.is_out_of_date() => {
                Self::unavailable(error).detail(OUT_OF_DATE)
            }
            StoreError::Unavailable(cause) if cause.is::<WouldBeLost>() => {
                Self::unavailable(error).detail(WOULD_BE_LOST)
            }
            StoreError::Unavailable(_) => Self::unavailable(error),
            StoreError::Corrupt { .. } => Self::internal(error),
        }
    }
}

impl From<NotAdmitted> for Problem {
    fn from(refused: NotAdmitted) -> Self {
        match refused {
            NotAdmitted::TooMany { retry_after } => {
                Self::new(ProblemType::RateLimited).retry_after(retry_after)
            }
            NotAdmitted::Unavailable => Self::unavailable(refused),
        }
    }
}

impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        let kind = match &error {
            ProofError::Invalid(DpopError::Nonce) => ProblemType::NonceRequired,
            ProofError::Invalid(_) | ProofError::Kind(_) | ProofError::Replayed => {
                ProblemType::InvalidProof
            }
            ProofError::ShareUsedUp(_) => {
                return Self::new(ProblemType::RateLimited)
                    .detail(error.to_string())
                    .retry_after(UNTIL_ENTRIES_END);
            }
            ProofError::Unavailable(_) => return Self::unavailable(error),
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<RegistrationError> for Problem {
    fn from(error: RegistrationError) -> Self {
        let kind = match error {
            RegistrationError::Closed => ProblemType::EnrolmentClosed,
            RegistrationError::CodeNeeded => {
                let problem = Self::new(ProblemType::EnrolmentClosed).detail(error.to_string());
                return problem.with("lack", "enrolment-code");
            }
            RegistrationError::CodeUnusable => ProblemType::EnrolmentCode,
            RegistrationError::Key(_) => ProblemType::InvalidKey,
            RegistrationError::KeyTaken => ProblemType::KeyTaken,
            RegistrationError::Label(_) => ProblemType::InvalidRequest,
            RegistrationError::Passkey(error) => return error.into(),
            RegistrationError::Proof(error) => return error.into(),
            RegistrationError::NotAdmitted(error) => return error.into(),
            RegistrationError::Store(error) => return error.into(),
            RegistrationError::NameReserved | RegistrationError::Username(_) => {
                ProblemType::InvalidUsername
            }
            RegistrationError::UsernameTaken => ProblemType::UsernameTaken,
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<RecoveryError> for Problem {
    fn from(error: RecoveryError) -> Self {
        let kind = match error {
            RecoveryError::BodyUnsigned | RecoveryError::OtherBody => ProblemType::InvalidProof,
            RecoveryError::Busy(error) => return error.into(),
            RecoveryError::CodeUnusable => ProblemType::RecoveryCode,
            RecoveryError::Key(_) => ProblemType::InvalidKey,
            RecoveryError::KeyTaken => ProblemType::KeyTaken,
            RecoveryError::Label(_) | RecoveryError::NoPassword => ProblemType::InvalidRequest,
            RecoveryError::LimitReached => ProblemType::KeyLimit,
            RecoveryError::Proof(error) => return error.into(),
            RecoveryError::NotAdmitted(error) => return error.into(),
            RecoveryError::Store(error) => return error.into(),
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<AddKeyError> for Problem {
    fn from(error: AddKeyError) -> Self {
        let kind = match error {
            AddKeyError::ApprovalUsed | AddKeyError::Subject(_) => ProblemType::InvalidProof,
            AddKeyError::Key(_) => ProblemType::InvalidKey,
            AddKeyError::Label(_) => ProblemType::InvalidRequest,
            AddKeyError::Proof(error) => return error.into(),
            AddKeyError::Store(error) => return error.into(),
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<AddCredentialError> for Problem {
    fn from(error: AddCredentialError) -> Self {
        let kind = match error {
            AddCredentialError::AdderNotLive => return step_up_needed("not-live", &error),
            AddCredentialError::NotFirst | AddCredentialError::PasswordReplaced => {
                return step_up_needed("password", &error);
            }
            AddCredentialError::KeyTaken => ProblemType::KeyTaken,
            AddCredentialError::LimitReached | AddCredentialError::TooManyRevoked { .. } => {
                ProblemType::KeyLimit
            }
            AddCredentialError::NoAccount => ProblemType::NotFound,
            AddCredentialError::StepUp(error) => return error.into(),
            AddCredentialError::Store(error) => return error.into(),
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<RevocationFeedError> for Problem {
    fn from(error: RevocationFeedError) -> Self {
        match error {
            RevocationFeedError::SigningKey(error) => Self::internal(error),
            RevocationFeedError::Store(error) => error.into(),
        }
    }
}

impl From<RevokeCredentialError> for Problem {
    fn from(error: RevokeCredentialError) -> Self {
        let kind = match error {
            RevokeCredentialError::LastKey => ProblemType::LastKey,
            RevokeCredentialError::NotFound => ProblemType::NotFound,
            RevokeCredentialError::StepUp(error) => return error.into(),
            RevokeCredentialError::Store(error) => return error.into(),
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<RenameCredentialError> for Problem {
    fn from(error: RenameCredentialError) -> Self {
        match error {
            RenameCredentialError::NotFound => {
                Self::new(ProblemType::NotFound).detail(error.to_string())
            }
            RenameCredentialError::StepUp(error) => error.into(),
            RenameCredentialError::Store(error) => error.into(),
        }
    }
}

impl From<StepUpError> for Problem {
    fn from(error: StepUpError) -> Self {
        if let Some(lack) = error.lack() {
            return step_up_needed(lack, &error);
        }
        let kind = match error {
            StepUpError::NotAdmitted(error) => return error.into(),
            StepUpError::Store(error) => return error.into(),
            StepUpError::UnexpectedBody => ProblemType::InvalidRequest,
            StepUpError::Approval(_) | StepUpError::Approver | StepUpError::Kind(_) => {
                ProblemType::InvalidProof
            }
            StepUpError::BodyUnsigned
            | StepUpError::FreshLogin
            | StepUpError::MutualKey
            | StepUpError::NarrowedToken
            | StepUpError::NoAudience
            | StepUpError::NotLive
            | StepUpError::OtherBody
            | StepUpError::Passkey(_)
            | StepUpError::PasskeyNeeded
            | StepUpError::Password
            | StepUpError::SessionKey
            | StepUpError::SignedMessage
            | StepUpError::Unbound
            | StepUpError::UrlUnsigned => ProblemType::StepUpNeeded,
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<OwnRecordsError> for Problem {
    fn from(error: OwnRecordsError) -> Self {
        match error {
            OwnRecordsError::NoAudience => step_up_needed("no-audience", &error),
            OwnRecordsError::NoPlace(NoPlace::AllTaken) => {
                Self::new(ProblemType::Overloaded).retry_after(Duration::from_secs(1))
            }
            OwnRecordsError::NoPlace(NoPlace::ShareUsedUp) => {
                share_used_up(&"this account reads its events too often at once, which takes turns")
            }
            OwnRecordsError::Store(error) => error.into(),
        }
    }
}

/// The proof is valid, but not strong enough for this operation. `lack` tells programs what is
/// missing, the challenge says it in the words of RFC 9470 §3, and the detail tells people.
pub(super) fn step_up_needed(lack: &'static str, error: &impl std::fmt::Display) -> Problem {
    let problem = Problem::new(ProblemType::StepUpNeeded)
        .detail(error.to_string())
        .challenge("insufficient_user_authentication")
        .with("lack", lack);
    match lack {
        "passkey" => problem.asking(AskedLogin::Passkey),
        "fresh-login" => problem.asking(AskedLogin::Fresh),
        _ => problem,
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) if error.is_out_of_date() => {
                unavailable(&error).description(OUT_OF_DATE)
            }
            StoreError::Unavailable(cause) if cause.is::<WouldBeLost>() => {
                unavailable(&error).description(WOULD_BE_LOST)
            }
            StoreError::Unavailable(_) => unavailable(&error),
            StoreError::Corrupt { .. } => Self::internal(error),
        }
    }
}

impl From<NotAdmitted> for OAuthError {
    fn from(refused: NotAdmitted) -> Self {
        match refused {
            NotAdmitted::TooMany { retry_after } => Self::new("temporarily_unavailable")
                .status(StatusCode::TOO_MANY_REQUESTS)
                .description("too many requests")
                .retry_after(retry_after),
            NotAdmitted::Unavailable => unavailable(&refused),
        }
    }
}

impl From<LoginError> for OAuthError {
    fn from(error: LoginError) -> Self {
        let code = match error {
            LoginError::Asked(error) => return error.into(),
            LoginError::Assertion(_)
            | LoginError::AssertionReplayed
            | LoginError::ClientId
            | LoginError::Kind(_) => "invalid_grant",
            LoginError::Client(error) => return error.into(),
            LoginError::OtherClient => {
                return Self::invalid_client(ClientScheme::Bearer).description(error.to_string());
            }
            LoginError::Binding | LoginError::SessionKey => "invalid_dpop_proof",
            LoginError::Proof(error) => return error.into(),
            LoginError::NotAdmitted(error) => return error.into(),
            LoginError::SigningKey(error) => return Self::internal(error),
            LoginError::Store(error) => return error.into(),
        };
        Self::new(code).description(error.to_string())
    }
}

impl From<ProofError> for OAuthError {
    fn from(error: ProofError) -> Self {
        let code = match error {
            ProofError::Invalid(DpopError::Nonce) => "use_dpop_nonce",
            ProofError::Invalid(_) | ProofError::Kind(_) | ProofError::Replayed => {
                "invalid_dpop_proof"
            }
            ProofError::ShareUsedUp(error) => {
                return Self::new("temporarily_unavailable")
                    .status(StatusCode::TOO_MANY_REQUESTS)
                    .description(error.to_string())
                    .retry_after(UNTIL_ENTRIES_END);
            }
            ProofError::Unavailable(_) => return unavailable(&error),
        };
        Self::new(code).description(error.to_string())
    }
}

impl From<CallerError> for OAuthError {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::NotAdmitted(error) => error.into(),
            CallerError::Store(error) => error.into(),
            CallerError::Assertion(_)
            | CallerError::ClientId
            | CallerError::Format(_)
            | CallerError::Key(_)
            | CallerError::Kind(_)
            | CallerError::Refused
            | CallerError::Replayed => {
                Self::invalid_client(ClientScheme::Bearer).description(error.to_string())
            }
        }
    }
}

impl From<RevokeTokenError> for OAuthError {
    fn from(error: RevokeTokenError) -> Self {
        match error {
            RevokeTokenError::NotOwner => {
                Self::new("unauthorized_client").description(error.to_string())
            }
            RevokeTokenError::Session => {
                Self::new("unsupported_token_type").description(error.to_string())
            }
            RevokeTokenError::Store(error) => error.into(),
        }
    }
}

/// The answer to a client network that holds its whole share of something.
pub(crate) fn share_used_up(error: &impl std::fmt::Display) -> Problem {
    Problem::new(ProblemType::RateLimited)
        .detail(error.to_string())
        .retry_after(Duration::from_secs(1))
}

/// The server cannot do it at the moment. `cause` goes to the log.
fn unavailable(cause: &impl std::fmt::Display) -> OAuthError {
    OAuthError::unavailable(cause).retry_after(Duration::from_secs(1))
}
