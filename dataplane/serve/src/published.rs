//! The one pointer through which the world is published: the adopter swaps it, workers notice by a number.
//!
//! A worker compares the generation after it has received a batch and before its first answer, and clones the `Arc` under the mutex only when the number
//! has changed. What is queried after an acknowledgement is therefore answered from the new view, a batch never mixes two, and the usual case
//! reads one shared word that nobody writes. (A crate that swaps `Arc`s without a lock would save nothing here.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use geodns_engine::view::View;

/// What is in force.
#[derive(Debug)]
pub struct Published {
    generation: AtomicU64,
    view: Mutex<Arc<View>>,
}

impl Published {
    /// Publishes the first view.
    pub fn new(view: Arc<View>) -> Self {
        Self { generation: AtomicU64::new(0), view: Mutex::new(view) }
    }

    /// Puts `view` in force and returns the one before.
    pub fn swap(&self, view: Arc<View>) -> Arc<View> {
        let mut current = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, view);
        // Inside the lock, so that whoever sees the number and takes the lock gets this view or a later one.
        self.generation.fetch_add(1, Ordering::SeqCst);
        before
    }

    fn current(&self) -> (u64, Arc<View>) {
        let view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        (self.generation.load(Ordering::SeqCst), Arc::clone(&view))
    }
}

/// One worker's hold on a view.
#[derive(Debug)]
pub struct Subscription {
    published: Arc<Published>,
    generation: u64,
    view: Arc<View>,
}

impl Subscription {
    /// Begins with what is in force.
    pub fn new(published: Arc<Published>) -> Self {
        let (generation, view) = published.current();
        Self { published, generation, view }
    }

    /// Takes what is in force now; true when it is another view than before. To be called between receiving and answering.
    pub fn refresh(&mut self) -> bool {
        let is_other = self.published.generation.load(Ordering::SeqCst) != self.generation;
        if is_other {
            (self.generation, self.view) = self.published.current();
        }
        is_other
    }

    /// The view that was in force at the last `refresh`.
    pub fn view(&self) -> &View {
        &self.view
    }
}
