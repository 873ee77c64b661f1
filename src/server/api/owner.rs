//! Who needs not sign in: the one user of a server that can be reached from its own machine alone,
//! asked for by a browser that runs under the very account that the server runs under.
//!
//! Whoever has that account can read the database anyway. Everybody else has to show something:
//! other accounts of the machine; whoever comes through a proxy, be it one that says so or one that
//! was configured; and as soon as there is a second user or a password, all. What other sites make
//! a browser send is refused as with a cookie, and under other names than those of loopback nobody
//! is answered.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;

use super::{Api, Refused};
use crate::server::caller::{Caller, host_of};
use crate::server::http::Head;
use crate::server::settings::Settings;
use crate::server::store::User;

/// Bytes of the kernel's table of connections: some 50 000 of them.
const TABLE_BYTES_MAX: u64 = 8 << 20;
/// The state of a connection that is open, in that table.
const ESTABLISHED: &str = "01";
/// The account that may do everything on a machine.
const ROOT: u32 = 0;
/// Headers of those who ask for somebody else.
const FORWARDING: [&str; 5] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

impl Api {
    /// The user, when nobody else can be asking.
    pub(super) fn owner(&self, head: &Head, caller: &Caller) -> Result<Option<User>, Refused> {
        let settings = &self.surroundings.settings;
        if !self.is_local || !is_direct(settings) || !is_near(head, caller) {
            return Ok(None);
        }
        let failed = |error| Refused::Failed("Failed to look the user up", error);
        let Some(user) = self.store.only_user().map_err(failed)? else { return Ok(None) };
        Ok(caller.ends.is_some_and(is_own_account).then_some(user))
    }
}

impl Api {
    /// True for whoever runs the server: its own account, on its own machine. Who they are as a
    /// user, they have to show all the same.
    pub(super) fn is_operator(&self, head: &Head, caller: &Caller) -> bool {
        let is_near = caller.address.is_loopback() && !is_forwarded(head);
        let is_own = || caller.ends.is_some_and(is_own_account);
        is_direct(&self.surroundings.settings) && is_near && is_own()
    }
}

/// True when nothing is said of other names and machines.
fn is_direct(settings: &Settings) -> bool {
    let Settings { public_url, hosts, trusted_proxies, .. } = settings;
    public_url.is_none() && hosts.is_empty() && trusted_proxies.is_empty()
}

/// True for a request from this machine to this machine.
fn is_near(head: &Head, caller: &Caller) -> bool {
    let host = host_of(&caller.authority).unwrap_or("");
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let is_named = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_named && !is_forwarded(head) && caller.address.is_loopback()
}

fn is_forwarded(head: &Head) -> bool {
    FORWARDING.iter().any(|name| head.header(name).is_some())
}

/// True when the other end of a connection belongs to our account: theirs comes first.
fn is_own_account(ends: (SocketAddr, SocketAddr)) -> bool {
    let Ok(own) = std::fs::metadata("/proc/self").map(|entry| entry.uid()) else { return false };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| {
        let mut table = String::new();
        let read =
            File::open(path).and_then(|file| file.take(TABLE_BYTES_MAX).read_to_string(&mut table));
        read.map(|_| table).unwrap_or_default()
    });
    let account = account_of(tables.iter().flat_map(|table| table.lines()), ends);
    account.is_some_and(|account| account == own || account == ROOT)
}

/// The account that has the first of two ends, as the kernel lists them: number, own and other end
/// as hexadecimal `ADDRESS:PORT`, state, three more, account, another, number of the socket. It
/// must be open in both directions and be held by somebody, and there must be one such row: what
/// has been closed, if only half, nobody answers for.
fn account_of<'a>(
    rows: impl Iterator<Item = &'a str>,
    (theirs, ours): (SocketAddr, SocketAddr),
) -> Option<u32> {
    let ends = (canonical(theirs), canonical(ours));
    let mut found = rows.filter_map(|row| {
        let words: Vec<&str> = row.split_whitespace().take(10).collect();
        let row_ends = (end_of(words.get(1)?)?, end_of(words.get(2)?)?);
        (row_ends == ends).then_some(words)
    });
    let words = found.next().filter(|_| found.next().is_none())?;
    let is_held = *words.get(3)? == ESTABLISHED && *words.get(9)? != "0";
    words.get(7)?.parse().ok().filter(|_| is_held)
}

/// An end without what only IPv6 has, and with an IPv4 address written as such.
fn canonical(end: SocketAddr) -> (IpAddr, u16) {
    (end.ip().to_canonical(), end.port())
}

