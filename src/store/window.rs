//! The mapped window: the only unsafe code.
//!
//! A page of a map may be gone when it is written: someone else has truncated the file, or the file system finds no
//! room for what it had promised to hold. The kernel says so with a SIGBUS, which ends the process (H53). With
//! [`catch_bus_errors`] it ends a copy instead: the handler puts empty memory under the rest of it, and the copy says
//! that it came to nothing.
#![expect(unsafe_code, reason = "mapping a file is unsafe: the file can change under the map")]

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};
use std::sync::{Once, OnceLock};
use std::{io, mem, ptr};

use libc::{c_int, c_void, siginfo_t};
use memmap2::{Advice, MmapOptions, MmapRaw};

use super::medium::Pages;
use crate::range::ByteRange;

/// Maps `range` of `file`, which must start on a page, with every page present and writable.
///
/// `MADV_POPULATE_WRITE` takes the page faults here, where a full disk or a truncated file is an error.
pub(super) fn map(file: &File, range: ByteRange) -> io::Result<Mapped> {
    let len = usize::try_from(range.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let map = MmapOptions::new().offset(range.start).len(len).map_raw(file)?;
    map.advise(Advice::PopulateWrite)?;
    Ok(Mapped { map, gone: false })
}

/// A range of a file in memory. It is only ever written, never read, so nothing here depends on what it holds.
#[derive(Debug)]
pub(super) struct Mapped {
    map: MmapRaw,
    /// What is mapped here is no longer the file.
    gone: bool,
}

impl Pages for Mapped {
    fn write(&mut self, at: usize, bytes: &[u8]) -> bool {
        assert!(self.map.len().checked_sub(at).is_some_and(|room| bytes.len() <= room), "it fits");
        let copied = COPY.with(|copy| {
            copy.guard(&self.map, || {
                // SAFETY: `at` and all of `bytes` are inside the map (asserted), which lives as long as `self`. The
                // map is a fresh one of ours and `bytes` is borrowed, so they do not overlap; raw pointers promise
                // nothing about what others do to the file meanwhile. A page that is gone is a SIGBUS: it ends the
                // process, or `Copy::patch` puts memory there.
                unsafe {
                    ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(at), bytes.len());
                }
            })
        });
        self.gone |= !copied;
        !self.gone
    }
}

thread_local! {
    /// The copy that this thread is in. A SIGBUS comes to the thread that caused it, in the midst of the copy.
    /// Constant and without a destructor: a handler may look at it at any time.
    static COPY: Copy = const {
        Copy { start: AtomicUsize::new(0), len: AtomicUsize::new(0), gone: AtomicBool::new(false) }
    };
}

/// The map that is being written, for the handler. Atomics, since a handler comes between any two instructions; no
/// other thread looks.
struct Copy {
    start: AtomicUsize,
    /// 0 where no copy is under way.
    len: AtomicUsize,
    gone: AtomicBool,
}

