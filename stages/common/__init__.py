"""What the stages share. Imported before any library, it puts the process into an environment that it knows: what is
set for other programs changes no number and no picture."""

import os
import sys
import warnings

os.environ |= {
    "MPLBACKEND": "agg",  # Jupyter's own is not there in a process of its
    "OPENBLAS_NUM_THREADS": "1",  # numpy's sums go by threads; PyTorch's are set by runtime.prepare
}
if sys.warnoptions:  # of Python's -W or PYTHONWARNINGS, which can make an error of a library's warning
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
