//! Giving memory back while there is nothing to do.

/// What is so large is used once and for long enough that getting it anew costs little.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES_MIN: libc::c_int = 1 << 20;

/// Tells the allocator to serve all threads from one heap: more speed than one thread that works
/// and one that sends could use would cost memory for good. To be called before the first thread.
pub fn keep_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two numbers, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Tells the allocator to get large pieces from the system one by one and to give each of them back
/// as soon as it is free. Left to itself, it learns to keep them, for every thread that ever needed
/// one. To be called before the first thread.
pub fn keep_nothing_large() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two numbers, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES_MIN);
    }
}

/// Gives back what the allocator keeps for later, and the program's own pages that are only copies
/// of its file: they come back from the page cache when they are needed. An idle daemon is a small
/// one.
pub fn release() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
    #[cfg(all(target_env = "musl", not(feature = "server")))]
    super::allocator::release();
    #[cfg(target_os = "linux")]
    // SAFETY: the callback has the signature that is asked for and does not unwind; no data is
    // passed.
    unsafe {
        libc::dl_iterate_phdr(Some(release_program), std::ptr::null_mut());
    }
}

/// Called for the program itself first; 1 ends the walk, so that libraries are left alone: their
/// pages are shared with other processes.
#[cfg(target_os = "linux")]
extern "C" fn release_program(
    info: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the system passes a valid description for the time of the call, and `dlpi_phdr`
    // points to `dlpi_phnum` program headers.
    let (base, headers) = unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (info.dlpi_addr as usize, headers)
    };
    // SAFETY: sysconf takes a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Ok(page) = usize::try_from(page) else { return 1 };
    for header in headers {
        let is_read_only = header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
        if !is_read_only || !page.is_power_of_two() {
            continue;
        }
        let start = (base + header.p_vaddr as usize) & !(page - 1);
        let end = (base + header.p_vaddr as usize + header.p_memsz as usize) & !(page - 1);
        if end > start {
            // SAFETY: these pages are mapped from the program's file and cannot be written, so what
            // is dropped is read from the file again, unchanged, on the next access.
            unsafe {
                libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
            }
        }
    }
    1
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_program_runs_on_after_giving_memory_back() {
        let text = vec![b'x'; 1 << 20];
        super::release();
        assert!(text.iter().all(|byte| *byte == b'x'));
        super::release();
    }
}
