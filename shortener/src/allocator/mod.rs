//! The allocator: keeps ready codes at hand, so that a request takes one without waiting for anybody.
