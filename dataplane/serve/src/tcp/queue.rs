//! Connections in the order in which they last did something useful: a list through their slots, each step O(1).

use std::time::Instant;

#[derive(Debug, Clone, Copy)]
struct Link {
    previous: Option<usize>,
    next: Option<usize>,
    since: Instant,
}

/// The oldest in front.
#[derive(Debug, Default)]
pub struct IdleQueue {
    links: Vec<Option<Link>>,
    front: Option<usize>,
    back: Option<usize>,
    length: usize,
}

impl IdleQueue {
    /// Puts a slot that is not in the queue at its end.
    pub fn push(&mut self, slot: usize, now: Instant) {
        if self.links.len() <= slot {
            self.links.resize(slot + 1, None);
        }
        self.links[slot] = Some(Link { previous: self.back, next: None, since: now });
        match self.back {
            Some(back) => self.link_mut(back).next = Some(slot),
            None => self.front = Some(slot),
        }
        self.back = Some(slot);
        self.length += 1;
    }

    /// Takes a slot out; nothing happens when it is not in.
    pub fn remove(&mut self, slot: usize) {
        let Some(link) = self.links.get_mut(slot).and_then(Option::take) else { return };
        match link.previous {
            Some(previous) => self.link_mut(previous).next = link.next,
            None => self.front = link.next,
        }
        match link.next {
            Some(next) => self.link_mut(next).previous = link.previous,
            None => self.back = link.previous,
        }
        self.length -= 1;
    }

    /// Moves a slot to the end.
    pub fn touch(&mut self, slot: usize, now: Instant) {
        self.remove(slot);
        self.push(slot, now);
    }

    /// The slot that has been idle longest, and since when.
    pub fn oldest(&self) -> Option<(usize, Instant)> {
        let slot = self.front?;
        Some((slot, self.links[slot]?.since))
    }

    /// All slots, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        std::iter::successors(self.front, |slot| self.links[*slot].and_then(|link| link.next))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.length
    }

    fn link_mut(&mut self, slot: usize) -> &mut Link {
        self.links[slot].as_mut().expect("neighbours are in the queue: push and remove keep both ends of every link")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_stand_in_the_order_of_their_last_touch() {
        let now = Instant::now();
        let mut queue = IdleQueue::default();
        for slot in [4, 0, 2, 7] {
            queue.push(slot, now);
        }
        let order = |queue: &IdleQueue| queue.iter().collect::<Vec<_>>();
        queue.touch(4, now);
        assert_eq!(order(&queue), [0, 2, 7, 4]);
        queue.remove(2);
        queue.remove(2);
        assert_eq!(order(&queue), [0, 7, 4]);
        queue.remove(0);
        queue.remove(4);
        assert_eq!((order(&queue), queue.len(), queue.oldest().map(|(slot, _)| slot)), (vec![7], 1, Some(7)));
        queue.touch(7, now);
        queue.remove(7);
        assert_eq!((order(&queue), queue.len(), queue.oldest()), (vec![], 0, None));
        queue.push(1, now);
        assert_eq!(order(&queue), [1]);
    }
}
