//! What our rules for the engine's plans do alike.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_plan::buffer::BufferExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

/// How far a step may be ahead of the next where both are tasks of their own: some batches of a wide table.
const AHEAD_BYTES: usize = 16 << 20;

/// A step as a task of its own, a few batches ahead of what takes them.
pub(super) fn ahead(step: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(BufferExec::new(step, AHEAD_BYTES))
}

/// The same step over other inputs.
pub(super) fn over(
    plan: &Arc<dyn ExecutionPlan>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    Arc::clone(plan).replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}
