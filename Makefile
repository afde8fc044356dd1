# Few verbs. `make loom` checks the lock-free types, as they ship, over all interleavings that loom explores.
.PHONY: loom

loom:
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 cargo test --lib --no-default-features --target-dir target/loom sync
