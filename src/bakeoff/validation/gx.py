"""Great Expectations, imported quietly. It takes seconds: import this module only where rows are judged."""

import warnings

with warnings.catch_warnings():
    # GX 1.24 imports sre_constants, which Python 3.11 deprecates; nobody who runs a pipeline can act on that.
    warnings.simplefilter("ignore")
    import great_expectations as gx
    import great_expectations.expectations as gxe

__all__ = ["gx", "gxe"]
