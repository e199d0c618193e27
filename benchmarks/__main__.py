"""Command line: `python -m benchmarks [QUESTION ...]`, `python -m benchmarks report`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness.report import DOCUMENT, publish
from benchmarks.harness.result import Options, Result

QUESTIONS = (
    "json_to_table",
    "foreign_json",
    "wide",
    "nested_rows",
    "surprise",
    "kernels",
    "arrow_to_table",
    "memory",
    "file_sizes",
    "many_loads",
    "startup",
)


def main() -> int:
    """Answer the questions; exit code 1 when an answer is wrong."""
    arguments = _parser().parse_args()
    if arguments.questions == ["report"]:
        publish(QUESTIONS)
        print(f"wrote {DOCUMENT}")
        return 0
    unknown = sorted(set(arguments.questions) - set(QUESTIONS))
    if unknown:
        print(
            f"no question named {unknown[0]!r}; there are {', '.join(QUESTIONS)}, and report", file=sys.stderr
        )
        return 2
    options = Options(
        rows=arguments.rows,
        repeat=arguments.repeat,
        competitors=tuple(name for name in arguments.competitors.split(",") if name),
        dlt_rows=arguments.dlt_rows,
        gigabytes=arguments.gigabytes,
        loads=arguments.loads,
    )
    results = [_answer(question, options) for question in arguments.questions or QUESTIONS]
    if arguments.json:
        text = json.dumps([asdict(result) for result in results], indent=1, ensure_ascii=False)
        Path(arguments.json).write_text(text + "\n")
    return int(any(result.failed for result in results))


def _answer(question: str, options: Options) -> Result:
    result: Result = importlib.import_module(f"benchmarks.{question}").run(options)
    result.save()
    for failure in result.failures:
        print(failure, file=sys.stderr)
    print(result.markdown(), flush=True)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "questions", nargs="*", metavar="QUESTION", help=f"{', '.join(QUESTIONS)} (all), or report"
    )
    parser.add_argument("--rows", type=int, help="rows of input (json_to_table, arrow_to_table)")
    parser.add_argument("--repeat", type=int, help="turns; the median counts (3)")
    parser.add_argument("--competitors", default="", help="parts of names, comma-separated (all)")
    parser.add_argument(
        "--dlt-rows", type=int, help="json_to_table: load only so many with dlt and scale its time"
    )
    parser.add_argument("--gigabytes", type=float, help="memory: size of the stream (20)")
    parser.add_argument("--loads", type=int, help="many_loads: number of loads (1000)")
    parser.add_argument("--json", metavar="FILE", help="also write the results as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
