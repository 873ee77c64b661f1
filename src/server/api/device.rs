//! How a program gets a key: it shows a code, a user confirms it on a page, the program fetches the
//! key (the existing backend's form of RFC 8628).

use serde_json::json;

use super::{Answer, Api, Refused, error_response, refuse};
use crate::error::{Context, Result};
use crate::server::auth::{KeyHash, hash, new_key};
use crate::server::caller::Caller;
use crate::server::connection::Body;
use crate::server::http::Response;
use crate::server::json as body_json;
use crate::server::password::hex;
use crate::server::store::{DEVICE_TIME_MAX, NewDevice, Token};
use crate::wire::{DeviceCode, DeviceCodeRequest, DeviceTokenRequest};

/// Bytes of a body.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Bytes of a key's name.
const NAME_BYTES_MAX: usize = 255;
/// A key's name when the program gives none.
const NAME_DEFAULT: &str = "CLI Key";
/// Seconds between two questions for the key.
const INTERVAL_SECONDS: u64 = 5;
/// Letters and digits that nobody takes for another one.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
/// Characters of a user's code, in two groups.
const USER_CODE_CHARS: usize = 8;
const DEVICE_CODE_BYTES: usize = 32;

impl Api {
    pub(super) fn device_code(&self, caller: &Caller, body: &mut Body<'_, '_>) -> Answer {
        // A body that cannot be read names no key.
        let read = body.read_all(BODY_BYTES_MAX).ok().map(|(bytes, _)| bytes);
        let request = read.and_then(|bytes| body_json::small::<DeviceCodeRequest>(bytes).ok());
        let name = request.map(|request| request.key_name).filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| NAME_DEFAULT.to_owned());
        if name.len() > NAME_BYTES_MAX {
            let text = format!("key name exceeds maximum length of {NAME_BYTES_MAX} characters\n");
            return Err(Refused::With(Response::text(400, &text)));
        }
        let failed = |error| Refused::Failed("Failed to create device code", error);
        let mut secret = [0; DEVICE_CODE_BYTES];
        (self.world.random)(&mut secret).context(|| "make a code".into()).map_err(failed)?;
        let device_code = hex(&secret);
        let user_code = self.user_code().map_err(failed)?;
        let device = NewDevice {
            hash: &hash(&device_code),
            user_code_hash: &hash(&user_code),
            key_name: &name,
            address: &caller.address.to_string(),
        };
        if !self.store.add_device(&device, (self.world.now)()).map_err(failed)? {
            let text = "503 too many programs wait to be confirmed\n";
            let wait = DEVICE_TIME_MAX.as_secs().to_string();
            return Err(Refused::With(Response::text(503, text).with_header("Retry-After", wait)));
        }
        Ok(Response::json(
            200,
            &DeviceCode {
                device_code,
                user_code,
                verification_uri: format!("{}/auth/device", self.public_url(caller)),
                expires_in: DEVICE_TIME_MAX.as_secs(),
                interval: INTERVAL_SECONDS,
            },
        ))
    }

    pub(super) fn device_token(&self, body: &mut Body<'_, '_>) -> Answer {
        let read = body.read_all(BODY_BYTES_MAX).ok().map(|(bytes, _)| bytes);
        let request = read.and_then(|bytes| body_json::small::<DeviceTokenRequest>(bytes).ok());
        let code = request.map(|request| request.device_code).filter(|code| !code.is_empty());
        let code = code.ok_or_else(|| refuse(400, "invalid_request"))?;
        let failed = |error| Refused::Failed("server_error", error);
        let key = new_key(self.world.random).context(|| "make a key".into()).map_err(failed)?;
        let token = self.store.redeem_device(&hash(&code), &hash(&key), (self.world.now)());
        let (status, error) = match token.map_err(failed)? {
            Token::Granted => {
                let granted = json!({"access_token": key, "token_type": "Bearer"});
                return Ok(Response::json(200, &granted).with_header("Cache-Control", "no-store"));
            }
            Token::Pending => (400, "authorization_pending"),
            Token::Expired => (400, "expired_token"),
            Token::Unknown => (400, "invalid_grant"),
            Token::Denied => (403, "access_denied"),
            Token::TooManyKeys => (409, "api_key_limit_exceeded"),
        };
        Err(Refused::With(error_response(status, error)))
    }

    /// What users reach this server at, without a slash at its end.
    pub(super) fn public_url(&self, caller: &Caller) -> String {
        let settings = &self.surroundings.settings;
        match &settings.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let scheme = if caller.is_secure { "https" } else { "http" };
                format!("{scheme}://{}{}", caller.authority, settings.base_path)
            }
        }
    }

    /// A code that a person can read and type: `XXXX-XXXX`.
    fn user_code(&self) -> Result<String> {
        let mut code = String::new();
        while code.len() < USER_CODE_CHARS + 1 {
            if code.len() == USER_CODE_CHARS / 2 {
                code.push('-');
            }
            let mut byte = [0];
            (self.world.random)(&mut byte).context(|| "make a code".into())?;
            // What is left over would make some characters likelier than others.
            let even = 256 / ALPHABET.len() * ALPHABET.len();
            if usize::from(byte[0]) < even {
                code.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
            }
        }
        Ok(code)
    }
}

/// The hash of what a user has typed: any case, with or without the dash.
pub(super) fn user_code_hash(typed: &str) -> KeyHash {
    let plain: Vec<char> = typed.chars().filter(char::is_ascii_alphanumeric).collect();
    let (left, right) = plain.split_at(plain.len().min(USER_CODE_CHARS / 2));
    let code: String = left.iter().chain(&['-']).chain(right).collect();
    hash(&code.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_code_is_found_however_it_is_written() {
        let expected = hash("ABCD-2345");
        for typed in ["ABCD-2345", "abcd2345", " aBcD 2345 ", "ABCD–2345"] {
            assert_eq!(user_code_hash(typed), expected, "{typed}");
        }
        for other in ["", "-", "ABCD-234", "ABCD-23456", &"x".repeat(1000)] {
            assert_ne!(user_code_hash(other), expected, "{other}");
        }
    }
}
