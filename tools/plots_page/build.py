"""Write .dvc/plots/page.html, the template of `dvc plots show` and `dvc plots diff`.

DVC's own page loads Vega from the network, by what DVC puts at `{scripts}`. Here page.html has that place filled with
the same versions from npm, so that the page needs no network, wherever it is written or sent. DVC reads one file, hence
one is built, and is in git. Run `python tools/plots_page/build.py` when page.html changes, or the versions DVC names.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc_render.vega import VegaRenderer

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / ".dvc/plots/page.html"
SHA256 = {
    "vega@5.20.2": "4794d0169cb1f3ebad8117fe98ba5bd652dd725905ec0384e832391dbccb03be",
    "vega-lite@5.2.0": "d73157451b3978015ab31dacd55ff90d986ab8663fc0abed50f97b3cd90002cb",
    "vega-embed@6.18.2": "1ba9826431ddc9805e815ad92acc811c819f2bfd32bda2a128b8c4b5070fab5e",
}


def packages() -> list[str]:
    """The scripts of DVC's own page, in its order, as npm packages with version."""
    return re.findall(r'/npm/(.+?)"', VegaRenderer.SCRIPTS)


def fetch(package: str) -> str:
    """The npm package's script, if it is the one expected."""
    name = package.split("@")[0]
    with TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            archive.extract(f"package/build/{name}.min.js", folder, filter="data")
        script = (Path(folder) / f"package/build/{name}.min.js").read_bytes()
    if (found := hashlib.sha256(script).hexdigest()) != SHA256.get(package):
        sys.exit(f"error: {package}: expected SHA-256 {SHA256.get(package)}, found {found}")
    return script.decode()


def page(scripts: dict[str, str]) -> str:
    """page.html with these scripts, by their package, and their licences."""
    parts = [f"<!--\n{(HERE / 'licences.txt').read_text(encoding='utf-8')}-->"]
    parts += [f'<script data-package="{package}">{script}</script>' for package, script in scripts.items()]
    return (HERE / "page.html").read_text(encoding="utf-8").replace("{scripts}", "\n".join(parts))


if __name__ == "__main__":
    TARGET.write_text(page({package: fetch(package) for package in packages()}), encoding="utf-8")
