#!/usr/bin/env bash
# Runs the fuzzers, one after the other: fuzz/run.sh [SECONDS_EACH [TARGET...]]
#
# Targets: parser, coder, y4m (libFuzzer with AddressSanitizer; needs g++ and no nightly compiler)
# and decoder (the whole decoder with nano weights, mutations without coverage; needs the .venv).
# Findings are written to fuzz/seeds/TARGET/, which `make test` replays. Corpora grow in fuzz/corpus/.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-1800}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(parser coder y4m decoder)

build() {
    # Instruments the code under test for libFuzzer; sanitizers are still an unstable option.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
-Ccodegen-units=1" \
        cargo build --release --target x86_64-unknown-linux-gnu --bin "$1"
}

for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    if [ "$target" = decoder ]; then
        ../.venv/bin/python decoder.py --seconds "$seconds"
        continue
    fi
    build "$target"
    mkdir -p "corpus/$target"
    "target/x86_64-unknown-linux-gnu/release/$target" "corpus/$target" "seeds/$target" \
        -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
        -malloc_limit_mb=512 -artifact_prefix="seeds/$target/" -print_final_stats=1 \
        -verbosity=1
done
