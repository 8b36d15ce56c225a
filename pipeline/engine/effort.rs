//! What a task took besides time: the most memory that the engine accounted for, and what it spilled.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::physical_plan::ExecutionPlan;

/// What one task took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// The most that sorts, joins and aggregates held at a time.
    pub peak_memory_bytes: u64,
    pub spilled_bytes: u64,
    pub spills: u64,
}

impl Effort {
    /// Adds what a plan's operators, all the way down, have spilled.
    pub(super) fn add_spills(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(metrics) = plan.metrics() {
            self.spilled_bytes += metrics.spilled_bytes().unwrap_or(0) as u64;
            self.spills += metrics.spill_count().unwrap_or(0) as u64;
        }
        plan.children().into_iter().for_each(|child| self.add_spills(child));
    }
}

/// A greedy pool that remembers its high-water mark. Tasks whose effort is told run one at a time, so the mark is that task's; checks,
/// of which several run side by side, tell none.
#[derive(Debug)]
pub(super) struct MarkedPool {
    inner: GreedyMemoryPool,
    peak: AtomicUsize,
}

impl MarkedPool {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { inner: GreedyMemoryPool::new(limit_bytes), peak: AtomicUsize::new(0) }
    }

    /// Begins a new mark.
    pub(super) fn reset(&self) {
        self.peak.store(self.inner.reserved(), Ordering::Relaxed);
    }

    pub(super) fn peak_bytes(&self) -> u64 {
        self.peak.load(Ordering::Relaxed) as u64
    }

    fn mark(&self) {
        self.peak.fetch_max(self.inner.reserved(), Ordering::Relaxed);
    }
}

impl fmt::Display for MarkedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl MemoryPool for MarkedPool {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.inner.grow(reservation, additional);
        self.mark();
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.inner.try_grow(reservation, additional)?;
        self.mark();
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.inner.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.inner.memory_limit()
    }
}
