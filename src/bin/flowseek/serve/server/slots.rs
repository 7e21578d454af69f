//! The connections that there are, and which of them makes room for another.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{activity::Activity, limits::Connections};

/// A number of slots, each for one connection.
#[derive(Debug)]
pub struct Slots {
    connections: Connections,
    state: Mutex<State>,
    someone_left: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    taken: BTreeMap<u64, Taken>,
}

#[derive(Debug)]
struct Taken {
    client: IpAddr,
    activity: Arc<Activity>,
    leave: Arc<Notify>,
}

/// The slot of one connection, given up where this is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    number: u64,
    activity: Arc<Activity>,
    leave: Arc<Notify>,
}

impl Slots {
    /// As many as the limits say, and at least one.
    pub fn new(connections: Connections) -> Self {
        Self { connections, state: Mutex::default(), someone_left: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a client at `address`.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Slot {
        let activity = Arc::new(Activity::new(self.connections));
        let leave = Arc::new(Notify::new());
        let taken = Taken { client: network(address), activity: Arc::clone(&activity), leave: Arc::clone(&leave) };
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.taken.insert(number, taken);
        Slot { slots: Arc::clone(self), number, activity, leave }
    }

    /// Waits until there is a free slot, and has an idle connection leave for that.
    pub async fn free_one(&self) {
        loop {
            let someone_left = self.someone_left.notified();
            if self.state().taken.len() < self.connections.most.max(1) || self.evict() {
                return;
            }
            someone_left.await;
        }
    }

    /// Tells an idle connection to leave: of the client that has most of them, the one that has been idle longest. So a
    /// client with many connections takes none from another. The slot is free at once. False where no connection is idle.
    pub fn evict(&self) -> bool {
        let mut state = self.state();
        let mut connections: HashMap<IpAddr, usize> = HashMap::new();
        for taken in state.taken.values() {
            *connections.entry(taken.client).or_default() += 1;
        }
        let idle = state.taken.iter().filter_map(|(number, taken)| {
            let of_client = connections.get(&taken.client).copied().unwrap_or_default();
            Some((of_client, Reverse(taken.activity.idle_since()?), *number))
        });
        let leaves = idle.max().and_then(|(_, _, number)| state.taken.remove(&number));
        leaves.map(|taken| taken.leave.notify_one()).is_some()
    }
}

/// What tells clients apart: an address, or the 64 bits of IPv6 within which a client may choose its address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

impl Slot {
    /// What its connection is doing.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Waits until the connection is to leave.
    pub async fn evicted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.state().taken.remove(&self.number);
        self.slots.someone_left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::Version;
    use futures::FutureExt;

    use super::*;

    fn slots(most: usize) -> Arc<Slots> {
        let time = Duration::from_secs(60);
        Arc::new(Slots::new(Connections { most, head_time: time, stall_time: time, grace: time }))
    }

    fn leaves<const N: usize>(slots: &[Slot; N]) -> [bool; N] {
        slots.each_ref().map(|slot| slot.evicted().now_or_never().is_some())
    }

    #[tokio::test]
    async fn the_longest_idle_leaves_and_those_that_work_stay() {
        let all = slots(3);
        let [one, two, three] = [(); 3].map(|()| all.take("10.0.0.1".parse().unwrap()));
        let working = one.activity().begin(Version::HTTP_11);
        working.work();
        std::thread::sleep(Duration::from_millis(2));
        two.activity().read();
        let of_all = [one, two, three];
        all.free_one().await;
        assert_eq!(leaves(&of_all), [false, false, true]);
        assert!(all.evict());
        assert_eq!(leaves(&of_all), [false, true, false]);
        assert!(!all.evict());
        drop(working);
        assert!(all.evict());
        assert!(all.state().taken.is_empty());
    }

    #[tokio::test]
    async fn the_client_with_most_connections_makes_room() {
        let all = slots(4);
        // Two addresses within 64 bits are one client.
        let addresses = ["10.0.0.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"];
        let of_all = addresses.map(|address| all.take(address.parse().unwrap()));
        std::thread::sleep(Duration::from_millis(2));
        of_all[1].activity().read();
        std::thread::sleep(Duration::from_millis(2));
        of_all[2].activity().read();
        all.free_one().await;
        assert_eq!(leaves(&of_all), [false, true, false, false]);
    }

    #[tokio::test]
    async fn where_all_work_one_has_to_leave_by_itself() {
        let all = slots(1);
        let slot = all.take("10.0.0.1".parse().unwrap());
        slot.activity().begin(Version::HTTP_2).work();
        let working = slot.activity().begin(Version::HTTP_2);
        working.work();
        let waiting = tokio::spawn({
            let all = Arc::clone(&all);
            async move { all.free_one().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(slot);
        waiting.await.unwrap();
    }
}
