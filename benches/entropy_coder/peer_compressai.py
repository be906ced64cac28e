"""CompressAI's `ans` on the data of the Rust example; prints JSON."""

import importlib.machinery
import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

from data import NAMES, Data, best

SCALE = 16
"""CompressAI's tables have 16 bits, ours 12."""


def load_ans():
    """The extension without the package around it, which would need PyTorch."""
    for file in importlib.metadata.files("compressai") or ():
        if file.name.startswith("ans.") and file.suffix == ".so":
            loader = importlib.machinery.ExtensionFileLoader("ans", str(file.locate()))
            module = importlib.util.module_from_spec(importlib.util.spec_from_loader("ans", loader))
            loader.exec_module(module)
            return module
    raise SystemExit("no ans in compressai")


def main() -> None:
    ans = load_ans()
    results = []
    for name in NAMES:
        data = Data(Path(sys.argv[1]), name)
        cdfs, sizes, offsets = [], [], []
        for table in data.tables:
            cdf = [0]
            for frequency in table:
                cdf.append(cdf[-1] + int(frequency) * SCALE)
            cdfs.append(cdf)
            sizes.append(len(cdf))
            offsets.append(-((len(table) - 2) // 2))
        symbols, indexes = data.symbols.tolist(), data.indexes.tolist()
        encoder, decoder = ans.RansEncoder(), ans.RansDecoder()
        arguments = (indexes, cdfs, sizes, offsets)
        stream = encoder.encode_with_indexes(symbols, *arguments)
        if decoder.decode_with_indexes(stream, *arguments) != symbols:
            raise SystemExit("CompressAI decodes something else")
        encode = best(encoder.encode_with_indexes, symbols, *arguments)
        decode = best(decoder.decode_with_indexes, stream, *arguments)
        results.append(
            {
                "data": name,
                "coder": "CompressAI",
                "version": importlib.metadata.version("compressai"),
                "elements": len(symbols),
                "coded": len(symbols),
                "bytes": len(stream),
                "encode": len(symbols) / encode / 1e6,
                "decode": len(symbols) / decode / 1e6,
            }
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
