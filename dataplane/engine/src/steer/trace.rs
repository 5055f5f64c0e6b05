//! What a decision tells about itself while it is made. The packet path passes `NoTrace`, which the compiler removes; `explain` records.

/// Receives the steps of a decision.
pub trait Trace {}

/// Listens to nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoTrace;

impl Trace for NoTrace {}
