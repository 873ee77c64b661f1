//! File events (inotify(7)): Linux tells of changes instead of being asked for them.
//!
//! Elsewhere [`Inotify::new`] says that it is not supported.

use std::ffi::OsString;

/// What is told of a watched file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interest {
    /// A file: its bytes, its permissions, its name, its end.
    File,
    /// A folder: names that come and go.
    Names,
    /// A folder: names that come and go, and the bytes of its files.
    Contents,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something happened to what this number watches, or to `name` inside of it.
    Changed {
        /// As [`Inotify::add`] returned it.
        watch: i32,
        /// The entry of the folder; `None` for what is watched itself.
        name: Option<OsString>,
    },
    /// The number is good for nothing any more: what it watched is gone.
    Ended {
        /// As [`Inotify::add`] returned it.
        watch: i32,
    },
    /// Events were dropped: anything may have happened.
    Overflow,
}

pub use system::{Inotify, is_told_of_all};

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::{CString, OsStr, OsString};
    use std::fs::File;
    use std::io::{self, Read};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::time::Duration;

    use super::{Interest, Notice};

    /// Bytes of events read at once: at least one with the longest name.
    const EVENTS_BYTES: usize = 16 << 10;
    /// File systems whose files change on other machines, or outside of this virtual one, without
    /// an event here (statfs(2)): 9P, AFS, Ceph, CIFS, Coda, FUSE, NFS, SMB, SMB2, VirtualBox.
    const REMOTE: [u32; 10] = [
        0x0102_1997,
        0x5346_414f,
        0x00c3_6400,
        0xff53_4d42,
        0x7375_7245,
        0x6573_5546,
        0x0000_6969,
        0x0000_517b,
        0xfe53_4d42,
        0x786f_4256,
    ];

    /// A queue of events.
    #[derive(Debug)]
    pub struct Inotify {
        queue: File,
    }

    impl Inotify {
        /// An empty queue.
        ///
        /// # Errors
        /// When the user has as many as the system allows.
        pub fn new() -> io::Result<Inotify> {
            // SAFETY: inotify_init1 takes flags and returns a descriptor or -1.
            let number = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
            if number < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            Ok(Inotify { queue: File::from(descriptor) })
        }

        /// Watches a file or folder, and what it was watched for before. The number is the same for
        /// the same inode.
        ///
        /// # Errors
        /// When it does not exist, may not be read or is no folder where one was meant, and when
        /// the user has as many watches as the system allows.
        pub fn add(&self, path: &Path, interest: Interest) -> io::Result<i32> {
            let path = CString::new(path.as_os_str().as_bytes())?;
            let own = libc::IN_DELETE_SELF | libc::IN_MOVE_SELF | libc::IN_MASK_ADD;
            let names = libc::IN_ONLYDIR
                | libc::IN_CREATE
                | libc::IN_DELETE
                | libc::IN_MOVED_FROM
                | libc::IN_MOVED_TO;
            let mask = own
                | match interest {
                    Interest::File => libc::IN_MODIFY | libc::IN_ATTRIB,
                    Interest::Names => names,
                    Interest::Contents => names | libc::IN_MODIFY | libc::IN_ATTRIB,
                };
            // SAFETY: the descriptor is ours, and the path ends with a NUL and outlives the call.
            let watch =
                unsafe { libc::inotify_add_watch(self.queue.as_raw_fd(), path.as_ptr(), mask) };
            match watch {
                -1 => Err(io::Error::last_os_error()),
                watch => Ok(watch),
            }
        }

        /// Watches no more what this number stands for; a number that has ended does no harm.
        pub fn remove(&self, watch: i32) {
            // SAFETY: two numbers, and the descriptor is ours.
            unsafe { libc::inotify_rm_watch(self.queue.as_raw_fd(), watch) };
        }

        /// Waits until there are events; false when `limit` has passed without one.
        ///
        /// # Errors
        /// As `poll`.
        pub fn wait(&self, limit: Duration) -> io::Result<bool> {
            let descriptor = self.queue.as_raw_fd();
            let mut entry = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
            let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
            // SAFETY: one valid entry.
            match unsafe { libc::poll(&raw mut entry, 1, millis) } {
                -1 => Err(io::Error::last_os_error()),
                n_ready => Ok(n_ready > 0),
            }
        }

        /// The events that are there, at most as many as one buffer holds; none is no error.
        ///
        /// # Errors
        /// As `read`.
        pub fn read(&self) -> io::Result<Vec<Notice>> {
            let mut bytes = [0; EVENTS_BYTES];
            match (&self.queue).read(&mut bytes) {
                Ok(n_bytes) => Ok(notices(&bytes[..n_bytes])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        }
    }

    /// `struct inotify_event`, one behind the other: watch, mask, cookie, length of the name, and
    /// the name, filled up with NUL.
    fn notices(mut bytes: &[u8]) -> Vec<Notice> {
        let mut notices = Vec::new();
        while let Some((head, rest)) = bytes.split_first_chunk::<16>() {
            let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
            let (watch, mask) = (i32::from_ne_bytes(word(0)), u32::from_ne_bytes(word(4)));
            let length = u32::from_ne_bytes(word(12)) as usize;
            let (name, behind) = rest.split_at(length.min(rest.len()));
            bytes = behind;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            notices.push(if mask & libc::IN_Q_OVERFLOW != 0 {
                Notice::Overflow
            } else if mask & libc::IN_IGNORED != 0 {
                Notice::Ended { watch }
            } else {
                let name = (!name.is_empty()).then(|| OsString::from(OsStr::from_bytes(name)));
                Notice::Changed { watch, name }
            });
        }
        notices
    }

    /// False where files may change without an event: on network file systems and the like.
    pub fn is_told_of_all(path: &Path) -> bool {
        let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
        let mut found = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the path ends with a NUL, and both outlive the call.
        if unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: statfs has succeeded and filled it.
        let kind = unsafe { found.assume_init() }.f_type;
        // The width of the field differs between machines; the number has 32 bits.
        !REMOTE.contains(&(kind as u32))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn events_are_taken_apart_and_torn_ones_end_the_list() {
            let event = |watch: i32, mask: u32, name: &[u8]| {
                let mut bytes = watch.to_ne_bytes().to_vec();
                for number in [mask, 0, name.len() as u32] {
                    bytes.extend(number.to_ne_bytes());
                }
                bytes.extend(name);
                bytes
            };
            let bytes = [
                event(1, libc::IN_MODIFY, b""),
                event(2, libc::IN_CREATE | libc::IN_ISDIR, b"a b\0\0\0\0\0"),
                event(2, libc::IN_IGNORED, b""),
                event(-1, libc::IN_Q_OVERFLOW, b""),
                vec![0; 15],
            ];
            let expected = [
                Notice::Changed { watch: 1, name: None },
                Notice::Changed { watch: 2, name: Some("a b".into()) },
                Notice::Ended { watch: 2 },
                Notice::Overflow,
            ];
            assert_eq!(notices(&bytes.concat()), expected);
        }

        #[test]
        fn a_file_system_of_this_machine_tells_of_all() {
            assert!(is_told_of_all(Path::new("/proc")));
            assert!(!is_told_of_all(Path::new("/nowhere/at/all")));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    use super::{Interest, Notice};

    /// A queue that cannot be had here.
    #[derive(Debug)]
    pub enum Inotify {}

    impl Inotify {
        /// # Errors
        /// Always.
        pub fn new() -> io::Result<Inotify> {
            Err(io::ErrorKind::Unsupported.into())
        }

        /// # Errors
        /// Never called.
        pub fn add(&self, _: &Path, _: Interest) -> io::Result<i32> {
            match *self {}
        }

        /// Never called.
        pub fn remove(&self, _: i32) {
            match *self {}
        }

        /// # Errors
        /// Never called.
        pub fn wait(&self, _: Duration) -> io::Result<bool> {
            match *self {}
        }

        /// # Errors
        /// Never called.
        pub fn read(&self) -> io::Result<Vec<Notice>> {
            match *self {}
        }
    }

    /// Nothing is told here.
    pub fn is_told_of_all(_: &Path) -> bool {
        false
    }
}
