//! Panics of the Parquet crate.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::error::{Error, Result};

/// Decodes bytes with the Parquet crate, which panics on some bytes that no sound writer makes. Such a panic is told as
/// damage. Nothing else belongs into `decode`: a panic of our own code is no damage of a file.
///
/// A process that is built with `panic = "abort"` ends instead.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| Err(Error::damaged(message(panic.as_ref()))))
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
}
