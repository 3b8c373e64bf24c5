"""Result files of lowbit in Python: opened, checked, with named axes.

    import lowbit_results as lr
    result = lr.open("results/runs/default/int_vs_fp/fig3.h5")
    result["qsnr"].sel(format="mxint8", kappa=4)      # xarray.DataArray
    result.report                                     # list of dicts, as rows of report.json
    result.reference["curve"]                         # published table: column name -> array

Reads what results/schema.md describes; refuses another file type or major version before it reads anything else.
"""
from .reader import Result, ResultError, open, open_folder  # noqa: A004  (open is the verb here)

__all__ = ["Result", "ResultError", "open", "open_folder"]
