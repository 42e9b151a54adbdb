"""Task declarations: the shipped ones are sound, and a broken one is named by file, key and expectation."""

from pathlib import Path

import pytest

from benchmark import tasks
from benchmark.errors import DataError, UsageError
from tests.conftest import TOY_TOML, write_toy


def test_shipped_tasks_load() -> None:
    names = {folder.task.name for folder in tasks.load_all()}
    assert {"mri_to_ct", "denoising"} <= names


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "Toy"\n', "", ["title", "missing"]),
        ("seconds = 20", "seconds = -1", ["limits.seconds", "-1", "greater than 0"]),
        ("seconds = 20", "secs = 20", ["limits.secs", "not known"]),
        (
            'kind = "image"\npath = "images/noisy"',
            'kind = "movie"\npath = "images/noisy"',
            ["inputs.0.kind", "movie", "'image'"],
        ),
        ('path = "images/noisy"', 'path = "../noisy"', ["inputs.0.path", "relative path"]),
        ('prediction = "clean"', 'prediction = "cleen"', ["scoring.prediction", "cleen", "clean"]),
        ('metrics = ["mae", "psnr"]', 'metrics = ["mae", "sssim"]', ["ranking.metrics", "sssim", "psnr"]),
        ('name = "psnr"', 'name = "pnsr"', ["metrics", "pnsr", "psnr"]),
        ('profile = "synthrad2023"', 'profil = "synthrad2023"', ["profil", "profile"]),
        ('name = "toy"', 'name = "other"', ["name", "other", "toy"]),
        ('mask = "mask"', 'mask = "body"', ["scoring.mask", "body", "mask"]),
        ("[limits]", "[limits", ["not TOML"]),
    ],
)
def test_a_broken_declaration_names_file_key_and_expectation(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    write_toy(tmp_path)
    path = tmp_path / "toy" / "task.toml"
    text = TOY_TOML.format(name="toy")
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        tasks.read(path)
    message = str(caught.value)
    for word in ["task.toml", *words]:
        assert word in message, message


def test_unknown_task_gives_the_names() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'denoising'.*mri_to_ct"):
        tasks.find("denoisin")


def test_a_task_folder_from_elsewhere_loads_its_data(toy_tasks: Path) -> None:
    folder = tasks.find("toy", [toy_tasks])
    assert len(folder.maker("phantom")().cases) == 10
    with pytest.raises(UsageError, match="no sample edition"):
        folder.maker("sample")


def test_two_folders_of_one_name_are_two_tasks(toy_tasks: Path, tmp_path: Path) -> None:
    write_toy(tmp_path)
    data = tmp_path / "toy/data.py"
    data.write_text(data.read_text().replace('["test"] * 5', '["test"] * 9'))
    counts = [len(tasks.find("toy", [root]).maker("phantom")().cases) for root in (toy_tasks, tmp_path)]
    assert counts == [10, 14]


def test_missing_task_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        tasks.find("toy", [tmp_path / "nowhere"])
