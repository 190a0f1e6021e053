"""Fits pictures of digits to a page that may be light or dark."""

from io import BytesIO

import numpy as np
from PIL import Image
from scipy import ndimage

WORDS = 118  # a grey that can be read on a light page and on a dark one


def on_any_ground(png: bytes) -> bytes:
    """Take a picture of digits on a white ground. Make the ground transparent and the words on it grey.

    The digits lie in the largest black area. There the picture stays as it is.
    """
    grey = np.array(Image.open(BytesIO(png)).convert("L"))
    areas = ndimage.find_objects(ndimage.label(grey < 128)[0])
    digits = max(areas, key=lambda area: np.prod([side.stop - side.start for side in area]))
    shade, opacity = np.full_like(grey, WORDS), 255 - grey
    shade[digits], opacity[digits] = grey[digits], 255
    made = BytesIO()
    Image.fromarray(np.dstack([shade, opacity]), "LA").save(made, format="PNG", optimize=True)
    return made.getvalue()
