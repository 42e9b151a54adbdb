"""The smallest honest submission to `mri_to_ct`: a fixed map from MR intensity to HU inside the body, air outside of it.

Replace `predict`; keep the rest. One case lies in /input, its result goes to /output:

    /input/images/mri/<case>.mha                  the MR image
    /input/images/body/<case>.mha                 1 inside the body, 0 outside
    /input/region.json                            such as "brain"
    /output/images/synthetic-ct/<case>.mha        the result, in HU, on the grid of the MR image
"""

from __future__ import annotations

import argparse
import http.server
import os
import signal
import sys
import traceback
from pathlib import Path

import numpy as np
import SimpleITK as sitk

AIR = -1000.0
INTENSITY = [0.0, 0.14, 0.18, 0.35, 0.80, 1.10]
"""MR intensity as a fraction of the 95th percentile inside the body. A model with weights loads them here, once."""
HOUNSFIELD = [-900.0, -850.0, 200.0, 45.0, 30.0, -60.0]
"""The HU that each of them stands for: air, bone, soft tissue and fat. Read off the train split of the phantoms."""


def predict(mri: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Synthetic CT in HU, float32 (z, y, x), from an MR image and a mask on the same grid."""
    inside = body > 0
    top = np.percentile(mri[inside], 95) if inside.any() else 1.0
    hu = np.interp(mri / max(float(top), 1e-6), INTENSITY, HOUNSFIELD)
    return np.where(inside, hu, AIR).astype(np.float32)


def run_case(source: Path, target: Path) -> None:
    """Read the one case below `source`, write its result below `target`."""
    mri_path = only_file(source / "images/mri")
    mri = sitk.ReadImage(mri_path)
    body = sitk.ReadImage(only_file(source / "images/body"))
    hu = predict(sitk.GetArrayFromImage(mri).astype(np.float32), sitk.GetArrayFromImage(body))
    result = sitk.GetImageFromArray(hu)
    result.CopyInformation(mri)  # size, spacing, origin and direction must be those of the input
    folder = target / "images/synthetic-ct"
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(result, folder / mri_path.name, useCompression=True)
    print(f"{mri_path.name}: {hu.shape}, {hu.min():.0f} to {hu.max():.0f} HU", flush=True)


def only_file(folder: Path) -> Path:
    """The one image in a folder: its name is the case's, which differs from case to case."""
    (path,) = folder.glob("*.mha")
    return path


def serve(source: Path, target: Path, port: int) -> None:
    """Invoke mode: `GET /health` answers 200 once the model is loaded, `POST /invoke` runs a case and answers 201."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200 if self.path == "/health" else 404)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                run_case(source, target)
                self.answer(201)
            except Exception:
                traceback.print_exc()
                self.answer(500)

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """One line a request would hide what the model prints."""

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    http.server.HTTPServer(("0.0.0.0", port), Handler).serve_forever()


def main() -> None:
    """What the container runs; the options are for trying it without one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, default=Path("/input"))
    parser.add_argument("--output", type=Path, default=Path("/output"))
    parser.add_argument("--mode", choices=("exec", "invoke"), default=os.environ.get("MODE", "exec"))
    parser.add_argument("--port", type=int, default=4743)
    options = parser.parse_args()
    if options.mode == "invoke":
        serve(options.input, options.output, options.port)
    else:
        run_case(options.input, options.output)


if __name__ == "__main__":
    sys.exit(main())
