# The few verbs of the house. Everything else is cargo's.

.PHONY: run test lib senders loom fuzz bench peers packages

# The server, on 127.0.0.1:9480, with its rows in ./tidegate-data.
run:
	cargo run --release --locked -- serve

# Every test that a machine can run in some minutes. Installs what Debian packages it lacks, when it may.
test: packages
	cargo test --locked --features capi
	$(MAKE) loom

packages:
	@tests/packages.sh

# The C libraries and their headers, as files in include/ and lib/ of LIB_DIRECTORY, beside whatever is there.
LIB_DIRECTORY ?= target/c
lib:
	bindings/c/build.sh "$(LIB_DIRECTORY)"

# Further real clients, from Debian and PyPI, each sending known rows that are compared. Needs the network.
senders:
	tests/senders/run.sh

# The lock-free types of src/sync under every interleaving of their threads. Built apart: the flag changes every crate.
loom:
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 \
		cargo test --locked --lib --no-default-features --target-dir target/loom -- sync

# Coverage-guided fuzzing of every decoder, FUZZ_SECONDS each.
FUZZ_SECONDS ?= 600
fuzz:
	fuzz/run.sh $(FUZZ_SECONDS)

# Nanoseconds per sample of each stage, outputs verified first.
bench:
	cargo bench --locked

# Beside other servers on this machine, from Debian's packages.
peers:
	benches/peers/run.sh
