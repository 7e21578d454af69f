//! Panics of the Parquet crate.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::error::{Error, Result};

/// Decodes bytes with the Parquet crate, which panics on some bytes that no sound writer makes. Such a panic is told as
/// damage. Nothing else belongs into `decode`: a panic of our own code is no damage of a file.
///
/// A process that is built with `panic = "abort"` ends instead.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    let _guard = Guard { outer: GUARDED.replace(true) };
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| Err(Error::damaged(message(panic.as_ref()))))
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Marks the thread while a decoder runs on it.
struct Guard {
    outer: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.set(self.outer);
    }
}

/// Whether a panic on this thread would come from decoding bytes that are damaged, and become an error.
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

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.map_or_else(|| "it cannot be decoded".to_owned(), |text| format!("it cannot be decoded: {text}"))
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
