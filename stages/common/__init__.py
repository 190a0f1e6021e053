"""What the stages share.

Import this before any library. It puts the process into a known environment, so that what is set for other programs
changes no number and no picture.
"""

import os
import sys
import warnings

os.environ |= {
    "MPLBACKEND": "agg",  # a process started from Jupyter inherits a backend that works only in Jupyter
    "OPENBLAS_NUM_THREADS": "1",  # numpy's sums depend on it; runtime.prepare sets PyTorch's threads
}
if sys.warnoptions:  # set by -W or PYTHONWARNINGS, which can turn a library's warning into an error
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
