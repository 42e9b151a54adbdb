"""What a baseline's container runs: one case (`exec`) or a warm server (`serve`), with Grand Challenge's folders.

python -m baselines.entry --baseline unet --task mri_to_ct exec  --input /input --output /output
python -m baselines.entry --baseline unet --task mri_to_ct serve --host 127.0.0.1 --port 4743
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from baselines import catalogue, prediction
from baselines.catalogue import Baseline
from benchmark import tasks
from benchmark.contract import Task
from benchmark.errors import RadbenchError, UsageError

EXTRAS = "RADBENCH_EXTRAS"
"""Set to 1, it makes a baseline write its extra maps (the VAE's uncertainty) beside the one output."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status. Errors that a person can act on are one line on standard error."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    try:
        if not options.baseline:
            raise UsageError(
                "unknown_name", "no baseline was named", action="Give --baseline or set RADBENCH_BASELINE."
            )
        if options.command == "exec":
            task = options.task or task_of(options.input, options.baseline)
            runner(options.baseline, [task], options.threads, options.device, options.weights)(
                options.input, options.output
            )
            return 0
        from baselines import server  # only the server needs http

        names = [options.task] if options.task else tasks_with(options.baseline)
        run = runner(options.baseline, names, options.threads, options.device, options.weights)
        call = partial(run, options.input, options.output)
        server.serve(call, options.host, options.port, while_stdin=options.while_stdin)
        return 0
    except RadbenchError as error:
        print(f"{error.code}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    except Exception:
        traceback.print_exc()
        return 1


def runner(
    name: str, names: Sequence[str], threads: int, device: str, weights: Path | None = None
) -> Callable[[Path, Path], None]:
    """Load one baseline for these tasks; the result runs the case below its first argument into its second.

    With several tasks, `inputs.json` of the case decides. Raises what `catalogue.find` and `prediction.load` raise.
    """
    loaded: dict[str, tuple[Task, Baseline, prediction.Predictor]] = {}
    for task in names:
        baseline = catalogue.find(task, name)
        if weights is not None:
            baseline = baseline.with_weights(weights)
        declared = tasks.find(task, check_metrics=False).task
        loaded[task] = (declared, baseline, prediction.load(baseline, threads=threads, device=device))

    def run(source: Path, target: Path) -> None:
        key = names[0] if len(names) == 1 else task_of(source, name)
        task, baseline, predictor = loaded[key]
        extras = os.environ.get(EXTRAS) == "1"
        prediction.run_case(predictor, baseline, task, source, target, extras=extras)

    return run


def tasks_with(baseline: str) -> list[str]:
    """Names of the tasks that have a baseline of this name. Raises `UsageError('unknown_name')` when none has."""
    present = {folder.name: {b.name for b in catalogue.baselines(folder.name)} for folder in tasks.folders()}
    names = [task for task, found in present.items() if baseline in found]
    if not names:
        every = sorted(set().union(*present.values()))
        raise UsageError("unknown_name", f"there is no baseline {baseline!r}", expected=f"one of {', '.join(every)}")
    return names


def task_of(source: Path, baseline: str) -> str:
    """The task whose input sockets are those that `inputs.json` below `source` lists.

    Raises `UsageError`: `path` when the file cannot be read, `unknown_name` when no task of this baseline fits.
    """
    path = source / "inputs.json"
    try:
        slugs = {item["interface"]["slug"] for item in json.loads(path.read_text("utf-8"))}
    except (OSError, ValueError, TypeError, KeyError):
        raise UsageError(
            "path",
            f"{path} cannot be read",
            expected="the list of input sockets",
            action="Name the task with --task or RADBENCH_TASK.",
        ) from None
    names = tasks_with(baseline)
    declared = [tasks.find(name, check_metrics=False).task for name in names]
    fitting = [
        task.name
        for task in declared
        if {s.slug for s in task.inputs if not s.optional} <= slugs <= {s.slug for s in task.inputs}
    ]
    if len(fitting) != 1:
        raise UsageError(
            "unknown_name",
            f"inputs {', '.join(sorted(slugs))} belong to {len(fitting)} tasks",
            expected=f"those of one of {', '.join(names)}",
            action="Name the task with --task or RADBENCH_TASK.",
        )
    return fitting[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m baselines.entry", description=str(__doc__).splitlines()[0])
    environment = os.environ.get
    parser.add_argument("--baseline", default=environment("RADBENCH_BASELINE"), help="name, such as unet")
    parser.add_argument("--task", default=environment("RADBENCH_TASK"), help="task; by default from inputs.json")
    parser.add_argument("--threads", type=int, default=1, help="processor threads")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where networks run")
    parser.add_argument("--weights", type=Path, help="weights other than the ones that come with the baseline")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("exec", "run one case"), ("serve", "answer GET /health and POST /invoke")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--input", type=Path, default=Path("/input"))
        command.add_argument("--output", type=Path, default=Path("/output"))
        if name == "serve":
            command.add_argument("--while-stdin", action="store_true", help="end when standard input closes")
            command.add_argument("--host", default="127.0.0.1")
            command.add_argument("--port", type=int, default=4743, help="0 chooses a free one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
