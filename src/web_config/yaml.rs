//! The format of the file: exporter-toolkit's YAML, parsed as strictly as exporter-toolkit does.
//!
//! A value that can be checked by itself (a name, a hash, a header) is checked while it is parsed, so that
//! the error names its line.

use super::users::Hash;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Unexpected, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// The whole file. A key that is missing or empty has its default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub(crate) struct File {
    #[serde(deserialize_with = "or_default")]
    pub tls_server_config: TlsServerConfig,
    #[serde(deserialize_with = "or_default")]
    pub http_server_config: HttpServerConfig,
    #[serde(deserialize_with = "users")]
    pub basic_auth_users: BTreeMap<String, Hash>,
    #[serde(deserialize_with = "or_default")]
    pub rate_limit: RateLimit,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub(crate) struct TlsServerConfig {
    #[serde(deserialize_with = "or_default")]
    pub cert: String,
    #[serde(deserialize_with = "or_default")]
    pub key: Secret,
    #[serde(deserialize_with = "or_default")]
    pub client_ca: String,
    #[serde(deserialize_with = "or_default")]
    pub cert_file: String,
    #[serde(deserialize_with = "or_default")]
    pub key_file: String,
    #[serde(deserialize_with = "or_default")]
    pub client_ca_file: String,
    #[serde(deserialize_with = "or_default")]
    pub client_auth_type: FromScalar<Option<ClientAuth>>,
    pub client_allowed_sans: Option<Vec<String>>,
    pub min_version: Option<FromScalar<Version>>,
    pub max_version: Option<FromScalar<Version>>,
    #[serde(deserialize_with = "or_default")]
    pub cipher_suites: Vec<FromScalar<super::tls::CipherSuite>>,
    pub prefer_server_cipher_suites: Option<Switch>,
    #[serde(deserialize_with = "or_default")]
    pub curve_preferences: Vec<FromScalar<super::tls::Curve>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub(crate) struct HttpServerConfig {
    pub http2: Option<Switch>,
    #[serde(deserialize_with = "headers")]
    pub headers: BTreeMap<String, (HeaderName, HeaderValue)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a map")]
pub(crate) struct RateLimit {
    pub interval: Option<FromScalar<GoDuration>>,
    pub burst: Option<u32>,
}

/// A secret text, which debug output does not contain.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// The policy for clients' certificates, with the names of Go's crypto/tls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// The certificate is requested; any certificate is accepted, and none as well.
    Request,
    /// A certificate is required; any is accepted.
    RequireAny,
    /// A certificate is verified if the client sends one.
    VerifyIfGiven,
    /// A certificate is required and verified.
    RequireAndVerify,
}

/// A version of TLS that rustls supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// A duration in the notation of Go's time.ParseDuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GoDuration(pub Duration);

/// A scalar that is parsed by its `FromStr`.
#[derive(Debug, Default)]
pub(crate) struct FromScalar<T>(pub T);

/// A boolean in one of the spellings of YAML 1.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switch(pub bool);

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

impl FromStr for Version {
    type Err = String;

    fn from_str(name: &str) -> Result<Version, String> {
        match name {
            "TLS12" => Ok(Version::Tls12),
            "TLS13" => Ok(Version::Tls13),
            "TLS10" | "TLS11" => Err(format!("{name} cannot be served: rustls has no TLS below 1.2")),
            _ => Err(format!("unknown TLS version: {name}")),
        }
    }
}

impl FromStr for FromScalar<Option<ClientAuth>> {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(FromScalar(Some(match name {
            "" | "NoClientCert" => return Ok(FromScalar(None)),
            "RequestClientCert" => ClientAuth::Request,
            // The second is the earlier name in exporter-toolkit.
            "RequireAnyClientCert" | "RequireClientCert" => ClientAuth::RequireAny,
            "VerifyClientCertIfGiven" => ClientAuth::VerifyIfGiven,
            "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerify,
            _ => return Err(format!("invalid ClientAuth: {name}")),
        })))
    }
}

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<GoDuration, String> {
        let bad = || format!("{text:?} is not a duration such as 1s, 1.5s or 1m30s");
        // A number without a unit is a number of nanoseconds, as it is in Go.
        if let Ok(nanoseconds) = text.parse() {
            return Ok(GoDuration(Duration::from_nanos(nanoseconds)));
        }
        let (mut rest, mut sum) = (text.strip_prefix('+').unwrap_or(text), 0.0);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
            let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            let seconds = match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                _ => return Err(bad()),
            };
            rest = &rest[unit..];
            sum += number * seconds;
        }
        if text.is_empty() || text == "+" {
            return Err(bad());
        }
        Duration::try_from_secs_f64(sum).map(GoDuration).map_err(|_| bad())
    }
}

