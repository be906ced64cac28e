# make demo: a short real clip there and back, with sizes and quality.
# make test: everything that a change must pass.
# make test-arm: the native core's tests for 64-bit Arm, cross-compiled, under an emulator.
# make test-wasm: the decoder as WebAssembly, built and run under node.
# make sanitize: the native core's tests under AddressSanitizer, at each level of instructions.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
USABLE := $(VENV)/.usable

NATIVE := Cargo.toml Cargo.lock pyproject.toml \
	$(shell find rust -name '*.rs' -o -name Cargo.toml)

.PHONY: demo test lint test-rust test-python test-arm test-wasm sanitize clean

demo: $(USABLE)
	$(BIN)/python examples/demo.py

test: lint test-rust test-python

lint: $(INSTALLED)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check python tests examples
	$(BIN)/mypy
	$(BIN)/lint-imports

test-rust:
	cargo test --workspace -- --show-output

# One process a core, at most four (each takes up to 2 GB), with a thread each; files stay whole, as their tests share
# what is dear to make.
test-python: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# The toolchain must have the target. Another linker or emulator is named by cargo's own variables.
ARM := aarch64-unknown-linux-gnu
test-arm: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER ?= aarch64-linux-gnu-gcc
test-arm: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER ?= \
	qemu-aarch64 -L /usr/aarch64-linux-gnu
test-arm:
	for level in scalar neon; do \
		UI2C_CPU=$$level cargo test -p ui2c-core --lib --tests --target $(ARM) || exit 1; \
	done

# The toolchain must have the target, and node be there.
WASM := wasm32-unknown-unknown
test-wasm:
	cargo build --release -p ui2c-wasm --target $(WASM) --target-dir target
	UI2C_WASM=target/$(WASM)/release/ui2c.wasm node --test rust/wasm/tests/decode.test.mjs

# Sanitizers are still an unstable option, but their runtimes come with the stable compiler. The
# target must be named so that build scripts are left out; documentation tests are, too.
sanitize:
	for level in scalar avx2 avx512; do \
		UI2C_CPU=$$level RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p ui2c-core \
			--lib --tests --target x86_64-unknown-linux-gnu --target-dir target/sanitize || exit 1; \
	done

# The extension module is built in place; the stamp is older than any Rust source that changed.
$(INSTALLED): $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,video]'
	touch $@

# What users need, without PyTorch and the tools of development.
$(USABLE): $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[video]'
	touch $@

clean:
	rm -rf $(VENV) target
