//! A vector whose copies share what they have in common: a radix tree of blocks of 64. Copying it copies one pointer; changing an element of a
//! copy copies the blocks on the way to it, once, and from then on changes in place. Reading is a few loads and no lock.

use std::sync::Arc;

/// Elements or blocks in a block. Wide enough that a million names need three levels, narrow enough that copying one costs about a microsecond.
const WIDTH: usize = 64;
const BITS: u32 = 6;

/// A persistent vector. `T::default()` fills what is allocated and not used.
#[derive(Debug, Clone)]
pub struct SharedVec<T> {
    root: Block<T>,
    length: usize,
    /// Bits to shift an index by for the root's slot.
    shift: u32,
}

#[derive(Debug, Clone, Default)]
enum Block<T> {
    #[default]
    Empty,
    Items(Arc<[T]>),
    Blocks(Arc<[Block<T>]>),
}

impl<T: Clone + Default> SharedVec<T> {
    /// Without elements, without memory.
    pub fn new() -> Self {
        Self { root: Block::Empty, length: 0, shift: 0 }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.length
    }

    /// The element at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        let mut block = &self.root;
        let mut shift = self.shift;
        loop {
            match block {
                Block::Blocks(blocks) => block = blocks.get(slot(index, shift))?,
                Block::Items(items) => return items.get(slot(index, 0)),
                Block::Empty => return None,
            }
            shift = shift.wrapping_sub(BITS);
        }
    }

    /// The element at `index`, to be changed; blocks shared with other copies are copied first.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.length {
            return None;
        }
        self.root.reach(index, self.shift)
    }

    /// Appends an element.
    pub fn push(&mut self, value: T) {
        let index = self.length;
        if index.checked_shr(self.shift.wrapping_add(BITS)).unwrap_or(0) > 0 {
            let old = std::mem::take(&mut self.root);
            self.root = Block::Blocks(Arc::from([old]));
            self.shift = self.shift.wrapping_add(BITS);
        }
        if let Some(element) = self.root.reach(index, self.shift) {
            *element = value;
            self.length = self.length.wrapping_add(1);
        }
    }

    /// Takes the last element off. Blocks are kept for the next growth.
    pub fn pop(&mut self) -> Option<T> {
        let last = self.length.checked_sub(1)?;
        let value = std::mem::take(self.get_mut(last)?);
        self.length = last;
        Some(value)
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.length).filter_map(|index| self.get(index))
    }
}

impl<T: Clone + Default> Block<T> {
    /// The element at `index` below this block, which grows to hold it.
    fn reach(&mut self, index: usize, shift: u32) -> Option<&mut T> {
        let at = slot(index, shift);
        if shift == 0 {
            if !matches!(self, Self::Items(_)) {
                *self = Self::Items(Arc::from([]));
            }
            let Self::Items(items) = self else { return None };
            grow_to_hold(items, at);
            return Arc::make_mut(items).get_mut(at);
        }
        if !matches!(self, Self::Blocks(_)) {
            *self = Self::Blocks(Arc::from([]));
        }
        let Self::Blocks(blocks) = self else { return None };
        grow_to_hold(blocks, at);
        Arc::make_mut(blocks).get_mut(at)?.reach(index, shift.wrapping_sub(BITS))
    }
}

/// Doubles the slice until `at` lies in it, so that a zone of a handful of names pays for one bucket and not for 64.
fn grow_to_hold<T: Clone + Default>(slice: &mut Arc<[T]>, at: usize) {
    if at < slice.len() {
        return;
    }
    let wanted = at.wrapping_add(1).next_power_of_two().min(WIDTH);
    let missing = wanted.saturating_sub(slice.len());
    let grown: Vec<T> = slice.iter().cloned().chain(std::iter::repeat_with(T::default).take(missing)).collect();
    *slice = Arc::from(grown);
}

#[inline]
fn slot(index: usize, shift: u32) -> usize {
    index.checked_shr(shift).unwrap_or(0) & WIDTH.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_keep_what_they_had() {
        let mut old = SharedVec::new();
        for value in 0..10_000_u32 {
            old.push(value);
        }
        let mut new = old.clone();
        *new.get_mut(5_000).unwrap() = 7;
        new.push(1);
        assert_eq!(new.pop(), Some(1));
        assert_eq!(new.pop(), Some(9_999));
        assert_eq!((old.get(5_000), new.get(5_000)), (Some(&5_000), Some(&7)));
        assert_eq!((old.len(), new.len()), (10_000, 9_999));
        assert!(old.iter().copied().eq(0..10_000));
        assert_eq!(new.get_mut(9_999), None);
    }

    #[test]
    fn grows_through_every_height() {
        let mut vector = SharedVec::new();
        for value in 0..300_000_u32 {
            vector.push(value);
        }
        assert!((0..300_000_usize).step_by(997).all(|index| vector.get(index).map(|&value| value as usize) == Some(index)));
    }
}
