"""constriction's ANS coder on the data of the Rust example; prints JSON.

Symbols are grouped by table, one call of a categorical model for each, which is its fast way.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import constriction
import numpy as np
from data import NAMES, Data, best


def main() -> None:
    results = []
    for name in NAMES:
        data = Data(Path(sys.argv[1]), name)
        groups = []
        for index, table in enumerate(data.tables):
            largest = (len(table) - 2) // 2
            symbols = data.symbols[data.indexes == index] + largest
            probabilities = table.astype(np.float32) / 4096
            model = constriction.stream.model.Categorical(probabilities, perfect=False)
            # What the table lacks has its escape.
            groups.append(
                (np.where((symbols < 0) | (symbols > 2 * largest), len(table) - 1, symbols), model)
            )
        groups = [(symbols.astype(np.int32), model) for symbols, model in groups if len(symbols)]

        def encode(groups=groups):
            coder = constriction.stream.stack.AnsCoder()
            for symbols, model in reversed(groups):
                coder.encode_reverse(symbols, model)
            return coder.get_compressed()

        stream = encode()

        def decode(groups=groups, stream=stream):
            coder = constriction.stream.stack.AnsCoder(stream)
            return [coder.decode(model, len(symbols)) for symbols, model in groups]

        for (symbols, _), decoded in zip(groups, decode(), strict=True):
            if not np.array_equal(symbols, decoded):
                raise SystemExit("constriction decodes something else")
        count = len(data.symbols)
        results.append(
            {
                "data": name,
                "coder": "constriction",
                "version": importlib.metadata.version("constriction"),
                "elements": count,
                "coded": count,
                "bytes": 4 * len(stream),
                "encode": count / best(encode) / 1e6,
                "decode": count / best(decode) / 1e6,
            }
        )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
