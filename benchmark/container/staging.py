"""Laying out a case for a container: a copy of what it may see, in the file format that it asked for, which it can read and not change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from benchmark import image

InputFormat = Literal["mha", "nifti"]
"""How volumes lie below /input: `<case>.mha`, as editions hold them, or `<case>.nii.gz`, as SynthRAD 2023 handed them out."""

SUFFIXES: dict[InputFormat, str] = {"mha": ".mha", "nifti": ".nii.gz"}
"""End of a volume's file name by format."""


def stage(inputs: Path, target: Path, form: InputFormat = "mha") -> None:
    """Fill the folder `target`, which stays the same folder, with the case in `inputs`, and nothing that was there before.

    With `nifti` each `.mha` becomes a `.nii.gz` of the same name, voxels and type; its grid is the same but for the single precision
    in which NIfTI holds it (below 0.0001 mm). Whatever the edition's own permissions are, the container's user reads and does not write.
    """
    for entry in target.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shutil.copytree(inputs, target, dirs_exist_ok=True)
    if form == "nifti":
        for path in sorted(target.rglob(f"*{SUFFIXES['mha']}")):
            image.write(path.with_name(f"{path.stem}{SUFFIXES[form]}"), image.read(path))
            path.unlink()
    target.chmod(0o755)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
