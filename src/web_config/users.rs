//! Basic authentication: users with bcrypt hashes, and a memory of the passwords that were checked.

use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OnceCell, Semaphore};

/// The number of checked passwords that are remembered, of right and of wrong ones each.
const REMEMBERED: usize = 128;

/// The greatest number of passwords that wait to be checked. They are checked one at a time, and a check may
/// take 0.1 s.
const WAITING: usize = 16;

/// A valid bcrypt hash of a password.
#[derive(Clone)]
pub(crate) struct Hash(String);

/// The users of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Users(BTreeMap<String, Hash>);

/// The result of the check of a user and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
    /// The password was not checked: too many others wait for their check.
    Busy,
}

/// The checker of passwords. It remembers keyed hashes of what it has checked, never a password.
pub(crate) struct Passwords {
    key: hmac::Key,
    /// Traces of right passwords, kept apart from the wrong ones: wrong guesses cannot displace them.
    right: Mutex<Recent>,
    wrong: Mutex<Recent>,
    /// The checks that are under way: a request with the same user and password waits for the same check.
    open: Mutex<HashMap<Trace, Arc<OnceCell<bool>>>>,
    /// Permits of the checks that wait or run: [`WAITING`] of them.
    queue: Arc<Semaphore>,
    /// The permit of the one check that runs.
    turn: Arc<Semaphore>,
}

/// The keyed hash of a user, the user's bcrypt hash and a password.
type Trace = [u8; 32];

/// A wait for a check. When it ends, with the check or because the client has left, the check is no longer
/// listed as under way: the next request for the same finds the result remembered, or begins another check.
struct OngoingCheck<'a> {
    passwords: &'a Passwords,
    trace: Trace,
}

impl Drop for OngoingCheck<'_> {
    fn drop(&mut self) {
        self.passwords.open().remove(&self.trace);
    }
}

/// The error of a check that finds the queue full.
struct Busy;

/// The most recent traces, the oldest in front; at most [`REMEMBERED`].
#[derive(Default)]
struct Recent(std::collections::VecDeque<Trace>);

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Hash, String> {
        if !text.is_ascii() || text.len() < 59 {
            return Err("too short to be a bcrypted password".into());
        }
        if !["$2a$", "$2b$", "$2y$", "$2x$"].iter().any(|version| text.starts_with(version)) {
            return Err("it does not begin with $2a$, $2b$ or $2y$".into());
        }
        let parts = bcrypt::HashParts::from_str(text).map_err(|error| error.to_string())?;
        match parts.get_cost() {
            4..=31 => Ok(Hash(text.to_owned())),
            cost => Err(format!("its cost is {cost}, and must be 4 to 31")),
        }
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<hash>")
    }
}

impl Users {
    pub(crate) fn new(users: BTreeMap<String, Hash>) -> Users {
        Users(users)
    }

