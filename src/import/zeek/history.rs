//! The TCP flags in the history of a connection.

use crate::flow::TcpFlags;

/// The flags that the letters of a history prove, of the originator (upper case) and the responder (lower case).
///
/// Zeek's documentation of `Conn::Info$history` defines the letters. `None` where none of them proves a flag.
pub(super) fn tcp_flags(history: &str) -> Option<TcpFlags> {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    let bits = history.bytes().fold(0, |bits, letter| {
        bits | match letter.to_ascii_lowercase() {
            b's' => SYN,
            b'h' => SYN | ACK,
            // Data comes after the handshake, where every segment carries ACK (RFC 9293, section 3.1).
            b'a' | b'd' => ACK,
            b'f' => FIN,
            b'r' => RST,
            _ => 0,
        }
    });
    (bits != 0).then(|| TcpFlags::new(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_both_sides_add_up() {
        for (history, bits) in [("S", 0x02), ("ShADadFf", 0x13), ("Sr", 0x06), ("^d", 0x10), ("Dd", 0x10), ("F", 0x01)]
        {
            assert_eq!(tcp_flags(history), Some(TcpFlags::new(bits)), "{history}");
        }
    }

    #[test]
    fn a_history_without_flags_proves_nothing() {
        for history in ["", "^", "Cc", "gTw", "-"] {
            assert_eq!(tcp_flags(history), None, "{history}");
        }
    }
}
