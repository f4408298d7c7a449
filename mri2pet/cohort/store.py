"""The prepared cohort on disk: a Zarr group with one chunk per volume.

A store is a folder: the arrays ``mri``, ``pet``, ``brain`` and ``regions`` (one row
per scan; scans without a PET have no chunk there), ``scans.tsv`` in BIDS terms and,
for phantoms, ``truth.parquet``. It is written under ``<path>.partial`` and renamed
when complete, so a folder under its own name is always whole.

Shape suffixes: N scans, R regions, D, H, W = z, y, x.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from mri2pet.cohort.geometry import check_shape, grid_affine
from mri2pet.cohort.regions import REGIONS

KINDS = ("mri", "pet", "brain", "regions")
PARTS = ("unpaired", "train", "val", "test")
VERSION = 1
_SCANS, _TRUTH, _README = "scans.tsv", "truth.parquet", "README.md"


def volume_hash(volume):
    """SHA-256 of a volume's float32 bytes, first 16 hexadecimal digits."""
    data = np.ascontiguousarray(volume, dtype="<f4").tobytes()
    return hashlib.sha256(data).hexdigest()[:16]


def partial_path(path):
    """Where a store is built before it has its name."""
    path = Path(path)
    return path.with_name(path.name + ".partial")


class Store:
    """A complete store, opened for reading.

    Parameters
    ----------
    path : str or Path
    grid_mri, grid_pet : tuple of int, optional
        Grids (z, y, x) that the caller needs.

    Attributes
    ----------
    scans : pandas.DataFrame
        One row per scan, indexed by ``scan_id``: ``participant_id, session_id,
        days, age, sex, education, apoe_e4, diagnosis, mmse, part, labelled,
        has_pet`` and the volumes' hashes. An unlabelled person has no diagnosis.
    truth : pandas.DataFrame or None
        What is known of a phantom, indexed likewise.
    attrs : dict
        ``seed``, ``rho``, ``constants``, grids, ``specification``...

    Raises
    ------
    ValueError
        If the store is missing, half written, of another version or grid, or its
        tables and arrays disagree. The message names the path and the remedy.
    """

    def __init__(self, path, grid_mri=None, grid_pet=None):
        self.path = Path(path)
        self._group = _open(self.path)
        self.attrs = dict(self._group.attrs)
        self.scans = _read_scans(self.path)
        truth = self.path / _TRUTH
        self.truth = pd.read_parquet(truth) if truth.exists() else None
        self._rows = {scan: row for row, scan in enumerate(self.scans.index)}
        self._check(grid_mri, grid_pet)

    def _check(self, grid_mri, grid_pet):
        for kind in KINDS:
            if kind not in self._group:
                raise _broken(self.path, f"array {kind!r} is missing")
            if self._group[kind].shape[0] != len(self.scans):
                raise _broken(
                    self.path,
                    f"{kind} has {self._group[kind].shape[0]} rows but {_SCANS} has "
                    f"{len(self.scans)}",
                )
        if self.truth is not None and list(self.truth.index) != list(self.scans.index):
            raise _broken(self.path, f"{_TRUTH} and {_SCANS} list different scans")
        for kind, wanted in (("mri", grid_mri), ("pet", grid_pet)):
            if wanted is not None and tuple(wanted) != self.shape(kind):
                raise ValueError(
                    f"{self.path}: {kind} grid is {self.shape(kind)}, the profile "
                    f"asks for {tuple(wanted)}; make another store or change the "
                    "profile"
                )

    def __repr__(self):
        return f"Store({str(self.path)!r}, {len(self.scans)} scans)"

    def __len__(self):
        return len(self.scans)

    def shape(self, kind):
        """Grid (z, y, x) of a kind of volume (of one region map for regions)."""
        return tuple(self._array(kind).shape[-3:])

    def affine(self, kind):
        """Affine (4, 4) of a volume transposed to (x, y, z), as nibabel wants it."""
        return grid_affine(self.shape(kind))

    def _array(self, kind):
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}; got {kind!r}")
        return self._group[kind]

    def ids(self, part=None, has_pet=None):
        """Scan ids in store order.

        Parameters
        ----------
        part : str, optional
            One of unpaired, train, val, test.
        has_pet : bool, optional
            Only scans with (True) or without (False) a PET.
        """
        keep = np.ones(len(self.scans), dtype=bool)
        if part is not None:
            if part not in PARTS:
                raise ValueError(f"part must be one of {PARTS}; got {part!r}")
            keep &= (self.scans["part"] == part).to_numpy()
        if has_pet is not None:
            keep &= self.scans["has_pet"].to_numpy(bool) == bool(has_pet)
        return list(self.scans.index[keep])

    def read(self, kind, scan_ids=None):
        """Volumes of some scans.

        Parameters
        ----------
        kind : str
            "mri" in [0, 1], "pet" in SUVR, "brain" 0 or 1 on the PET grid, or
            "regions", weights in [0, 1] on the PET grid in the order of `REGIONS`.
        scan_ids : sequence of str, or one str, optional
            Default: every scan that has this kind.

        Returns
        -------
        numpy.ndarray, float32
            (N, D, H, W), or (N, R, D, H, W) for regions.

        Raises
        ------
        ValueError
            For an unknown scan, a scan without a PET, or a volume with NaN.
        """
        array = self._array(kind)
        paired = kind in ("pet", "regions")
        if isinstance(scan_ids, str):
            scan_ids = [scan_ids]
        if scan_ids is None:
            scan_ids = self.ids(has_pet=True if paired else None)
        out = np.empty((len(scan_ids), *array.shape[1:]), dtype=np.float32)
        for place, scan in enumerate(scan_ids):
            if scan not in self._rows:
                raise ValueError(f"{self.path}: no scan {scan!r} in this store")
            row = self._rows[scan]
            if paired and not self.scans["has_pet"].iat[row]:
                raise ValueError(f"{self.path}: {scan} has no PET")
            out[place] = array[row]
            if not np.isfinite(out[place]).all():
                raise _broken(self.path, f"{kind} of {scan} is missing or holds NaN")
        return out

    def verify(self):
        """Compare every volume with its hash; ValueError names the first mismatch."""
        for kind in ("mri", "pet"):
            for scan in self.ids(has_pet=True if kind == "pet" else None):
                found = volume_hash(self.read(kind, [scan])[0])
                if found != self.scans.at[scan, f"{kind}_sha256"]:
                    raise _broken(self.path, f"{kind} of {scan} differs from its hash")

    def fingerprint(self):
        """SHA-256 of the content: tables (with the volumes' hashes) and grids."""
        digest = hashlib.sha256()
        digest.update((self.path / _SCANS).read_bytes())
        if self.truth is not None:
            digest.update(self.truth.to_csv(float_format="%.9g").encode())
        shapes = {kind: list(self._array(kind).shape) for kind in KINDS}
        digest.update(json.dumps(shapes, sort_keys=True).encode())
        return digest.hexdigest()


