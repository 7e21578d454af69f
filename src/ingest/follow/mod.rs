//! Inputs that grow: streams, and files while they are written.

mod delivery;
mod event;
mod feed;
mod follower;
mod head;
mod listed;
mod stream;
mod text;

pub use event::FollowEvent;
pub use follower::Follower;
