//! Certificates, made by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::succeed;

/// A certificate authority in a folder, with its certificate in NAME.pem.
pub(crate) struct Authority {
    folder: PathBuf,
    name: String,
}

fn openssl(folder: &Path, words: &str) {
    succeed(Command::new("openssl").current_dir(folder).args(words.split(' ')));
}

const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Authority {
        openssl(
            folder,
            &format!("req -x509 {EC} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name}"),
        );
        Authority { folder: folder.to_owned(), name: name.to_owned() }
    }

    /// NAME.pem and NAME.key for these alternative names.
    pub(crate) fn issue(&self, name: &str, alternative: &str) {
        self.issue_with(name, EC, alternative, "-days 2");
    }

    /// The same with an RSA key.
    pub(crate) fn issue_rsa(&self, name: &str, alternative: &str) {
        self.issue_with(name, "-newkey rsa:2048 -nodes", alternative, "-days 2");
    }

    /// The same, but it was over a day ago.
    pub(crate) fn issue_expired(&self, name: &str, alternative: &str) {
        self.issue_with(name, EC, alternative, "-days -1");
    }

    fn issue_with(&self, name: &str, key: &str, alternative: &str, days: &str) {
        let authority = &self.name;
        openssl(
            &self.folder,
            &format!(
                "req -new {key} -keyout {name}.key -out {name}.csr -subj /CN={name} -addext subjectAltName={alternative}"
            ),
        );
        openssl(
            &self.folder,
            &format!(
                "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -out {name}.pem {days} -copy_extensions copy"
            ),
        );
    }
}

/// NAME.pem and NAME.key, signed by itself.
pub(crate) fn self_signed(folder: &Path, name: &str) {
    self_signed_for(folder, name, "DNS:localhost", 2);
}

/// The same for an alternative name and so many days.
pub(crate) fn self_signed_for(folder: &Path, name: &str, alternative: &str, days: i32) {
    let names = format!("-subj /CN={name} -addext subjectAltName={alternative}");
    openssl(folder, &format!("req -x509 {EC} -keyout {name}.key -out {name}.pem -days {days} {names}"));
}
