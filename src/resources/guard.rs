//! Panics of other crates.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use crate::error::{Error, Result};

/// Decodes bytes with the Parquet crate, which panics on some bytes that no sound writer makes. Such a panic is told as
/// damage. Nothing else belongs into `decode`: a panic of our own code is no damage of a file.
///
/// A process that is built with `panic = "abort"` ends instead.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(decode).unwrap_or_else(|panic| {
        Err(Error::damaged(match text(panic.as_ref()) {
            Some(text) => format!("it cannot be decoded: {text}"),
            None => "it cannot be decoded".to_owned(),
        }))
    })
}

/// Does work of another crate that panics where it should give an error.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    let _guard = Guard { outer: GUARDED.replace(true) };
    catch_unwind(AssertUnwindSafe(work))
}

/// What a panic says.
pub(super) fn text(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Marks the thread while a panic on it is caught.
struct Guard {
    outer: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.set(self.outer);
    }
}

/// Whether a panic on this thread becomes an error: it comes from decoding bytes that are damaged, or from a runtime that
/// gets no thread from the system.
///
/// The panic hook of the process hears of such a panic nevertheless, and the default hook writes it to standard error. This
/// crate leaves the hook to the program, which may replace it by one that keeps silent here:
///
/// ```
/// use std::panic;
///
/// let default = panic::take_hook();
/// panic::set_hook(Box::new(move |panic| {
///     if !flowseek::resources::is_guarded() {
///         default(panic);
///     }
/// }));
/// ```
pub fn is_guarded() -> bool {
    GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_panic_of_a_decoder_is_damage_that_says_why() {
        let error = guarded::<()>(|| std::panic::resume_unwind(Box::new("no such encoding"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("no such encoding"));
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn a_thread_is_guarded_while_it_decodes_and_no_longer() {
        assert!(!is_guarded());
        let inner = guarded(|| {
            let _ = guarded::<()>(|| std::panic::resume_unwind(Box::new("inner")));
            Ok(is_guarded() && !std::thread::spawn(is_guarded).join().unwrap())
        });
        assert!(inner.unwrap());
        let _ = guarded::<()>(|| std::panic::resume_unwind(Box::new("outer")));
        assert!(!is_guarded());
    }
}