struct WordVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for WordVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! read_as_word {
    ($($kind:ty),*) => { $(
        impl<'de> Deserialize<'de> for FromScalar<$kind> {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(WordVisitor(PhantomData)).map(FromScalar)
            }
        }
    )* };
}

read_as_word!(Version, GoDuration, super::tls::CipherSuite, super::tls::Curve);

impl<'de> Deserialize<'de> for FromScalar<Option<ClientAuth>> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(WordVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Switch, D::Error> {
        struct SwitchVisitor;
        impl Visitor<'_> for SwitchVisitor {
            type Value = Switch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<Switch, E> {
                Ok(Switch(on))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Switch, E> {
                match text {
                    "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(Switch(true)),
                    "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(Switch(false)),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_any(SwitchVisitor)
    }
}

/// A map with unique keys; the function parses a value, given its key.
struct Entries<T>(fn(&str, &str) -> Result<T, String>);

struct Entry<'a, T>(&'a str, fn(&str, &str) -> Result<T, String>);

impl<'de, T> Visitor<'de> for Entries<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        // The error does not contain the text: it may be a password.
        Err(E::invalid_type(Unexpected::Other("string"), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.contains_key(&key) {
                return Err(A::Error::custom(format!("{key:?} is set twice")));
            }
            let value = map.next_value_seed(Entry(&key, self.0))?;
            entries.insert(key, value);
        }
        Ok(entries)
    }
}

impl<'de, T> DeserializeSeed<'de> for Entry<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_str(self)
    }
}

impl<T> Visitor<'_> for Entry<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.1)(self.0, text).map_err(E::custom)
    }
}

fn users<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Hash>, D::Error> {
    from.deserialize_any(Entries(|user, hash| {
        // The error does not contain the text: it may be a password in plain text.
        Hash::from_str(hash).map_err(|reason| format!("the password of {user:?} is no bcrypt hash: {reason}"))
    }))
}

/// The headers that can be set, and the values that they may have; an empty list allows any value.
const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

fn headers<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<String, (HeaderName, HeaderValue)>, D::Error> {
    from.deserialize_any(Entries(|name, value| {
        let (_, values) = HEADERS
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| format!("HTTP header {name:?} can not be configured"))?;
        if !values.is_empty() && !values.contains(&value) {
            return Err(format!("invalid value for {name}: expected one of {values:?}, but got {value:?}"));
        }
        let header = HeaderName::from_str(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_str(value).map_err(|_| format!("{name}: not the value of a header"))?;
        Ok((header, value))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("1s", 1_000.0),
            ("1.5s", 1_500.0),
            ("1m30s", 90_000.0),
            ("2h", 7_200_000.0),
            ("0", 0.0),
            ("5us", 0.005),
            ("7", 0.000_007),
            ("+1s", 1_000.0),
        ] {
            let read: GoDuration = text.parse().unwrap();
            assert!((read.0.as_secs_f64() * 1_000.0 - millis).abs() < 1e-6, "{text}: {read:?}");
        }
        for text in ["", "+", "s", "1x", "1 s", "-1s", "1s1", "1..5s", "1e3s", "99999999999999999999h"] {
            let read = text.parse::<GoDuration>();
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }
}