def _broken(path, what):
    return ValueError(f"{path}: {what}; delete the folder and make the store again")


def _open(path):
    import zarr

    partial = partial_path(path)
    if not path.exists():
        if partial.exists():
            raise ValueError(
                f"{path}: half written (see {partial.name}); run the command that "
                "makes it again, it resumes where it stopped"
            )
        raise ValueError(f"{path}: no such store; make one with `mri2pet phantom`")
    try:
        group = zarr.open_group(str(path), mode="r")
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a Zarr group ({error})") from error
    if not group.attrs.get("complete"):
        raise _broken(path, "half written or not a store of mri2pet")
    if group.attrs.get("version") != VERSION:
        raise _broken(
            path, f"store version {group.attrs.get('version')}, needed {VERSION}"
        )
    return group


def _read_scans(path):
    try:
        scans = pd.read_csv(path / _SCANS, sep="\t", na_values=["n/a"])
    except (OSError, pd.errors.ParserError) as error:
        raise _broken(path, f"cannot read {_SCANS} ({error})") from error
    return scans.set_index("scan_id")


def create(path, *, scans, grid_mri, grid_pet, attrs, keep=False):
    """Make an empty store (arrays only); :func:`seal` completes it.

    With ``keep`` the folder may hold other files, which stay.
    """
    import zarr

    grid_mri, grid_pet = check_shape(grid_mri), check_shape(grid_pet)
    group = zarr.open_group(str(path), mode="a" if keep else "w")
    shapes = {
        "mri": grid_mri,
        "pet": grid_pet,
        "brain": grid_pet,
        "regions": (len(REGIONS), *grid_pet),
    }
    for kind, shape in shapes.items():
        group.create_array(
            kind,
            shape=(len(scans), *shape),
            chunks=(1, *shape),
            dtype="float32",
            # A row that was never written reads as NaN, which `read` refuses.
            fill_value=float("nan"),
            overwrite=keep,
        )
    group.attrs.update({**attrs, "version": VERSION, "complete": False})
    return group


def write_row(path, row, volumes):
    """Write the volumes of one scan; each lands whole or not at all."""
    import zarr

    group = zarr.open_group(str(path), mode="r+")
    for kind, volume in volumes.items():
        group[kind][row] = np.asarray(volume, dtype=np.float32)


def seal(path, *, scans, truth, readme):
    """Write the tables beside the volumes and mark the build complete."""
    import zarr

    partial = partial_path(path)
    scans.to_csv(partial / _SCANS, sep="\t", na_rep="n/a")
    if truth is not None:
        truth.to_parquet(partial / _TRUTH)
    (partial / _README).write_text(readme)
    zarr.open_group(str(partial), mode="r+").attrs["complete"] = True


def sealed(path, attrs):
    """Whether the build of ``path`` is complete and was made with ``attrs``."""
    import zarr

    partial = partial_path(path)
    if not (partial / "zarr.json").exists():
        return False
    found = zarr.open_group(str(partial), mode="r").attrs
    return bool(found.get("complete")) and all(
        found.get(key) == value for key, value in attrs.items()
    )


def publish(path):
    """Give a sealed build its name and open it."""
    partial_path(path).rename(path)
    return Store(path)
