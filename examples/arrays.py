"""A clip as a NumPy array, coded and back.

python examples/arrays.py
"""

import numpy as np
import ui2c


def main() -> None:
    # Any uint8 array [frames, height, width, 3]; here a pattern that drifts.
    t, y, x, c = np.mgrid[0:8, 0:64, 0:96, 0:3]
    clip = (127.5 + 120 * np.sin((x + 2 * t) * 0.1 + c) * np.cos(y * 0.08)).astype(np.uint8)

    data = ui2c.Encoder(qp=20, fps=25).encode(clip)
    again = ui2c.Decoder(output="rgb").decode(data)

    error = np.abs(again.astype(int) - clip).mean()
    print(f"{clip.nbytes} bytes of RGB in {len(data)}, mean error {error:.2f} of 255")


if __name__ == "__main__":
    main()
