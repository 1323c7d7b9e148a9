//! Names and passwords of basic authentication.
//!
//! bcrypt takes as long as whoever made a hash wanted, so it runs on a thread of its own, one check after the other, with
//! a bounded number of them waiting: who guesses passwords can neither hold up the check of one that is known nor take more than one core. (A
//! limit of requests comes before, and counts guesses as well.) What was
//! right once is remembered (by a keyed digest, not by the password), so that a scraper waits for bcrypt once.
//!
//! The set of digests is shared by the serving thread, which asks it, and the checking thread, which adds to it; a lock
//! is held only for a look through at most [`REMEMBERED_MAX`] of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;

use super::refusal::Refusal;

/// Right passwords that are remembered. Of more, the oldest are checked again.
const REMEMBERED_MAX: usize = 100;

/// Checks that may wait while one is under way.
const WAITING_MAX: usize = 8;

/// A hash that takes longer than some seconds would only lock out its owner.
const COST_MAX: u32 = 18;

/// Users by name, with the bcrypt hash of their password.
pub(super) type Users = BTreeMap<String, String>;

/// Checks passwords, and remembers those that were right.
pub(super) struct Passwords {
    right: Arc<Mutex<VecDeque<[u8; 32]>>>,
    /// What digests are keyed with: new at each start, known to nobody.
    key: [u8; 32],
    /// Started by the first password; `None` where the thread could not be started.
    queue: OnceLock<Option<SyncSender<Check>>>,
}

struct Check {
    digest: [u8; 32],
    password: Vec<u8>,
    hash: String,
    /// Whether there is such a user: where there is none, it takes the same time to say no.
    is_user: bool,
    answer: oneshot::Sender<bool>,
}

/// Checks that these hashes are such, and that they can be used.
///
/// # Errors
/// Which one is not, and how to make one. The hash itself is not told.
pub(super) fn validate(users: &Users) -> Result<(), String> {
    for (user, hash) in users {
        let cost = bcrypt_cost(hash).map_err(|error| {
            format!("basic_auth_users: {user}: {error}; make a bcrypt hash with `htpasswd -nBC 10 {user}`")
        })?;
        if cost > COST_MAX {
            return Err(format!(
                "basic_auth_users: {user}: a hash of cost {cost} takes minutes to check; make one of cost 10 to {COST_MAX}"
            ));
        }
    }
    Ok(())
}

fn bcrypt_cost(hash: &str) -> Result<u32, String> {
    let parts: bcrypt::HashParts = hash.parse().map_err(|error: bcrypt::BcryptError| error.to_string())?;
    Ok(parts.get_cost())
}

impl Passwords {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut key).expect("Linux gives random bytes");
        Self { right: Arc::default(), key, queue: OnceLock::new() }
    }

    /// Whether a request has the name and the password of one of these users.
    pub(super) async fn check(&self, users: &Users, headers: &HeaderMap) -> Result<(), Refusal> {
        let (user, password) = credentials(headers).ok_or(Refusal::Unknown)?;
        let known = users.get(&user);
        // Any of the hashes takes as long as the right one would, where all are of one cost.
        let hash = known.or_else(|| users.values().next()).ok_or(Refusal::Unknown)?;
        let digest = self.digest(&user, hash, &password);
        if known.is_some() && holds(&self.right, &digest) {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let check = Check { digest, password, hash: hash.clone(), is_user: known.is_some(), answer };
        let queue = self.queue.get_or_init(|| start(Arc::clone(&self.right)));
        queue.as_ref().ok_or(Refusal::Busy)?.try_send(check).map_err(|_| Refusal::Busy)?;
        match answered.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Unknown),
            Err(_) => Err(Refusal::Busy),
        }
    }

    /// The hash is part of it, so that a changed password is not remembered.
    fn digest(&self, user: &str, hash: &str, password: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(self.key);
        for part in [user.as_bytes(), hash.as_bytes(), password] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        // Keyed before and behind, so that a longer text does not follow from a shorter one's digest.
        digest.update(self.key);
        digest.finalize().into()
    }
}

/// Whether it is among those that were found right.
fn holds(right: &Mutex<VecDeque<[u8; 32]>>, digest: &[u8; 32]) -> bool {
    let right = right.lock().unwrap_or_else(PoisonError::into_inner);
    // All of them are looked at, whichever it is.
    right.iter().fold(subtle::Choice::from(0), |found, own| found | own.ct_eq(digest)).into()
}

