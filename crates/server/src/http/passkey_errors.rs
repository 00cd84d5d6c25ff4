//! Refusals that have to do with passkeys as HTTP answers. No arm is a wildcard, as in
//! [`errors`](super::errors).

use countersign_authority::{
    accounts::{own_passkeys::AddOwnPasskeyError, registration_error::RegistrationOptionsError},
    login::{asked::AskedError, passkey::PasskeyLoginError},
    passkeys::{
        PasskeysOff, answer::AnswerError, options::OptionsError, registration::NewPasskeyError,
    },
    ports::{RecordLoginError, UsePasskeyError},
};

use super::{
    errors::step_up_needed,
    oauth_error::OAuthError,
    problem::{Problem, ProblemType},
};

impl From<PasskeysOff> for Problem {
    fn from(error: PasskeysOff) -> Self {
        Self::new(ProblemType::NotFound).detail(error.to_string())
    }
}

impl From<OptionsError> for Problem {
    fn from(error: OptionsError) -> Self {
        let kind = match error {
            OptionsError::NoAccount => ProblemType::NotFound,
            OptionsError::NoPasskey => return step_up_needed("fresh-login", &error),
            OptionsError::OnlySynced => return step_up_needed("passkey", &error),
            OptionsError::Off(error) => return error.into(),
            OptionsError::Store(error) => return error.into(),
            OptionsError::Unbound => return step_up_needed("unbound-token", &error),
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<RegistrationOptionsError> for Problem {
    fn from(error: RegistrationOptionsError) -> Self {
        match error {
            RegistrationOptionsError::Registration(error) => error.into(),
            RegistrationOptionsError::Options(error) => error.into(),
        }
    }
}

impl From<NewPasskeyError> for Problem {
    fn from(error: NewPasskeyError) -> Self {
        let kind = match error {
            NewPasskeyError::Challenge(_)
            | NewPasskeyError::ChallengeUsed
            | NewPasskeyError::Format(_)
            | NewPasskeyError::Synced
            | NewPasskeyError::Verification(_) => ProblemType::InvalidProof,
            NewPasskeyError::Label(_) => ProblemType::InvalidRequest,
            NewPasskeyError::Off(error) => return error.into(),
        };
        Self::new(kind).detail(error.to_string())
    }
}

impl From<AddOwnPasskeyError> for Problem {
    fn from(error: AddOwnPasskeyError) -> Self {
        match error {
            AddOwnPasskeyError::Credential(error) => error.into(),
            AddOwnPasskeyError::IdTaken => {
                Self::new(ProblemType::KeyTaken).detail(error.to_string())
            }
            AddOwnPasskeyError::New(error) => error.into(),
        }
    }
}

impl From<UsePasskeyError> for Problem {
    /// The passkey was verified, and something happened before its answer could be recorded.
    fn from(error: UsePasskeyError) -> Self {
        let lack = match error {
            UsePasskeyError::CounterRegressed
            | UsePasskeyError::Record(RecordLoginError::AlreadyUsed) => "passkey",
            UsePasskeyError::Record(RecordLoginError::NotLive) => "not-live",
            UsePasskeyError::Record(RecordLoginError::Forgotten) => {
                return Self::unavailable(error);
            }
            UsePasskeyError::Record(RecordLoginError::Store(error)) => return error.into(),
        };
        step_up_needed(lack, &error)
    }
}

impl From<PasskeyLoginError> for OAuthError {
    fn from(error: PasskeyLoginError) -> Self {
        let code = match error {
            PasskeyLoginError::Answer(error) => return error.into(),
            PasskeyLoginError::Asked(error) => return error.into(),
            PasskeyLoginError::Browser(_) | PasskeyLoginError::BrowserKey => "invalid_dpop_proof",
            PasskeyLoginError::ClientId => "invalid_grant",
            PasskeyLoginError::Label(_) => "invalid_request",
            PasskeyLoginError::Proof(error) => return error.into(),
            PasskeyLoginError::NotAdmitted(error) => return error.into(),
            PasskeyLoginError::SigningKey(error) => return Self::internal(error),
            PasskeyLoginError::Store(error) => return error.into(),
        };
        Self::new(code).description(error.to_string())
    }
}

impl From<AnswerError> for OAuthError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Store(error) => error.into(),
            AnswerError::Off(_) => {
                Self::new("unsupported_grant_type").description(error.to_string())
            }
            AnswerError::Revoked | AnswerError::Unknown => {
                Self::new("invalid_grant").description(error.to_string()).reason("unknown-passkey")
            }
            AnswerError::Challenge(_)
            | AnswerError::ChallengeUsed
            | AnswerError::CounterRegressed
            | AnswerError::Disabled
            | AnswerError::Encoding
            | AnswerError::Format(_)
            | AnswerError::NotLive
            | AnswerError::OtherAccount
            | AnswerError::Synced
            | AnswerError::Verification(_) => {
                Self::new("invalid_grant").description(error.to_string())
            }
        }
    }
}

impl From<AskedError> for OAuthError {
    fn from(error: AskedError) -> Self {
        let code = match error {
            AskedError::Scope => "invalid_scope",
            AskedError::UnknownResource => "invalid_target",
        };
        Self::new(code).description(error.to_string())
    }
}