impl Copy {
    /// Runs `copy`, which writes to `map`. `false` where a page was gone: the map is of empty memory now.
    fn guard(&self, map: &MmapRaw, copy: impl FnOnce()) -> bool {
        self.gone.store(false, Ordering::Relaxed);
        self.start.store(map.as_mut_ptr().expose_provenance(), Ordering::Relaxed);
        self.len.store(map.len(), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        copy();
        compiler_fence(Ordering::SeqCst);
        self.len.store(0, Ordering::Relaxed);
        !self.gone.load(Ordering::Relaxed)
    }

    /// Puts empty memory in place of the map that is being written, if `address` is in it.
    fn patch(&self, address: usize) -> bool {
        let (start, len) = (self.start.load(Ordering::Relaxed), self.len.load(Ordering::Relaxed));
        if address.checked_sub(start).is_none_or(|offset| offset >= len) {
            return false;
        }
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: The range is that of a map which is being written by this very thread (it has not returned from
        // `guard`), so it is owned, nobody else uses it, and its owner will unmap what is there then. What was
        // written to the old pages is the file's. mmap is a bare system call here: a handler may use it.
        let mapped = unsafe {
            libc::mmap(ptr::with_exposed_provenance_mut(start), len, access, kind | libc::MAP_FIXED, -1, 0)
        };
        let patched = mapped != libc::MAP_FAILED;
        self.gone.store(patched, Ordering::Relaxed);
        patched
    }
}

/// What handled SIGBUS before.
static BEFORE: OnceLock<libc::sigaction> = OnceLock::new();

/// Handles SIGBUS from now on, for the whole process: writing to a part file that someone else has truncated, or whose
/// file system has no room for it any more, is then an error of that download ([`ErrorKind::Local`](crate::ErrorKind)),
/// and not the end of the process.
///
/// Part files are written through memory maps where that is cheaper ([`Writing::Mapped`](crate::Writing)), and a
/// program that must not die of them calls this once, at its start. haul never does so by itself: a process has one
/// handler for a signal, and it belongs to the program. A SIGBUS that is not haul's goes on to the handler that was
/// there before.
///
/// ```
/// haul::catch_bus_errors();
/// let download = haul::Download::builder("https://example.org/disk.img").build()?;
/// # Ok::<(), haul::Error>(())
/// ```
pub fn catch_bus_errors() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: All zeros is a valid `sigaction`: no handler, no flag, no signal in the mask.
        let (mut before, mut ours): (libc::sigaction, libc::sigaction) = unsafe { mem::zeroed() };
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_bus_error;
        ours.sa_sigaction = handler as libc::sighandler_t;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: Both structures are valid for the call. The handler does nothing but what a handler may: it reads
        // atomics of its thread, makes a system call, or hands on to the handler before it. That one is known
        // before ours can be called.
        unsafe {
            libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut before);
            BEFORE.get_or_init(|| before);
            libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut());
        }
    });
}

extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: The kernel gives a handler with SA_SIGINFO a valid `info`, and a signal that it caused itself
    // (`si_code` above 0) an address in it.
    let address = unsafe { ((*info).si_code > 0).then(|| (*info).si_addr().addr()) };
    if !address.is_some_and(|address| COPY.with(|copy| copy.patch(address))) {
        hand_on(signal, info, context);
    }
}

/// As if ours were not there.
fn hand_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    // SAFETY: What is called was installed as a handler of that kind, by its flags, and gets what it would have got.
    // Without one the default is put back: the instruction that failed fails again, and that ends the process.
    unsafe {
        match before.sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::sigaction(signal, before, ptr::null_mut());
            }
            handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
                type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
                mem::transmute::<libc::sighandler_t, Handler>(handler)(signal, info, context);
            }
            handler => mem::transmute::<libc::sighandler_t, extern "C" fn(c_int)>(handler)(signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(len: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        file
    }

    fn contents(mut file: &File) -> Vec<u8> {
        use std::io::{Read, Seek};
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_in_the_file() {
        let file = file(1 << 17);
        let mut map = map(&file, ByteRange::new(1 << 16, 1 << 17)).unwrap();
        assert!(map.write(3, b"abc") && map.write(0, b"xyz"));
        assert_eq!(contents(&file)[1 << 16..][..6], *b"xyzabc");
    }

    #[test]
    fn h53_writing_to_a_page_that_was_truncated_away_is_not_the_end_of_the_process() {
        catch_bus_errors();
        let file = file(1 << 20);
        let mut first = map(&file, ByteRange::new(0, 1 << 18)).unwrap();
        let mut cut = map(&file, ByteRange::new(1 << 18, 1 << 19)).unwrap();
        let mut gone = map(&file, ByteRange::new(1 << 19, 1 << 20)).unwrap();
        assert!(cut.write(0, &[1; 4096]));
        file.set_len((1 << 18) + 8192).unwrap();
        // The second page of this copy is the last that is there.
        assert!(!cut.write(4096, &[2; 3 * 4096]));
        assert!(!gone.write(0, &[2; 100]), "not only the first time");
        assert!(!gone.write(0, &[2; 100]), "and not only the first copy to it");
        assert!(first.write(0, &[3; 100]), "others are what they were");
        let contents = contents(&file);
        assert_eq!((contents.len(), &contents[..100]), ((1 << 18) + 8192, &[3; 100][..]));
        assert_eq!(contents[1 << 18..][..4096], [1; 4096], "what was written before is the file's");
    }
}