fn start(right: Arc<Mutex<VecDeque<[u8; 32]>>>) -> Option<SyncSender<Check>> {
    let (queue, checks) = sync_channel(WAITING_MAX);
    let thread = std::thread::Builder::new().name("passwords".into());
    thread.spawn(move || check_all(&checks, &right)).ok().map(|_| queue)
}

fn check_all(checks: &Receiver<Check>, right: &Mutex<VecDeque<[u8; 32]>>) {
    for check in checks {
        // Whoever asked may have gone away while the check waited.
        if check.answer.is_closed() {
            continue;
        }
        // One that came with others of its kind was perhaps found right while it waited.
        if check.is_user && holds(right, &check.digest) {
            let _ = check.answer.send(true);
            continue;
        }
        let fits = bcrypt::verify(&check.password, &check.hash).unwrap_or(false) & check.is_user;
        if fits {
            let mut right = right.lock().unwrap_or_else(PoisonError::into_inner);
            if right.len() == REMEMBERED_MAX {
                right.pop_front();
            }
            right.push_back(check.digest);
        }
        let _ = check.answer.send(fits);
    }
}

/// Name and password of a request (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(token.trim()).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    Some((String::from_utf8(decoded[..colon].to_vec()).ok()?, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        BTreeMap::from([(
            "alice".to_owned(),
            bcrypt::hash_with_salt("right", 4, [7; 16]).unwrap().to_string(),
        )])
    }

    fn headers(text: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(text));
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn the_right_password_is_let_in_and_remembered_and_others_are_not() {
        let passwords = Passwords::new();
        let check = |users: &Users, text: &str| block_on(passwords.check(users, &headers(text)));
        for wrong in ["alice:wrong", "alice:", "bob:right", "alice", ":right", ""] {
            assert_eq!(check(&users(), wrong), Err(Refusal::Unknown), "{wrong}");
        }
        assert_eq!(passwords.right.lock().unwrap().len(), 0, "what is wrong is not remembered");
        for _ in 0..3 {
            assert_eq!(check(&users(), "alice:right"), Ok(()));
        }
        assert_eq!(passwords.right.lock().unwrap().len(), 1);
        let changed = BTreeMap::from([(
            "alice".to_owned(),
            bcrypt::hash_with_salt("other", 4, [8; 16]).unwrap().to_string(),
        )]);
        assert_eq!(check(&changed, "alice:right"), Err(Refusal::Unknown), "a changed password");
        assert_eq!(check(&BTreeMap::new(), "alice:right"), Err(Refusal::Unknown));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let passwords = Passwords::new();
        let users: Users = (0..REMEMBERED_MAX + 5)
            .map(|number| {
                (format!("u{number}"), bcrypt::hash_with_salt("right", 4, [1; 16]).unwrap().to_string())
            })
            .collect();
        for user in users.keys() {
            assert_eq!(block_on(passwords.check(&users, &headers(&format!("{user}:right")))), Ok(()));
        }
        assert_eq!(passwords.right.lock().unwrap().len(), REMEMBERED_MAX);
    }

    #[test]
    fn more_checks_than_may_wait_are_refused_at_once() {
        let passwords = Passwords::new();
        let slow = BTreeMap::from([(
            "alice".to_owned(),
            bcrypt::hash_with_salt("right", 10, [7; 16]).unwrap().to_string(),
        )]);
        let refused = block_on(async {
            let headers = headers("alice:wrong");
            let mut checks: Vec<_> =
                (0..WAITING_MAX + 4).map(|_| Box::pin(passwords.check(&slow, &headers))).collect();
            let mut refused = 0;
            for check in &mut checks {
                // Asked once: only what is refused has its answer.
                let asked = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(Future::poll(check.as_mut(), context))
                });
                refused += usize::from(asked.await == std::task::Poll::Ready(Err(Refusal::Busy)));
            }
            refused
        });
        assert!((1..=4).contains(&refused), "{refused}");
    }

    #[test]
    fn a_hash_that_is_none_or_too_dear_is_refused_without_being_told() {
        for (hash, part) in [("plaintext", "htpasswd"), ("", "htpasswd"), (&"x".repeat(60), "htpasswd")] {
            let error = validate(&BTreeMap::from([("eve".to_owned(), hash.to_owned())])).unwrap_err();
            assert!(error.contains("eve") && error.contains(part), "{error}");
            assert!(hash.is_empty() || !error.contains(hash), "{error}");
        }
        let dear = users()["alice"].replace("$04$", "$25$");
        let error = validate(&BTreeMap::from([("eve".to_owned(), dear)])).unwrap_err();
        assert!(error.contains("cost 25"), "{error}");
        assert_eq!(validate(&users()), Ok(()));
    }
}
