//! What `derive` would do by recursion, without it.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    mem,
};

use super::{Filter, walk::Token};

impl Filter {
    /// The same filter with other parts.
    pub(super) fn with_parts(&self, mut parts: Vec<Self>) -> Self {
        match self {
            Self::Test(test) => Self::Test(test.clone()),
            Self::And(_) => Self::And(parts),
            Self::Or(_) => Self::Or(parts),
            Self::Not(_) => Self::Not(Box::new(parts.pop().unwrap_or_else(Self::all))),
        }
    }

    /// Takes its parts out of it.
    fn take_parts(&mut self) -> Vec<Self> {
        match self {
            Self::Test(_) => Vec::new(),
            Self::And(parts) | Self::Or(parts) => mem::take(parts),
            Self::Not(part) => vec![mem::replace(part.as_mut(), Self::all())],
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        let mut left = self.take_parts();
        while let Some(mut part) = left.pop() {
            left.append(&mut part.take_parts());
        }
    }
}

impl Clone for Filter {
    fn clone(&self) -> Self {
        self.fold(Self::with_parts)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.tokens().eq(other.tokens())
    }
}

impl Eq for Filter {}

impl Ord for Filter {
    fn cmp(&self, other: &Self) -> Ordering {
        self.tokens().cmp(other.tokens())
    }
}

impl PartialOrd for Filter {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tokens().for_each(|token| token.hash(state));
    }
}

/// Such as `And(Test { .. }, Not(Or()))`.
impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for token in self.tokens() {
            match token {
                Token::End => f.write_str(")")?,
                Token::Test(test) => write!(f, "{between}{test:?}")?,
                Token::Open(join) => write!(f, "{between}{join:?}(")?,
            }
            between = if matches!(token, Token::Open(_)) { "" } else { ", " };
        }
        Ok(())
    }
}
