"""What runs on a page: the chart library and our own scripts, in the file itself and named by its security policy."""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Self

import vl_convert


@dataclass(frozen=True)
class Scripts:
    """Scripts of one page.

    Attributes:
        library: Vega, Vega-Lite and vega-embed.
        own: of this project.
        allowed: both as a content security policy names them: no other one runs, wherever it came from.
    """

    library: str
    own: str
    allowed: str

    @classmethod
    def of(cls, *names: str) -> Self:
        """The chart library and these files of this package, in this order."""
        library, own = chart_library(), "\n".join(resource(name) for name in names)
        return cls(library, own, f"{_source(library)} {_source(own)}")


def resource(name: str) -> str:
    """Text of a file of this package."""
    return files("bakeoff.report.render").joinpath(name).read_text(encoding="utf-8")


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script; a `</script` in its strings must not end the element."""
    library: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return library.replace("</script", "<\\/script")


def _source(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
