"""The command `mri2pet`: exit 0 done, 2 the user's mistake, 1 a failure of ours."""

from __future__ import annotations

import argparse
import errno
import sys
import time
from collections.abc import Sequence

from mri2pet.commands import phantom, prepare, reproduce, synthesize

EXIT_OK, EXIT_OURS, EXIT_USER = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run_command(options) or EXIT_OK
    except OSError as error:
        if error.errno == errno.ENOSPC:
            text = f"the disk is full ({error.filename or 'while writing'}); "
            return _say(text + "free some space and run it again: nothing is lost")
        return _say(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    except ModuleNotFoundError as error:
        return _say(
            f"the library {error.name!r} is not installed; "
            "`pip install mri2pet[book]` brings all of them"
        )
    except ValueError as error:
        return _say(str(error))
    except KeyboardInterrupt:
        return _say("stopped; run it again to go on from there", EXIT_OURS)
    except RuntimeError as error:
        return _say(str(error), EXIT_OURS)


def _say(text: str, status: int = EXIT_USER) -> int:
    print("mri2pet: " + text.strip().replace("\n", "\n  "), file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mri2pet",
        description="MRI-to-PET synthesis, its controls, and the book about them.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, function, text, example):
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run_command=function)
        return command

    reproduce.add_options(
        add("reproduce", reproduce.run, reproduce.TEXT, reproduce.EXAMPLES)
    )

    c = add(
        "stage",
        _stage,
        "Run one kind of stage of a run (and what it needs).",
        "mri2pet stage pretrain --run runs/tutorial",
    )
    c.add_argument(
        "name",
        help="cohort, style, pretrain, finetune, sample, evaluate, chance, curves, "
        "clinical, agreement",
    )
    c.add_argument("--run", required=True, help="run directory")
    c.add_argument("--profile", default=None, help="needed when the directory is new")
    c.add_argument(
        "--finished",
        action="store_true",
        help="train nothing; leave out the rows that are not trained yet",
    )

    phantom.add_options(add("phantom", phantom.run, phantom.TEXT, phantom.EXAMPLES))
    prepare.add_options(add("prepare", prepare.run, prepare.TEXT, prepare.EXAMPLES))

    c = add("synthesize", synthesize.run, synthesize.TEXT, synthesize.EXAMPLES)
    synthesize.add_options(c)

    c = add(
        "figures",
        _figures,
        "Draw the figures and tables of a run again, without training.",
        "mri2pet figures --run runs/smoke --only fig-forest",
    )
    c.add_argument("--run", required=True, help="run directory")
    c.add_argument("--only", default=None, help="name of one figure or table")

    c = add(
        "keep",
        _keep,
        "Keep the tables of a long run, with what made them, for the book to show.",
        "mri2pet keep --run runs/study",
    )
    c.add_argument("--run", required=True, help="run directory")
    c.add_argument(
        "--out", default=None, help="folder; default: data/expected/<profile>"
    )

    c = add(
        "check",
        _check,
        "Compare the results of a run with the expected ones; exit 1 on drift.",
        "mri2pet check --run runs/smoke",
    )
    c.add_argument("--run", required=True, help="run directory")
    return parser


def _stage(options: argparse.Namespace) -> int:
    from mri2pet.run import Run
    from mri2pet.stages.plan import AFTER_TRAINING, STAGES

    if options.name not in STAGES:
        raise ValueError(f"stage {options.name!r}: expected one of {', '.join(STAGES)}")
    if options.profile:
        run = Run.open(options.profile, options.run)
    else:
        run = Run.reopen(options.run)
    if options.finished:
        run.may_compute = AFTER_TRAINING
    start = time.perf_counter()
    STAGES[options.name](run)
    print(f"{options.name}: {time.perf_counter() - start:.1f} s")
    return EXIT_OK


def _keep(options: argparse.Namespace) -> int:
    from mri2pet.report.study import save_study
    from mri2pet.run import Run

    run = Run.reopen(options.run)
    if options.out is None:
        _refuse_other_people(run, "they do not belong into the book; give --out")
    names = save_study(run, options.out)
    print(f"kept: {', '.join(names)}")
    return EXIT_OK


def _figures(options: argparse.Namespace) -> int:
    from mri2pet.report.book import redraw_figures
    from mri2pet.run import Run

    redraw_figures(Run.reopen(options.run), options.only)
    return EXIT_OK


def _check(options: argparse.Namespace) -> int:
    from mri2pet.report.drift import check_run
    from mri2pet.run import Run

    run = Run.reopen(options.run)
    _refuse_other_people(run, "there are expected results of phantoms only")
    return EXIT_OK if check_run(run) else EXIT_OURS


def _refuse_other_people(run, why: str) -> None:
    if run.profile.store is not None:
        raise ValueError(
            f"run directory {run.path}: its results are of the people of "
            f"{run.profile.store}; {why}"
        )


if __name__ == "__main__":
    sys.exit(main())
