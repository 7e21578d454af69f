//! Files of version 1 are read for ever.
