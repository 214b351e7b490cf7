//! The bound on messages that wait for the loop. A sender takes a slot before it sends, and the slot is
//! free again when the loop has taken the message. A loop that stands still therefore fills no memory: the
//! kernel keeps its events, and reports when it has dropped some.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one thread.
pub(super) struct InboxSlots(Arc<Shared>);

struct Shared {
    free: Mutex<usize>,
    freed: Condvar,
}

impl InboxSlots {
    pub(super) fn new(number: usize) -> InboxSlots {
        InboxSlots(Arc::new(Shared { free: Mutex::new(number), freed: Condvar::new() }))
    }

    /// Waits for a free slot and takes it. When the loop has ended, its messages are dropped and all slots
    /// are free.
    pub(super) fn acquire(&self) -> InboxSlot {
        let free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.0.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        InboxSlot::OfThread(OfThread(Arc::clone(&self.0)))
    }
}

/// The slots of one task.
pub(super) struct TaskSlots(Arc<Semaphore>);

impl TaskSlots {
    pub(super) fn new(number: usize) -> TaskSlots {
        TaskSlots(Arc::new(Semaphore::new(number)))
    }

    pub(super) async fn acquire(&self) -> InboxSlot {
        // The semaphore is never closed, so the error does not occur.
        Arc::clone(&self.0).acquire_owned().await.map_or(InboxSlot::Known, InboxSlot::OfTask)
    }
}

/// A slot that travels with a message until the loop has taken the message.
pub(super) enum InboxSlot {
    /// No slot: the number of messages of this kind is bounded by the requests for them, or is at most one.
    Known,
    OfThread(#[expect(dead_code, reason = "it is held")] OfThread),
    OfTask(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit),
}

pub(super) struct OfThread(Arc<Shared>);

impl Drop for OfThread {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn who_has_filled_his_places_waits_until_the_loop_takes_something() {
        let (inbox, messages) = channel();
        let sender = std::thread::spawn(move || {
            let slots = InboxSlots::new(3);
            (0..10).take_while(|number| inbox.send((*number, slots.acquire())).is_ok()).count()
        });
        let waiting: Vec<(i32, InboxSlot)> = (0..3).map(|_| messages.recv().unwrap()).collect();
        // The fourth message is not sent before one of these is dropped, however long that takes.
        assert!(messages.recv_timeout(Duration::from_millis(50)).is_err());
        drop(waiting);
        assert_eq!(messages.recv().unwrap().0, 3);
        // A loop that has ended drops its messages, and no sender waits for it.
        drop(messages);
        assert!(sender.join().unwrap() < 10);
    }

    #[tokio::test]
    async fn a_task_that_has_filled_its_places_waits_too() {
        let slots = TaskSlots::new(1);
        let first = slots.acquire().await;
        assert!(tokio::time::timeout(Duration::from_millis(20), slots.acquire()).await.is_err());
        drop(first);
        assert!(matches!(slots.acquire().await, InboxSlot::OfTask(_)));
    }
}