    /// Returns true if no user is configured: then requests need no password.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Passwords {
    /// # Errors
    /// Fails if the system's random number generator fails.
    pub(crate) fn new() -> Result<Passwords, ring::error::Unspecified> {
        Ok(Passwords {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?,
            right: Mutex::default(),
            wrong: Mutex::default(),
            open: Mutex::default(),
            queue: Arc::new(Semaphore::new(WAITING)),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Checks the password of a user. An unknown user's check takes as long as a known user's.
    pub(crate) async fn check(&self, users: &Users, user: &str, password: &[u8]) -> Verdict {
        let known = users.0.get(user);
        // An unknown user's password is compared with the hash of one of the users, always of the same one,
        // so that the check costs as much as a known user's.
        let Some(hash) = known.or_else(|| users.0.values().nth(self.pick(user, users.0.len()))) else {
            return Verdict::Wrong;
        };
        let trace = self.trace(&[user.as_bytes(), hash.0.as_bytes(), password]);
        if known.is_some() && remembered(&self.right, &trace) {
            return Verdict::Right;
        }
        if remembered(&self.wrong, &trace) {
            return Verdict::Wrong;
        }
        let check = Arc::clone(self.open().entry(trace).or_default());
        let _open = OngoingCheck { passwords: self, trace };
        let checked = check.get_or_try_init(|| self.compare(password, hash, known.is_some(), trace)).await;
        match checked {
            Ok(true) => Verdict::Right,
            Ok(false) => Verdict::Wrong,
            Err(Busy) => Verdict::Busy,
        }
    }

    /// Waits until no other check runs, compares the password with the hash, and remembers the result.
    async fn compare(&self, password: &[u8], hash: &Hash, known: bool, trace: Trace) -> Result<bool, Busy> {
        let _waiting = self.queue.try_acquire().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Busy)?;
        let (password, hash) = (password.to_vec(), hash.0.clone());
        // The permit moves into the task: if the client leaves, the comparison goes on, and no other check
        // begins beside it.
        let compare = move || {
            let _turn = turn;
            bcrypt::verify(&password, &hash).unwrap_or(false)
        };
        let right = tokio::task::spawn_blocking(compare).await.unwrap_or(false) && known;
        remember(if right { &self.right } else { &self.wrong }, trace);
        Ok(right)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Trace, Arc<OnceCell<bool>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, user: &str, users: usize) -> usize {
        usize::from(self.trace(&[b"stranger", user.as_bytes()])[0]) % users.max(1)
    }

    /// Hashes the parts, each after its length, so that different lists of parts have different traces.
    fn trace(&self, parts: &[&[u8]]) -> Trace {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut trace = Trace::default();
        trace.copy_from_slice(context.sign().as_ref());
        trace
    }
}

fn remembered(recent: &Mutex<Recent>, trace: &Trace) -> bool {
    recent.lock().unwrap_or_else(PoisonError::into_inner).0.contains(trace)
}

fn remember(recent: &Mutex<Recent>, trace: Trace) {
    let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
    if recent.0.len() == REMEMBERED {
        recent.0.pop_front();
    }
    recent.0.push_back(trace);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alice, whose password is `secret`.
    fn users() -> Users {
        let hash = bcrypt::hash("secret", 4).unwrap();
        Users::new([("alice".to_owned(), hash.parse().unwrap())].into())
    }

    #[tokio::test]
    async fn only_a_user_with_the_right_password_is_right_also_the_second_time() {
        let (passwords, users) = (Passwords::new().unwrap(), users());
        for _ in 0..2 {
            for (user, password, wanted) in [
                ("alice", "secret", Verdict::Right),
                ("alice", "Secret", Verdict::Wrong),
                ("alice", "", Verdict::Wrong),
                ("bob", "secret", Verdict::Wrong),
                ("", "secret", Verdict::Wrong),
            ] {
                assert_eq!(
                    passwords.check(&users, user, password.as_bytes()).await,
                    wanted,
                    "{user} {password}"
                );
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_with_one_password_wait_for_one_check() {
        let (passwords, users) = (Arc::new(Passwords::new().unwrap()), Arc::new(users()));
        // Nobody gets a turn until all have asked.
        let turn = Arc::clone(&passwords.turn).acquire_owned().await.unwrap();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..4 * WAITING {
            let (passwords, users) = (Arc::clone(&passwords), Arc::clone(&users));
            all.spawn(async move { passwords.check(&users, "alice", b"secret").await });
        }
        while Arc::strong_count(&passwords) < 4 * WAITING || passwords.open().is_empty() {
            tokio::task::yield_now().await;
        }
        drop(turn);
        assert!(all.join_all().await.iter().all(|verdict| *verdict == Verdict::Right));
        assert_eq!(passwords.right.lock().unwrap().0.len(), 1);
        assert!(passwords.open().is_empty());
    }

    #[tokio::test]
    async fn a_password_that_was_right_is_not_for_the_next_hash() {
        let passwords = Passwords::new().unwrap();
        assert_eq!(passwords.check(&users(), "alice", b"secret").await, Verdict::Right);
        let other =
            Users::new([("alice".to_owned(), bcrypt::hash("other", 4).unwrap().parse().unwrap())].into());
        assert_eq!(passwords.check(&other, "alice", b"secret").await, Verdict::Wrong);
        assert_eq!(passwords.check(&other, "alice", b"other").await, Verdict::Right);
    }

    #[tokio::test]
    async fn whoever_is_wrong_often_does_not_drive_out_who_was_right() {
        let (passwords, users) = (Passwords::new().unwrap(), users());
        passwords.check(&users, "alice", b"secret").await;
        for guess in 0..2 * REMEMBERED {
            passwords.check(&users, "alice", guess.to_string().as_bytes()).await;
        }
        assert_eq!(passwords.wrong.lock().unwrap().0.len(), REMEMBERED);
        // Without a turn nothing can be checked anew.
        passwords.queue.close();
        assert_eq!(passwords.check(&users, "alice", b"secret").await, Verdict::Right);
        assert_eq!(passwords.check(&users, "alice", b"fresh").await, Verdict::Busy);
    }

    #[test]
    fn hashes_of_each_version_are_taken_and_others_refused_with_the_reason() {
        let rest = "10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
        for version in ["$2a$", "$2b$", "$2y$"] {
            assert!(Hash::from_str(&format!("{version}{rest}")).is_ok(), "{version}");
        }
        for (text, word) in [
            ("", "too short"),
            ("secret", "too short"),
            (&format!("$1$${rest}")[..], "begin"),
            (&format!("$2y${}", rest.replace("10$", "03$")), "cost"),
            (&format!("$2y${}", rest.replace("10$", "32$")), "cost"),
            (&format!("$2y${}", rest.replace("10$", "xx$")), ""),
        ] {
            let reason = Hash::from_str(text).unwrap_err();
            assert!(reason.contains(word), "{text}: {reason}");
        }
    }
}
