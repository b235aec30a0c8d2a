"""A DICOMweb server asked and answered: studies retrieved (QIDO-RS, WADO-RS), objects stored (STOW-RS)."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from scanweave.errors import ScanweaveError
from scanweave.external import require
from scanweave.files import atomic_write

GROUP = "dicom"
SCHEME = re.compile(r"dicomweb(\+http|\+https)?:/+(.+)")
"""Sources that are servers; a path folds the two slashes into one."""
UID = re.compile(r"[0-9.]{1,64}")
TIMEOUT_SECONDS, TRIES, WAIT_MILLISECONDS = 60.0, 4, 500
"""For an answer; of a request that fails in passing; before the second one, doubled each time."""
STEP = "Check address, network and rights, and call again"
Say = Callable[[str], None]


class Access(NamedTuple):
    """Say how a server is reached.

    Attributes:
        headers: Sent with each request, such as Authorization.
        certificate: File of the authority that signed the server's certificate; None: those of the system.
        timeout: For an answer [s].
    """

    headers: Mapping[str, str] = {}
    certificate: Path | None = None
    timeout: float = TIMEOUT_SECONDS


def is_server(source: object) -> bool:
    """Tell whether a source is a server: `dicomweb://HOST/PATH`, or `dicomweb+http://…` without encryption."""
    return SCHEME.match(str(source)) is not None


def address_of(source: object) -> tuple[str, dict[str, str]]:
    """Return the address of a server, and which of its studies are meant: `?PatientID=7&ModalitiesInStudy=MR`.

    Raises:
        ScanweaveError: It is no such address.
    """
    found = SCHEME.match(str(source))
    whole = f"{'http' if found and found[1] == '+http' else 'https'}://{found[2]}" if found else ""
    return checked_address(whole.partition("?")[0]), dict(parse_qsl(urlsplit(whole).query))


def checked_address(url: str) -> str:
    """Return the address of a server as it may be told and noted.

    Raises:
        ScanweaveError: It is none, or holds a name and a password.
    """
    step = "Such as https://host/dicom-web; what tells who asks goes into --header Authorization=FILE"
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or "@" in parts.netloc or parts.query:
        raise ScanweaveError("address", "is no plain address of a DICOMweb server", step)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


class Server:
    """A DICOMweb server.

    Args:
        url: Its address.
        access: How it is reached.
    """

    def __init__(self, url: str, access: Access | None = None) -> None:
        web, requests = require("dicomweb_client.api", GROUP), require("requests", GROUP)
        access = access or Access()
        session = requests.Session()
        session.headers.update(access.headers)
        if access.certificate is not None:
            session.verify = str(access.certificate)
        session.request = _with_timeout(session.request, access.timeout)
        url = self.url = checked_address(url)
        with self._faults():
            self.client = web.DICOMwebClient(url=url, session=session)
        self.client.set_http_retry_params(retry=True, max_attempts=TRIES, wait_exponential_multiplier=WAIT_MILLISECONDS)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Translate what goes wrong on the way."""
        requests = require("requests", GROUP)
        retrying = require("retrying", GROUP)
        try:
            yield
        except retrying.RetryError as error:
            raise ScanweaveError(self.url, f"did not answer well in {TRIES} tries", STEP) from error
        except requests.exceptions.HTTPError as error:
            status = getattr(error.response, "status_code", "?")
            known: dict[Any, str] = {401: "wants to know who asks", 403: "refuses", 404: "does not know this"}
            reason = known.get(status, "fails")
            raise ScanweaveError(self.url, f"{reason} (status {status})", STEP) from error
        except (requests.exceptions.RequestException, OSError) as error:  # their words hold what was asked for
            raise ScanweaveError(self.url, f"cannot be reached ({type(error).__name__})", STEP) from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ScanweaveError(self.url, f"answers what is no DICOMweb ({type(error).__name__})", STEP) from error

    def studies(self, filters: Mapping[str, str]) -> list[str]:
        """Return the UIDs of the studies that fit.

        Args:
            filters: Values by keyword, such as PatientID; none: all of them.

        Raises:
            ScanweaveError: The server does not answer, or refuses.
        """
        with self._faults():
            found = self.client.search_for_studies(search_filters=dict(filters), get_remaining=True)
        uids = {str(uid) for one in found for uid in one.get("0020000D", {}).get("Value", ())}
        return sorted(map(self._checked, uids))

    def _checked(self, uid: str) -> str:
        """Return a UID that a server told.

        Raises:
            ScanweaveError: It is none.
        """
        if not UID.fullmatch(uid):
            raise ScanweaveError(self.url, "answers with a UID that is none", STEP)
        return uid

    def retrieve(self, study: str, folder: Path) -> tuple[int, int]:
        """Write the instances of a study that a folder lacks into it.

        Returns:
            How many there are, and how many of them lay there.

        Raises:
            ScanweaveError: As `studies`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        there = 0
        with self._faults():
            instances = self.client.search_for_instances(study_instance_uid=study, get_remaining=True)
            for one in instances:
                series, uid = (self._checked(str(one[tag]["Value"][0])) for tag in ("0020000E", "00080018"))
                path = folder / f"{_short(uid)}.dcm"
                there += path.is_file()
                if path.is_file():
                    continue
                found = self.client.retrieve_instance(
                    study_instance_uid=study,
                    series_instance_uid=series,
                    sop_instance_uid=uid,
                    media_types=(("application/dicom", "*"),),
                )
                with atomic_write(path) as partial:
                    found.save_as(partial, enforce_file_format=True)
        return len(instances), there

    def store(self, objects: Sequence[Any]) -> set[str]:
        """Store data sets, and return the UIDs of those that the server refused.

        Raises:
            ScanweaveError: The server does not answer, or refuses all.
        """
        with self._faults():
            answer = self.client.store_instances(list(objects))
        failed = [] if answer is None else answer.get("FailedSOPSequence") or []
        return {str(one.get("ReferencedSOPInstanceUID", "")) for one in failed}


def _with_timeout(request: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    def asked(*given: Any, **options: Any) -> Any:
        options.setdefault("timeout", seconds)
        return request(*given, **options)

    return asked


def _short(told: str) -> str:
    """Return a name that tells nothing of what it is of."""
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def forget(source: object, folder: Path) -> None:
    """Remove what was retrieved of a server, and the folder where nothing of another lies in it."""
    if is_server(source):
        shutil.rmtree(folder / _short(str(source)), ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()


def retrieved(source: object, folder: Path, access: Access | None, say: Say) -> Path:
    """Return a folder with the studies of a server, retrieved into it; what lies there is not asked for again.

    Args:
        source: Address and studies.
        folder: For what servers have; its owner alone can read it.
        access: How the server is reached.
        say: Takes a line a study.

    Raises:
        ScanweaveError: The server does not answer, or has no such study.
    """
    url, filters = address_of(source)
    server = Server(url, access)
    found = server.studies(filters)
    if not found:
        raise ScanweaveError(url, "has no such study", "Ask for others: dicomweb://HOST/PATH?PatientID=…")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = folder / _short(str(source))
    for number, study in enumerate(found, start=1):
        images, there = server.retrieve(study, own / _short(study))
        earlier = f", {there} of them by an earlier call" if there else ""
        say(f"study {number} of {len(found)}: {images} images retrieved{earlier}")
    return own
