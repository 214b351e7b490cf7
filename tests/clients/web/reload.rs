//! The configuration is read again when it or a certificate changes, while scrapes go on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Host;
use super::curl::{Answer, curl, https};
use super::passwords::hash;
use crate::certificates::Authority;
use lab::{Exporter, wait_for};

const LIMIT: Duration = Duration::from_secs(10);

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

fn lines_with(exporter: &Exporter, word: &str) -> usize {
    exporter.log().iter().filter(|line| line.contains(word)).count()
}

fn wait_for_lines(exporter: &Exporter, word: &str, count: usize) {
    wait_for(LIMIT, "the log says it", || {
        let found = lines_with(exporter, word);
        if found >= count {
            Ok(())
        } else {
            Err(format!("{found} times {word:?} in\n{}", exporter.log().join("\n")))
        }
    });
}

/// Does `act` while two clients scrape, and panics if one scrape was not answered by 200.
fn while_scraping(ask: impl Fn() -> Answer + Sync, act: impl FnOnce()) -> usize {
    let (done, failed) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let count = std::thread::scope(|scope| {
        let scrape = || {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                let answer = ask();
                count += 1;
                if answer.status != 200 {
                    failed.lock().unwrap().push(format!("{answer:?}"));
                }
            }
            count
        };
        let scraping = [scope.spawn(scrape), scope.spawn(scrape)];
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        done.store(true, Ordering::Relaxed);
        let count = scraping.into_iter().map(|thread| thread.join().unwrap()).sum();
        if let Err(panic) = acted {
            std::panic::resume_unwind(panic);
        }
        count
    });
    assert_eq!(*failed.lock().unwrap(), Vec::<String>::new());
    count
}

#[test]
fn certificates_users_and_headers_change_under_scrapes_without_one_that_fails() {
    let host = Host::new();
    let authority = Authority::new(&host.files, "ca");
    authority.issue("server", "DNS:localhost");
    let alice = format!("basic_auth_users:\n  alice: {}\n", hash("secret", 4));
    let exporter = host.serving(&format!("{TLS}{alice}"));
    let url = https(exporter.address(), "/metrics");
    let ask =
        |user: &str, more: &[&str]| curl(&host, &url, &[&["--cacert", "ca.pem", "-u", user], more].concat());
    assert_eq!(ask("bob:word", &[]).status, 401);
    let serial = || {
        let answer = curl(&host, &url, &["--cacert", "ca.pem", "-v"]);
        let line =
            answer.error.lines().find(|line| line.contains("start date") || line.contains("subject: "));
        line.unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    };
    let first = serial();
    let scrapes = while_scraping(
        || ask("alice:secret", &[]),
        || {
            host.file(
                "web.yml",
                &format!(
                    "{TLS}{alice}  bob: {}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n",
                    hash("word", 4)
                ),
            );
            wait_for(LIMIT, "bob is let in", || {
                let answer = ask("bob:word", &[]);
                if answer.status == 200 && answer.head.contains("x-frame-options: deny") {
                    Ok(())
                } else {
                    Err(format!("{answer:?}"))
                }
            });
            wait_for_lines(&exporter, "web configuration read again", 1);
            // Another certificate under another name in the same files.
            authority.issue("renewed", "DNS:localhost");
            for end in ["pem", "key"] {
                std::fs::rename(
                    host.files.join(format!("renewed.{end}")),
                    host.files.join(format!("server.{end}")),
                )
                .unwrap();
            }
            wait_for(LIMIT, "the new certificate is shown", || {
                let shown = serial();
                if shown.contains("renewed") && shown != first { Ok(()) } else { Err(shown) }
            });
            host.file("web.yml", &format!("{TLS}{alice}"));
            wait_for(LIMIT, "bob is gone", || {
                let answer = ask("bob:word", &[]);
                if answer.status == 401 { Ok(()) } else { Err(format!("{answer:?}")) }
            });
        },
    );
    assert!(scrapes > 20, "only {scrapes} scrapes");
    assert_eq!(lines_with(&exporter, "level=warn"), 0, "{:#?}", exporter.log());
}

#[test]
fn a_broken_new_file_is_refused_once_with_its_line_and_the_old_one_stays() {
    let host = Host::new();
    Authority::new(&host.files, "ca").issue("server", "DNS:localhost");
    let users = format!("basic_auth_users:\n  alice: {}\n", hash("secret", 4));
    let exporter = host.serving(&format!("{TLS}{users}"));
    let url = https(exporter.address(), "/metrics");
    let ask = |user: &str| curl(&host, &url, &["--cacert", "ca.pem", "-u", user]);
    let refused = "web configuration refused";
    let mut count = 0;
    while_scraping(
        || ask("alice:secret"),
        || {
            for (config, word) in [
                (format!("{TLS}  cert: x\n  certs: x\n{users}"), "line 5"),
                (format!("{TLS}basic_auth_users:\n  alice: plain\n"), "too short"),
                (format!("{TLS}{users}").replace("server.key", "gone.key"), "gone.key"),
                // What has lost its TLS, or was emptied, is not meant.
                (users.clone(), "restart"),
                (String::new(), "restart"),
            ] {
                host.file("web.yml", &config);
                count += 1;
                wait_for_lines(&exporter, refused, count);
                let log = exporter.log();
                let last = log.iter().rfind(|line| line.contains(refused)).unwrap();
                assert!(last.contains(word) && last.contains("level=warn"), "no {word} in {last}");
                assert_eq!(ask("alice:wrong").status, 401, "the old one stays in force");
            }
            std::thread::sleep(Duration::from_secs(3));
            assert_eq!(lines_with(&exporter, refused), count, "each is refused once");
            host.file("web.yml", &format!("{TLS}{users}  bob: {}\n", hash("word", 4)));
            wait_for_lines(&exporter, "web configuration read again", 1);
            assert_eq!(ask("bob:word").status, 200);
        },
    );
}

#[test]
fn a_key_that_comes_after_its_certificate_does_no_harm() {
    let host = Host::new();
    let authority = Authority::new(&host.files, "ca");
    authority.issue("server", "DNS:localhost");
    let exporter = host.serving(TLS);
    let url = https(exporter.address(), "/-/healthy");
    authority.issue("renewed", "DNS:localhost");
    let put = |end: &str| {
        std::fs::rename(host.files.join(format!("renewed.{end}")), host.files.join(format!("server.{end}")))
            .unwrap();
    };
    while_scraping(
        || curl(&host, &url, &["--cacert", "ca.pem"]),
        || {
            put("pem");
            wait_for_lines(&exporter, "web configuration refused", 1);
            put("key");
            wait_for_lines(&exporter, "web configuration read again", 1);
            let shown = curl(&host, &url, &["--cacert", "ca.pem", "-v"]);
            assert!(shown.error.contains("CN=renewed"), "{shown:?}");
        },
    );
}
