"""What the figures of both parts share. Figures are drawn by matplotlib's own defaults, whatever a user's matplotlibrc
says."""

import matplotlib
import pandas as pd

matplotlib.rcdefaults()


def replicates(axes, table: pd.DataFrame, x: str, y: str, colour: str, label: str | None = None, **line) -> None:
    """The mean over the replicates as a line, each of them, if there are several, as a faint one."""
    if table["replicate"].nunique() > 1:
        for _, one in table.groupby("replicate"):
            axes.plot(one[x], one[y], color=colour, alpha=0.25, linewidth=0.7)
    mean = table.groupby(x)[y].mean()
    axes.plot(mean.index, mean, color=colour, linewidth=1.4, label=label, **line)


def grid(axes, x_label: str, y_label: str, title: str = "") -> None:
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)
