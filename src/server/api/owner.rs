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
use std::net::IpAddr;
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
        Ok(is_own_account(caller.port).then_some(user))
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
    let is_forwarded = FORWARDING.iter().any(|name| head.header(name).is_some());
    is_named && !is_forwarded && caller.address.is_loopback()
}

/// True when the other end of a connection from this port belongs to our account.
fn is_own_account(port: u16) -> bool {
    let Ok(own) = std::fs::metadata("/proc/self").map(|entry| entry.uid()) else { return false };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| {
        let mut table = String::new();
        let read =
            File::open(path).and_then(|file| file.take(TABLE_BYTES_MAX).read_to_string(&mut table));
        read.map(|_| table).unwrap_or_default()
    });
    let mut accounts = tables.iter().flat_map(|table| accounts_of(table, port)).peekable();
    accounts.peek().is_some() && accounts.all(|account| account == own || account == ROOT)
}

/// The accounts of all ends at a port of loopback, as the kernel lists them: number, own and other
/// end as hexadecimal `ADDRESS:PORT`, state, three more, account.
fn accounts_of(table: &str, port: u16) -> impl Iterator<Item = u32> {
    table.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split_whitespace().take(8).collect();
        let (address, own_port) = words.get(1)?.split_once(':')?;
        let is_meant = u16::from_str_radix(own_port, 16).ok()? == port
            && is_loopback(address)
            && *words.get(3)? == ESTABLISHED;
        words.get(7)?.parse().ok().filter(|_| is_meant)
    })
}

/// Loopback as the kernel writes it: words of four bytes, each as the machine has it.
fn is_loopback(address: &str) -> bool {
    let last = match address.len() {
        8 => address,
        32 if address == "00000000000000000000000001000000" => return true,
        32 => match address.strip_prefix("0000000000000000FFFF0000") {
            Some(last) => last,
            None => return false,
        },
        _ => return false,
    };
    // Little-endian machines alone are built for.
    last.ends_with("7F")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u32; 0] = [];
    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2253 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1
   1: 0100007F:9C40 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1000        0 2 1
   2: 0100007F:2253 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 3 1
   3: 0100007F:9C41 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1001        0 4 1
   4: 0100007F:9C42 0100007F:2253 06 00000000:00000000 00:00000000 00000000  1000        0 0 1
   5: 0A00000A:9C43 0100007F:2253 01 00000000:00000000 00:00000000 00000000  1000        0 5 1
";

    #[test]
    fn the_account_behind_a_connection_is_found() {
        let accounts = |port| accounts_of(TABLE, port).collect::<Vec<_>>();
        assert_eq!(accounts(0x9c40), [1000]);
        assert_eq!(accounts(0x9c41), [1001]);
        assert_eq!(accounts(0x9c42), NONE, "not open any more");
        assert_eq!(accounts(0x9c43), NONE, "not loopback");
        assert_eq!(accounts(0x9c44), NONE);
        for address in ["00000000000000000000000001000000", "0000000000000000FFFF00000100007F"] {
            let table = format!(" 0: {address}:9C40 {address}:2253 01 0:0 00:0 0 1000 0 1 1\n");
            assert_eq!(accounts_of(&table, 0x9c40).collect::<Vec<_>>(), [1000]);
        }
    }

    #[test]
    fn whoever_asks_for_somebody_else_is_not_near() {
        let near = |host: &str, address: &str, headers: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
            let head = Head::parse(text.as_bytes(), 16 << 10).unwrap().unwrap().0;
            let caller = Caller {
                address: address.parse().unwrap(),
                port: 1,
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
