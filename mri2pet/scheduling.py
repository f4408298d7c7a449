"""Where independent pieces of work run: processes here, or a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def on_cluster(address: str | None) -> Iterator[bool]:
    """Run what joblib is given inside this block on a Dask cluster.

    Parameters
    ----------
    address : str or None
        Of the scheduler, such as ``tcp://node:8786`` or a scheduler file's content;
        None: here.

    Yields
    ------
    bool
        Whether there is a cluster.

    Raises
    ------
    ValueError
        Dask is not installed, or no scheduler answers there.
    """
    if address is None:
        yield False
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            f"scheduler {address!r}: Dask is not installed: "
            "pip install 'mri2pet[scale]'"
        ) from None
    from joblib import parallel_config

    try:
        client = Client(address, timeout=30)
    except (OSError, TimeoutError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(f"scheduler {address!r}: does not answer ({reason})") from None
    with client, parallel_config(backend="dask"):
        yield True
