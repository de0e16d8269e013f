"""The options of `garrison attack`."""

from garrison.cli.arguments import Parser, positive
from garrison.cli.policy_option import add_policy
from garrison.reporting import RENDERERS

_FORMATS = ("card", *(name for name in RENDERERS if name != "table"))


def configure(parser: Parser) -> None:
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="a file (PyTorch, TorchScript, ONNX, scikit-learn, XGBoost, LightGBM), the address of a model that is "
        "served (http:// or https://), or a template of requests (.toml)",
    )
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--architecture",
        default="",
        metavar="MODULE:FUNCTION",
        help="what makes the PyTorch module that the weights in MODEL are for: your own code, which is run",
    )
    model.add_argument("--classes", type=positive, metavar="N", help="how many there are, where the model does not say")
    model.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="what inputs may be (default: 0 1 for images, of each column of a table what the data have)",
    )
    model.add_argument(
        "--outputs",
        choices=("auto", "logits", "probabilities", "labels"),
        default="auto",
        help="what the model answers (default: what its answers look like)",
    )
    model.add_argument("--device", default="auto", metavar="DEVICE", help="cpu, cuda or auto (default: auto)")
    _add_endpoint(parser)
    _add_data(parser)
    _add_request(parser)
    result = parser.add_argument_group("the result")
    result.add_argument("--card", metavar="FILE", help="write the card as JSON to this file, and keep it up to date")
    result.add_argument("--html", metavar="FILE", help="write the card as a page to this file")
    add_bounds(parser)
    result.add_argument(
        "--format",
        choices=_FORMATS,
        default="card",
        help="what is shown: the card, or the findings as a report (default: card)",
    )
    result.add_argument("--output", "-o", metavar="FILE", help="write what is shown to this file")
    add_policy(result)
    result.add_argument("--quiet", action="store_true", help="show no progress and no card; the exit code tells")
    result.add_argument("--no-color", action="store_true", help="no colours, as when NO_COLOR is set")


def _add_endpoint(parser: Parser) -> None:
    group = parser.add_argument_group("an endpoint")
    add = group.add_argument
    add("--queries", type=positive, metavar="N", help="inputs that it may be asked about, in all runs of one journal")
    add("--journal", metavar="FILE", help="keep the answers here; a run that was stopped goes on from them")
    add("--output-name", default="", metavar="NAME", help="which of its outputs has the scores, such as predict_proba")
    add(
        "--header",
        action="append",
        default=[],
        dest="headers",
        metavar="NAME=VARIABLE",
        help="send this header with what the variable of the environment holds; may be given several times",
    )


def _add_data(parser: Parser) -> None:
    group = parser.add_argument_group("the data")
    add = group.add_argument
    add("--data", required=True, metavar="PATH", help="labelled inputs: .npz, .npy, IDX, CSV, Parquet or image folders")
    add("--labels", metavar="PATH", help="the labels, where they are in a file of their own")
    add("--label", metavar="COLUMN", help="the column of the labels")
    add("--kind", choices=("image", "table", "text"), help="what the inputs are (default: what they look like)")
    add("--text", metavar="COLUMN", help="the column of the texts")
    add(
        "--channels", choices=("auto", "first", "last"), default="auto", help="where images have theirs (default: auto)"
    )
    add(
        "--encoding",
        choices=("ordinal", "one-hot"),
        default="ordinal",
        help="how columns of categories become numbers, where the model does not do it itself (default: ordinal)",
    )
    add(
        "--group",
        action="append",
        default=[],
        dest="groups",
        metavar="COLUMN",
        help="a column to slice results by; may be given several times",
    )
    add(
        "--drop",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column that is no input; may be given several times",
    )
    add("--members", metavar="PATH", help="what the model was trained on, for membership inference")
    add(
        "--detector",
        action="append",
        default=[],
        dest="detectors",
        metavar="DIR",
        help="measure this detector too, which garrison detect fit wrote; may be given several times",
    )
    add("--attribute", default="", metavar="COLUMN", help="a column that the model should not tell of")


def _add_request(parser: Parser) -> None:
    group = parser.add_argument_group("the attack")
    add = group.add_argument
    add(
        "--budget",
        action="append",
        default=[],
        dest="budgets",
        metavar="NORM:EPSILON",
        help="how far inputs may be moved, such as linf:8/255 or l2:0.5; may be given several times, the most "
        "interesting first",
    )
    add(
        "--constraints",
        default="",
        metavar="FILE",
        help="what may change in a table, and what it costs (TOML)",
    )
    add("--effort", choices=("quick", "standard", "thorough"), default="standard", help="(default: standard)")
    add("--samples", type=positive, metavar="N", help="how many inputs are attacked (default: by effort)")
    add(
        "--attack",
        action="append",
        default=[],
        dest="attacks",
        metavar="NAME",
        help="attack with this one; may be given several times (default: by effort)",
    )
    add(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help="measure this part of the card; may be given several times: evasion, queries, detection, corruptions, "
        "backdoor, membership, extraction, inversion (default: all)",
    )
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same card (default: 0)")
    add(
        "--time-limit",
        type=_minutes,
        default=600.0,
        metavar="MINUTES",
        help="what is not measured by then is left out, and the card says so; `none` for none (default: 10)",
    )


def add_bounds(parser: Parser) -> None:
    """The options that a card is held against."""
    group = parser.add_argument_group("bounds")
    group.add_argument(
        "--fail-under",
        action="append",
        default=[],
        metavar="NAME=LIMIT",
        help="fail if a number is under this limit, or if its interval does not tell: "
        "robust_accuracy=0.4@linf:8/255; may be given several times",
    )
    group.add_argument(
        "--fail-over",
        action="append",
        default=[],
        metavar="NAME=LIMIT",
        help="the same from above: membership_tpr_at_0.001=0.01",
    )


def _minutes(text: str) -> float | None:
    import argparse

    if text == "none":
        return None
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes above 0, nor none")
    return minutes * 60
