//! How a machine gets a key: it asks for two codes, shows one of them, and asks with the other one
//! until a person has confirmed (RFC 8628 in the protocol's words).
//!
//! Whoever asks has no key yet: codes are few, short-lived, and limited for each address.

use super::{Answer, Api, Refused, read_body, refuse};
use crate::error::{Context, Result};
use crate::server::auth::{hash, new_key, new_token, new_user_code};
use crate::server::caller::{Caller, host_of};
use crate::server::connection::Body;
use crate::server::http::Response;
use crate::server::json as body_json;
use crate::server::store::{Added, CODE_TIME_MAX, NewDevice, Redeemed};
use crate::wire::{DeviceCode, DeviceCodeRequest, DeviceError, DeviceTokenRequest, Token};

/// Bytes of a request.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Bytes of a key's name.
const NAME_BYTES_MAX: usize = 255;
/// The name of a key that is given none.
const NAME_DEFAULT: &str = "CLI Key";
/// Seconds between two questions of a machine.
const INTERVAL_SECONDS: u64 = 5;

impl Api {
    /// Makes the two codes.
    pub(super) fn device_code(&self, body: &mut Body<'_, '_>, caller: &Caller) -> Answer {
        let (body, _reservation) = read_body(body, BODY_BYTES_MAX)?;
        // What cannot be understood names no key.
        let request: DeviceCodeRequest = body_json::small(body).unwrap_or_default();
        let key_name = match request.key_name.as_str() {
            "" => NAME_DEFAULT,
            name => name,
        };
        let text = |text: &str| Refused::With(Response::text(400, text));
        if key_name.len() > NAME_BYTES_MAX {
            return Err(text("key name exceeds maximum length of 255 characters\n"));
        }
        if key_name.contains(char::is_control) {
            return Err(text("key name contains control characters\n"));
        }
        let verification_uri = self.public_url(caller).ok_or_else(|| {
            text("this server does not know its address: ask with a Host, or set public_url\n")
        })? + "/auth/device";
        let failed = |error| Refused::Failed("Failed to make a code", error);
        let (device_code, user_code) = self.new_codes().map_err(failed)?;
        let new = NewDevice {
            device_code: &hash(&device_code),
            user_code: &hash(&user_code),
            key_name,
            address: &caller.address.to_string(),
        };
        if let Added::TooMany = self.store.add_device(&new, (self.world.now)()).map_err(failed)? {
            let response = Response::text(429, "429 too many machines wait to be confirmed\n");
            let seconds = CODE_TIME_MAX.as_secs().to_string();
            return Err(Refused::With(response.with_header("Retry-After", seconds)));
        }
        let expires_in = CODE_TIME_MAX.as_secs();
        let interval = INTERVAL_SECONDS;
        let code = DeviceCode { device_code, user_code, verification_uri, expires_in, interval };
        Ok(Response::json(200, &code).with_header("Cache-Control", "no-store"))
    }

    /// Gives out the key, once.
    pub(super) fn device_token(&self, body: &mut Body<'_, '_>) -> Answer {
        let (body, _reservation) = read_body(body, BODY_BYTES_MAX)?;
        let request: DeviceTokenRequest = body_json::small(body).unwrap_or_default();
        if request.device_code.is_empty() {
            return Err(refuse(400, "invalid_request"));
        }
        let failed = |error| Refused::Failed("server_error", error);
        let key = new_key(self.world.random).context(|| "make a key".into()).map_err(failed)?;
        let now = (self.world.now)();
        let redeemed = self
            .store
            .redeem_device(&hash(&request.device_code), &hash(&key), now)
            .map_err(failed)?;
        let (status, error) = match redeemed {
            Redeemed::Key => {
                let answer = serde_json::json!({"access_token": key, "token_type": "Bearer"});
                return Ok(Response::json(200, &answer).with_header("Cache-Control", "no-store"));
            }
            Redeemed::Unknown => (400, DeviceError::InvalidGrant),
            Redeemed::Expired => (400, DeviceError::ExpiredToken),
            Redeemed::Pending => (400, DeviceError::AuthorizationPending),
            Redeemed::Denied => (403, DeviceError::AccessDenied),
            Redeemed::TooManyKeys => (409, DeviceError::ApiKeyLimitExceeded),
        };
        Ok(Response::json(status, &Token { access_token: None, error: Some(error) }))
    }

    fn new_codes(&self) -> Result<(String, String)> {
        let what = || "make two codes".to_owned();
        let device_code = new_token(self.world.random).context(what)?;
        Ok((device_code, new_user_code(self.world.random).context(what)?))
    }

    /// What this server is reached at: as it was configured, or else as it was asked.
    fn public_url(&self, caller: &Caller) -> Option<String> {
        let settings = &self.surroundings.settings;
        if let Some(url) = &settings.public_url {
            return Some(url.clone());
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        let authority = &caller.authority;
        host_of(authority).filter(|_| authority.bytes().all(is_plain))?;
        let scheme = if caller.is_secure { "https" } else { "http" };
        Some(format!("{scheme}://{authority}{}", settings.base_path))
    }
}