/// `ADDRESS:PORT` as the kernel writes it: words of four bytes, each as the machine has it.
fn end_of(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at..at + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server at port 2253 of 127.0.0.1, whose account is 1000.
    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2253 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1
   1: 0100007F:9C40 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1000        0 2 1
   2: 0100007F:2253 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 3 1
   3: 0100007F:9C41 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1001        0 4 1
   4: 0100007F:9C42 0100007F:2253 06 00000000:00000000 00:00000000 00000000  1000        0 0 1
   5: 0A00000A:9C43 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1000        0 5 1
   6: 0200007F:9C40 0100007F:2253 05 00000000:00000000 00:00000000 00000000  1001        0 6 1
   7: 0100007F:9C44 0200007F:2253 01 00000000:00000000 00:00000000 00000000  1000        0 7 1
   8: 0100007F:9C45 0100007F:2254 01 00000000:00000000 00:00000000 00000000  1000        0 8 1
   9: 0100007F:9C46 0100007F:2253 05 00000000:00000000 00:00000000 00000000  1000        0 9 1
  10: 0100007F:9C47 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1000        0 10 1
  11: 0100007F:9C47 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1001        0 11 1
  12: 0100007F:9C48 0100007F:2253 01 00000000:00000000 00:00000000 00000000     0        0 0 1
";

    fn account(table: &str, theirs: &str, ours: &str) -> Option<u32> {
        let ends = (theirs.parse().unwrap(), ours.parse().unwrap());
        account_of(table.lines(), ends)
    }

    #[test]
    fn the_account_behind_a_connection_is_found() {
        let server = "127.0.0.1:8787";
        let of = |theirs: &str| account(TABLE, theirs, server);
        assert_eq!(of("127.0.0.1:40000"), Some(1000));
        assert_eq!(of("[::ffff:127.0.0.1]:40000"), Some(1000));
        assert_eq!(of("127.0.0.1:40001"), Some(1001));
        let nobody = [
            ("127.0.0.2:40000", "half closed, and only the port is somebody's"),
            ("127.0.0.3:40000", "another address"),
            ("127.0.0.1:40002", "not open any more"),
            ("127.0.0.1:40003", "the port of another address"),
            ("127.0.0.1:40004", "with another server at this port"),
            ("127.0.0.1:40005", "with another port"),
            ("127.0.0.1:40006", "half closed"),
            ("127.0.0.1:40007", "two at once"),
            ("127.0.0.1:40008", "held by nobody"),
            ("127.0.0.1:40009", "unknown"),
            ("[::1]:40000", "another family"),
        ];
        for (theirs, why) in nobody {
            assert_eq!(of(theirs), None, "{why}");
        }
    }

    #[test]
    fn the_account_behind_a_connection_of_ipv6_is_found() {
        let one = "00000000000000000000000001000000";
        let mapped = "0000000000000000FFFF00000100007F";
        let row = |address: &str, state: &str| {
            format!(" 0: {address}:9C40 {address}:2253 {state} 0:0 00:0 0 1000 0 1 1\n")
        };
        let (theirs, ours) = ("[::1]:40000", "[::1]:8787");
        assert_eq!(account(&row(one, "01"), theirs, ours), Some(1000));
        assert_eq!(account(&row(one, "05"), theirs, ours), None);
        assert_eq!(account(&row(one, "01"), "[::2]:40000", ours), None);
        assert_eq!(account(&row(one, "01"), theirs, "[::2]:8787"), None);
        assert_eq!(account(&row(mapped, "01"), theirs, ours), None);
        let (theirs, ours) = ("127.0.0.1:40000", "127.0.0.1:8787");
        assert_eq!(account(&row(mapped, "01"), theirs, ours), Some(1000));
        for damaged in ["", "0", "0100007F", "0100007F:", ":2253", "é100007:2253", "0100007F:1:2"]
        {
            assert_eq!(end_of(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn whoever_asks_for_somebody_else_is_not_near() {
        let near = |host: &str, address: &str, headers: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
            let head = Head::parse(text.as_bytes(), 16 << 10).unwrap().unwrap().0;
            let caller = Caller {
                address: address.parse().unwrap(),
                ends: None,
                is_secure: false,
                authority: host.into(),
                request_id: String::new(),
            };
            is_near(&head, &caller)
        };
        for host in ["localhost", "LOCALHOST:8787", "127.0.0.1:1", "127.8.8.8", "[::1]:8787"] {
            assert!(near(host, "127.0.0.1", ""), "{host}");
        }
        for host in ["evil", "localhost.evil", "127.0.0.1.evil", "10.0.0.1", "[::2]", ""] {
            assert!(!near(host, "127.0.0.1", ""), "{host}");
        }
        assert!(!near("localhost", "10.0.0.1", ""));
        for name in FORWARDING {
            assert!(!near("localhost", "127.0.0.1", &format!("{name}: x\r\n")), "{name}");
        }
    }

    #[test]
    fn other_names_and_proxies_mean_other_people() {
        assert!(is_direct(&Settings::default()));
        let public = Settings { public_url: Some("http://x".into()), ..Settings::default() };
        let named = Settings { hosts: vec!["x".into()], ..Settings::default() };
        let proxies = vec!["127.0.0.1".parse().unwrap()];
        let proxied = Settings { trusted_proxies: proxies, ..Settings::default() };
        for settings in [public, named, proxied] {
            assert!(!is_direct(&settings));
        }
    }
}
